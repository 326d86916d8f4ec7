"""How many cores this process may use: by affinity, and by the CPU quota of its control group and those above it."""

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath


def usable_cores(root: Path = Path("/")) -> int:
    """Cores that this process may use; at least 1. A quota of two and a half cores is two.

    Args:
        root: where `proc` and `sys` are (tests make their own).
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, int(min([cores, *_quotas(root)])))


def _quotas(root: Path) -> Iterator[float]:
    """The quotas, in cores, that hold for this process: control groups of version 2 (`cpu.max`) and 1 (`cpu.cfs_*`)."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    groups = root / "sys/fs/cgroup"
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        for group in _upwards(path):
            if controllers:
                for mount in (controllers, "cpu"):
                    folder = groups / mount / group
                    yield from _quota(_words(folder / "cpu.cfs_quota_us") + _words(folder / "cpu.cfs_period_us"))
            else:
                yield from _quota(_words(groups / group / "cpu.max"))


def _upwards(path: str) -> Iterator[str]:
    """A group and all above it, relative to the mount. What lies outside of it (`..`) cannot be seen."""
    parts = PurePosixPath(path).parts[1:]
    if ".." in parts:
        parts = ()
    for length in range(len(parts), -1, -1):
        yield "/".join(parts[:length])


def _words(file: Path) -> list[str]:
    try:
        return file.read_text().split()
    except OSError:
        return []


def _quota(words: list[str]) -> Iterator[float]:
    """A quota and its period in microseconds, as cores; nothing where there is no limit (`max`, -1)."""
    if len(words) == 2 and words[0].isdigit() and words[1].isdigit() and int(words[1]):
        yield int(words[0]) / int(words[1])
