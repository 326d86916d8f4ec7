"""Sessions laid end to end, and who stands next to whom."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from simulator.coding.base import CodedTurn

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.int64]


@dataclass(slots=True, frozen=True)
class Turns:
    """The turns of some sessions, one session after another, each in order.

    `session` (turns,) numbers the sessions from 0, `place` is the turn's index in its session from 0, `length` how many
    turns its session has, `role` who speaks.
    """

    turns: Sequence[CodedTurn]
    session: Ints
    place: Ints
    length: Ints
    role: npt.NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.turns)

    @property
    def texts(self) -> list[str]:
        """What is said, turn by turn."""
        return [turn.text for turn in self.turns]

    def beside(self, steps: int) -> Ints:
        """The index of the turn `steps` later (earlier where negative) in the same session; -1 where there is none."""
        there = self.place + steps
        return np.where((there >= 0) & (there < self.length), np.arange(len(self)) + steps, -1)

    def before_by_others(self, count: int) -> Ints:
        """(turns, count): the last, the last but one, ... turn before by another role; -1 where there is none."""
        found = np.full((len(self), count), -1, np.int64)
        first = np.arange(len(self)) - self.place
        for role in np.unique(self.role):
            mine, others = np.flatnonzero(self.role == role), np.flatnonzero(self.role != role)
            met = np.searchsorted(others, mine)
            for back in range(count):
                at = met - 1 - back
                candidates = others[np.maximum(at, 0)] if len(others) else np.zeros(len(mine), np.int64)
                there = (at >= 0) & (candidates >= first[mine])
                found[mine[there], back] = candidates[there]
        return found


def lay_out(sessions: Iterable[Sequence[CodedTurn]]) -> Turns:
    """Sessions in the order given; empty ones leave no trace."""
    turns: list[CodedTurn] = []
    lengths: list[int] = []
    for session in sessions:
        if session:
            turns.extend(session)
            lengths.append(len(session))
    counts = np.array(lengths, np.int64)
    starts = np.cumsum(counts) - counts
    return Turns(
        turns,
        np.repeat(np.arange(len(counts)), counts),
        np.arange(len(turns)) - np.repeat(starts, counts),
        np.repeat(counts, counts),
        np.array([turn.role for turn in turns], dtype=np.str_),
    )


def rows_at(matrix: Floats, index: Ints) -> Floats:
    """Rows of a dense matrix by index, zeros where the index is -1."""
    found: Floats = matrix[np.maximum(index, 0)]
    found[index < 0] = 0
    return found
