"""The journal: append-only files, one per shard and attempt, each written by exactly one process.

A line is `{"sum":"<16 hex><8 hex>","record":{...}}`. The first part hashes the record's bytes and the sum of the line
before, so it runs on from line to line: a line that was changed, lost or swapped cannot hide. The second part is a
CRC of the record alone, by which a good line is known even where the one before it is gone.

Guarantees:

- a record handed to `append` has left the process when `append` returns: it survives `kill -9`;
- a `Syncer` brings what was appended to the device, all files of a process together, off the event loop, by a stated
  policy (`SYNC_POLICIES`), and at the latest on `close`: only the machine's own end can cost the seconds in between;
- beside each file stands `<shard>.<attempt>.counts` (see `store.counting`), which can always be made again from it;
- what no journal can hold is refused before anything is written (see `records.encoding`);
- a file is created exclusively: two processes can never write the same one;
- reading tells a *torn tail* (bad lines with nothing good after them: cut, kept aside, reported) from *damage* (a bad
  line with good lines after it: refused until the user asks for a repair); a line that its writer finished and this
  version cannot read is neither: refused, and never cut.
"""

import contextlib
import errno
import hashlib
import os
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from simulator.errors import DamageError, UnreadableError, UserError
from simulator.records.encoding import decode_record, encode_record, readable
from simulator.records.journal_records import JOURNAL_FORMAT, CourseRecord, Header, Record
from simulator.store.counting import Counts, write_counts

_PREFIX, _MIDDLE, _SUFFIX = b'{"sum":"', b'","record":', b"}\n"
_SUM_START, _SUM_END = len(_PREFIX), len(_PREFIX) + 24
_RECORD_START = _SUM_END + len(_MIDDLE)


def _own(payload: bytes) -> bytes:
    return b"%08x" % zlib.crc32(payload)


def _sum(previous: bytes, payload: bytes) -> bytes:
    return hashlib.blake2b(payload, digest_size=8, key=previous).hexdigest().encode() + _own(payload)


SYNC_POLICIES = {"local": 2.0, "network": 15.0}
"""Seconds between two syncs, by preset: for disks of the node itself, and for NFS, Lustre and the like, where a sync is
a round trip to servers that all nodes share."""


def shard_of(course: str, shards: int) -> int:
    """The shard of a course: the leading bits of its id, so that a shard is a contiguous range of ids."""
    return int(course[:8], 16) * shards >> 32


