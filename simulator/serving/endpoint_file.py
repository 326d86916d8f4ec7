"""The file that says where replicas listen: a JSON list, replaced in one step, so that no reader sees half of it."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from simulator.errors import UserError


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One replica that answers."""

    url: str
    """Base address, `/v1` included."""
    model: str
    replica: int
    pid: int


class EndpointFile:
    """Owned by one `dyad serve`, read by any number of runs.

    Raises:
        UserError: another one's live replicas stand in it, or it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known: dict[int, Endpoint] = {}
        living = [entry["pid"] for entry in _read(path) if _lives(entry.get("pid"))]
        if living:
            raise UserError(
                f"{path} names replicas that are running (pid {', '.join(map(str, living))}); stop them, or name "
                "another file as serving.endpoints"
            )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._write()
        except OSError as error:
            raise UserError(f"serving.endpoints: cannot write {path} ({error.strerror})") from None

    def add(self, endpoint: Endpoint) -> None:
        """A replica is ready."""
        self._known[endpoint.replica] = endpoint
        self._write()

    def remove(self, replica: int) -> bool:
        """A replica is gone; whether it was there."""
        if self._known.pop(replica, None) is None:
            return False
        self._write()
        return True

    def close(self) -> None:
        """Nothing is served any more: the file goes."""
        self.path.unlink(missing_ok=True)

    def _write(self) -> None:
        entries = [asdict(self._known[replica]) for replica in sorted(self._known)]
        scratch = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        scratch.write_text("[" + ",\n ".join(json.dumps(entry) for entry in entries) + "]\n")
        scratch.replace(self.path)


def _read(path: Path) -> list[dict[str, int]]:
    try:
        entries = json.loads(path.read_text())
    except (OSError, ValueError):
        return []
    return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []


def _lives(pid: int | None) -> bool:
    if not isinstance(pid, int) or pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
