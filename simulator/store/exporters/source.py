"""The run that is exported, as its formats see it: tables in batches, transcripts one by one, released or whole.

One range of courses is in memory at a time, and what a release withholds never reaches a format.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import pyarrow as pa

from simulator.errors import UserError
from simulator.store.exporters.options import Tick
from simulator.store.exporters.parts import files_of, part_groups, read_batches
from simulator.store.exporters.release import NOT_RELEASED, Release
from simulator.store.exporters.survey import Survey
from simulator.store.runs import RunFolder
from simulator.store.tables import TABLES

Row = dict[str, Any]

TURN_COLUMNS = (
    "course_id",
    "session",
    "turn",
    "role",
    "speaker",
    "text",
    "finish_reason",
    "model",
    "probe",
    "planted",
    "state",
)
METADATA_EVENT = ("imported", "metadata")
"""Kind and name of the event in which an import keeps what a chat file says of a session beyond the tables' columns."""


@dataclass(slots=True)
class Transcript:
    """One session: its course's row, its own row (None where it did not end), its turns in order, its questionnaire
    scores, the failure that stopped it, and what its import kept beside the columns."""

    course: Row
    index: int
    session: Row | None
    turns: list[Row]
    scores: list[Row] = field(default_factory=list)
    failure: Row | None = None
    extra: Row = field(default_factory=dict)


class Source:
    """A run to export.

    Args:
        run: the run.
        found: its survey.
        release: the rules of a release, None to export everything.
        tick: called with the number of rows read.
    """

    def __init__(self, run: RunFolder, found: Survey, release: Release | None, tick: Tick) -> None:
        self.run, self.survey, self.release, self._tick = run, found, release, tick

    @property
    def tables(self) -> list[str]:
        """Names of the tables that are exported and have files."""
        left_out = NOT_RELEASED if self.release else ()
        return [name for name in TABLES if name not in left_out and files_of(self.run, name)]

    def files(self, table: str) -> list[Path]:
        """The files of a table, in order."""
        return files_of(self.run, table)

    def batches(self, table: str, file: Path, columns: tuple[str, ...] | None = None) -> Iterator[pa.RecordBatch]:
        """The rows of one file of a table."""
        for batch in read_batches(file):
            self._tick(batch.num_rows)
            kept = batch if self.release is None else self.release.of(table, batch)
            if kept.num_rows:
                yield kept if columns is None else kept.select(list(columns))

    def transcripts(self, *, measured: bool = False) -> Iterator[Transcript]:
        """All sessions with at least one turn, by course and session.

        Args:
            measured: with scores and failures.
        """
        for group in part_groups(self.run):
            courses = {row["course_id"]: row for row in self._rows(group, "courses")}
            sessions = {_place(row): row for row in self._rows(group, "sessions")}
            extras = self._extras(group)
            scores: dict[tuple[str, int], list[Row]] = defaultdict(list)
            failures: dict[tuple[str, int], Row] = {}
            if measured:
                for row in self._rows(group, "scores"):
                    scores[_place(row)].append(row)
                failures = {_place(row): row for row in self._rows(group, "failures")}
            for place, turns in groupby(self._rows(group, "turns", TURN_COLUMNS), _place):
                course, index = place
                if course not in courses:
                    raise UserError(f"{self.run.path}: its tables are being written; export again in a moment")
                yield Transcript(
                    courses[course], index, sessions.get(place), list(turns), scores.get(place, []),
                    failures.get(place), extras.get(place, {}),
                )  # fmt: skip

    def _extras(self, group: dict[str, list[Path]]) -> dict[tuple[str, int], Row]:
        return {
            _place(row): json.loads(row["payload"])
            for row in self._rows(group, "events")
            if (row["kind"], row["name"]) == METADATA_EVENT and row["payload"]
        }

    def _rows(self, group: dict[str, list[Path]], table: str, columns: tuple[str, ...] | None = None) -> Iterable[Row]:
        for file in group.get(table, []):
            for batch in self.batches(table, file, columns):
                yield from batch.to_pylist()


_place = itemgetter("course_id", "session")
