"""Answers that were paid for: an append-only log by key, so that nothing that was answered is asked again.

A folder holds one file per process that wrote, made exclusively; a line is a checksum and a JSON object. An answer
handed to `put` has left the process when `put` returns: it survives `kill -9`. Bad lines at a file's end are a torn
tail, which is left out; a bad line with good ones after it is damage, which is refused. A lease keeps a second writer
out for as long as the first one lives.
"""

import os
import threading
import zlib
from pathlib import Path
from typing import Any

import msgspec

from simulator.errors import DamageError, UserError
from simulator.store.leases import LAPSE_SECONDS, Lease

_encoder = msgspec.json.Encoder()


class AnswerLog:
    """The answers of one kind, by key. Use as a context manager.

    Args:
        folder: where the files are; made where it is not there.

    Raises:
        UserError: another living process writes there, or the folder cannot be written.
        DamageError: a file is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.known: dict[str, Any] = {}
        """What was answered before and since; some 600 bytes of memory an answer."""
        self.torn = 0
        """Bytes of torn tails that were left out."""

    def __enter__(self) -> "AnswerLog":
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"cannot write {self._folder}: {error.strerror}; make room or access, then try again"
            ) from None
        self._lease = Lease(self._folder, 0)
        try:
            files = sorted(self._folder.glob("*.jsonl"), key=lambda path: int(path.stem))
            for file in files:
                self._read(file)
            last = int(files[-1].stem) + 1 if files else 0
            self._fd = os.open(
                self._folder / f"{last}.jsonl", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644
            )
        except BaseException:
            self._lease.release()
            raise
        self._closing = threading.Event()
        self._beat = threading.Thread(target=self._keep, name="answers", daemon=True)
        self._beat.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._closing.set()
        self._beat.join()
        os.fsync(self._fd)
        os.close(self._fd)
        self._lease.release()

    def _keep(self) -> None:
        while not self._closing.wait(LAPSE_SECONDS / 6):
            self._lease.touch()
            os.fsync(self._fd)

    def put(self, key: str, answer: Any) -> None:
        """Keep an answer.

        Raises:
            UserError: it cannot be written.
        """
        payload = _encoder.encode([key, answer])
        line = b"%08x %b\n" % (zlib.crc32(payload), payload)
        try:
            if os.write(self._fd, line) != len(line):
                raise OSError(28, "no space left on device")
        except OSError as error:
            raise UserError(
                f"cannot write {self._folder}: {error.strerror}; make room, then give the same command again"
            ) from None
        self.known[key] = answer

    def _read(self, file: Path) -> None:
        bad = 0
        with file.open("rb") as stream:
            for line in stream:
                content = _good(line)
                if content is None:
                    bad += len(line)
                    continue
                if bad:
                    raise DamageError(f"{file} is damaged in its middle; move it aside to ask again for what it holds")
                self.known[content[0]] = content[1]
        self.torn += bad


def _good(line: bytes) -> list[Any] | None:
    sum_, _, payload = line.rstrip(b"\n").partition(b" ")
    if not line.endswith(b"\n") or sum_ != b"%08x" % zlib.crc32(payload):
        return None
    content: list[Any] = msgspec.json.decode(payload)
    return content
