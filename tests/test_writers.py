"""A shard has one writer: a second is refused, a killed one's is taken over, what a stopped one adds is set aside."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from simulator.errors import UserError
from simulator.store.histories import read_shard
from simulator.store.leases import Lease
from simulator.studies.composing import compose
from simulator.studies.running import run_study
from tests.mock_for_tests import Mock, mock_server, said_before
from tests.studies_for_tests import parquet_bytes

ROOT = Path(__file__).parent.parent
STUDY = (
    "client=static", "therapist=[lm_supportive]", "personas.limit=2", "replicates=1", "instruments=[]", "coders=[]",
    "session=course", "session.course.sessions=2", "session.max_turns=8", "shards=2", "limits.concurrency=1",
    "limits.lease_seconds=3600",
)  # fmt: skip
RUN = (
    "import sys; from simulator.studies.composing import compose; from simulator.studies.running import run_study;"
    "run_study(compose(*sys.argv[1:]))"
)
END_SECONDS = 60.0


@pytest.fixture
def mock() -> Iterator[Mock]:
    """A server that never answers twice alike, and answers six requests until it is told to go on."""
    with mock_server(hold_after=6, never_twice=True) as running:
        yield running


@contextlib.contextmanager
def running(overrides: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """A run in another process, ended at the end whatever it does."""
    with subprocess.Popen([sys.executable, "-c", RUN, *overrides], cwd=ROOT) as process:
        try:
            yield process
        finally:
            process.kill()


def refused(overrides: list[str]) -> str:
    with pytest.raises(UserError) as caught:
        run_study(compose(*overrides))
    return str(caught.value)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_second_process_is_refused_and_a_killed_ones_shards_are_taken_over(
    mock: Mock, tmp_path: Path, workers: int
) -> None:
    out = tmp_path / "run"
    overrides = [*STUDY, *mock.overrides, f"out={out}", f"limits.workers={workers}"]
    with running(overrides) as first:
        mock.wait_for(7)
        journal = {path: path.read_bytes() for path in (out / "journal").glob("*.jsonl")}
        line = refused(overrides)
        assert re.fullmatch(rf"shard \d of {out} is being written by process \d+ on \S+; wait for it or stop it", line)
        assert workers > 1 or f"process {first.pid} " in line
        for path, data in journal.items():
            assert path.read_bytes().startswith(data)
        assert first.poll() is None  # the first one does not notice
        first.kill()
        first.wait(END_SECONDS)
    mock.go_on()
    assert run_study(compose(*overrides)).tally.ended == 2
    assert not list((out / "journal").glob("*.lease*"))


def one_branch_only(mock: Mock, out: Path) -> bool:
    """Whether the last request of every session holds, word for word, what the dataset says was said before it."""
    asked = {said_before(request) for request in mock.server.seen}
    turns = pl.read_parquet(out / "dataset/turns/*.parquet").sort("course_id", "session", "turn")
    return all(tuple(session["text"][:-1]) in asked for session in turns.partition_by("course_id", "session"))


def test_a_writer_that_was_stopped_until_its_lease_lapsed_and_comes_back_leaves_one_branch(
    mock: Mock, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    overrides = [*STUDY, *mock.overrides, f"out={out}", "limits.workers=1"]
    with running(overrides) as first:
        mock.wait_for(7)
        first.send_signal(signal.SIGSTOP)
        assert os.WIFSTOPPED(os.waitpid(first.pid, os.WUNTRACED)[1])
        assert f"process {first.pid} " in refused(overrides)
        for lease in (out / "journal").glob("*.lease"):
            os.utime(lease, (time.time() - 3601, time.time() - 3601))  # as if it had not been touched in time
        mock.go_on()
        assert run_study(compose(*overrides)).tally.ended == 2
        finished = parquet_bytes(out)
        assert one_branch_only(mock, out)
        first.send_signal(signal.SIGCONT)
        first.wait(END_SECONDS)
    readings = [read_shard(out / "journal", shard) for shard in range(2)]
    assert sum(reading.set_aside for reading in readings) > 0
    run_study(compose(*overrides))
    assert parquet_bytes(out) == finished


def test_of_two_that_see_a_dead_lease_one_gets_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The slower one removes what it believes to be the dead lease: it is the quicker one's, and it puts it back."""
    path = tmp_path / "0.lease"
    path.write_text('{"host": "elsewhere", "boot": "x", "process": 1, "started": "1"}')
    os.utime(path, (time.time() - 3600, time.time() - 3600))
    quicker: list[Lease] = []
    looked = Lease._holder

    def look(lease: Lease) -> tuple[int | None, dict[str, object]]:
        found = looked(lease)
        if not quicker:
            monkeypatch.undo()
            quicker.append(Lease(tmp_path, 0))
        return found

    monkeypatch.setattr(Lease, "_holder", look)
    with pytest.raises(UserError, match="is being written by process"):
        Lease(tmp_path, 0)
    assert quicker[0].touch()
    quicker[0].release()
    assert not list(tmp_path.iterdir())
