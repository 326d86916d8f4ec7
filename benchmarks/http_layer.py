"""`dyad bench http`: CPU and memory of sessions on a model server, beside a bare loop and AutoGen's group chat.

A mock server runs in a process of its own, on a core of its own; every arm is a process on another core. Five rounds
alternate between the floor (benchmarks/floor.py) and Dyad, which send the same requests (the mock's checksum says so);
AutoGen plays one round with 200 sessions at once. One more round of both has a quarter of the sessions, four times as
long: what a turn costs may grow with the session as the bytes that are sent do, which the floor shows, and no faster.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from simulator.cli.main import OneLineParser
from simulator.cli.output import say, show, show_json
from simulator.errors import UserError
from simulator.serving.commands import free_ports

ROOT = Path(__file__).resolve().parent.parent
LONGEST_ARM = 600.0
"""Seconds after which an arm hangs."""
DYAD = "from simulator.cli.main import main; main()"


def main(arguments: Sequence[str]) -> int:
    """Run the benchmark; see the module's docstring."""
    parser = OneLineParser("dyad bench http", description=__doc__)
    parser.add_argument("--sessions", type=int, default=1000, help="sessions in flight at once")
    parser.add_argument("--turns", type=int, default=20, help="turns per session")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of floor and Dyad")
    parser.add_argument(
        "--autogen", type=int, default=200, metavar="SESSIONS", help="sessions of AutoGen's arm; 0: none"
    )
    parser.add_argument("--growth", type=int, default=4, help="how much longer the long sessions are; 0: none")
    parser.add_argument("--latency", type=float, default=0.5, help="seconds that the mock takes to answer")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    if options.autogen:
        _check_autogen()
    with tempfile.TemporaryDirectory(prefix="dyad-bench-") as folder:
        result = measure(Path(folder), options)
    if options.json:
        show_json(result)
    else:
        for line in lines_of(result):
            show(line)
    return 0


