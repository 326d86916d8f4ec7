"""A run drains on every signal, gives up on courses that take too long, and uses the cores that it may."""

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import polars as pl
import pytest

from simulator.agents.base import TurnMessage
from simulator.store import journal
from simulator.studies.composing import compose
from simulator.studies.config import Limits, StudyConfig
from simulator.studies.cores import usable_cores
from simulator.studies.limits import FailureLimit
from simulator.studies.running import run_study
from simulator.studies.shards import ShardWriter
from tests.scripts_for_tests import Reciter
from tests.studies_for_tests import parquet_bytes, small

ROOT = Path(__file__).parent.parent
SLOWLY = (
    "import sys; from pathlib import Path; from tests.test_scheduler import slowly;"
    "from simulator.studies.running import run_study;"
    "config = slowly(Path(sys.argv[1]), int(sys.argv[2]));"
    "r = run_study(config, progress=lambda tally, plan: print('on', flush=True));"
    "print(r.tally.stopped_by)"
)


def slowly(out: Path, workers: int) -> StudyConfig:
    """Sixty-four courses that take a while, eight at a time."""
    slow = "+therapist.slow={_target_: tests.test_scheduler.Slow, seconds: 0.02}"
    rest = ("instruments=[]", "limits.concurrency=8", f"limits.workers={workers}")
    return small(out, "therapist=[]", slow, "personas=population", "personas.sample=32", "personas.limit=null", *rest)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "undisturbed"
    assert run_study(slowly(out, 1)).tally.ended == 64
    return out


class Slow(Reciter):
    """Takes its time over every turn, and takes leave with the tenth."""

    def __init__(self, seat: object, seconds: float) -> None:
        super().__init__(seat, ["hm"] * 9 + ["goodbye"])  # type: ignore[arg-type]
        self.seconds = seconds

    async def respond(self, turn: int, seed: int) -> TurnMessage:
        await asyncio.sleep(self.seconds)
        return await super().respond(turn, seed)


@pytest.mark.parametrize(
    ("name", "workers"), [("SIGTERM", 2), ("SIGINT", 2), ("SIGINT", 1), ("SIGUSR1", 2), ("SIGUSR2", 1)]
)
def test_a_signal_drains_the_run_and_the_same_command_continues_it(
    tmp_path: Path, undisturbed: Path, name: str, workers: int
) -> None:
    out = tmp_path / "run"
    process = subprocess.Popen(
        [sys.executable, "-c", SLOWLY, str(out), str(workers)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "on\n"
        process.send_signal(getattr(signal, name))
        output, _ = process.communicate(timeout=120)
    finally:
        process.kill()
        process.wait(30)
    assert process.returncode == 0
    assert output.splitlines()[-1] == f"{name} was received"
    assert not (out / "dataset").exists()
    assert list((out / "journal").glob("*.lease")) == []
    resumed = run_study(slowly(out, 3 - workers))
    assert resumed.tally.skipped > 0
    assert resumed.tally.ended + resumed.tally.skipped == 64
    assert parquet_bytes(out) == parquet_bytes(undisturbed)


def test_a_course_that_takes_too_long_is_a_failure_that_can_go_on(tmp_path: Path) -> None:
    slow = "+therapist.slow={_target_: tests.test_scheduler.Slow, seconds: 0.05}"
    arguments = ("therapist=[]", slow, "personas.limit=2", "replicates=1", "instruments=[]")
    late = run_study(small(tmp_path / "late", *arguments, "limits.course_seconds=0.2"))
    assert (late.tally.ended, late.tally.failures) == (0, {"protocol: deadline": 2})
    said = pl.read_parquet(tmp_path / "late/dataset/turns/*.parquet")
    failures = pl.read_parquet(tmp_path / "late/dataset/failures/*.parquet")
    assert 0 < said.height < 20
    assert "limits.course_seconds=0.2" in failures["message"][0]
    again = run_study(small(tmp_path / "late", *arguments, "retry_failed=true"))
    assert again.tally.ended == 2
    run_study(small(tmp_path / "calm", *arguments))
    assert parquet_bytes(tmp_path / "late") == parquet_bytes(tmp_path / "calm")


def test_an_agents_own_timeout_is_the_agents(tmp_path: Path) -> None:
    broken = "+therapist.broken={_target_: tests.test_scheduler.Hasty}"
    result = run_study(small(tmp_path / "run", "therapist=[]", broken, "personas.limit=1", "instruments=[]"))
    assert result.tally.failures == {"agent: TimeoutError": 2}


class Hasty(Reciter):
    """Loses patience with itself."""

    async def respond(self, turn: int, seed: int) -> TurnMessage:
        raise TimeoutError("own")


@pytest.mark.parametrize(("sync", "seconds"), [("local", 2.0), ("network", 15.0), ("0.5", 0.5)])
def test_the_journal_is_synced_by_the_policy_that_was_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sync: str, seconds: float
) -> None:
    chosen = []
    enter = ShardWriter.__enter__
    monkeypatch.setattr(ShardWriter, "__enter__", lambda self: (chosen.append(self.sync_seconds), enter(self))[1])
    run_study(small(tmp_path / "run", "personas.limit=1", "limits.workers=1", f"limits.sync={sync}"))
    assert chosen == [seconds]


def test_the_default_policy_is_a_preset() -> None:
    assert Limits().sync in journal.SYNC_POLICIES


def test_files_are_synced_together_off_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    from tests.test_journal import header, turn

    synced: list[tuple[int, int]] = []
    both, fsync = threading.Event(), os.fsync

    def noting(descriptor: int) -> None:
        fsync(descriptor)
        synced.append((descriptor, threading.get_ident()))
        if len(synced) == 2:
            both.set()

    monkeypatch.setattr(os, "fsync", noting)
    syncer = journal.Syncer(0.05)
    writers = [journal.JournalWriter(tmp_path / f"{shard:04d}.0.jsonl", header()) for shard in (0, 1)]
    for writer in writers:
        writer.append(turn(0))
        syncer.watch(writer)
    assert synced == []
    syncer.start()
    assert both.wait(30)
    assert len({descriptor for descriptor, _ in synced}) == 2
    assert threading.get_ident() not in {thread for _, thread in synced}
    syncer.close()


def group(root: Path, lines: str, **files: str) -> Path:
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(lines)
    for name, content in files.items():
        path = root / "sys/fs/cgroup" / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


def test_cores_are_those_of_affinity_and_quota(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(16)), raising=False)
    new = group(
        tmp_path / "new", "0::/job/step\n", job__cpu_dot_max="350000 100000", job__step__cpu_dot_max="max 100000"
    )
    assert usable_cores(new) == 3
    container = group(tmp_path / "container", "0::/\n", cpu_dot_max="50000 100000")
    assert usable_cores(container) == 1
    old = group(
        tmp_path / "old", "4:cpu,cpuacct:/job\n9:memory:/job\n", cpu__job__cpu_dot_cfs_quota_us="800000",
        cpu__job__cpu_dot_cfs_period_us="100000", cpu__cpu_dot_cfs_quota_us="-1", cpu__cpu_dot_cfs_period_us="100000",
    )  # fmt: skip
    assert usable_cores(old) == 8
    assert usable_cores(tmp_path / "nothing") == 16


