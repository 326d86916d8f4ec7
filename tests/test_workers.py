"""A run with several workers ends whatever they do: one that does not end is ended, one that breaks drains all."""

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from simulator.agents.base import Seat
from simulator.errors import DamageError
from simulator.store.histories import read_shard
from simulator.studies import workers
from simulator.studies.running import run_study
from simulator.studies.shards import ShardWriter
from tests.scripts_for_tests import Reciter
from tests.studies_for_tests import small

HERE = os.getpid()


class Lingerer(Reciter):
    """Starts a thread that never ends, so that its process does not end by itself."""

    def __init__(self, seat: Seat, **arguments: Any) -> None:
        super().__init__(seat, **arguments)
        if os.getpid() != HERE:
            threading.Thread(target=threading.Event().wait).start()


class Slow(Reciter):
    """Takes its time over every turn, so that somebody else's trouble finds it at work."""

    async def respond(self, turn: int, seed: int) -> Any:
        time.sleep(0.05)
        return await super().respond(turn, seed)


def study(out: Path, agent: str, *more: str) -> Any:
    therapist = f"+therapist.x={{_target_: tests.test_workers.{agent}}}"
    return small(out, "therapist=[]", therapist, "instruments=[]", "coders=[]", "limits.workers=2", "shards=2", *more)


def test_workers_that_do_not_end_are_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_LAST_SECONDS", 0.5)
    started = time.monotonic()
    tally = run_study(study(tmp_path / "run", "Lingerer", "session.max_turns=4")).tally
    assert (tally.ended, tally.failed, tally.stopped_by) == (6, 0, None)
    assert time.monotonic() - started < 60


LONG = ("personas.limit=40", "session.max_turns=6", "limits.concurrency=4")


def stopped(out: Path) -> Any:
    """A long run that is asked to stop as soon as a course has ended."""
    told = threading.Event()

    def stop(tally: Any, plan: Any) -> None:
        if not told.is_set():
            told.set()
            os.kill(os.getpid(), signal.SIGUSR1)

    return run_study(study(out, "Slow", *LONG), progress=stop).tally


def ended(out: Path) -> int:
    return sum(
        h.ended for shard in range(2) for h in read_shard(out / "journal", shard, repair=True).histories.values()
    )


def test_a_signal_drains_all_workers_and_trouble_of_one_the_others(tmp_path: Path) -> None:
    out = tmp_path / "run"
    tally = stopped(out)
    assert tally.stopped_by == "SIGUSR1 was received" and tally.failed == 0
    assert ended(out) < 80 and not list((out / "journal").glob("*.lease"))

    victim = next((out / "journal").glob("0001.*.jsonl"))
    lines = victim.read_bytes().splitlines(keepends=True)
    victim.write_bytes(b"".join([*lines[:2], b"{}\n", *lines[3:]]))
    with pytest.raises(DamageError, match="--repair"):
        run_study(study(out, "Slow", *LONG))
    assert ended(out) < 40 and not list((out / "journal").glob("*.lease"))


def test_a_signal_before_a_worker_listens_or_after_it_ends_it_not_between_two_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    enter, leave = ShardWriter.__enter__, ShardWriter.__exit__

    def signalled_enter(self: ShardWriter) -> ShardWriter:
        writer = enter(self)
        os.kill(os.getpid(), signal.SIGTERM)
        return writer

    def signalled_leave(self: ShardWriter, *exception: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        leave(self, *exception)

    monkeypatch.setattr(ShardWriter, "__enter__", signalled_enter)
    monkeypatch.setattr(ShardWriter, "__exit__", signalled_leave)
    tally = run_study(study(out, "Slow", *LONG)).tally
    assert tally.stopped_by == "SIGTERM was received"
    assert not list((out / "journal").glob("*.lease"))


def test_what_a_user_can_mend_is_told_from_a_second_process_too() -> None:
    def task(number: int) -> None:
        if number == 1:
            raise DamageError("a file is damaged")

    with pytest.raises(DamageError, match="a file is damaged"):
        workers.in_processes(task, 2, 2)
