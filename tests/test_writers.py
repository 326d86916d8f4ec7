"""A shard has one writer: a second is refused, a killed one's is taken over, what a stopped one adds is set aside."""

import contextlib
import errno
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
from simulator.records.journal_records import CourseEnded, Opened
from simulator.store import leases
from simulator.store.histories import read_shard
from simulator.store.journal import JournalError, journal_files
from simulator.store.leases import Lease
from simulator.studies import compacting
from simulator.studies import running as running_module
from simulator.studies.composing import compose
from simulator.studies.plan import make_plan
from simulator.studies.running import open_or_create, run_study
from simulator.studies.scheduler import Tally
from simulator.studies.shards import ShardWriter, Work
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


class Writers:
    """Two writers of one run of two shards in one process, each told its losses; beats are too seldom to matter."""

    def __init__(self, out: Path) -> None:
        plan = make_plan(compose(*SCRIPTED, f"out={out}"))
        self.run, self.index = open_or_create(plan), plan.index()
        self.told: dict[str, list[str]] = {"first": [], "second": []}
        self.first = self.writer("first").__enter__()

    def writer(self, name: str) -> ShardWriter:
        return ShardWriter(self.run, self.index, 2, range(2), self.told[name].append, 3600, 3600)

    def let_lapse(self) -> None:
        for lease in self.run.journal.glob("*.lease"):
            os.utime(lease, (time.time() - 3601, time.time() - 3601))

    def take_over(self) -> ShardWriter:
        self.let_lapse()
        return self.writer("second").__enter__()


SCRIPTED = (
    "personas.limit=8", "replicates=2", "therapist=[mi_consistent]", "instruments=[]", "coders=[]", "shards=2",
    "limits.workers=1",
)  # fmt: skip


def end(work: Work) -> None:
    work.append(Opened(work.spec.course, 0))
    work.append(CourseEnded(work.spec.course, 1))


def test_a_writer_that_was_replaced_does_not_go_on_to_its_next_shard(tmp_path: Path) -> None:
    writers = Writers(tmp_path / "run")
    stale = writers.first.work()
    end(next(stale))
    second = writers.take_over()
    for work in second.work():
        end(work)
    in_its_hands = list(stale)  # the rest of the shard that it has read
    assert len(in_its_hands) == writers.index.count(0, 1, 2) - 1
    for work in in_its_hands:
        end(work)
    assert (writers.told["first"], writers.told["second"]) == (["another process has taken over shard 1"], [])
    second.__exit__()
    writers.first.__exit__()
    assert {shard: len(files) for shard, files in journal_files(writers.run.journal).items()} == {0: 2, 1: 1}
    assert run_study(compose(*SCRIPTED, f"out={tmp_path / 'run'}")).tally.skipped == 16


def test_a_writer_that_was_replaced_after_it_read_a_shard_makes_no_file_of_it(tmp_path: Path) -> None:
    writers = Writers(tmp_path / "run")
    work = next(writers.first.work())
    second = writers.take_over()
    with pytest.raises(JournalError, match="another process has taken over shard 0"):
        work.append(Opened(work.spec.course, 0))
    assert writers.told["first"] == ["another process has taken over shard 0"]
    assert not list(writers.run.journal.glob("*.jsonl"))
    second.__exit__()
    writers.first.__exit__()


def test_a_lease_that_cannot_be_looked_at_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writers = Writers(tmp_path / "run")

    def refuse(lease: Lease) -> bool:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(Lease, "is_held", refuse)
    with pytest.raises(UserError, match=r"cannot write .*: Input/output error; nothing was lost"):
        next(writers.first.work())
    monkeypatch.undo()
    writers.first.__exit__()


def test_the_holder_goes_on_where_a_replaced_writer_was_quicker_to_make_a_file(tmp_path: Path) -> None:
    writers = Writers(tmp_path / "run")
    stale = next(writers.first.work())
    writers.let_lapse()
    second = writers.writer("second").__enter__()
    held = second.work()
    work = next(held)
    writers.first._leases, kept = second._leases, writers.first._leases  # it had asked just before
    stale.append(Opened(stale.spec.course, 0))
    stale.append(CourseEnded(stale.spec.course, 1))
    writers.first._leases = kept
    end(work)
    assert writers.told["second"] == []
    second.__exit__()
    writers.first.__exit__()
    assert [attempt for attempt, _ in journal_files(writers.run.journal)[0]] == [0, 1]
    reading = read_shard(writers.run.journal, 0)
    assert reading.histories[work.spec.course].attempt == 1
    assert reading.set_aside == 1


def test_a_run_whose_tables_lack_courses_is_not_called_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running_module, "run_in_workers", lambda *arguments: (Tally(), []))
    result = run_study(compose(*SCRIPTED, f"out={tmp_path / 'run'}"))
    assert not result.finished
    assert result.tally.stopped_by is not None
    assert result.tally.stopped_by.startswith("16 courses have not ended")
    monkeypatch.undo()
    assert run_study(compose(*SCRIPTED, f"out={tmp_path / 'run'}")).finished


@pytest.mark.parametrize("workers", [1, 2])
def test_who_has_lost_the_dataset_stops_writing_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    monkeypatch.setattr(compacting, "units_of", lambda courses, shards: 2)
    monkeypatch.setattr("simulator.store.compaction.units_of", lambda courses, shards: 2)
    monkeypatch.setattr("simulator.store.compaction.COURSES_PER_RANGE", 8)
    out = tmp_path / "run"
    clear = compacting.clear_staged

    def be_replaced(dataset: Path) -> None:
        clear(dataset)
        (dataset / "tables.lease").rename(dataset / "gone")

    monkeypatch.setattr(compacting, "clear_staged", be_replaced)
    with pytest.raises(UserError, match=r"has taken over the dataset of .*; run the same command again"):
        run_study(compose(*SCRIPTED, f"out={out}", f"limits.workers={workers}"))
    assert not list(out.glob("dataset/turns/*"))
    monkeypatch.undo()
    assert run_study(compose(*SCRIPTED, f"out={out}")).finished


HOLD = (
    "import sys; from pathlib import Path; from simulator.store.leases import Lease;"
    "Lease(Path(sys.argv[1]), 0); print('held', flush=True); sys.stdin.read()"
)


def test_a_lease_from_another_container_of_the_same_host_name_lives_until_it_lapses(tmp_path: Path) -> None:
    container = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    try:
        subprocess.run([*container, "true"], check=True, capture_output=True, timeout=END_SECONDS)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"process numbers of its own cannot be had here: {error}")
    holder = subprocess.Popen(
        [*container, sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True, cwd=ROOT,
    )  # fmt: skip
    try:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        with pytest.raises(UserError, match="is being written by process"):
            Lease(tmp_path, 0)
    finally:
        holder.kill()
        holder.wait(END_SECONDS)
    os.utime(tmp_path / "0.lease", (time.time() - 3600, time.time() - 3600))
    Lease(tmp_path, 0).release()


@pytest.mark.parametrize(("namespace", "ended"), [("pid:[4026531836]", True), ("pid:[4026532178]", False)])
def test_a_namesake_on_another_machine_is_told_from_a_host_that_began_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, namespace: str, ended: bool
) -> None:
    monkeypatch.setattr(leases, "_namespace", lambda: namespace)
    Lease(tmp_path, 0)
    monkeypatch.setattr(leases, "_boot", lambda: "another")
    if ended:
        Lease(tmp_path, 0).release()
        return
    with pytest.raises(UserError, match="is being written by process"):
        Lease(tmp_path, 0)
