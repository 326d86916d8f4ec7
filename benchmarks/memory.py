"""Memory of a process and all its descendants, watched from outside.

Two figures: *proportional* (a page that n processes share counts 1/n for each: what the processes together really take)
and the plain *sum of resident sets*, which counts what forked processes share once for each of them.
"""

import threading
from dataclasses import dataclass, field
from pathlib import Path


def descendants(process: int) -> list[int]:
    """A process and all that came from it and still run."""
    found, waiting = [], [process]
    while waiting:
        one = waiting.pop()
        found.append(one)
        for task in Path(f"/proc/{one}/task").glob("*/children"):
            try:
                waiting += map(int, task.read_text().split())
            except OSError:
                continue
    return found


def memory_kib(processes: list[int]) -> tuple[int, int]:
    """Proportional and resident KiB of processes together; those that ended count nothing."""
    proportional = resident = 0
    for process in processes:
        try:
            lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        figures = {line.split(":")[0]: int(line.split()[1]) for line in lines[1:]}
        proportional += figures["Pss"]
        resident += figures["Rss"]
    return proportional, resident


@dataclass
class MemoryWatch:
    """Looks at a process and its descendants every `seconds`, in a thread, inside a `with`."""

    process: int
    seconds: float = 0.5
    proportional: list[int] = field(default_factory=list)
    """KiB at each look."""
    resident: list[int] = field(default_factory=list)

    def __enter__(self) -> "MemoryWatch":
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._loop, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._closing.set()
        self._thread.join()

    def _loop(self) -> None:
        while not self._closing.wait(self.seconds):
            proportional, resident = memory_kib(descendants(self.process))
            if proportional:
                self.proportional.append(proportional)
                self.resident.append(resident)

    def peaks_mib(self) -> tuple[float, float]:
        """The largest proportional and summed figure, in MiB; zeros where the process was too quick."""
        return max(self.proportional, default=0) / 1024, max(self.resident, default=0) / 1024