class Syncer:
    """Syncs the files of a process to the device every `seconds`, in a thread of its own, and on `close`.

    Nothing of it runs in the event loop. `beat` is called every `beat_seconds`. What the device refuses is told to
    `trouble`, and does not stop the beat.
    """

    def __init__(
        self,
        seconds: float = 2.0,
        beat: Callable[[], None] = lambda: None,
        trouble: Callable[[OSError], None] = lambda error: None,
        beat_seconds: float = 2.0,
    ) -> None:
        self._seconds = seconds
        self._beat_seconds = beat_seconds
        self._beat = beat
        self._trouble = trouble
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._writers: set[JournalWriter] = set()
        self._thread: threading.Thread | None = None

    def watch(self, writer: "JournalWriter") -> None:
        """Sync this writer's file from now on."""
        with self._lock:
            self._writers.add(writer)

    def start(self) -> None:
        """Begin; before this, only `close` syncs."""
        self._thread = threading.Thread(target=self._loop, name="journal sync", daemon=True)
        self._thread.start()

    def _loop(self) -> None:
        synced = time.monotonic()
        while not self._closing.wait(min(self._seconds, self._beat_seconds)):
            try:
                self._beat()
                if time.monotonic() - synced >= self._seconds:
                    synced = time.monotonic()
                    self._sync_all()
            except OSError as error:
                self._trouble(error)

    def _sync_all(self) -> None:
        with self._lock:
            writers = list(self._writers)
        for writer in writers:
            writer.sync()

    def close(self) -> None:
        """Stop the thread and close all files, synced."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join()
        for writer in self._writers:
            writer.close()
        self._writers.clear()


class WrittenError(UserError):
    """A journal file that shall be made is there already."""


class JournalError(OSError):
    """The journal itself cannot be written, whatever an agent may have met besides."""


class JournalWriter:
    """Appends records to one new file.

    Raises:
        WrittenError: the file exists already (another writer).
        UserError: the folder cannot be written.
    """

    def __init__(self, path: Path, header: Header) -> None:
        try:
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        except FileExistsError:
            raise WrittenError(f"another process writes {path}; let it finish, or stop it first") from None
        except OSError as error:
            raise UserError(f"cannot write {path}: {error.strerror}; choose another out=DIR") from None
        self.path = path
        self._last = b""
        self._size = 0
        self._dirty = False
        self._closed = False
        self._torn = False
        self._counts = Counts(host=header.host, process=header.process, began=time.time())
        self._counting = threading.Lock()
        self.append(header)

    def append(self, record: Record) -> None:
        """Write one record. When this returns, the line is with the operating system.

        Raises:
            JournalError: the line could not be written (disk full, for instance); what was written of it is cut off
                again.
            SessionError: the record holds what no journal can; nothing was written.
        """
        payload = encode_record(record)
        if self._torn:  # nothing may stand behind a torn line
            raise JournalError(errno.EIO, os.strerror(errno.EIO))
        total = _sum(self._last, payload)
        line = b"".join((_PREFIX, total, _MIDDLE, payload, _SUFFIX))
        try:
            written = os.write(self._fd, line)
            while written < len(line):
                written += os.write(self._fd, line[written:])
        except OSError as error:
            self._torn = True
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, self._size)
                self._torn = False
            raise JournalError(error.errno, error.strerror) from error
        with self._counting:
            self._size += len(line)
            self._last = total
            self._counts.take(record)
        self._dirty = True

    def sync(self) -> None:
        """Bring what was appended to the device, if there is anything new."""
        if self._dirty and not self._closed:
            self._dirty = False
            os.fsync(self._fd)
            with self._counting:
                self._counts.at(self._size, self._last, os.fstat(self._fd).st_mtime_ns)
                counts = msgspec.json.encode(self._counts)
            write_counts(self.path, counts)

    def close(self) -> None:
        """Sync and close. Further appends are errors."""
        if self._closed:
            return
        try:
            self.sync()
        finally:
            self._closed = True
            os.close(self._fd)


@dataclass(frozen=True, slots=True)
class FileReading:
    """What one journal file holds: its header, its good records, and the bytes of a torn tail (`tail`, often empty)."""

    path: Path
    header: Header | None
    records: list[CourseRecord]
    good_bytes: int
    tail: bytes


def _parse(line: bytes, previous: bytes) -> tuple[bytes, Record] | None:
    """A line's sum and record; None where the sum does not agree.

    Raises:
        msgspec.MsgspecError: it agrees, and yet this is no record.
    """
    if not (line.startswith(_PREFIX) and line.endswith(_SUFFIX) and line[_SUM_END:_RECORD_START] == _MIDDLE):
        return None
    payload = line[_RECORD_START : -len(_SUFFIX)]
    total = _sum(previous, payload)
    if total != line[_SUM_START:_SUM_END]:
        return None
    return total, decode_record(payload)


def _is_good_alone(line: bytes) -> bool:
    """Whether some writer finished this line, whatever stood before it."""
    if not (line.startswith(_PREFIX) and line.endswith(_SUFFIX) and line[_SUM_END:_RECORD_START] == _MIDDLE):
        return False
    return _own(line[_RECORD_START : -len(_SUFFIX)]) == line[_SUM_END - 8 : _SUM_END]


def read_file(path: Path, *, repair: bool = False, after: tuple[int, bytes] = (0, b"")) -> FileReading:
    """Read and check one journal file.

    Args:
        path: the file.
        after: how many bytes are known already, and the sum of the line before them; only the rest is read.
        repair: treat everything from the first bad line on as a tail to cut, even where good lines follow.

    Raises:
        DamageError: a bad line is followed by good ones and `repair` is not set.
        UnreadableError: a line agrees with its sum and is no record of this version's, whether `repair` is set or not.
        UserError: the file was written by a newer format.
    """
    header: Header | None = None
    records: list[CourseRecord] = []
    start, last = after
    with path.open("rb") as file:
        file.seek(start)
        data = file.read()
    good = position = 0
    while position < len(data):
        end = data.find(b"\n", position) + 1
        if end == 0:
            break
        try:
            parsed = _parse(data[position:end], last)
        except msgspec.MsgspecError as error:
            raise UnreadableError(
                f"{path} line {_line_number(path, start + good)} stands as it was written (its checksum agrees) but is "
                f"no record of this Dyad ({readable(error)}); nothing was changed, and no repair cuts it; read the run "
                "with the version of Dyad that wrote it, or begin it anew with another out=DIR"
            ) from None
        if parsed is None:
            break
        last, record = parsed
        if isinstance(record, Header):
            if record.format > JOURNAL_FORMAT:
                raise UserError(
                    f"{path} has journal format {record.format}, this Dyad reads up to {JOURNAL_FORMAT}; "
                    "install a newer Dyad"
                )
            header = record
        else:
            records.append(record)
        position = good = end
    tail = data[good:]
    if tail and not repair and _has_good_line_after_the_first(tail):
        where = f"{path} line {_line_number(path, start + good)}"
        raise DamageError(
            f"{where} does not agree with its checksum though good lines follow (damage, not a torn "
            f"tail); nothing was changed; `dyad status RUN --repair` cuts the file there and keeps the rest aside"
        )
    return FileReading(path, header, records, start + good, tail)


def _line_number(path: Path, position: int) -> int:
    return path.read_bytes()[:position].count(b"\n") + 1


def _has_good_line_after_the_first(tail: bytes) -> bool:
    """Whether a bad line is followed by one that a writer finished: then it was damaged, not torn."""
    return any(_is_good_alone(line) for line in tail.splitlines(keepends=True)[1:])


def cut_tail(reading: FileReading) -> Path | None:
    """Cut a torn tail off its file and keep it aside as `<file>.torn`; returns where, or None if there is none."""
    if not reading.tail:
        return None
    aside = reading.path.with_name(reading.path.name + ".torn")
    with aside.open("ab") as file:
        file.write(reading.tail)
        file.flush()
        os.fsync(file.fileno())
    os.truncate(reading.path, reading.good_bytes)
    return aside


def journal_files(folder: Path) -> dict[int, list[tuple[int, Path]]]:
    """Per shard the attempts in order: `{shard: [(attempt, path), ...]}`."""
    found: dict[int, list[tuple[int, Path]]] = {}
    for path in folder.glob("*.jsonl"):
        shard, _, attempt = path.name.removesuffix(".jsonl").partition(".")
        if shard.isdigit() and attempt.isdigit():
            found.setdefault(int(shard), []).append((int(attempt), path))
    return {shard: sorted(attempts) for shard, attempts in sorted(found.items())}


def attempts_of(folder: Path, shard: int) -> Iterator[tuple[int, Path]]:
    """The attempts at one shard, in order."""
    yield from journal_files(folder).get(shard, [])
