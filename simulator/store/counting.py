"""What a journal file holds, in numbers: kept by its writer beside it, so that `dyad status` need not read it.

`<shard>.<attempt>.counts` is written whenever the file is brought to the device. It is no second truth: it says up to
which byte it counts and which sum stands there, the rest is read from the file, and where it does not fit the file's
size and time it is left aside and the whole file is read. Deleting it costs nothing but time.
"""

import contextlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from simulator.records.history import History
from simulator.records.journal_records import (
    CourseEnded,
    Event,
    Execution,
    Failed,
    Header,
    Opened,
    Record,
    SavedState,
    Turn,
)

IN_FLIGHT, ENDED, FAILED = "in_flight", "ended", "failed"


class CourseCount(msgspec.Struct, array_like=True):
    """One course in one file, or over all: see `History` for what stands."""

    kept: int = 0
    """Facts of earlier attempts that this one stands on."""
    facts: int = 0
    standing: int = 0
    """Facts without a closing failure and without what was noted ahead of an unfinished turn."""
    turns: int = 0
    state: str = IN_FLIGHT
    cause: str = ""
    """Boundary and kind of a failure."""


class Counts(msgspec.Struct):
    """One journal file in numbers, up to byte `size`; times as Unix time."""

    size: int = 0
    sum: str = ""
    modified: int = 0
    """The file's time at that byte, in nanoseconds."""
    host: str = ""
    process: int = 0
    began: float = 0.0
    turns: int = 0
    ended: int = 0
    calls: int = 0
    retries: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    used_tokens: int | None = None
    """What `limits.tokens` counts; None in counts that an older version wrote."""
    cost: float = 0.0
    courses: dict[str, CourseCount] = {}
    guards: dict[str, int] = {}
    """How often each guard fired."""

    def at(self, size: int, total: bytes, modified: int) -> None:
        """Say up to where this counts."""
        self.size, self.sum, self.modified = size, total.decode(), modified

    def take(self, record: Record) -> None:
        """Count one record."""
        if isinstance(record, Header):
            self.host, self.process = record.host, record.process
            if not self.size:
                self.used_tokens = 0
        elif isinstance(record, Execution):
            if self.used_tokens is not None:
                self.used_tokens += record.tokens
            self.cost += record.cost or 0.0
            if record.scope == "call":
                self.calls += 1
                self.retries += record.retries
                self.prompt_tokens += record.prompt_tokens or 0
                self.cached_tokens += record.cached_tokens or 0
                self.completion_tokens += record.completion_tokens or 0
        elif isinstance(record, Opened):
            self.courses[record.course] = CourseCount(kept=record.kept)
        else:
            course = self.courses.get(record.course)
            if course is None:
                course = self.courses[record.course] = CourseCount()
            course.facts += 1
            if not isinstance(record, Event | SavedState | Failed):
                course.standing = course.facts
            course.state = IN_FLIGHT
            if isinstance(record, Turn):
                course.turns += 1
                self.turns += 1
            elif isinstance(record, Event):
                if record.event == "guard":
                    self.guards[record.name] = self.guards.get(record.name, 0) + 1
            elif isinstance(record, CourseEnded):
                course.state = ENDED
                self.ended += 1
            elif isinstance(record, Failed):
                course.state, course.cause = FAILED, f"{record.boundary}: {record.failure}"


def counts_path(journal_file: Path) -> Path:
    """Where the counts of a journal file stand."""
    return journal_file.with_suffix(".counts")


def write_counts(journal_file: Path, counts: bytes) -> None:
    """Put counts beside their file; where there is no room for them, there are none."""
    path = counts_path(journal_file)
    with contextlib.suppress(OSError):
        staged = path.with_suffix(".counts.new")
        staged.write_bytes(counts)
        staged.replace(path)


def known_counts(journal_file: Path) -> Counts:
    """The counts beside a file as far as they fit it; empty ones where there are none or they do not."""
    try:
        counts = msgspec.json.decode(counts_path(journal_file).read_bytes(), type=Counts)
        status = journal_file.stat()
    except (OSError, msgspec.MsgspecError):
        return Counts()
    fits = status.st_size > counts.size or (status.st_size, status.st_mtime_ns) == (counts.size, counts.modified)
    return counts if fits else Counts()


@dataclass(slots=True)
class ShardCounts:
    """One shard over all attempts."""

    courses: dict[str, CourseCount] = field(default_factory=dict)
    set_aside: int = 0

    def add(self, attempt: Counts) -> bool:
        """Take in the next attempt; False where it does not go on from the end of the last one: then the files have to
        be read."""
        for name, later in attempt.courses.items():
            earlier = self.courses.get(name, CourseCount())
            if not earlier.standing <= later.kept <= earlier.facts:
                return False
            self.courses[name] = CourseCount(
                0, later.kept + later.facts, later.kept + later.standing, earlier.turns + later.turns, later.state,
                later.cause,
            )  # fmt: skip
        return True

    @classmethod
    def of(cls, histories: dict[str, History], set_aside: int) -> "ShardCounts":
        """The same from the histories themselves."""
        counts = cls(set_aside=set_aside)
        for name, history in histories.items():
            failure = history.failure
            counts.courses[name] = CourseCount(
                turns=sum(isinstance(fact, Turn) for fact in history.facts),
                state=ENDED if history.ended else FAILED if failure else IN_FLIGHT,
                cause=f"{failure.boundary}: {failure.failure}" if failure else "",
            )
        return counts

    def states(self) -> Counter[str]:
        """How many courses ended, failed or are in flight."""
        return Counter(course.state for course in self.courses.values())
