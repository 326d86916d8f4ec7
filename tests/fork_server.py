"""Runs studies in forked children and kills them: imports and warms up once, so that a kill costs little.

Reads one JSON object per line on stdin and answers each with one on stdout:

- `{"warm": [OVERRIDE...], "out": FOLDER}` runs a study in this process, so that whatever it needs is loaded;
- `{"run": [OVERRIDE...], "out": FOLDER, "workers": NUMBER, "kill_after": SECONDS or null, "victim": "parent" or
  "worker", "deadline": SECONDS}` runs one in a child and kills that, or one of its workers, after so many seconds.

An answer says `status` (0 finished, 3 stopped, 2 refused, 1 failed, -9 killed), `killed` (whether the kill met
somebody), `seconds`, and what the run `said` (its notes and why it stopped, or the one line of a refusal). Every wait
ends: at the deadline the child and its workers are killed, and `status` is null; `left` counts workers that outlived
their parent by more than a moment.
"""

import contextlib
import ctypes
import json
import os
import signal
import sys
import time
import traceback
from functools import cache
from pathlib import Path
from typing import Any

from simulator.errors import UserError
from simulator.studies.composing import compose
from simulator.studies.config import StudyConfig
from simulator.studies.running import run_study

MOMENT = 10.0


def main() -> None:
    ctypes.CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER: workers without a parent come to us
    for line in sys.stdin:
        order = json.loads(line)
        if "warm" in order:
            run_study(study(tuple(order["warm"]), order["out"], 1))
            answer: dict[str, Any] = {}
        else:
            answer = run(**order)
        print(json.dumps(answer), flush=True)


@cache
def composed(overrides: tuple[str, ...]) -> StudyConfig:
    """Composing takes longer than many an attempt, so it is done once."""
    return compose(*overrides)


def study(overrides: tuple[str, ...], out: str, workers: int) -> StudyConfig:
    """A study with its folder and its number of workers."""
    config = composed(overrides)
    limits = config.limits.model_copy(update={"workers": workers})
    return config.model_copy(update={"out": out, "limits": limits})


def run(
    run: list[str], out: str, workers: int, kill_after: float | None, victim: str, deadline: float
) -> dict[str, Any]:
    """Run a study in a child, killed or not."""
    config = study(tuple(run), out, workers)
    started = time.monotonic()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        play(config, writer)
    os.close(writer)
    killed, status = False, None
    if kill_after is not None and not has_ended(child, kill_after):
        killed = kill(child, victim)
    if has_ended(child, deadline):
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    left = reap(child, 0.0 if status is None else MOMENT)
    with os.fdopen(reader, "rb") as file:
        said = file.read().decode().splitlines()
    seconds = time.monotonic() - started
    return {"status": status, "killed": killed, "left": left, "seconds": seconds, "said": said}


def play(config: StudyConfig, writer: int) -> None:
    """In the child: run the study, say how it went, and end."""
    os.setpgid(0, 0)
    status = 1
    try:
        result = run_study(config)
        status = 0 if result.finished else 3
        said = [*result.notes, *filter(None, [result.tally.stopped_by])]
        os.write(writer, "\n".join(said).encode())
    except UserError as error:
        status = 2
        os.write(writer, str(error).encode())
    except BaseException:
        traceback.print_exc()
    os._exit(status)


def has_ended(child: int, seconds: float) -> bool:
    """Whether a process ends within so many seconds; it can be waited for all the same."""
    until = time.monotonic() + seconds
    while os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if time.monotonic() >= until:
            return False
        time.sleep(0.001)
    return True


def kill(child: int, victim: str) -> bool:
    """Kill the child, or the youngest of its workers where it has any."""
    pid = child
    if victim == "worker":
        workers = Path(f"/proc/{child}/task/{child}/children").read_text().split()
        pid = int(workers[-1]) if workers else child
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def reap(group: int, patience: float) -> int:
    """Wait until nobody of a group is left; whoever stays longer is killed, and counted."""
    until, left = time.monotonic() + patience, 0
    while True:
        try:
            pid, _ = os.waitpid(-group, os.WNOHANG)
        except ChildProcessError:
            return left
        if pid == 0 and time.monotonic() > until:
            left, until = left + 1, time.monotonic() + MOMENT
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
        elif pid == 0:
            time.sleep(0.001)


if __name__ == "__main__":
    main()
