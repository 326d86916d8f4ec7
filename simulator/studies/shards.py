"""The shards that one process writes: leased, read when their turn comes, and one new file each.

Who has lost a lease in the meantime neither reads the shard nor makes a file of it: the file with the latest number
counts, so it must be that of the present holder.

Histories are read shard by shard and forgotten course by course, so memory does not grow with the run.
"""

import errno
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from simulator.errors import UserError
from simulator.records.history import History
from simulator.records.journal_records import JOURNAL_FORMAT, CourseRecord, Header
from simulator.sessions.course import CourseSpec
from simulator.store.histories import read_shard
from simulator.store.journal import SYNC_POLICIES, JournalError, JournalWriter, Syncer, WrittenError, cut_tail
from simulator.store.leases import LAPSE_SECONDS, Lease
from simulator.store.runs import RunFolder
from simulator.studies.identity import code_version
from simulator.studies.plan import PlanIndex
from simulator.studies.signals import DRAIN_SIGNALS

Append = Callable[[CourseRecord], None]

_AFTER_LAPSE_SECONDS = 5.0
_BEAT_SECONDS = 2.0
"""How often leases are touched, where they do not lapse sooner; on a network's file system twice between two syncs."""


def unwritable(run: RunFolder, error: OSError) -> UserError:
    """What a user is told whose disk is full, or may not be written."""
    return UserError(
        f"cannot write {run.path}: {error.strerror}; nothing was lost; make room or access, then run the same "
        "command again"
    )


def _taken_over(shard: int) -> str:
    return f"another process has taken over shard {shard}"


@dataclass(frozen=True, slots=True)
class Work:
    """One course to take up: where it stands and where it is written."""

    spec: CourseSpec
    history: History | None
    append: Append


@dataclass(slots=True)
class ShardWriter:
    """All shards of one process.

    Args:
        run: the run's folder.
        index: the plan's courses by id.
        shards: number of shards of the run.
        mine: the shards that this process writes.

    Raises:
        UserError: another living process writes one of them, or the folder cannot be written.
    """

    run: RunFolder
    index: PlanIndex
    shards: int
    mine: Sequence[int]
    lost: Callable[[str], None]
    """Told (with one line) when another process has taken a shard over."""
    lease_seconds: float = LAPSE_SECONDS
    sync_seconds: float = SYNC_POLICIES["local"]
    """How often what was written is brought to the device (`kill -9` loses nothing in between)."""
    patient: bool = False
    """Wait for a lease until it would lapse, instead of refusing at once: a job that takes up a lost one's shards."""
    notes: list[str] = field(default_factory=list)
    """One line for each torn tail that was cut, and for records that were set aside."""
    _leases: dict[int, Lease] = field(default_factory=dict)
    _syncer: Syncer = field(init=False)

    def __enter__(self) -> "ShardWriter":
        try:
            self.run.journal.mkdir(exist_ok=True)
        except OSError as error:
            raise unwritable(self.run, error) from None
        beat = min(max(_BEAT_SECONDS, self.sync_seconds / 2), self.lease_seconds / 4)
        self._syncer = Syncer(self.sync_seconds, self._touch, self._trouble, beat)
        try:
            for shard in self.mine:
                self._leases[shard] = self._lease(shard)
        except BaseException:
            self.__exit__()
            raise
        self._syncer.start()
        return self

    def _lease(self, shard: int) -> Lease:
        until = time.monotonic() + (self.lease_seconds + _AFTER_LAPSE_SECONDS if self.patient else 0)
        while True:
            try:
                return Lease(self.run.journal, shard, self.lease_seconds)
            except UserError:
                if time.monotonic() >= until or signal.sigpending() & set(DRAIN_SIGNALS):
                    raise
                time.sleep(min(1.0, self.lease_seconds / 10))

    def __exit__(self, *exception: object) -> None:
        self._syncer.close()
        for lease in self._leases.values():
            lease.release()
        self._leases.clear()

    def _trouble(self, error: OSError) -> None:
        self.lost(f"the journal cannot be brought to the device ({error.strerror})")

    def _touch(self) -> None:
        for shard, lease in self._leases.items():
            if not lease.touch():
                self.lost(_taken_over(shard))

    def _holds(self, shard: int) -> bool:
        """Whether the shard is still this process's; where it is not, the run hears of it.

        Raises:
            UserError: the folder cannot be read.
        """
        try:
            held = self._leases[shard].is_held()
        except OSError as error:
            raise unwritable(self.run, error) from None
        if not held:
            self.lost(_taken_over(shard))
        return held

    def work(self) -> Iterator[Work]:
        """The courses of all shards in order, each with what the journal holds of it; none more once a shard is lost.

        Raises:
            DamageError: a journal file is damaged.
            UserError: a torn tail cannot be cut, because the folder cannot be written.
        """
        for shard in self.mine:
            if not self._holds(shard):
                return
            reading = read_shard(self.run.journal, shard)
            for file in reading.torn:
                try:
                    aside = cut_tail(file)
                except OSError as error:
                    raise unwritable(self.run, error) from None
                self.notes.append(f"{file.path}: a torn tail of {len(file.tail)} bytes was cut and kept in {aside}")
            if reading.set_aside:
                self.notes.append(f"shard {shard}: {reading.set_aside} records of an older writer were set aside")
            if reading.without_ground:
                self.notes.append(
                    f"shard {shard}: {reading.without_ground} records that continued from cut ones were set aside"
                )
            file_of_shard = _LazyFile(self, shard, reading.last_attempt + 1)
            for spec in self.index.within(shard, self.shards):
                yield Work(spec, reading.histories.pop(spec.course, None), file_of_shard.append)

    def open_file(self, shard: int, attempt: int) -> JournalWriter:
        """A new file for one shard, synced with the others; with a later number where a writer that has lost the shard
        was quicker to take this one.

        Raises:
            JournalError: another process has taken the shard over.
            UserError: the folder cannot be written.
        """
        while self._holds(shard):
            header = Header(
                JOURNAL_FORMAT, self.run.identity, code_version(), shard, attempt, socket.gethostname(), os.getpid()
            )
            try:
                writer = JournalWriter(self.run.journal / f"{shard:04d}.{attempt}.jsonl", header)
            except WrittenError:
                attempt += 1
                continue
            self._syncer.watch(writer)
            return writer
        raise JournalError(errno.ESTALE, _taken_over(shard))


class _LazyFile:
    """A shard's journal file, made when the first record is written: a finished shard leaves no empty attempt."""

    def __init__(self, shards: ShardWriter, shard: int, attempt: int) -> None:
        self._shards, self._shard, self._attempt = shards, shard, attempt
        self._writer: JournalWriter | None = None

    def append(self, record: CourseRecord) -> None:
        if self._writer is None:
            self._writer = self._shards.open_file(self._shard, self._attempt)
        self._writer.append(record)
