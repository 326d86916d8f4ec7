"""What can be counted about a turn: its length and marks, how it begins and ends, whom it speaks of, where it stands,
and how much of what the other side has just said it says back.

All counts are arrays over many turns at once. The names in `names` say what each column is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from simulator.coding.trained.tokens import Tokens
from simulator.coding.trained.turns import Ints, Turns
from simulator.coding.trained.vectors import word_counts
from simulator.records.seeds import key64

Floats = npt.NDArray[np.floating[Any]]

_CLASSES: dict[str, frozenset[str]] = {
    "first_person": frozenset(("i", "i'm", "i've", "i'd", "i'll", "my", "me", "myself", "mine")),
    "we": frozenset(("we", "we're", "we'll", "we've", "let's", "us", "our")),
    "negator": frozenset(
        ("not", "no", "never", "nothing", "don't", "can't", "didn't", "doesn't", "won't", "isn't", "wasn't", "couldn't",
         "cannot", "haven't", "wouldn't")
    ),
    "asking": frozenset(("what", "how", "why", "when", "where", "who", "which", "what's", "how's", "who's")),
}  # fmt: skip
_MARKS = ("?", "!", ",", ".", "-", '"')
_FIRST = (
    "yeah", "yes", "no", "okay", "so", "and", "but", "well", "what", "how", "do", "is", "are", "right", "mm", "um",
    "you", "i", "it", "that", "because", "sure", "not",
)  # fmt: skip
_LAST = ("?", "yeah", "right", "okay", "know", "it", "that", "you", "no")
_FUNCTION_WORDS = frozenset(
    (
        "a", "an", "the", "and", "or", "but", "so", "of", "to", "in", "on", "at", "for", "with", "from", "by", "as",
        "is", "am", "are", "was", "were", "be", "been", "being", "do", "does", "did", "have", "has", "had", "i",
        "you", "he", "she", "it", "we", "they", "me", "him", "her", "us", "them", "my", "your", "his", "its", "our",
        "their", "this", "that", "these", "those", "there", "here", "not", "no", "yes", "yeah", "okay", "ok", "um",
        "uh", "well", "just", "like", "really", "very", "i'm", "you're", "it's", "that's", "don't", "i've", "you've",
        "what", "how", "when", "where", "who", "which", "why", "can", "could", "will", "would", "should", "may",
        "might", "about", "if", "then", "than", "into", "out", "up", "down", "all", "some", "any", "more", "most",
        "other",
    )
)  # fmt: skip
_ENDINGS = ("ing", "edly", "ed", "es", "s", "ly")
_STEM = 7
_FLIPPED = {
    "you": "i", "your": "my", "you're": "i'm", "you've": "i've", "yourself": "myself", "you'd": "i'd", "you'll": "i'll"
}  # fmt: skip
"""How the other side says of itself what is said back to it."""

_DEPTH = 4
"""How many turns of the other side what is said back may come from."""


def surface(tokens: Tokens) -> tuple[list[str], Floats]:
    """Names and values (texts, names) of length, marks, persons, first and last word."""
    lexicon = tokens.lexicon
    words = np.array([word[0].isalnum() for word in lexicon.words], np.float32)
    flags = [words, *(np.array([word in group for word in lexicon.words], np.float32) for group in _CLASSES.values())]
    flags.append(np.array([word.startswith("you") for word in lexicon.words], np.float32))
    flags += [np.array([word == mark for word in lexicon.words], np.float32) for mark in _MARKS]
    counts = np.asarray(word_counts(tokens) @ np.stack(flags, axis=1))
    said = np.maximum(counts[:, :1], 1)
    persons = 2 + len(_CLASSES)
    filled = np.diff(tokens.ends) > 0
    columns = [np.log1p(counts[:, :1]), np.log1p(tokens.letters[:, None]), counts[:, 1:persons] / said]
    columns += [counts[:, persons:], counts[:, persons : persons + 1] > 0]
    for choices, at in ((_FIRST, tokens.ends[:-1]), (_LAST, tokens.ends[1:] - 1)):
        ids = np.array([lexicon.number.get(word, -1) for word in choices])
        own = tokens.ids[np.where(filled, at, 0)] if len(tokens.ids) else np.zeros(len(tokens), np.int64)
        columns.append((own[:, None] == ids) & filled[:, None])
    names = ["log_words", "log_letters", *_CLASSES, "second_person", *(f"mark {mark}" for mark in _MARKS), "asks"]
    names += [f"first {word}" for word in _FIRST] + [f"last {word}" for word in _LAST]
    return names, np.hstack(columns).astype(np.float32)


def position(turns: Turns) -> tuple[list[str], Floats]:
    """Names and values (turns, names) of where a turn stands in its session."""
    place, length = turns.place, turns.length
    columns = [
        np.log1p(place), place / length, np.log(length - place), np.log(length), place == 0, place == length - 1
    ]  # fmt: skip
    names = ["turns_before", "share_before", "turns_left", "turns", "opens", "closes"]
    return names, np.stack(columns, axis=1).astype(np.float32)


def said_back(tokens: Tokens, turns: Turns) -> tuple[list[str], Floats]:
    """Names and values (turns, names) of the content words and word pairs that the other side said before."""
    stems: dict[str, int] = {}
    stem_of = np.array(
        [-1 if word in _FUNCTION_WORDS or not word[0].isalnum() else stems.setdefault(_stem(word), len(stems))
         for word in tokens.lexicon.words],
        np.int64,
    )  # fmt: skip
    rows, kept = tokens.rows, stem_of[tokens.ids] >= 0
    content = _binary(rows[kept], stem_of[tokens.ids][kept], len(tokens), len(stems))
    before = turns.before_by_others(_DEPTH)
    own = np.maximum(np.diff(content.indptr), 1)
    columns: list[Floats] = []
    for depth in (1, _DEPTH):
        shared = _shared(content, content, before[:, :depth])
        columns += [shared / own, np.minimum(shared, 5)]
    flipped = np.fromiter((key64(_FLIPPED.get(word, word)) for word in tokens.lexicon.words), np.uint64)
    plain = tokens.pairs(tokens.lexicon.hashes)
    turned = tokens.pairs(flipped)
    known, index = np.unique(np.concatenate([plain[1], turned[1]]), return_inverse=True)
    split = len(plain[0])
    theirs = _binary(plain[0], index[:split], len(tokens), len(known))
    mine = _binary(turned[0], index[split:], len(tokens), len(known))
    shared = _shared(mine, theirs, before[:, :2])
    columns += [shared / np.maximum(np.diff(mine.indptr), 1), np.minimum(shared, 6)]
    names = ["back_share", "back_count", "back_share_4", "back_count_4", "back_pair_share", "back_pairs"]
    return names, np.stack(columns, axis=1).astype(np.float32)


def _shared(mine: Any, theirs: Any, before: Ints) -> Floats:
    """How many different features of a text stand in any of the texts before: (texts,)."""
    seen = rows_of(theirs, before[:, 0])
    for column in before[:, 1:].T:
        seen = seen + rows_of(theirs, column)
    found: Floats = np.asarray(mine.multiply(seen > 0).sum(axis=1)).ravel()
    return found


def rows_of(matrix: Any, index: Ints) -> Any:
    """Rows of a sparse matrix by index, empty where the index is -1."""
    from scipy.sparse import csr_array

    there = np.flatnonzero(index >= 0)
    pick = csr_array(
        (np.ones(len(there), np.float32), (there, index[there])), shape=(len(index), matrix.shape[0])
    )  # fmt: skip
    return pick @ matrix


def _binary(rows: Ints, columns: Ints, height: int, width: int) -> Any:
    """A sparse matrix with 1 wherever a feature stands in a text."""
    from scipy.sparse import csr_array

    matrix = csr_array((np.ones(len(rows), np.float32), (rows, columns)), shape=(height, width))
    matrix.sum_duplicates()
    matrix.data[:] = 1
    return matrix


def _stem(word: str) -> str:
    """The word without a common ending, at most `_STEM` letters: enough to find a word said back in another form."""
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word[: -len(ending)]
            break
    return word[:_STEM]
