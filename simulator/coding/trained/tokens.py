"""Texts as arrays: every word and mark gets a number once, and what follows is array arithmetic.

A feature is known by a 64-bit hash of what it stands for (a word, two words in a row, a stretch of letters), the same
on every machine. So a trained coder holds numbers only, and no text of the people it was trained on stands in it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simulator.records.seeds import key64, mix64_array

TOKEN = re.compile(r"\w+(?:'\w+)*|[^\w\s]")
"""A word with its apostrophes, or one mark."""

SHORTEST, LONGEST = 2, 5
"""Lengths of the stretches of letters; a word is read with a space before and after it."""

_QUOTES = str.maketrans({"\u2019": "'", "\u2018": "'", "\u02bc": "'"})
_PAIR = np.uint64(0x9E3779B97F4A7C15)

UInt64s = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int64]


class Lexicon:
    """The different words and marks met so far, numbered in the order of their first appearance."""

    def __init__(self) -> None:
        self.number: dict[str, int] = {}
        self.words: list[str] = []
        self._hashes: UInt64s = np.empty(0, np.uint64)
        self._letters: tuple[Ints, UInt64s] = (np.empty(0, np.int64), np.empty(0, np.uint64))
        self._lettered = 0

    def __len__(self) -> int:
        return len(self.words)

    def read(self, texts: Sequence[str]) -> Tokens:
        """`texts` cut into words and marks, each replaced by its number."""
        number, words, find = self.number, self.words, TOKEN.findall
        ids: list[int] = []
        ends = [0]
        for text in texts:
            for word in find(text.lower().translate(_QUOTES)):
                place = number.get(word)
                if place is None:
                    place = number[word] = len(words)
                    words.append(word)
                ids.append(place)
            ends.append(len(ids))
        letters = np.fromiter((len(text) for text in texts), np.float64, len(texts))
        return Tokens(self, np.array(ids, np.int64), np.array(ends, np.int64), letters)

    @property
    def hashes(self) -> UInt64s:
        """The hash of every word, by its number."""
        if (known := len(self._hashes)) < len(self.words):
            new = np.fromiter((key64(word) for word in self.words[known:]), np.uint64, len(self.words) - known)
            self._hashes = np.concatenate([self._hashes, new])
        return self._hashes

    @property
    def letters(self) -> tuple[Ints, UInt64s]:
        """The stretches of letters of every word, as two arrays of equal length: number of the word, hash."""
        if self._lettered < len(self.words):
            rows: list[int] = []
            hashes: list[int] = []
            for row in range(self._lettered, len(self.words)):
                stretches = _stretches(self.words[row])
                rows.extend([row] * len(stretches))
                hashes.extend(map(key64, stretches))
            old = self._letters
            new = np.array(rows, np.int64), np.array(hashes, np.uint64)
            self._letters = np.concatenate([old[0], new[0]]), np.concatenate([old[1], new[1]])
            self._lettered = len(self.words)
        return self._letters


@dataclass(slots=True, frozen=True)
class Tokens:
    """The words and marks of some texts: `ids` one after another, those of text i from `ends[i]` to `ends[i + 1]`.

    `letters` (texts,) counts characters.
    """

    lexicon: Lexicon
    ids: Ints
    ends: Ints
    letters: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.ends) - 1

    @property
    def rows(self) -> Ints:
        """The text each word stands in."""
        return np.repeat(np.arange(len(self)), np.diff(self.ends))

    def pairs(self, hashes: UInt64s) -> tuple[Ints, UInt64s]:
        """Two words in a row: the text they stand in and the hash of the pair, given the hash of every word."""
        rows = self.rows
        inside = rows[1:] == rows[:-1]
        first, second = hashes[self.ids[:-1]][inside], hashes[self.ids[1:]][inside]
        return rows[:-1][inside], mix64_array(first * _PAIR + second)


def _stretches(word: str) -> list[str]:
    """The stretches of letters of a word; a letter stretch cannot equal a word's hash: it is marked."""
    padded = f" {word} "
    longest = min(LONGEST, len(padded))
    return [
        f"\x00{padded[start : start + length]}"
        for length in range(SHORTEST, longest + 1)
        for start in range(len(padded) - length + 1)
    ]
