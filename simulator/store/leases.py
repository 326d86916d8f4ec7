"""Leases: who may write a shard now. No lock that NFS lacks: a lease is a small file, made exclusively.

`<shard>.lease` names host, process, its start time and the boot. On the same host a lease lives exactly as long as that
process; seen from another host it lives while its file was touched within `LAPSE_SECONDS`. A live lease refuses a
second writer with one line; a dead one is taken over at once, without waiting for a human.
"""

import json
import os
import socket
import time
from pathlib import Path

from simulator.errors import UserError

LAPSE_SECONDS = 60.0
"""A lease on another host that was not touched for this long is taken to be dead."""


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _started(process: int) -> str | None:
    """The process's start time in the kernel's ticks, or None where it does not run (or cannot be seen)."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return None
    state, *fields = stat.rpartition(")")[2].split()
    return None if state == "Z" else fields[18]


def _is_alive(content: dict[str, object], path: Path) -> bool:
    if content.get("host") == socket.gethostname() and content.get("boot") == _boot():
        process = content.get("process")
        if Path("/proc/self/stat").exists():
            return isinstance(process, int) and _started(process) == content.get("started")
        try:  # systems without /proc
            os.kill(int(str(process)), 0)
        except OSError:
            return False
        return True
    if content.get("host") == socket.gethostname():
        return False  # this host was restarted since
    return time.time() - path.stat().st_mtime < LAPSE_SECONDS


class Lease:
    """The right to write one shard, from `take` until `release`.

    Raises:
        UserError: another living process holds it.
    """

    def __init__(self, folder: Path, shard: int) -> None:
        self.path = folder / f"{shard}.lease"
        self._content = {
            "host": socket.gethostname(),
            "boot": _boot(),
            "process": os.getpid(),
            "started": _started(os.getpid()),
        }
        self._take()

    def _take(self) -> None:
        staged = self.path.with_name(f"{self.path.name}.{socket.gethostname()}.{os.getpid()}")
        staged.write_text(json.dumps(self._content))
        try:
            for _ in range(3):
                try:
                    os.link(staged, self.path)
                    return
                except FileExistsError:
                    self._clear_if_dead()
            raise UserError(
                f"shard {self.path.stem} of {self.path.parent.parent} is being taken by another process; try again"
            )
        finally:
            staged.unlink(missing_ok=True)

    def _clear_if_dead(self) -> None:
        try:
            content = json.loads(self.path.read_text() or "{}")
            alive = _is_alive(content, self.path)
        except (FileNotFoundError, json.JSONDecodeError):
            content, alive = {}, False
        if alive:
            raise UserError(
                f"shard {self.path.stem} of {self.path.parent.parent} is being written by process "
                f"{content.get('process')} on {content.get('host')}; wait for it or stop it"
            )
        # rename first: of two processes that saw the same dead lease only one gets to remove it
        grave = self.path.with_name(f"{self.path.name}.dead.{os.getpid()}")
        try:
            self.path.rename(grave)
        except FileNotFoundError:
            return
        grave.unlink(missing_ok=True)

    def touch(self) -> None:
        """Show that the holder lives; call at least every `LAPSE_SECONDS / 4`."""
        os.utime(self.path)

    def release(self) -> None:
        """Give the shard back."""
        self.path.unlink(missing_ok=True)
