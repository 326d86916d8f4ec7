"""How many connections this process may hold.

The soft limit on open files is raised to the hard one, and requests in flight are capped below it, so that a run on a
machine with a small limit is slower and not broken. The cap is said in one line on stderr the first time it holds
anything back.
"""

import asyncio
import contextlib
import sys
from pathlib import Path

RESERVED = 128
"""Descriptors kept for journals, tables, logs and whatever else the process opens."""


def raise_limit() -> int | None:
    """Raise the soft limit on open files to the hard one; the limit that now holds, or None where there is none."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return None
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(OSError, ValueError):  # macOS refuses more than the kernel's own limit
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft


def budget(limit: int | None, already_open: int) -> int:
    """Connections that fit below a limit on open files, beside what is open and what is kept free."""
    return 1 << 20 if limit is None else max(1, limit - already_open - RESERVED)


def open_descriptors() -> int:
    """How many files this process has open; 0 where the system does not say."""
    try:
        return sum(1 for _ in Path("/proc/self/fd").iterdir())
    except OSError:
        return 0


class Gate:
    """Lets at most `limit` requests be in flight at once, over all pools that share it."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._loop: asyncio.AbstractEventLoop | None = None
        self._told = False

    async def enter(self) -> None:
        """Wait for a place; in another event loop than before it starts afresh, as pools do."""
        if (loop := asyncio.get_running_loop()) is not self._loop:
            self._loop, self._semaphore = loop, asyncio.Semaphore(self.limit)
        if self._semaphore.locked() and not self._told:
            self._told = True
            sys.stderr.write(
                f"dyad: at most {self.limit} requests are in flight (limit on open files); more wait; raise the hard "
                "limit (ulimit -Hn) for more\n"
            )
        await self._semaphore.acquire()

    def leave(self) -> None:
        """Give the place back."""
        self._semaphore.release()


def open_gate() -> Gate:
    """A gate of the size that this process's limit permits, after raising the limit."""
    return Gate(budget(raise_limit(), open_descriptors()))
