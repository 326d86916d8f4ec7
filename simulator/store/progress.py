"""How far a run is: from the counts beside its journal, and from the journal itself where they do not reach.

What is reported is what the journal holds, record by record; a run of millions of turns takes under a second.
"""

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from simulator.store.counting import Counts, ShardCounts, known_counts
from simulator.store.histories import read_shard
from simulator.store.journal import journal_files, read_file
from simulator.store.leases import LAPSE_SECONDS, is_held


@dataclass(slots=True)
class Progress:
    """The courses of a run by state, and the work of all attempts; rates are those of the latest stretch of work."""

    states: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    turns: int = 0
    turns_made: int = 0
    """Those of all attempts, set aside ones among them."""
    guards: Counter[str] = field(default_factory=Counter)
    """How often each guard fired in them."""
    set_aside: int = 0
    without_ground: int = 0
    calls: int = 0
    retries: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    running: bool = False
    """Whether some process holds a lease."""
    turns_per_second: float | None = None
    courses_per_second: float | None = None
    tokens_per_second: float | None = None
    """Completion tokens."""
    notes: list[str] = field(default_factory=list)

    def seconds_left(self, planned: int) -> float | None:
        """Seconds to the end at this rate; None where there is none."""
        open_courses = planned - self.states["ended"] - self.states["failed"]
        if open_courses <= 0:
            return 0.0
        return open_courses / self.courses_per_second if self.courses_per_second else None


def progress_of(journal: Path, shards: int, lapse: float = LAPSE_SECONDS) -> Progress:
    """Count a run.

    Raises:
        DamageError: a journal file is damaged.
    """
    progress = Progress(running=is_held(journal, lapse))
    attempts: list[tuple[Counts, float]] = []
    for shard, files in journal_files(journal).items():
        if shard >= shards:
            continue
        counts, regular = ShardCounts(), True
        for _, path in files:
            attempt = _count(path, progress.notes)
            attempts.append((attempt, max(attempt.modified / 1e9, attempt.began)))  # file systems' clocks are coarse
            regular = regular and counts.add(attempt)
        if not regular:
            reading = read_shard(journal, shard)
            counts = ShardCounts.of(reading.histories, reading.set_aside)
            progress.without_ground += reading.without_ground
        progress.set_aside += counts.set_aside
        progress.states += counts.states()
        progress.turns += sum(course.turns for course in counts.courses.values())
        progress.failures.update(course.cause for course in counts.courses.values() if course.state == "failed")
    _add_work(progress, attempts)
    return progress


def _count(path: Path, notes: list[str]) -> Counts:
    """One file in numbers; what its counts do not cover is read and checked."""
    counts = known_counts(path)
    status = path.stat()
    if status.st_size == counts.size:
        return counts
    reading = read_file(path, after=(counts.size, counts.sum.encode()))
    if reading.header is not None:
        counts.take(reading.header)
    for record in reading.records:
        counts.take(record)
    if reading.tail:
        notes.append(f"{path}: a tail of {len(reading.tail)} bytes is incomplete")
    counts.modified = status.st_mtime_ns
    counts.began = counts.began or min(
        (record.started for record in reading.records if hasattr(record, "started")), default=status.st_mtime
    )
    return counts


def _add_work(progress: Progress, attempts: Iterable[tuple[Counts, float]]) -> None:
    """Sums over all attempts, and the rates of the processes that worked when the last one of them began."""
    processes: dict[tuple[str, int], list[tuple[Counts, float]]] = {}
    for counts, modified in attempts:
        processes.setdefault((counts.host, counts.process), []).append((counts, modified))
        progress.turns_made += counts.turns
        progress.guards.update(counts.guards)
        progress.calls += counts.calls
        progress.retries += counts.retries
        progress.prompt_tokens += counts.prompt_tokens
        progress.cached_tokens += counts.cached_tokens
        progress.completion_tokens += counts.completion_tokens
    if not processes:
        return
    latest = max(min(counts.began for counts, _ in files) for files in processes.values())
    stretch = [
        (counts, modified)
        for files in processes.values()
        if max(modified for _, modified in files) >= latest
        for counts, modified in files
    ]
    until = time.time() if progress.running else max(modified for _, modified in stretch)
    seconds = until - min(counts.began for counts, _ in stretch)
    if seconds > 0:
        progress.turns_per_second = sum(counts.turns for counts, _ in stretch) / seconds
        progress.courses_per_second = sum(counts.ended for counts, _ in stretch) / seconds
        progress.tokens_per_second = sum(counts.completion_tokens for counts, _ in stretch) / seconds
