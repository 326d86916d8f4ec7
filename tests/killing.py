"""Kills runs at random instants, with a deadline on every wait (see `fork_server`)."""

import contextlib
import json
import select
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from simulator.records.history import History
from simulator.records.journal_records import Turn
from simulator.store.histories import read_shard

ROOT = Path(__file__).parent.parent
ATTEMPT_SECONDS = 120.0
"""How long an attempt may take at most: far more than any needs."""


Place = tuple[str, int, int, str]
"""Course, session, turn and what was said."""


@dataclass(slots=True)
class Attempt:
    """How one attempt at a run went: see `fork_server`."""

    status: int | None
    killed: bool
    left: int
    seconds: float
    said: list[str]

    @property
    def finished(self) -> bool:
        """It came to its end."""
        return self.status == 0


class ForkServer:
    """The other end of `tests.fork_server`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def warm(self, overrides: Sequence[str], out: Path) -> None:
        """Run a study there, not to be killed."""
        self._ask({"warm": list(overrides), "out": str(out)})

    def run(
        self,
        overrides: Sequence[str],
        out: Path,
        workers: int = 1,
        kill_after: float | None = None,
        victim: str = "parent",
    ) -> Attempt:
        """Run a study in a child, killed after so many seconds where those are given."""
        order = {
            "run": list(overrides), "out": str(out), "workers": workers, "kill_after": kill_after, "victim": victim,
            "deadline": ATTEMPT_SECONDS,
        }  # fmt: skip
        attempt = Attempt(**self._ask(order))
        assert attempt.status is not None, "an attempt did not end within its deadline"
        assert attempt.left == 0, "a worker outlived its parent"
        return attempt

    def _ask(self, order: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        if not select.select([self._process.stdout], [], [], 2 * ATTEMPT_SECONDS)[0]:
            pytest.fail("the fork server does not answer")
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


@contextlib.contextmanager
def fork_server() -> Iterator[ForkServer]:
    """A fork server, ended at the end whatever it does."""
    command = [sys.executable, "-m", "tests.fork_server"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, start_new_session=True
    ) as process:
        try:
            yield ForkServer(process)
        finally:
            process.kill()


def histories_of(run: Path) -> dict[str, History]:
    if not (run / "journal").is_dir():
        return {}
    return {name: found for shard in range(8) for name, found in read_shard(run / "journal", shard).histories.items()}


def turns_in(histories: dict[str, History]) -> list[Place]:
    facts = [fact for history in histories.values() for fact in history.facts if isinstance(fact, Turn)]
    return [(fact.course, fact.session, fact.turn, fact.text) for fact in facts]
