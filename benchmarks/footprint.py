"""`dyad bench footprint`: what one array task of a large run asks of the shared file system, and all tasks together.

The task is real: part 0 of so many of a run of 1,000,000 sessions, with agents on models that a mock server plays at a
stated pace. It runs for a while and is drained. `strace` counts every call that names or opens a file of the run's
journal; the journal itself says how many bytes and files there are. Then the figures are multiplied, by arithmetic that
is printed with them. Answers are made up, so text has the length that was asked for.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from simulator.cli.main import OneLineParser
from simulator.cli.output import say, show, show_json
from simulator.errors import UserError

ROOT = Path(__file__).resolve().parent.parent
DYAD = [sys.executable, "-c", "from simulator.cli.main import main; main()"]
PERSONAS, THERAPISTS = 40, "lm_adversarial,lm_boundary_keeping,lm_cbt,lm_companion,lm_mi,lm_over_cold,lm_supportive," \
    "lm_problem_solving"  # fmt: skip
TRACED = "trace=%file,fsync,getdents64"
_CALL = re.compile(r"^\d+\s+(\d+\.\d+) (\w+)\((.*)$")
KINDS = {
    "openat": "opens", "newfstatat": "looks", "stat": "looks", "statx": "looks", "lstat": "looks", "access": "looks",
    "utimensat": "touches", "fsync": "syncs", "getdents64": "listings", "link": "links", "linkat": "links",
    "rename": "renames", "renameat": "renames", "renameat2": "renames", "unlink": "removals", "unlinkat": "removals",
    "mkdir": "folders",
}  # fmt: skip
"""System calls by what they are to a file server. Writes are data and are counted as bytes."""


def main(arguments: Sequence[str]) -> int:
    """Run the benchmark; see the module's docstring."""
    parser = OneLineParser("dyad bench footprint", description=__doc__)
    parser.add_argument("--tasks", type=int, default=64, help="array tasks of the run (64)")
    parser.add_argument("--seconds", type=float, default=60, help="how long the task simulates (60)")
    parser.add_argument("--concurrency", type=int, default=128, help="sessions in flight in the task (128)")
    parser.add_argument("--latency", type=float, default=2.0, help="seconds that the mock server takes (2)")
    parser.add_argument("--tokens", type=int, default=100, help="tokens of an answer, of four characters (100)")
    parser.add_argument("--sync", default="network", help="limits.sync (network)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    if shutil.which("strace") is None:
        raise UserError("dyad bench footprint: strace is missing; apt-get install strace")
    with tempfile.TemporaryDirectory(prefix="dyad-bench-") as name:
        result = measure(Path(name), options)
    if options.json:
        show_json(result)
    else:
        for key, value in result.items():
            show(f"{key:<34}{value}")
    return 0


def measure(folder: Path, options: Any) -> dict[str, Any]:
    """All figures of one task, and of all tasks together."""
    tokens = f"[{options.tokens},{options.tokens}]"
    serve = [*DYAD, "serve", "mock", "--set", f"latency={options.latency}", "--set", f"answer_tokens={tokens}"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    server = subprocess.Popen(serve, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        url = next(re.finditer(r"http\S+/v1", server.stdout.readline()))[0]
        return _task(folder, options, url, environment)
    finally:
        server.terminate()
        server.wait(20)


def _task(folder: Path, options: Any, url: str, environment: dict[str, str]) -> dict[str, Any]:
    run, trace = folder / "run", folder / "trace"
    words = [
        "run", "--quiet", "model=endpoint", f"model.url={url}", "model.name=mock", "client=[static]",
        f"therapist=[{THERAPISTS}]", f"personas.limit={PERSONAS}", "replicates=3125", "instruments=[]", "coders=[]",
        "session.max_turns=20", "session.end_on_goodbye=false", "session.goodbye_loop=1000", "limits.workers=1",
        f"limits.concurrency={options.concurrency}", f"limits.sync={options.sync}", f"shards=0/{options.tasks}",
        f"out={run}",
    ]  # fmt: skip
    say(f"part 0 of {options.tasks}, for {options.seconds:g} s")
    command = ["strace", "-f", "-y", "--seccomp-bpf", "-ttt", "-e", TRACED, "-o", str(trace), *DYAD, *words]
    begun = time.time()
    task = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        process = _first_turn(task, run, begun + 400)
        first, before = time.time(), _cpu_seconds(process)
        time.sleep(options.seconds)  # what is measured
        peak = int(re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{process}/status").read_text())[1]) / 1024  # type: ignore[index]
        asked, cpu = time.time(), _cpu_seconds(process) - before
        os.kill(process, signal.SIGTERM)
        said = task.communicate(timeout=120)[0].decode()
    finally:
        task.kill()
    if task.returncode != 3:
        raise UserError(f"dyad bench footprint: the task was to be drained, and ended with {task.returncode}: {said}")
    about = {"start_s": round(first - begun, 1), "peak_mib": round(peak), "cpu_s": round(cpu, 2)}
    return _figures(run, trace, options, first, asked, about)


def _cpu_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _first_turn(task: Any, run: Path, deadline: float) -> int:
    """Wait for it; returns the process that writes."""
    while time.time() < deadline and task.poll() is None:
        for file in (run / "journal").glob("*.jsonl"):
            content = file.read_bytes()
            if b'"record":{"kind":"turn"' in content:
                return int(json.loads(content.splitlines()[0])["record"]["process"])
        time.sleep(0.2)
    raise UserError(f"dyad bench footprint: no turn was written: {task.communicate(timeout=20)[0].decode()[-600:]}")


def _calls(trace: Path, journal: Path) -> list[tuple[float, str, str]]:
    """Time, kind and line of every call on the journal."""
    found = []
    for line in trace.read_text(errors="replace").splitlines():
        match = _CALL.match(line)
        if match and str(journal) in match[3]:
            found.append((float(match[1]), KINDS.get(match[2], match[2]), match[3]))
    return found


def _figures(run: Path, trace: Path, options: Any, first: float, asked: float, about: dict[str, Any]) -> dict[str, Any]:
    files = sorted((run / "journal").glob("*.jsonl"))
    records = [json.loads(line)["record"] for file in files for line in file.read_bytes().splitlines()]
    turns = [record for record in records if record["kind"] == "turn"]
    calls = [record for record in records if record["kind"] == "execution"]
    size, text = sum(file.stat().st_size for file in files), sum(len(turn["text"].encode()) for turn in turns)
    seen = _calls(trace, run / "journal")
    steady = Counter(kind for when, kind, _ in seen if first <= when < asked)
    starting = Counter(kind for when, kind, _ in seen if when < first)
    ending = Counter(kind for when, kind, _ in seen if when >= asked)
    leases = len({line for when, kind, line in seen if kind == "touches"})
    shards = json.loads((run / "run.json").read_text())["shards"]
    per_second = {kind: round(count / (asked - first), 2) for kind, count in steady.most_common()}
    each = sum(steady.values()) / (asked - first)
    return {
        "sync": options.sync,
        **about,
        "sessions_of_the_run": PERSONAS * 8 * 3125,
        "shards_of_the_run": shards,
        "leases_of_the_task": leases,
        "journal_files_of_the_task": len(files),
        "turns": len(turns),
        "turns_per_second": round(len(turns) / (asked - first), 1),
        "requests_per_turn": round(len(calls) / len(turns), 3),
        "first_prompt_tokens": _first_prompts(calls),
        "journal_bytes_per_turn": round(size / len(turns)),
        "of_which_text": round(text / len(turns)),
        "counts_bytes": max(file.with_suffix(".counts").stat().st_size for file in files),
        "calls_per_second": per_second,
        "calls_when_it_starts": dict(starting.most_common()),
        "calls_when_it_ends": dict(ending.most_common()),
        "all_tasks_calls_per_second": round(options.tasks * each),
        "all_tasks_calls_at_the_start": options.tasks * sum(starting.values()),
    }


def _first_prompts(calls: Sequence[dict[str, Any]]) -> dict[str, int]:
    """Prompt tokens of each chair's first turn, on average; a mock token is four characters."""
    found: dict[str, list[int]] = {}
    for call in calls:
        if call.get("turn") in (0, 1):
            found.setdefault(str(call.get("role")), []).append(int(call["prompt_tokens"]))
    return {role: round(sum(sizes) / len(sizes)) for role, sizes in found.items()}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
