"""The history of every course of a shard, merged from the attempts at it.

Attempts are read in order. When an attempt takes a course up it says how many of the earlier records of that course it
continues from; what lies beyond (an older writer that was slow to die) is set aside and counted. Where fewer are left
than it stood on (a torn tail was cut off an earlier file), what it added is set aside too, and the course goes on from
what is left. So a transcript is never stitched from two attempts, and never has a gap.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from simulator.records.history import History
from simulator.records.journal_records import CourseRecord, Execution, Header, Opened
from simulator.store.journal import FileReading, attempts_of, read_file


@dataclass(slots=True)
class ShardReading:
    """One shard as read: histories by course id, executions with the header of their attempt, and what was left out."""

    shard: int
    histories: dict[str, History] = field(default_factory=dict)
    executions: list[tuple[Header, Execution]] = field(default_factory=list)
    set_aside: int = 0
    """Records of an older writer, beyond those that a later attempt continued from."""
    without_ground: int = 0
    """Records that continued from others that are lost."""
    torn: list[FileReading] = field(default_factory=list)
    last_attempt: int = -1


def read_shard(journal: Path, shard: int, *, repair: bool = False) -> ShardReading:
    """Read and merge all attempts at one shard.

    Raises:
        DamageError: a file is damaged in its middle and `repair` is not set.
    """
    reading = ShardReading(shard)
    fallen: set[str] = set()
    for attempt, path in attempts_of(journal, shard):
        file = read_file(path, repair=repair)
        reading.last_attempt = attempt
        if file.tail:
            reading.torn.append(file)
        if file.header is None:
            continue
        for record in file.records:
            _take_in(reading, file.header, record, fallen)
    return reading


def _take_in(reading: ShardReading, header: Header, record: CourseRecord, fallen: set[str]) -> None:
    """Add a record; `fallen` are the courses whose present attempt stands on records that are lost."""
    if isinstance(record, Execution):
        reading.executions.append((header, record))
        return
    history = reading.histories.get(record.course)
    if history is None:
        history = reading.histories[record.course] = History(record.course)
    if isinstance(record, Opened):
        if record.kept > len(history.facts):
            fallen.add(record.course)
            return
        fallen.discard(record.course)
        reading.set_aside += max(0, len(history.standing) - record.kept)
        del history.facts[record.kept :]
        history.attempt = header.attempt
    elif record.course in fallen:
        reading.without_ground += 1
    else:
        history.facts.append(record)


def read_shards(journal: Path, shards: int) -> Iterator[ShardReading]:
    """All shards in order, one in memory at a time."""
    for shard in range(shards):
        yield read_shard(journal, shard)
