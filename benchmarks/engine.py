"""`dyad bench engine`: what a turn costs on a model that answers at once, everything included.

Model-driven agents, guards, journal and dataset, as `dyad run` uses them; CPU over all processes, from the
configuration to the last table. Beside it, in the same run, AutoGen's own RoundRobinGroupChat on the same model, which
keeps nothing. `shares` comes from a smaller run in one process with a clock around each part.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.memory import MemoryWatch
from simulator.cli.main import OneLineParser
from simulator.cli.output import say, show, show_json
from simulator.errors import UserError
from simulator.studies.config import Limits

ROOT = Path(__file__).resolve().parent.parent
SHARES_SESSIONS = 500
AUTOGEN_SESSIONS = 200


def main(arguments: Sequence[str]) -> int:
    """Run the benchmark; see the module's docstring."""
    parser = OneLineParser("dyad bench engine", description=__doc__)
    parser.add_argument("--sessions", type=int, default=5000, help="sessions (up to 250, or a multiple of 250)")
    parser.add_argument("--turns", type=int, default=20, help="turns per session")
    parser.add_argument("--workers", type=int, help="processes; by default as many as there are cores")
    parser.add_argument(
        "--autogen", type=int, default=AUTOGEN_SESSIONS, metavar="SESSIONS", help="sessions of AutoGen's arm; 0: none"
    )
    parser.add_argument("--folder", type=Path, help="where the runs are written for the time being; default: /tmp")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    if options.sessions > 250 and options.sessions % 250:
        raise UserError(f"dyad bench engine: --sessions {options.sessions}: give at most 250 or a multiple of 250")
    with tempfile.TemporaryDirectory(prefix="dyad-bench-", dir=options.folder) as folder:
        result = measure(Path(folder), options)
    if options.json:
        show_json(result)
    else:
        for line in lines_of(result):
            show(line)
    return 0


def measure(folder: Path, options: Any) -> dict[str, Any]:
    """All arms; CPU in milliseconds per turn."""
    workers = "null" if options.workers is None else str(options.workers)
    ours, memory = arm("engine_ours", str(folder / "run"), str(options.sessions), str(options.turns), workers, "0")
    if ours["failures"] or ours["turns"] != options.sessions * options.turns:
        raise UserError(f"dyad bench engine: {ours['turns']} turns were journalled; failures: {ours['failures']}")
    proportional, resident = memory.peaks_mib()
    say("shares")
    fewer = min(options.sessions, SHARES_SESSIONS)
    shares, _ = arm("engine_ours", str(folder / "shares"), str(fewer), str(options.turns), "1", "1")
    result = {
        "cpu_ms_per_turn": round(1000 * ours["cpu_s"] / ours["turns"], 4),
        "wall_s": round(ours["wall_s"], 2),
        "peak_rss_mib": round(proportional, 1),
        "peak_rss_sum_mib": round(resident, 1),
        "compaction_s": round(ours["compaction_s"], 2),
        "shares": {part: round(share, 3) for part, share in shares["shares"].items()},
        "sessions": options.sessions,
        "turns": options.turns,
        "sync": Limits().sync,
    }
    if options.autogen:
        say("AutoGen's group chat")
        autogen, _ = arm("engine_autogen", str(min(options.autogen, options.sessions)), str(options.turns))
        result["autogen_cpu_ms_per_turn"] = round(1000 * autogen["cpu_s"] / autogen["turns"], 4)
        result["autogen_to_ours"] = round(result["autogen_cpu_ms_per_turn"] / result["cpu_ms_per_turn"], 1)
    return result


def lines_of(result: dict[str, Any]) -> list[str]:
    """The figures in words."""
    parts = sorted(result["shares"].items(), key=lambda item: -item[1])
    lines = [
        f"{result['sessions']} sessions of {result['turns']} turns; journal synced by the policy '{result['sync']}'",
        f"CPU per turn, everything included: {result['cpu_ms_per_turn']:.3f} ms ("
        + ", ".join(f"{part} {share:.0%}" for part, share in parts)
        + ")",
        f"wall {result['wall_s']:.1f} s, of which tables {result['compaction_s']:.1f} s",
        f"memory of all processes: {result['peak_rss_mib']:.0f} MiB (shared pages once; "
        f"sum of resident sets {result['peak_rss_sum_mib']:.0f})",
    ]
    if "autogen_cpu_ms_per_turn" in result:
        lines.append(
            f"AutoGen's group chat, which keeps nothing: {result['autogen_cpu_ms_per_turn']:.2f} ms per turn, "
            f"{result['autogen_to_ours']:.1f} times Dyad's"
        )
    return lines


def arm(module: str, *words: str) -> tuple[dict[str, Any], MemoryWatch]:
    """Play one arm in a process of its own; its figures, and its memory over time."""
    process = subprocess.Popen(
        [sys.executable, "-m", f"benchmarks.{module}", *words], cwd=ROOT, env=environment(), stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    with MemoryWatch(process.pid) as memory:
        output, errors = process.communicate()
    if process.returncode:
        raise UserError(f"dyad bench: {module} failed: {(errors.strip() or '?').splitlines()[-1]}")
    return json.loads(output.splitlines()[-1]), memory


def environment() -> dict[str, str]:
    """That of the arms: modules are read compiled, and libraries make no threads of their own."""
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPATH": str(ROOT), "POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1"}
