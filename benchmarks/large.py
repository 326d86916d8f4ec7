"""`dyad bench large`: a hundred thousand scripted sessions, from nothing to tables, and what one does with them.

Time and memory of simulating and compacting (coding and report are timed apart), how long `dyad status` takes, how
large the report is. Memory is that of all processes together, looked at twice a second: proportional (shared pages
once) and as the sum of resident sets; the peaks of the four quarters of simulating say whether it grows.
"""

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.engine import ROOT, arm, environment
from simulator.cli.main import OneLineParser
from simulator.cli.output import say, show, show_json
from simulator.errors import UserError
from simulator.studies.config import Limits

DYAD = "from simulator.cli.main import main; main()"


def main(arguments: Sequence[str]) -> int:
    """Run the benchmark; see the module's docstring."""
    parser = OneLineParser("dyad bench large", description=__doc__)
    parser.add_argument("--sessions", type=int, default=100_000, help="sessions, a multiple of 1000")
    parser.add_argument("--turns", type=int, default=20, help="turns per session")
    parser.add_argument("--workers", type=int, help="processes; by default as many as there are cores")
    parser.add_argument("--folder", type=Path, help="where the run is written for the time being; default: /tmp")
    parser.add_argument("--keep", action="store_true", help="leave the run in --folder")
    parser.add_argument("--report", action="store_true", help="code it and write its report as well")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    if options.sessions % 1000:
        raise UserError(f"dyad bench large: --sessions {options.sessions}: give a multiple of 1000")
    folder = Path(tempfile.mkdtemp(prefix="dyad-bench-", dir=options.folder))
    try:
        result = measure(folder / "run", options)
    finally:
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)
    if options.json:
        show_json(result)
    else:
        for key, value in result.items():
            show(f"{key:<24}{value}")
    return 0


def measure(run: Path, options: Any) -> dict[str, Any]:
    """All figures; times in seconds (of wall time, but for `cpu_s`), memory in MiB."""
    workers = "null" if options.workers is None else str(options.workers)
    say("simulating and compacting")
    whole, memory = arm("large_arm", str(run), str(options.sessions), str(options.turns), workers)
    if whole["ended"] != options.sessions:
        raise UserError(f"dyad bench large: {whole['ended']} sessions ended; failures: {whole['failures']}")
    status_s = timed("status", str(run))
    proportional, resident = memory.peaks_mib()
    looks = memory.proportional[: max(4, int(whole["simulation_s"] / memory.seconds))]
    quarters = [looks[len(looks) * n // 4 : len(looks) * (n + 1) // 4] for n in range(4)]
    result = {
        "sessions": options.sessions,
        "turns": options.sessions * options.turns,
        "sync": Limits().sync,
        "simulation_s": round(whole["simulation_s"], 1),
        "wall_s": round(whole["wall_s"], 1),
        "cpu_s": round(whole["cpu_s"], 1),
        "peak_pss_mib": round(proportional, 1),
        "peak_rss_sum_mib": round(resident, 1),
        "peak_mib_by_quarter": [round(max(quarter, default=0) / 1024, 1) for quarter in quarters],
        "compaction_s": round(whole["compaction_s"], 1),
        "status_s": round(status_s, 2),
        "journal_mib": round(size_mib(run / "journal"), 1),
        "dataset_mib": round(size_mib(run / "dataset"), 1),
    }
    if options.report:
        say("coding and report")
        result["coding_s"] = round(timed("code", str(run)), 1)
        result["report_s"] = round(timed("report", str(run)), 1)
        result["report_mib"] = round((run / "report.html").stat().st_size / 2**20, 1)
    return result


def timed(*words: str) -> float:
    """Seconds that one `dyad` command takes, start of Python included."""
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", DYAD, *words], cwd=ROOT, env=environment(), capture_output=True, text=True
    )
    if done.returncode:
        raise UserError(f"dyad bench large: dyad {words[0]} failed: {done.stderr.strip()[-300:]}")
    return time.perf_counter() - started


def size_mib(folder: Path) -> float:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 2**20
