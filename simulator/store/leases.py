"""Leases: who may write a shard now. No lock that NFS lacks: a lease is a small file, made exclusively.

`<shard>.lease` names host, process, its start time and the boot. A lease lives as long as its file is touched in
time; on the same host it ends at once with its process. A live lease refuses a second writer with one line (after a
moment, in which a process that was just killed gets to die); a dead or lapsed one is taken over without waiting for a
human, and a holder that comes back (from SIGSTOP, from a lost network) learns at its next touch that the shard is no
longer its own. What it wrote in between is set aside by the reader.

Whether a process runs cannot be seen from one container into another, and two containers may have one host name: there
a lease ends by lapsing alone.
"""

import contextlib
import errno
import json
import os
import socket
import time
import uuid
from pathlib import Path

from simulator.errors import UserError

LAPSE_SECONDS = 60.0
"""A lease that was not touched for this long has lapsed."""
DYING_SECONDS = 1.0
"""How long the end of a holder on this host is waited for: a process that was killed may still be on its way out."""


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


_HOSTS_OWN = "pid:[4026531836]"
"""The kernel's name for the process numbers of the host itself, outside all containers."""


def _namespace() -> str:
    """Within which set of processes this one's number stands; a container has its own."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return _HOSTS_OWN


def _started(process: int) -> str | None:
    """The process's start time in the kernel's ticks, or None where it does not run (or cannot be seen)."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return None
    state, *fields = stat.rpartition(")")[2].split()
    return None if state == "Z" else fields[18]


def _process_ended(content: dict[str, object]) -> bool:
    """Whether the holder is known to have ended: it was on this host, and is not running any more."""
    if content.get("host") != socket.gethostname() or content.get("namespace", _HOSTS_OWN) != _namespace():
        return False
    if content.get("boot") != _boot():
        return _namespace() == _HOSTS_OWN  # containers on two machines may have one name
    process = content.get("process")
    if not isinstance(process, int):
        return True
    if Path("/proc/self/stat").exists():
        return _started(process) != content.get("started")
    return not is_running(process)


def is_running(process: int) -> bool:
    """Whether a process of this host runs (or another one has its number by now)."""
    if Path("/proc/self/stat").exists():
        return _started(process) is not None
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _holder_of(path: Path, lapse: float) -> tuple[int | None, dict[str, object]]:
    """A lease's file, and who holds it; nobody where the holder does not live any more."""
    try:
        with path.open() as file:
            text, status = file.read(), os.fstat(file.fileno())
    except FileNotFoundError:
        return None, {}
    content: dict[str, object] = {}
    with contextlib.suppress(json.JSONDecodeError):
        content = json.loads(text)
    lapsed = time.time() - status.st_mtime >= lapse
    return status.st_ino, {} if lapsed or _process_ended(content) else content


def is_held(folder: Path, lapse: float = LAPSE_SECONDS) -> bool:
    """Whether a living process writes some shard of a journal folder."""
    return any(_holder_of(path, lapse)[1] for path in folder.glob("*.lease"))


class Lease:
    """The right to write one shard, the tables, or something of another name, until `release`, as long as it is touched
    in time.

    Args:
        folder: the run's journal folder; for the tables that of the dataset.
        shard: which shard; None for the tables; a name for anything else.
        lapse: seconds without a touch after which others may take the lease over.

    Raises:
        UserError: another living process holds it, or the folder cannot be written.
    """

    def __init__(self, folder: Path, shard: int | str | None, lapse: float = LAPSE_SECONDS) -> None:
        self.path = folder / ("tables.lease" if shard is None else f"{shard}.lease")
        part = "the dataset" if shard is None else f"shard {shard}" if isinstance(shard, int) else f"the {shard}"
        self._what = f"{part} of {folder.parent}"
        self._lapse = lapse
        try:
            self._inode = self._take()
        except OSError as error:
            raise UserError(
                f"cannot write {self.path}: {error.strerror}; nothing was changed; make room or access, then run the "
                "same command again"
            ) from None

    def _take(self) -> int:
        content = {
            "host": socket.gethostname(),
            "boot": _boot(),
            "process": os.getpid(),
            "namespace": _namespace(),
            "started": _started(os.getpid()),
        }
        staged = self.path.with_name(f"{self.path.name}.{uuid.uuid4().hex}")
        try:
            staged.write_text(json.dumps(content))
            for _ in range(3):
                try:
                    os.link(staged, self.path)
                    return staged.stat().st_ino
                except FileExistsError:
                    self._clear_if_dead()
            raise UserError(f"{self._what} is being taken by another process; try again")
        finally:
            staged.unlink(missing_ok=True)

    def _clear_if_dead(self) -> None:
        until = time.monotonic() + min(DYING_SECONDS, self._lapse / 4)
        inode, holder = self._holder()
        while holder and holder.get("host") == socket.gethostname() and time.monotonic() < until:
            time.sleep(DYING_SECONDS / 50)
            inode, holder = self._holder()
        if holder:
            raise UserError(
                f"{self._what} is being written by process {holder.get('process')} on {holder.get('host')}; "
                "wait for it or stop it"
            )
        grave = self.path.with_name(f"{self.path.name}.dead.{uuid.uuid4().hex}")
        try:
            self.path.rename(grave)  # of two processes that saw the same dead lease only one gets to remove it
        except FileNotFoundError:
            return
        if grave.stat().st_ino != inode:  # the other one was quicker, and this is its new lease
            with contextlib.suppress(FileExistsError):
                os.link(grave, self.path)
        grave.unlink(missing_ok=True)

    def _holder(self) -> tuple[int | None, dict[str, object]]:
        return _holder_of(self.path, self._lapse)

    def touch(self) -> bool:
        """Show that the holder lives, at least every `lapse / 4` seconds; False where another one has taken over."""
        if not self.is_held():
            return False
        with contextlib.suppress(FileNotFoundError):
            os.utime(self.path)
        return True

    def is_held(self) -> bool:
        """Whether it is still ours; asked by opening the file, which NFS does not answer from memory."""
        try:
            with self.path.open("rb") as file:
                return os.fstat(file.fileno()).st_ino == self._inode
        except FileNotFoundError:
            return False
        except OSError as error:
            if error.errno == errno.ESTALE:
                return False
            raise

    def release(self) -> None:
        """Give the shard back, if it is still ours."""
        if self.is_held():
            self.path.unlink(missing_ok=True)
