"""Addresses of model servers: from configuration, or from a file that is read again when it changes."""

import json
from collections.abc import Sequence
from pathlib import Path

from yarl import URL

from simulator.errors import UserError

_Stamp = tuple[tuple[int, int, int], ...]
_LOOKS_AT_ALL = 15
"""Of so many looks at a folder one is at all its files; the others are at the folder, which tells of new, replaced and
removed files: many tasks look at many files on a file system that they share."""


def base_address(text: str, where: str) -> str:
    """An address as `scheme://host[:port]/path` without a slash at its end; `/v1` where there is no path.

    Raises:
        UserError: it is no http(s) address, or holds credentials.
    """
    try:
        url = URL(text.strip())
    except (ValueError, TypeError):
        raise UserError(f"{where}: not an address; give http://host:port/v1") from None
    if url.user or url.password or url.query_string:
        raise UserError(f"{where}: an address holds no user, password or query; name a key by model.api_key_env")
    if url.scheme not in ("http", "https") or not url.host:
        raise UserError(f"{where}: '{text}' is no address; give http://host:port/v1")
    path = url.path.rstrip("/") or "/v1"
    return str(url.with_path(path.removesuffix("/chat/completions")))


def read_endpoints(path: Path) -> list[str]:
    """The addresses in a file, in order, without doubles.

    A folder stands for all files `*.json` in it, one per server job.

    A file is a JSON list of addresses or of objects with a `url` (what `dyad serve` writes), or holds one address per
    line, where `#` begins a comment.

    Raises:
        UserError: the file cannot be read, or something in it is no address.
    """
    if path.is_dir():
        files = sorted(path.glob("*.json"))
        return list(dict.fromkeys(address for file in files for address in _read_if_there(file)))
    try:
        text = path.read_text()
    except OSError as error:
        raise UserError(f"model.endpoints: cannot read {path} ({error.strerror}); dyad serve writes it") from None
    except UnicodeDecodeError:
        raise UserError(f"model.endpoints: {path} is no text; dyad serve writes such a file") from None
    if text.lstrip().startswith("["):
        try:
            entries = [one.get("url") if isinstance(one, dict) else one for one in json.loads(text)]
        except ValueError:
            raise UserError(f"model.endpoints: {path} begins like a JSON list and is none") from None
    else:
        entries = [line.partition("#")[0].strip() for line in text.splitlines()]
    return list(dict.fromkeys(base_address(str(entry), f"{path}:{n}") for n, entry in enumerate(entries, 1) if entry))


def _read_if_there(path: Path) -> list[str]:
    """One file of a folder; a server job may take its own away at any moment."""
    return read_endpoints(path) if path.exists() else []


def _says_none(path: Path) -> bool:
    """Whether what names no address says so, and is not a file that is being written."""
    try:
        return path.is_dir() or path.read_text().lstrip().startswith("[")
    except (OSError, UnicodeDecodeError):
        return False


def _stamp(path: Path) -> _Stamp:
    files = [path, *sorted(path.glob("*.json"))] if path.is_dir() else [path]
    return tuple(map(_one_stamp, files))


def _one_stamp(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_size, status.st_ino


class Endpoints:
    """Where a model is served now.

    Args:
        url: fixed address(es).
        file: a file of addresses, in their place.
    """

    def __init__(self, url: str | Sequence[str] | None, file: str | None) -> None:
        self._path = Path(file).expanduser() if file is not None else None
        self._stamp: _Stamp | None = None
        self._looks = self._quiet = 0
        given = [url] if isinstance(url, str) else list(url or ())
        self.addresses = list(dict.fromkeys(base_address(one, "model.url") for one in given))

    def changed(self) -> bool:
        """Look at the file; whether `addresses` are new. A file that is missing, half-written or without a word changes
        nothing; an empty JSON list, or a folder without addresses, says that there is no server now."""
        if self._path is None:
            return False
        self._looks += 1
        try:
            if self._settled(self._path):
                return False
            stamp = _stamp(self._path)
        except OSError:
            return False
        if stamp == self._stamp:
            return False
        try:
            addresses = read_endpoints(self._path)
        except UserError:
            return False
        if not addresses and (not self.addresses or not _says_none(self._path)):
            return False
        self._stamp = stamp
        if addresses == self.addresses:
            return False
        self.addresses = addresses
        return True

    def _settled(self, path: Path) -> bool:
        """Whether a folder is as it was; not said at the look after a change, which may have had a second one in the
        same tick of the file system's clock."""
        known = self._stamp
        if known is None or self._looks % _LOOKS_AT_ALL == 0 or not path.is_dir() or _one_stamp(path) != known[0]:
            self._quiet = 0
            return False
        self._quiet += 1
        return self._quiet > 1

    def first_look(self) -> None:
        """Read the file for the first time.

        Raises:
            UserError: it cannot be read or names no address.
        """
        if self._path is not None and not self.changed() and not self.addresses and self._stamp is None:
            read_endpoints(self._path)
            raise UserError(f"model.endpoints: {self._path} names no address; one per line, or a JSON list")
