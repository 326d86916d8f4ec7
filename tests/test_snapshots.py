"""Tables can be made while a run goes on; only parts whose journal changed are written; the end is the same bytes."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from simulator.errors import UserError
from simulator.store.leases import Lease
from simulator.studies import compacting
from simulator.studies.compacting import snapshot_run
from simulator.studies.running import run_study
from tests.studies_for_tests import parquet_bytes, small

ROOT = Path(__file__).parent.parent
WAITING = (
    "import sys; from pathlib import Path; from tests.studies_for_tests import small;"
    "from simulator.studies.running import run_study;"
    "wait = lambda tally, plan: (print(tally.ended, flush=True), sys.stdin.readline());"
    "run_study(small(Path(sys.argv[1])), progress=wait)"
)
"""Runs the small study and waits for a line after every course."""


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "reference"
    run_study(small(out))
    return out


@pytest.fixture
def going_on(tmp_path: Path) -> Iterator[tuple[Path, "subprocess.Popen[str]"]]:
    """A run of the small study that has ended five of its twelve courses and waits."""
    out = tmp_path / "run"
    process = subprocess.Popen(
        [sys.executable, "-c", WAITING, str(out)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        for ended in range(1, 6):
            assert process.stdout.readline() == f"{ended}\n"
            if ended < 5:
                process.stdin.write("\n")
                process.stdin.flush()
        yield out, process
    finally:
        process.kill()
        process.wait(30)


def test_a_snapshot_of_a_run_that_goes_on_has_the_rows_of_its_end(
    going_on: tuple[Path, "subprocess.Popen[str]"], reference: Path
) -> None:
    out, process = going_on
    _, plan, done = snapshot_run(out)
    assert (plan.size, done.written) == (12, done.parts)
    courses = pl.read_parquet(out / "dataset/courses/*.parquet")
    ended = courses.filter(pl.col("status") == "ended")["course_id"]
    assert (courses.height, len(ended)) == (12, 5)
    for table in ("turns", "sessions", "administrations", "scores"):
        now = pl.read_parquet(out / f"dataset/{table}/*.parquet").filter(pl.col("course_id").is_in(ended.implode()))
        then = pl.read_parquet(reference / f"dataset/{table}/*.parquet")
        assert now.equals(then.filter(pl.col("course_id").is_in(ended.implode())))
    process.communicate("\n" * 20, timeout=120)
    assert parquet_bytes(out) == parquet_bytes(reference)


def test_only_what_changed_is_written(tmp_path: Path, reference: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulator.store.compaction.COURSES_PER_RANGE", 2)
    out = tmp_path / "run"
    run_study(small(out))
    parts = 8
    _, _, done = snapshot_run(out)
    assert (done.parts, done.written) == (parts, 0)
    lost = next(path for path in sorted((out / "dataset/turns").iterdir()))
    whole = lost.read_bytes()
    lost.unlink()
    assert snapshot_run(out)[2].written == 1
    assert lost.read_bytes() == whole
    run_study(small(out, "replicates=3", "extend=true"))
    assert snapshot_run(out)[2].written == 0
    run_study(small(tmp_path / "fresh", "replicates=3"))
    assert parquet_bytes(out) == parquet_bytes(tmp_path / "fresh")


def test_parts_that_are_up_to_date_are_not_touched(tmp_path: Path) -> None:
    out = tmp_path / "run"
    run_study(small(out))
    before = {path: path.stat().st_mtime_ns for path in (out / "dataset/turns").iterdir()}
    assert run_study(small(out)).tally.skipped == 12
    assert {path: path.stat().st_mtime_ns for path in (out / "dataset/turns").iterdir()} == before


def test_two_do_not_write_the_tables_at_once(reference: Path) -> None:
    lease = Lease(reference / "dataset", None)
    try:
        with pytest.raises(UserError, match=r"the dataset of .* is being written by process") as caught:
            snapshot_run(reference)
        assert "\n" not in str(caught.value)
    finally:
        lease.release()


def test_a_run_that_ends_waits_for_a_snapshot_but_not_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "run"
    run_study(small(out))
    monkeypatch.setattr(compacting, "_WAIT_SECONDS", 0.01)
    lease = Lease(out / "dataset", None)
    with pytest.raises(UserError, match="is being written"):
        run_study(small(out))
    lease.release()
    assert run_study(small(out)).tally.skipped == 12


def test_the_command_says_what_it_wrote(tmp_path: Path) -> None:
    run_study(small(tmp_path / "run", "personas.limit=1"))
    command = "from simulator.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", command, "snapshot", str(tmp_path / "run"), "--json"],
        capture_output=True, text=True, cwd=ROOT, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["courses"], said["ended"], said["failed"], said["parts_written"]) == (4, 4, 0, 0)
