"""The arm of `dyad bench engine` that is Dyad: a study of model-driven agents on a model that answers at once.

    python -m benchmarks.engine_ours FOLDER SESSIONS TURNS WORKERS SHARES

Prints one JSON object. CPU is that of everything from the configuration to the last table, over all processes. With
SHARES=1 one process runs with a clock around each part: how the CPU divides, not how much it is.
"""

import functools
import inspect
import json
import resource
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from simulator.agents.base import DyadAgent
from simulator.sessions.guarding import Watch
from simulator.store.journal import JournalWriter
from simulator.studies import running
from simulator.studies.composing import compose
from simulator.studies.config import StudyConfig

PARTS: dict[str, tuple[Any, str]] = {
    "agents": (DyadAgent, "on_messages"),
    "guards": (Watch, "over"),
    "journal": (JournalWriter, "append"),
    "dataset": (running, "compact_run"),
    "planning": (running, "make_plan"),
}
"""Where each part is entered; what is left is the sessions' own work and the scheduler's."""


def study(out: Path, sessions: int, turns: int, workers: int | None) -> StudyConfig:
    """`sessions` courses of one session of `turns` turns: guards and journal as they are by default."""
    personas = min(sessions, 250)
    if sessions % personas:
        raise SystemExit(f"give a number of sessions that {personas} divides")
    return compose(
        "client=[static]", "therapist=[lm_supportive]", "instruments=[]", "coders=[]",
        "+client.static.model_client={_target_: benchmarks.instant_model.InstantModel}",
        "+therapist.lm_supportive.model_client={_target_: benchmarks.instant_model.InstantModel}",
        "personas=population", f"personas.sample={personas}", f"replicates={sessions // personas}",
        f"session.max_turns={turns}", "session.end_on_goodbye=false", "session.goodbye_loop=1000000",
        f"limits.workers={'null' if workers is None else workers}", f"out={out}", "report=false",
    )  # fmt: skip


def cpu_seconds() -> float:
    """CPU of this process and its children that ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


class Clock:
    """Thread CPU of each part, without the parts inside it."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = defaultdict(float)
        self._running = "sessions"
        self._since = time.thread_time()

    def switch(self, part: str) -> str:
        """From now on CPU is this part's; returns whose it was."""
        now = time.thread_time()
        self.spent[self._running] += now - self._since
        before, self._running, self._since = self._running, part, now
        return before

    def around(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function with its CPU on the part's account. The model answers at once, so that no other course comes in
        between."""
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def asynchronous(*given: Any, **named: Any) -> Any:
                before = self.switch(part)
                try:
                    return await function(*given, **named)
                finally:
                    self.switch(before)

            return asynchronous

        @functools.wraps(function)
        def synchronous(*given: Any, **named: Any) -> Any:
            before = self.switch(part)
            try:
                return function(*given, **named)
            finally:
                self.switch(before)

        return synchronous


def play(config: StudyConfig, shares: bool) -> dict[str, Any]:
    """Run the study; CPU and wall time in seconds."""
    clock = Clock()
    if shares:
        for part, (owner, name) in PARTS.items():
            setattr(owner, name, clock.around(part, getattr(owner, name)))
    last = [0.0, 0.0]

    def simulated(*_: Any) -> None:
        last[:] = [cpu_seconds(), time.perf_counter()]

    clock.switch("sessions")
    used, started = cpu_seconds(), time.perf_counter()
    result = running.run_study(config, progress=simulated)
    wall, cpu = time.perf_counter() - started, cpu_seconds() - used
    clock.switch("sessions")
    turns = sum(chunk.count(b'"kind":"turn"') for chunk in map(Path.read_bytes, result.run.journal.glob("*.jsonl")))
    whole = sum(clock.spent.values())
    return {
        "turns": turns,
        "ended": result.tally.ended,
        "failures": result.tally.failures,
        "cpu_s": cpu,
        "wall_s": wall,
        "compaction_s": started + wall - last[1],
        "shares": {part: spent / whole for part, spent in sorted(clock.spent.items())} if shares else None,
    }


if __name__ == "__main__":
    folder, sessions, turns, workers, shares = sys.argv[1:]
    asked = None if workers == "null" else int(workers)
    print(json.dumps(play(study(Path(folder), int(sessions), int(turns), asked), shares == "1")))
