"""The file that says where replicas listen: a JSON list, replaced in one step, so that no reader sees half of it."""

import json
import os
import socket
import urllib.request
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

from simulator.errors import UserError


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One replica that answers."""

    url: str
    """Base address, `/v1` included."""
    model: str
    replica: int
    pid: int
    host: str = field(default_factory=socket.gethostname)
    """Where the process runs."""


class EndpointFile:
    """Owned by one `dyad serve`, read by any number of runs.

    Raises:
        UserError: another one's live replicas stand in it, or it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known: dict[int, Endpoint] = {}
        living = [
            f"pid {entry.get('pid')} on {entry.get('host', 'this host')}" for entry in _read(path) if _lives(entry)
        ]
        if living:
            raise UserError(
                f"{path} names replicas that are running ({', '.join(living)}); stop them, or name another file as "
                "serving.endpoints"
            )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.write()
        except OSError as error:
            raise UserError(f"serving.endpoints: cannot write {path} ({error.strerror})") from None

    def add(self, endpoint: Endpoint) -> None:
        """A replica is ready; said with the next `write`."""
        self._known[endpoint.replica] = endpoint

    def remove(self, replica: int) -> bool:
        """A replica is gone, said with the next `write`; whether it was there."""
        return self._known.pop(replica, None) is not None

    def close(self) -> None:
        """Nothing is served any more: the file goes."""
        self.path.unlink(missing_ok=True)

    def write(self) -> None:
        """Say which replicas are ready.

        Raises:
            OSError: the file cannot be written; the old one stands.
        """
        entries = [asdict(self._known[replica]) for replica in sorted(self._known)]
        scratch = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        scratch.write_text("[" + ",\n ".join(json.dumps(entry) for entry in entries) + "]\n")
        scratch.replace(self.path)


def _read(path: Path) -> list[dict[str, Any]]:
    try:
        entries = json.loads(path.read_text())
    except (OSError, ValueError):
        return []
    return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []


def _lives(entry: Mapping[str, Any]) -> bool:
    """Whether a replica runs: by its process on this host, by its answer on another one."""
    if entry.get("host", socket.gethostname()) != socket.gethostname():
        return _answers(str(entry.get("url")))
    pid = entry.get("pid")
    if not isinstance(pid, int) or pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _answers(url: str) -> bool:
    try:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        opener.open(f"{url.removesuffix('/v1')}/health", timeout=5).close()
    except HTTPError:
        return True
    except (OSError, ValueError):
        return False
    return True
