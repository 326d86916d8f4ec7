"""Coded sessions to learn from or to be validated on, whatever file they come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from simulator.coding.base import CodedTurn
from simulator.errors import UserError, nearest
from simulator.records.fingerprints import fingerprint
from simulator.records.text import transcript_fingerprint

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Task:
    """One code for one role, with the values a unit can have. `name` is what commands call it (`therapist`, `er`)."""

    name: str
    codebook: str
    codebook_version: str
    code: str
    role: str
    values: tuple[str, ...]
    unit: str
    ordinal: bool = False


@dataclass(frozen=True, slots=True)
class CodedSession:
    """A session with people's codes.

    `group` is what keeps sessions together (a video, a post). `codes` gives, by task, the value of each turn by its
    place in the session; turns that nobody coded are absent. `evidence` likewise gives the stretches of the turn that
    people named as the reason.
    """

    group: str
    turns: Sequence[CodedTurn]
    codes: Mapping[str, Mapping[int, str]]
    evidence: Mapping[str, Mapping[int, Sequence[Span]]] = field(default_factory=dict)
    stratum: str | None = None

    @property
    def id(self) -> str:
        """What its data set calls it, as a course."""
        return self.turns[0].course_id

    @property
    def fingerprint(self) -> str:
        """Stands for what is said in it."""
        return transcript_fingerprint([(turn.role, turn.text) for turn in self.turns])


@dataclass(frozen=True, slots=True)
class Examples:
    """A coded data set.

    Args:
        name: which set, for instance `annomi`.
        source: the file it was read from.
        source_hash: SHA-256 of the file, hexadecimal.
        group: what `CodedSession.group` is, in the plural.
        group_key: within what ids of groups name the same group in another file (`annomi video_id`, `table`); None
            where they name nothing outside this one.
        session_key: the same for the ids of sessions (their turns' `course_id`).
    """

    name: str
    source: str
    source_hash: str
    group: str
    tasks: tuple[Task, ...]
    sessions: tuple[CodedSession, ...]
    group_key: str | None = None
    session_key: str | None = None

    def task(self, name: str) -> Task:
        """The task called `name`. Raises: UserError with the nearest name."""
        for task in self.tasks:
            if task.name == name:
                return task
        raise UserError(f"{self.source}: no task '{name}'{nearest(name, [task.name for task in self.tasks])}")

    def of_tasks(self, names: Sequence[str]) -> Examples:
        """The same sessions, with some of the tasks only."""
        return replace(self, tasks=tuple(self.task(name) for name in names))

    def subset(self, chosen: npt.NDArray[np.bool_] | npt.NDArray[np.int64]) -> Examples:
        """Some of the sessions, by index or by mask."""
        places = np.arange(len(self.sessions))[chosen]
        return replace(self, sessions=tuple(self.sessions[place] for place in places))

    def values(self, task: Task) -> npt.NDArray[np.int64]:
        """The value of every turn, sessions end to end, as a place in `task.values`; -1 where nobody coded it."""
        place = {value: index for index, value in enumerate(task.values)}
        found: list[int] = []
        for session in self.sessions:
            codes = session.codes.get(task.name, {})
            found.extend(place[codes[index]] if index in codes else -1 for index in range(len(session.turns)))
        return np.array(found, np.int64)

    def groups(self) -> npt.NDArray[np.str_]:
        """The group of every turn, sessions end to end."""
        return np.array([session.group for session in self.sessions for _ in session.turns], dtype=np.str_)

    @property
    def fingerprint(self) -> str:
        """Stands for texts and codes of all sessions."""
        return fingerprint(
            [[session.fingerprint, {name: sorted(codes.items()) for name, codes in session.codes.items()}]
             for session in self.sessions]
        )  # fmt: skip
