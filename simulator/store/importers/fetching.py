"""A published file by download: verified by size and SHA-256, kept in the user's cache, never half-written.

What is kept in the cache is verified again each time it is used. Nothing that fails verification is kept.
"""

import hashlib
import http.client
import os
import tempfile
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from simulator.errors import UserError

_CHUNK = 1 << 16
_TIMEOUT = 30.0


@dataclass(frozen=True, slots=True)
class PublishedFile:
    """One version of one public file: where it is, how many bytes it has, and their SHA-256."""

    base: str
    path: str
    size: int
    sha256: str

    @property
    def name(self) -> str:
        """The file's own name."""
        return self.path.rsplit("/", 1)[-1]

    def address(self, base: str | None = None) -> str:
        """The whole address, under another base where one is given (a mirror, a test server)."""
        return f"{(base or self.base).rstrip('/')}/{self.path}"


def cache_folder() -> Path:
    """`$DYAD_CACHE_DIR`, or `dyad` in the user's cache folder (`$XDG_CACHE_HOME`, `~/.cache`)."""
    chosen = os.environ.get("DYAD_CACHE_DIR")
    if chosen:
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "dyad"


def fetch(file: PublishedFile, command: str, base: str | None = None, cache: Path | None = None) -> Path:
    """The path of a verified copy of `file`, downloaded where the cache has none.

    Args:
        file: what to fetch.
        command: the command that takes a file got by hand, for the message (`dyad import annomi FILE`).
        base: another address to fetch from.
        cache: another folder to keep it in.

    Raises:
        UserError: no network, another file at the address, or no place to keep it; one line that says what to do.
    """
    folder = cache or cache_folder()
    kept = folder / f"{file.sha256[:16]}-{file.name}"
    if kept.is_file() and _is(kept, file):
        return kept
    address = file.address(base)
    by_hand = f"get {file.address()} by hand and run `{command}`"
    try:
        content = _download(address, file.size)
    except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise UserError(f"{address}: cannot be fetched ({reason}); {by_hand}") from None
    digest = hashlib.sha256(content).hexdigest()
    if len(content) != file.size or digest != file.sha256:
        size = f"more than {file.size}" if len(content) > file.size else str(len(content))
        raise UserError(
            f"{address}: {size} bytes, SHA-256 {digest[:12]}..., not the published {file.size} bytes, "
            f"{file.sha256[:12]}...; nothing was kept; {by_hand}"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write(kept, content)
    except OSError as error:
        raise UserError(f"{folder}: cannot keep the download ({error.strerror}); set DYAD_CACHE_DIR") from None
    return kept


def _download(address: str, size: int) -> bytes:
    """At most one byte more than expected is read, so a wrong address costs little."""
    if not address.startswith(("https://", "http://")):
        raise ValueError("not an http address")
    with urllib.request.urlopen(address, timeout=_TIMEOUT) as answer:
        parts: list[bytes] = []
        read = 0
        while read <= size:
            part = answer.read(min(_CHUNK, size + 1 - read))
            if not part:
                break
            parts.append(part)
            read += len(part)
    return b"".join(parts)


def _is(path: Path, file: PublishedFile) -> bool:
    try:
        content = path.read_bytes()
    except OSError:
        return False
    return len(content) == file.size and hashlib.sha256(content).hexdigest() == file.sha256


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all: other processes see the finished file or none."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".fetching-")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
