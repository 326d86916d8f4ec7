"""Single sentences scored by what people named as their evidence.

Where a data set says which stretch of a reply carries a code, every sentence has a label of its own: the reply's level
where it overlaps the evidence, else the lowest. A logistic regression on the words of a sentence learns each level, and
any level above the lowest; a reply is then described by its highest, its joint (one minus the product of what is left)
and its mean score.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from simulator.coding.trained.examples import Span

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.int64]

_SENTENCE = re.compile(r"[^.!?\n]+[.!?]*|[.!?]+")
_SMALLEST = 1e-4
_STRENGTH = 5.0
_FAVOUR = 3.0
"""How much more a sentence that is evidence weighs; ten are none for every one that is."""


@dataclass(slots=True, frozen=True)
class Sentences:
    """The sentences of some texts, in order: `owner` is the index of the text, `spans` offsets in it."""

    owner: Ints
    spans: list[Span]
    texts: list[str]


def cut(texts: Sequence[str]) -> Sentences:
    """Sentences end at a full stop, question or exclamation mark or line end; every text has at least one."""
    owner: list[int] = []
    spans: list[Span] = []
    for index, text in enumerate(texts):
        found = [match.span() for match in _SENTENCE.finditer(text) if not match.group().isspace()]
        spans.extend(found or [(0, len(text))])
        owner.extend([index] * max(len(found), 1))
    cuts = [texts[index][start:end] for index, (start, end) in zip(owner, spans, strict=True)]
    return Sentences(np.array(owner, np.int64), spans, cuts)


def sentence_values(sentences: Sentences, values: Ints, evidence: Sequence[Sequence[Span]]) -> Ints:
    """The label of every sentence: the text's value where at least half of the sentence (or of the evidence, where that
    is shorter) overlaps, else 0; a text of one sentence without evidence gives that sentence its value."""
    alone = np.bincount(sentences.owner)[sentences.owner] == 1
    found = np.zeros(len(sentences.owner), np.int64)
    for row, (owner, (start, end)) in enumerate(zip(sentences.owner, sentences.spans, strict=True)):
        spans = evidence[owner]
        if not spans:
            found[row] = values[owner] if alone[row] else 0
            continue
        overlap = sum(max(0, min(end, last) - max(start, first)) for first, last in spans)
        needed = 0.5 * min(end - start, max(last - first for first, last in spans))
        if overlap and overlap >= needed:
            found[row] = values[owner]
    return found


def fit_sentences(vectors: Any, values: Ints, count: int) -> Floats:
    """Coefficients (features + 1, count), the constant last: a column per level above the lowest, the last for any."""
    from sklearn.linear_model import LogisticRegression

    found = np.zeros((vectors.shape[1] + 1, count), np.float32)
    found[-1] = np.log(_SMALLEST)
    for column in range(count):
        wanted = values == column + 1 if column < count - 1 else values > 0
        if not wanted.any() or wanted.all():
            continue
        model = LogisticRegression(
            C=_STRENGTH, class_weight={False: 1.0, True: _FAVOUR}, solver="liblinear", random_state=0
        ).fit(vectors, wanted)
        found[:-1, column], found[-1, column] = model.coef_[0], model.intercept_[0]
    return found


def score_sentences(vectors: Any, coefficients: Floats) -> Floats:
    """Log-odds (sentences, columns)."""
    limit = -np.log(_SMALLEST)
    found: Floats = np.clip(vectors @ coefficients[:-1] + coefficients[-1], -limit, limit)
    return found


def describe(scores: Floats, owner: Ints, count: int) -> Floats:
    """Highest, joint and mean score of the sentences of each of `count` texts: (count, 3 * columns)."""
    starts = np.searchsorted(owner, np.arange(count))
    probability = 1 / (1 + np.exp(-scores))
    highest = np.maximum.reduceat(scores, starts, axis=0)
    joint = 1 - np.exp(np.add.reduceat(np.log1p(-probability), starts, axis=0))
    mean = np.add.reduceat(probability, starts, axis=0) / np.bincount(owner, minlength=count)[:, None]
    return np.hstack([highest, joint, mean]).astype(np.float32)
