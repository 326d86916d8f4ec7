"""Runs that are killed again and again, at random instants, with another number of workers each time, lose nothing.

`DYAD_TEST_KILLS` sets how many kills (200 by default); the figures are printed (`pytest -rP`).
"""

import os
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import pytest

from tests.killing import ForkServer, Place, fork_server, histories_of, turns_in
from tests.mock_for_tests import Mock, mock_server
from tests.studies_for_tests import parquet_bytes
from tests.told import TALK, Told

KILLS = int(os.environ.get("DYAD_TEST_KILLS", "200"))
SECONDS_PER_KILL = 5.0
"""Far more than any needs: what bounds the test."""
PATIENCE = 8
"""Kills of one run, after which it is let to its end: its last part, the dataset, is made as a whole or not at all."""
SCRIPTED = [
    "therapist=[companion,waitlist]", "personas.limit=3", "replicates=1", "coders=[]", "session=course",
    "session.course.sessions=3", "session.max_turns=10", "+instruments.phq9.every_days=14",
]  # fmt: skip


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    with fork_server() as running:
        yield running


@dataclass(slots=True)
class Instants:
    """When to kill, in seconds after a start: anywhere up to `largest`, which follows what the machine is busy with, so
    that some attempts come to their end and most do not."""

    largest: float
    draws: random.Random = field(default_factory=lambda: random.Random(20261127))

    def next(self) -> float:
        return self.draws.uniform(0, self.largest)

    def learn(self, was_killed: bool) -> None:
        self.largest *= 1.03 if was_killed else 0.9


def killed_until_done(
    server: ForkServer, overrides: list[str], out: Path, instants: "Instants", mock: Mock | None
) -> tuple[int, int]:
    """Kill one run until it is done; returns kills, and requests that were asked again."""
    told = Told(overrides) if mock is not None else None
    kills, histories = 0, histories_of(out)
    turns: set[Place] = set()
    while True:
        after = instants.next() if kills < PATIENCE else None
        workers, victim = instants.draws.choice((1, 2, 3)), instants.draws.choice(("parent", "parent", "worker"))
        attempt = server.run(overrides, out, workers, after, victim)
        in_flight = {name for name, history in histories.items() if not history.ended}
        histories = histories_of(out)
        now = turns_in(histories)
        assert len(now) == len({turn[:3] for turn in now}), "a turn is doubled"
        assert turns <= set(now), "a turn is lost"
        turns = set(now)
        if told is not None and mock is not None:
            told.take_in(mock.new_requests(), in_flight, now)
        if after is not None:
            instants.learn(attempt.killed)
        if attempt.finished:
            return kills, told.repeated if told is not None else 0
        assert attempt.killed and attempt.status in (-9, 3)
        kills += 1


def kill_runs(
    server: ForkServer, overrides: list[str], folder: Path, kills_wanted: int, mock: Mock | None = None
) -> None:
    """Kill runs of one study so many times in all; each ends with the tables of an uninterrupted one."""
    started = time.monotonic()
    server.warm(overrides, folder / "warm")
    whole = min(server.run(overrides, folder / f"whole{n}").seconds for n in range(3))
    expected = parquet_bytes(folder / "whole0")
    if mock is not None:
        mock.new_requests()
    instants = Instants(whole)
    kills = runs = repeated = 0
    while kills < kills_wanted:
        assert time.monotonic() - started < 60 + SECONDS_PER_KILL * kills_wanted, f"only {kills} kills, {runs} runs"
        runs += 1
        out = folder / f"killed{runs}"
        more, asked_again = killed_until_done(server, overrides, out, instants, mock)
        kills, repeated = kills + more, repeated + asked_again
        assert parquet_bytes(out) == expected
        if mock is not None:
            mock.forget()
    assert runs <= kills
    asked = f"; {repeated} requests asked again, at most one per course in flight" if mock is not None else ""
    print(f"{kills} kills in {runs} runs of {whole:.2f} s each, {time.monotonic() - started:.0f} s in all{asked}")


def test_killed_runs_on_a_model_server_lose_and_double_nothing(server: ForkServer, tmp_path: Path) -> None:
    with mock_server(latency=0.004, latency_spread=1.0) as mock:
        kill_runs(server, [*TALK, *mock.overrides], tmp_path, KILLS, mock)
    turns = pl.read_parquet(tmp_path / "killed1/dataset/turns/*.parquet")
    assert turns.height == turns.select("course_id", "session", "turn").unique().height >= 8 * 4


def test_killed_clients_that_decide_before_they_speak_go_on_in_their_state(server: ForkServer, tmp_path: Path) -> None:
    methods = ["client=[evolving,stage_of_change]", "therapist=[lm_supportive]", "personas.limit=3"]
    with mock_server(latency=0.004, latency_spread=1.0) as mock:
        kill_runs(server, [*TALK, *methods, *mock.overrides], tmp_path, 20)


def test_killed_courses_of_the_scripted_dyad_end_with_the_same_tables(server: ForkServer, tmp_path: Path) -> None:
    kill_runs(server, SCRIPTED, tmp_path, 24)
