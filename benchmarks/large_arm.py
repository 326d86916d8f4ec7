"""The study of `dyad bench large`, simulated and compacted.

    python -m benchmarks.large_arm FOLDER SESSIONS TURNS WORKERS

Prints one JSON object; `cpu_s` is that of all processes, simulating and compacting.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.engine_ours import cpu_seconds
from simulator.studies.composing import compose
from simulator.studies.config import StudyConfig
from simulator.studies.running import run_study

CELLS = 8 * 125
"""Courses of one replicate: the eight shipped therapists with 125 personas."""


def study(out: Path, sessions: int, turns: int, workers: str) -> StudyConfig:
    """The shipped study, instruments included, with sessions of a fixed length."""
    if sessions % CELLS:
        raise SystemExit(f"give a multiple of {CELLS} sessions")
    return compose(
        "personas=population", "personas.sample=125", f"replicates={sessions // CELLS}", "coders=[]",
        f"session.max_turns={turns}", "session.end_on_goodbye=false", "session.goodbye_loop=1000000",
        f"limits.workers={workers}", f"out={out}", "report=false",
    )  # fmt: skip


def play(config: StudyConfig) -> dict[str, Any]:
    """Run the study; times in seconds."""
    last = started = time.perf_counter()
    used = cpu_seconds()

    def simulated(*_: Any) -> None:
        nonlocal last
        last = time.perf_counter()

    result = run_study(config, progress=simulated)
    ended = time.perf_counter()
    return {
        "ended": result.tally.ended,
        "failures": result.tally.failures,
        "simulation_s": last - started,
        "compaction_s": ended - last,
        "wall_s": ended - started,
        "cpu_s": cpu_seconds() - used,
    }


if __name__ == "__main__":
    folder, sessions, turns, workers = sys.argv[1:]
    print(json.dumps(play(study(Path(folder), int(sessions), int(turns), workers))))
