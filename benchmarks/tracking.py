"""`dyad bench tracking`: what tracking with W&B costs a run of ten minutes, W&B's own service process counted.

The shipped study (one worker, coded and reported, W&B offline) is run twice: with a thousand sessions, and with as
many as fill about `--minutes`. CPU of the tracker and of every process below it is read from outside while they run and
split into what a start and an end cost (`fixed`) and what a minute costs in between. Both runs' lengths stand in the
result. Ten minutes are extrapolated: the end grows with the dataset that is attached (copying and hashing a megabyte
is measured, up to the limit of `tracking.artifact_mb`), a look at the journals with the number of courses (measured
on the longer run's journals, up to the share of a core that looks are bounded to). The share is of the study's own
CPU in ten minutes, one worker's, at the rate of the longer run. `share_of_longer_run` is what that run took itself.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.engine import ROOT, environment
from benchmarks.large import DYAD, size_mib, timed
from benchmarks.memory import descendants
from simulator.cli.main import OneLineParser
from simulator.cli.output import say, show, show_json
from simulator.errors import UserError
from simulator.store.runs import open_run
from simulator.tracking.live import look_at
from simulator.tracking.settings import TrackingSettings
from simulator.tracking.tracker import SHARE_OF_A_CORE

CELLS = 8 * 125
TEN = 600.0
_SECONDS = 0.1
_SETTLED_SECONDS = 3.0
"""How long after W&B's service is there the start is over."""


def main(arguments: Sequence[str]) -> int:
    """Run the benchmark; see the module's docstring."""
    parser = OneLineParser("dyad bench tracking", description=__doc__)
    parser.add_argument("--minutes", type=float, default=2.0, help="about how long the longer run takes")
    parser.add_argument("--folder", type=Path, help="where the runs are written for the time being; default: /tmp")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    if not Path("/proc/self/task").is_dir():
        raise UserError("dyad bench tracking reads CPU from /proc; run it on Linux")
    with tempfile.TemporaryDirectory(prefix="dyad-bench-", dir=options.folder) as folder:
        result = measure(Path(folder), options.minutes)
    if options.json:
        show_json(result)
    else:
        for key, value in result.items():
            show(f"{key:<30}{value}")
    return 0


@dataclass
class Cpu:
    """CPU of a run's processes over time, read every tenth of a second inside a `with`; seconds."""

    process: int
    study: float = 0.0
    by_process: dict[int, float] = field(default_factory=dict)
    """The tracker's and those below it."""
    service: float = 0.0
    looks: list[tuple[float, float]] = field(default_factory=list)
    """Time and tracking's CPU so far."""
    settled: float | None = None
    """When the start of W&B was over."""

    def __enter__(self) -> "Cpu":
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._loop, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._closing.set()
        self._thread.join()

    def _loop(self) -> None:
        while not self._closing.wait(_SECONDS):
            trackers = [child for child in descendants(self.process)[1:] if "simulator.tracking" in _words(child)]
            below = {one for tracker in trackers for one in descendants(tracker)}
            self.study = max(self.study, _cpu(self.process))
            for one in below:
                self.by_process[one] = max(self.by_process.get(one, 0.0), _cpu(one))
                if "wandb-core" in _words(one):
                    self.service = self.by_process[one]
                    self.settled = self.settled or time.monotonic() + _SETTLED_SECONDS
            self.looks.append((time.monotonic(), sum(self.by_process.values())))