def measure(folder: Path, options: Any) -> dict[str, Any]:
    """All arms; times in milliseconds of CPU per turn, memory in KiB per session in flight."""
    port = free_ports("127.0.0.1", 1)[0]  # one address for all: it may stand in a study's identity, and so in its seeds
    floors, ours, template = _compare(folder, port, options)
    result = summary(floors, ours, options)
    if options.growth:
        sizes = {"sessions": max(1, options.sessions // options.growth), "turns": options.turns * options.growth}
        longer = argparse.Namespace(
            **{**vars(options), **sizes, "rounds": 1, "latency": options.latency / options.growth}
        )
        (folder / "long").mkdir()
        (floor,), (mine,), _ = _compare(folder / "long", port, longer)
        result["long"] = {
            **sizes,
            "cpu_ms_per_turn": mine["cpu_ms"],
            "floor_cpu_ms_per_turn": floor["cpu_ms"],
            "ratio_to_floor": mine["cpu_ms"] / floor["cpu_ms"],
            "bytes_per_request": mine["bytes_in"] / mine["requests"],
        }
    with mock(port, options.sessions / 5000) as url:
        result["floor_turns_per_s_at_5000"] = _floor(url, template, folder)["turns_per_s"]
        result["turns_per_s_at_5000"] = _ours(url, folder / "run-5000", options)["turns_per_s"]
    if options.autogen:
        say("AutoGen's group chat")
        with mock(port, options.latency) as url:
            numbers = [str(options.autogen), str(options.turns), str(min(200, options.autogen))]
            autogen = _arm(url, ["-m", "benchmarks.http_autogen", url, str(template), *numbers])
        result["autogen_cpu_ms_per_turn"] = autogen["cpu_ms"]
        result["autogen_to_ours"] = autogen["cpu_ms"] / result["cpu_ms_per_turn"]
        result["autogen_turns"] = autogen["turns"]
        result["autogen_bytes_per_request"] = autogen["bytes_in"] / autogen["requests"]
    return result


def _compare(folder: Path, port: int, options: Any) -> tuple[list[dict[str, Any]], list[dict[str, Any]], Path]:
    """Alternating rounds of the floor and Dyad with the same requests; and what the floor sends, as a file."""
    template = folder / "template.json"
    say(f"recording what Dyad sends in {options.sessions} sessions of {options.turns} turns")
    numbers = [str(port), str(options.sessions), str(options.turns)]
    run_arm(["-m", "benchmarks.http_template", str(template), *numbers])
    floors, ours = [], []
    with mock(port, options.latency) as url:
        for number in range(options.rounds):
            floors.append(_floor(url, template, folder))
            ours.append(_ours(url, folder / f"run-{number}", options))
            say(f"round {number + 1}: floor {floors[-1]['cpu_ms']:.3f} ms, Dyad {ours[-1]['cpu_ms']:.3f} ms per turn")
            if floors[-1]["checksum"] != ours[-1]["checksum"]:
                raise UserError(
                    "dyad bench http: the floor and Dyad did not send the same requests; nothing is compared"
                )
            peaks = sorted(arm[-1]["peak_in_flight"] for arm in (floors, ours))
            if peaks[0] < 0.99 * peaks[1]:
                raise UserError(f"dyad bench http: {peaks[0]} against {peaks[1]} in flight; nothing is compared")
    return floors, ours, template


def summary(floors: list[dict[str, Any]], ours: list[dict[str, Any]], options: Any) -> dict[str, Any]:
    """Medians over rounds, and the range of the ratio."""

    def median(arm: list[dict[str, Any]], key: str) -> float:
        return statistics.median(one[key] for one in arm)

    ratios = sorted(mine["cpu_ms"] / bare["cpu_ms"] for mine, bare in zip(ours, floors, strict=True))
    return {
        "cpu_ms_per_turn": median(ours, "cpu_ms"),
        "floor_cpu_ms_per_turn": median(floors, "cpu_ms"),
        "ratio_to_floor": statistics.median(ratios),
        "ratio_range": [ratios[0], ratios[-1]],
        "rss_kib_per_session": median(ours, "rss_kib") / options.sessions,
        "floor_rss_kib_per_session": median(floors, "rss_kib") / options.sessions,
        "tables_cpu_ms_per_turn": median(ours, "tables_cpu_ms"),
        "sessions": options.sessions,
        "turns": options.turns,
        "rounds": options.rounds,
        "requests": ours[0]["requests"],
        "bytes_per_request": ours[0]["bytes_in"] / ours[0]["requests"],
        "peak_in_flight": min(one["peak_in_flight"] for one in ours),
        "floor_peak_in_flight": min(one["peak_in_flight"] for one in floors),
    }


def lines_of(result: dict[str, Any]) -> list[str]:
    """The figures in words."""
    low, high = result["ratio_range"]
    lines = [
        f"{result['sessions']} sessions of {result['turns']} turns at once; {result['bytes_per_request']:.0f} bytes "
        f"per request; at the peak {result['peak_in_flight']} in flight (floor: {result['floor_peak_in_flight']})",
        f"CPU per turn: {result['cpu_ms_per_turn']:.3f} ms, journal included; "
        f"the floor {result['floor_cpu_ms_per_turn']:.3f} ms; {result['ratio_to_floor']:.2f} times "
        f"({low:.2f}-{high:.2f} over {result['rounds']} rounds)",
        f"memory: {result['rss_kib_per_session']:.0f} KiB per session in flight; "
        f"the floor {result['floor_rss_kib_per_session']:.0f}",
        f"where the server would give 5,000 turns/s: {result['turns_per_s_at_5000']:.0f} turns/s; "
        f"the floor {result['floor_turns_per_s_at_5000']:.0f}",
    ]
    if "long" in result:
        longer = result["long"]
        lines.append(
            f"sessions of {longer['turns']} turns: {longer['bytes_per_request']:.0f} bytes per request, "
            f"{longer['cpu_ms_per_turn']:.3f} ms per turn; the floor {longer['floor_cpu_ms_per_turn']:.3f} ms; "
            f"{longer['ratio_to_floor']:.2f} times"
        )
    if "autogen_cpu_ms_per_turn" in result:
        lines.append(
            f"AutoGen's group chat: {result['autogen_cpu_ms_per_turn']:.2f} ms per turn, "
            f"{result['autogen_to_ours']:.1f} times Dyad's; {result['autogen_bytes_per_request']:.0f} bytes per request"
        )
    return lines


def _floor(url: str, template: Path, folder: Path) -> dict[str, Any]:
    return _arm(url, [str(ROOT / "benchmarks" / "floor.py"), url, str(template), str(folder / "floor.jsonl")])


def _ours(url: str, run: Path, options: Any) -> dict[str, Any]:
    found = _arm(url, ["-m", "benchmarks.http_ours", url, str(run), str(options.sessions), str(options.turns)])
    if found["failures"]:
        raise UserError(f"dyad bench http: sessions failed ({found['failures']}); nothing is compared")
    return {**found, "tables_cpu_ms": 1000 * found["tables_cpu_s"] / found["turns"]}


def _arm(url: str, words: list[str]) -> dict[str, Any]:
    """Play one arm; its own figures with the mock's."""
    root = url.removesuffix("/v1")
    _get(f"{root}/mock/reset")
    found = run_arm(words)
    found.pop("requests_s", None)
    counters = _get(f"{root}/mock/counters")
    if counters["served"] != found["turns"]:
        raise UserError(f"dyad bench http: {found['turns']} turns, but {counters['served']} answers were served")
    return {
        **counters,
        **found,
        "cpu_ms": 1000 * found["cpu_s"] / found["turns"],
        "turns_per_s": found["turns"] / found["wall_s"],
    }


def _get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=30) as response:
        return json.load(response)


def run_arm(words: list[str], pinned: bool = True) -> Any:
    """Run Python with these words, on the arms' core where `pinned`; the JSON object that it prints, if any."""
    done = subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        env=_environment(),
        capture_output=True,
        text=True,
        preexec_fn=_on_first_core if pinned else None,
        timeout=LONGEST_ARM,
    )
    if done.returncode:
        raise UserError(
            f"dyad bench http: {' '.join(words[:2])} failed: {(done.stderr.strip() or '?').splitlines()[-1]}"
        )
    return json.loads(done.stdout) if done.stdout.strip() else None


@contextlib.contextmanager
def mock(port: int, latency: float) -> Iterator[str]:
    """A mock server on the last core; its base address."""
    words = ["serve", "mock", "--port", str(port), "--set", f"latency={latency}"]
    process = subprocess.Popen(
        [sys.executable, "-c", DYAD, *words], cwd=ROOT, env=_environment(), stdout=subprocess.PIPE, text=True,
        preexec_fn=_on_last_core,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait(30)


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1"}


def _on_first_core() -> None:
    _pin(min)


def _on_last_core() -> None:
    _pin(max)


def _pin(choose: Any) -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {choose(os.sched_getaffinity(0))})


def _check_autogen() -> None:
    if find_spec("autogen_ext") is None or find_spec("openai") is None:
        raise UserError(
            "dyad bench http: AutoGen's OpenAI client is not installed; `uv sync` installs it with the development "
            "tools, --autogen 0 leaves it out"
        )
