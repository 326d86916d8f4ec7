"""Faults that are caused, not imagined: a full disk, a read-only one, a writer that was stopped and comes back."""

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
from simulator.studies.composing import compose
from simulator.studies.running import run_study
from tests.studies_for_tests import parquet_bytes, small

ROOT = Path(__file__).parent.parent


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 400 KiB."""
    mount = tmp_path / "disk"
    mount.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(mount)], capture_output=True)
    if done.returncode != 0:
        pytest.skip("mounting a small file system needs root")
    yield mount
    subprocess.run(["umount", "-l", str(mount)], check=True)


def test_a_full_disk_stops_the_run_and_loses_nothing(small_disk: Path, tmp_path: Path) -> None:
    out = small_disk / "run"
    result = run_study(small(out, "limits.workers=1"))
    assert result.tally.stopped_by is not None
    assert "No space left on device" in result.tally.stopped_by
    before = [read_shard(out / "journal", shard).histories for shard in range(8)]
    said = {fact for histories in before for history in histories.values() for fact in texts(history.facts)}
    assert said
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    run_study(small(out, "limits.workers=2"))
    run_study(small(tmp_path / "reference"))
    assert parquet_bytes(out) == parquet_bytes(tmp_path / "reference")
    turns = pl.read_parquet(out / "dataset/turns/*.parquet").select("course_id", "turn", "text")
    assert said <= set(turns.iter_rows())


def texts(facts: list[object]) -> set[tuple[str, int, str]]:
    return {(fact.course, fact.turn, fact.text) for fact in facts if hasattr(fact, "text")}  # type: ignore[attr-defined]


def test_a_read_only_disk_is_one_line(small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(UserError, match=r"cannot write .*Read-only file system; choose another folder"):
        run_study(small(small_disk / "run"))


UNREPEATABLE = "+therapist.never_twice={_target_: tests.test_faults.NeverTwice}"


def study(out: Path, *more: str) -> object:
    limits = ("limits.workers=1", "limits.lease_seconds=600", "shards=1", "limits.concurrency=1")
    return compose(
        "therapist=[]", UNREPEATABLE, "personas.limit=1", "replicates=1", "instruments=[]", "session.max_turns=12",
        f"out={out}", *limits, *more,
    )  # fmt: skip


def __getattr__(name: str) -> object:
    """`NeverTwice`, made when asked for: it never answers twice alike, and waits at its third turn where told to."""
    if name != "NeverTwice":
        raise AttributeError(name)
    from simulator.agents.base import DyadAgent, TurnMessage

    class NeverTwice(DyadAgent):
        async def respond(self, turn: int, seed: int) -> TurnMessage:
            if turn == 6 and os.environ.get("DYAD_TEST_PAUSE"):
                print("paused", flush=True)
                os.kill(os.getpid(), signal.SIGSTOP)
            return TurnMessage(content=f"{os.urandom(8).hex()} said.", source=self.seat.role, role=self.seat.role)

    return NeverTwice


def test_a_writer_that_was_stopped_and_comes_back_leaves_one_branch(tmp_path: Path) -> None:
    out = tmp_path / "run"
    code = (
        "import sys; from pathlib import Path; from tests.test_faults import study;"
        "from simulator.studies.running import run_study; print(run_study(study(Path(sys.argv[1]))).tally.stopped_by)"
    )
    first = subprocess.Popen(
        [sys.executable, "-c", code, str(out)], cwd=ROOT, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "DYAD_TEST_PAUSE": "1"},
    )  # fmt: skip
    assert first.stdout is not None
    assert first.stdout.readline() == "paused\n"
    os.waitpid(first.pid, os.WUNTRACED)
    lease = out / "journal/0.lease"
    with pytest.raises(UserError, match=f"process {first.pid}"):
        run_study(study(out))  # type: ignore[arg-type]
    os.utime(lease, (time.time() - 601, time.time() - 601))  # as if the lease had not been touched in time
    second = run_study(study(out))  # type: ignore[arg-type]
    assert second.tally.ended == 1
    finished = parquet_bytes(out)
    os.kill(first.pid, signal.SIGCONT)
    first.communicate(timeout=60)
    histories = read_shard(out / "journal", 0)
    assert histories.set_aside > 0
    run_study(study(out))  # type: ignore[arg-type]
    assert parquet_bytes(out) == finished
    texts_of_turns = pl.read_parquet(out / "dataset/turns/*.parquet")["text"].to_list()
    own = [text for text in texts_of_turns if re.fullmatch(r"[0-9a-f]{16} said\.", text)]
    assert len(own) == len(set(own)) == 6