def test_failures_beyond_the_stated_rate_name_their_cause_with_several_workers(tmp_path: Path) -> None:
    broken = "+therapist.broken={_target_: tests.scripts_for_tests.Reciter, fails_at: 0}"
    config = compose(
        "therapist=[]", broken, "personas=population", "personas.sample=80", "replicates=1", "instruments=[]",
        "limits.workers=2", f"out={tmp_path / 'f'}",
    )  # fmt: skip
    result = run_study(config)
    assert result.tally.stopped_by is not None
    assert "agent: RuntimeError" in result.tally.stopped_by
    assert result.tally.failed < 80


def stopped_at(limit: FailureLimit, outcomes: Iterable[bool]) -> tuple[int, str | None]:
    """After how many courses, of which some fail, the run is stopped, and what it says."""
    failures: Counter[str] = Counter()
    over = 0
    for over, fails in enumerate(outcomes, 1):
        limit.note("model: unreachable" if fails else None)
        failures["model: unreachable"] += fails
        if (reason := limit.passed(over, failures)) is not None:
            return over, reason
    return over, None


@pytest.mark.parametrize(("in_flight", "most"), [(1, 20), (64, 64), (256, 256)])
def test_a_late_runaway_is_stopped_as_soon_as_an_early_one(in_flight: int, most: int) -> None:
    good = 50_000
    over, reason = stopped_at(FailureLimit(0.5, in_flight), (n >= good for n in range(good + 1000)))
    assert reason is not None
    assert over - good <= most
    assert f"of the latest {max(20, in_flight)} courses failed" in reason
    assert reason.endswith("most often model: unreachable")


@pytest.mark.parametrize(("rate", "true_rate"), [(0.5, 0.4), (0.1, 0.07), (0.9, 0.85), (1.0, 1.0)])
def test_a_rate_of_failures_below_the_limit_is_borne_however_long_the_run(rate: float, true_rate: float) -> None:
    chance = random.Random(1)
    limit = FailureLimit(rate, 8)
    for _ in range(30_000):
        limit.note("agent: ValueError" if chance.random() < true_rate else None)
        assert limit.passed(0, {}) is None
