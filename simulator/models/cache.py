"""A cache of answers, for running deterministic stages again for free. Off by default.

An answer is found by the hash of the full request bytes and the model's revision. One file per answer, written beside
its place and moved into it, so that any number of processes may share a folder (network file systems included) and a
killed one leaves nothing half-written. Only requests that decide their answer are kept: those with a seed or at
temperature 0.
"""

import contextlib
import hashlib
import os
from pathlib import Path

from simulator.errors import UserError


class ResponseCache:
    """Answers by request.

    Args:
        folder: where they lie; made when it is not there.
        revision: the model's revision; another one finds nothing of this one's.

    Raises:
        UserError: the folder cannot be made.
    """

    def __init__(self, folder: str, revision: str | None) -> None:
        self._folder = Path(folder).expanduser()
        self._revision = (revision or "").encode()
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"model.cache: cannot make {self._folder} ({error.strerror}); name another folder"
            ) from None

    def _path(self, body: bytes) -> Path:
        name = hashlib.blake2b(body, digest_size=20, key=hashlib.blake2b(self._revision).digest()).hexdigest()
        return self._folder / name[:2] / name[2:]

    def get(self, body: bytes) -> bytes | None:
        """The server's answer to these bytes, or None."""
        try:
            return self._path(body).read_bytes()
        except OSError:
            return None

    def put(self, body: bytes, answer: bytes) -> None:
        """Keep an answer. A full or read-only disk costs the entry, never the run."""
        path = self._path(body)
        beside = path.with_name(f"{path.name}.{os.getpid()}.{id(answer):x}")
        try:
            path.parent.mkdir(exist_ok=True)
            beside.write_bytes(answer)
            beside.replace(path)
        except OSError:
            with contextlib.suppress(OSError):
                beside.unlink()
