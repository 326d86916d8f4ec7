"""The arm of `dyad bench http` that is Dyad: a study of model clients against an OpenAI-compatible server.

    python -m benchmarks.http_ours URL FOLDER SESSIONS TURNS [MODEL]

Prints one JSON object. CPU and memory are those of simulating, from the opened run folder to the last course, journal
included; planning before it and the tables after it are counted apart.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

from simulator.studies.composing import compose
from simulator.studies.config import StudyConfig
from simulator.studies.running import run_study


def study(
    url: str, out: Path, sessions: int, turns: int, model: str = "mock", at_once: int | None = None
) -> StudyConfig:
    """The benchmark's study: `sessions` courses of one session, all in flight at once, by one process."""
    pool = f"pool: {{in_flight: {max(2048, sessions)}}}"
    client = f"{{_target_: simulator.models.openai.OpenAIServerClient, url: '{url}', name: {model}, {pool}}}"
    personas = min(sessions, 250)
    if sessions % personas:
        raise SystemExit(f"give a number of sessions that {personas} divides")
    return compose(
        "client=[static]", "therapist=[lm_supportive]", "instruments=[]", "coders=[]",
        f"+client.static.model_client={client}", f"+therapist.lm_supportive.model_client={client}",
        "personas=population", f"personas.sample={personas}", f"replicates={sessions // personas}",
        f"session.max_turns={turns}", "session.end_on_goodbye=false", "session.goodbye_loop=1000000",
        f"limits.concurrency={at_once or sessions}", "limits.workers=1", f"out={out}", "report=false",
    )  # fmt: skip


def rss_kib(field: str) -> int:
    """Memory now (`VmRSS`) or at its peak (`VmHWM`); `ru_maxrss` would begin with that of the process that forked."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))


def play(config: StudyConfig) -> dict[str, Any]:
    """Run the study; CPU in seconds, memory in KiB."""
    marks: list[tuple[float, float, int]] = []

    def mark(*_: Any) -> None:
        marks.append((time.process_time(), time.perf_counter(), rss_kib("VmHWM")))

    def started(*_: Any) -> None:
        marks.append((time.process_time(), time.perf_counter(), rss_kib("VmRSS")))

    result = run_study(config, progress=mark, started=started)
    finished = time.process_time()
    first, last = marks[0], marks[-1]
    turns = sum(chunk.count(b'"kind":"turn"') for chunk in _chunks(result.run.path / "journal"))
    return {
        "turns": turns,
        "ended": result.tally.ended,
        "failures": result.tally.failures,
        "cpu_s": last[0] - first[0],
        "wall_s": last[1] - first[1],
        "rss_kib": last[2] - first[2],
        "tables_cpu_s": finished - last[0],
        "planning_cpu_s": first[0],
    }


def _chunks(journal: Path) -> Any:
    for file in sorted(journal.glob("*.jsonl")):
        yield file.read_bytes()


if __name__ == "__main__":
    url, folder, sessions, turns, *model = sys.argv[1:]
    print(json.dumps(play(study(url, Path(folder), int(sessions), int(turns), *model))))