def _words(process: int) -> str:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def _cpu(process: int) -> float:
    """CPU seconds of a process, its children not counted; 0 where it has ended."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(folder: Path, minutes: float) -> dict[str, Any]:
    """All figures; CPU in seconds."""
    say("a short run")
    empty = timed("run", "therapist=[cbt]", "personas.limit=1", f"out={folder / 'empty'}", "--quiet")
    short = play(folder / "short", CELLS)
    per_cells = max(1.0, short["wall_s"] - empty)
    sessions = max(2, round((60 * minutes - empty) / per_cells)) * CELLS
    say(f"a run of {sessions} sessions")
    long = play(folder / "long", sessions)
    settings = TrackingSettings(kind="wandb")
    factor = TEN / long["wall_s"]
    more = max(0.0, min(long["dataset_mb"] * factor, settings.artifact_mb) - long["dataset_mb"])
    fixed = max(short["fixed_cpu_s"], long["fixed_cpu_s"]) + more * long["attach_cpu_s_per_mb"]
    looking = long["look_cpu_s"] * factor / 2  # courses grow from none, so the average look is half the last
    looks = TEN / max(settings.every, looking / SHARE_OF_A_CORE)
    beside = max(0.0, long["cpu_s_per_minute"] - long["look_cpu_s"] / 2 * 60 / settings.every)
    per_minute = beside + looks * looking / (TEN / 60)
    study = long["study_cpu_s"] / long["wall_s"] * TEN
    return {
        "cpu_s_fixed": round(fixed, 2),
        "cpu_s_per_minute": round(per_minute, 3),
        "share_of_ten_minutes": round((fixed + per_minute * TEN / 60) / study, 4),
        "share_of_longer_run": round(long["tracking_cpu_s"] / long["study_cpu_s"], 4),
        "study_cpu_s_of_ten_minutes": round(study, 1),
        "looks_of_ten_minutes": round(looks),
        "dataset_mb_of_ten_minutes": round(long["dataset_mb"] * factor, 1),
        "every": settings.every,
        "short": {key: round(value, 4) for key, value in short.items()},
        "long": {key: round(value, 4) for key, value in long.items()},
    }


def play(out: Path, sessions: int) -> dict[str, float]:
    """One tracked run."""
    words = [
        "run", "personas=population", "personas.sample=125", f"replicates={sessions // CELLS}", "limits.workers=1",
        "session.max_turns=20", f"out={out}", "tracking=wandb", "--quiet",
    ]  # fmt: skip
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-c", DYAD, *words], cwd=ROOT, env={**environment(), "WANDB_MODE": "offline"},
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    with Cpu(process.pid) as cpu:
        _, errors = process.communicate()
    wall = time.monotonic() - started
    if process.returncode or "warning" in errors:
        raise UserError(f"dyad bench tracking: the run failed: {errors.strip()[-300:]}")
    whole = cpu.looks[-1][1]
    told = (out / "report.json").stat().st_mtime - time.time() + time.monotonic()
    per_second = _slope([look for look in cpu.looks if cpu.settled and cpu.settled <= look[0] <= told])
    return {
        "sessions": float(sessions),
        "wall_s": wall,
        "study_cpu_s": cpu.study,
        "tracking_cpu_s": whole,
        "service_cpu_s": cpu.service,
        "cpu_s_per_minute": 60 * per_second,
        "fixed_cpu_s": whole - per_second * wall,
        "dataset_mb": size_mib(out / "dataset") * 2**20 / 1e6,
        "look_cpu_s": _look(out),
        "attach_cpu_s_per_mb": _attach(out),
    }


def _slope(looks: list[tuple[float, float]]) -> float:
    """CPU seconds per second between the first look and the last; 0 where there were no two of them."""
    if len(looks) < 2 or looks[-1][0] - looks[0][0] < TrackingSettings().every:
        return 0.0
    return (looks[-1][1] - looks[0][1]) / (looks[-1][0] - looks[0][0])


def _look(out: Path) -> float:
    """CPU of one look at the run's journals."""
    run = open_run(out)
    started = time.process_time()
    for _ in range(3):
        look_at(run)
    return (time.process_time() - started) / 3


def _attach(out: Path) -> float:
    """CPU of copying and hashing a megabyte of the dataset, as attaching it does."""
    files, size = list((out / "dataset").glob("*/*.parquet")), 0
    with tempfile.TemporaryDirectory(dir=out) as aside:
        started = time.process_time()
        for number, path in enumerate(files):
            copied = Path(shutil.copy2(path, f"{aside}/{number}"))
            size += len(content := copied.read_bytes())
            hashlib.md5(content, usedforsecurity=False).digest()
        return (time.process_time() - started) / (size / 1e6)
