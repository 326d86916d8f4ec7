"""First scores of every turn, and what the joining step sees of them.

A turn's inputs are the scores of its own text and of its text in context, those of its sentences where a data set names
evidence, the probabilities of the turns around it (and of the other codes of the same turn), and their means over the
session. The neighbours' scores are predictions, never people's codes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from simulator.coding.trained.examples import Task
from simulator.coding.trained.joining import softmax
from simulator.coding.trained.odds import score_odds
from simulator.coding.trained.reading import Features, Reader, Scale, full_design, odds_vectors, text_design
from simulator.coding.trained.recipes import Recipe
from simulator.coding.trained.sentences import Sentences, cut, describe, score_sentences
from simulator.coding.trained.turns import Turns, rows_at

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.int64]

_SHARPNESS = 4.0
"""Ridge scores lie about between -1 and 1; so many times them as log-odds."""


class Scores:
    """Scores of turns by task, 0 for turns of other roles: `own` (turns, inputs) as they are, `soft` (turns, values) as
    probabilities."""

    def __init__(self) -> None:
        self.own: dict[str, Floats] = {}
        self.soft: dict[str, Floats] = {}

    def put(self, task: Task, rows: Ints, scores: Sequence[Floats], count: int) -> None:
        """Set the scores of some turns out of `count`, those in context first."""
        own = np.hstack(scores)
        if task.name not in self.own:
            self.own[task.name] = np.zeros((count, own.shape[1]), np.float32)
            self.soft[task.name] = np.zeros((count, len(task.values)), np.float32)
        self.own[task.name][rows] = own
        self.soft[task.name][rows] = softmax(_SHARPNESS * scores[0])


def rows_of_task(task: Task, turns: Turns) -> Ints:
    """The turns that a task speaks of."""
    return np.flatnonzero(turns.role == task.role)


def sentences_of(reader: Reader, features: Features, rows: Ints) -> tuple[Sentences, Any]:
    """The sentences of these turns (of one role, in order; owners count within `rows`) and their word vectors.

    All sentences of the role are cut once and remembered with the features.
    """
    turns = features.turns
    role = str(turns.role[rows[0]]) if len(rows) else ""
    if role not in features.sentences:
        every = np.flatnonzero(turns.role == role)
        sentences = cut([turns.turns[row].text for row in every])
        vectors = reader.vocabularies[0].vectors(reader.tokens(sentences.texts))
        features.sentences[role] = (Sentences(every[sentences.owner], sentences.spans, []), vectors)
    known, vectors = features.sentences[role]
    place = np.full(len(turns), -1, np.int64)
    place[rows] = np.arange(len(rows))
    kept = np.flatnonzero(place[known.owner] >= 0)
    return Sentences(place[known.owner[kept]], [known.spans[index] for index in kept], []), vectors[kept]


@dataclass(slots=True, frozen=True)
class First:
    """What the first step learnt for one task; `odds` and `sentences` are None where the recipe, or data without
    evidence, leave them out."""

    scale: Scale
    text: Floats
    full: Floats
    odds: Floats | None
    sentences: Floats | None


def first_scores(reader: Reader, features: Features, rows: Ints, task: Task, learnt: First) -> list[Floats]:
    """Scores of these turns in context, by text alone, by odds and by sentences, as far as they were learnt."""
    design = full_design(reader.recipe, features, learnt.scale, rows, task.role)
    found = [design.scores(learnt.full), text_design(features, rows).scores(learnt.text)]
    if learnt.odds is not None:
        found.append(score_odds(odds_vectors(reader.recipe, features, rows), learnt.odds))
    if learnt.sentences is not None:
        sentences, vectors = sentences_of(reader, features, rows)
        found.append(describe(score_sentences(vectors, learnt.sentences), sentences.owner, len(rows)))
    return found


def joint_inputs(recipe: Recipe, tasks: Sequence[Task], task: Task, features: Features, scores: Scores) -> Floats:
    """(turns of the task's role, inputs)."""
    turns, rows = features.turns, rows_of_task(task, features.turns)
    parts = [scores.own[task.name][rows]]
    soft = np.hstack([scores.soft[other.name] for other in tasks])
    if recipe.has("neighbours"):
        others = [
            scores.soft[other.name][rows] for other in tasks if other.name != task.name and other.role == task.role
        ]
        parts += others
        around = range(-recipe.neighbours, recipe.neighbours + 1)
        parts += [rows_at(soft, turns.beside(steps)[rows]) for steps in around if steps]
    if recipe.has("measures"):
        parts += [_summary(name, features)[rows][:, None] for name in recipe.summary]
    return np.hstack(parts).astype(np.float32)


def _summary(name: str, features: Features) -> Floats:
    if name == "sentences":
        return np.log1p(np.bincount(cut(features.turns.texts).owner, minlength=len(features.turns)))
    return features.column(name)
