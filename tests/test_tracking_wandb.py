"""A study beside real W&B, offline: over a requeue, with its service killed, with its service hanging."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.studies_for_tests import parquet_bytes
from tests.test_cli import ROOT, dyad
from tests.wandb_offline import Segment, segments_of

pytest.importorskip("wandb", reason="wandb is not installed")

KEY = "0123456789abcdef0123456789abcdef01234567"
SECONDS = 120.0
STUDY = (
    "therapist=[mi_consistent,companion]", "personas.limit=3", "replicates=8", "limits.workers=1",
    "limits.concurrency=1",
    "client.scripted._target_=tests.slow_chairs.GatedClient",
)  # fmt: skip
COURSES = 2 * 3 * 8
TRACKED = ("tracking=wandb", "tracking.every=0.2", "tracking.project=ward", "tracking.tags=[pilot,night]")


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    monkeypatch.setenv("WANDB_API_KEY", KEY)


class Started:
    """A `dyad run` in the background that goes half-way until its gate is opened; ended at the end."""

    def __init__(self, out: Path, *overrides: str) -> None:
        program = "import sys; from simulator.cli.main import main; main(sys.argv[1:])"
        self.run, self.gate = out, out.with_name("gate")
        self.process = subprocess.Popen(
            [sys.executable, "-c", program, "run", *STUDY, f"out={out}", *overrides], cwd=out.parent,
            env={**os.environ, "PYTHONPATH": str(ROOT), "DYAD_TEST_GATE": str(self.gate)},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def __enter__(self) -> "Started":
        return self

    def __exit__(self, *exception: object) -> None:
        self.process.kill()
        self.process.communicate(timeout=SECONDS)

    def until(self, what: Callable[[], Any]) -> Any:
        """Wait until something is so; it must be so before the run ends, and within a deadline."""
        deadline = time.monotonic() + SECONDS
        while not (found := what()):
            assert self.process.poll() is None, self.process.communicate(timeout=SECONDS)
            assert time.monotonic() < deadline, "it did not come to that"
            try:
                self.process.wait(0.05)
            except subprocess.TimeoutExpired:
                continue
        return found

    def tracked_step(self) -> int:
        try:
            return int(json.loads((self.run / "wandb" / "tracker.json").read_text())["step"])
        except FileNotFoundError:
            return -1

    def service(self) -> int:
        """The process of W&B's service."""
        found = [child for tracker in children(self.process.pid) for child in children(tracker)]
        return next(child for child in found if b"wandb-core" in Path(f"/proc/{child}/cmdline").read_bytes())

    def end(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=SECONDS)
        return self.process.returncode, out, err


def children(process: int) -> list[int]:
    tasks = Path(f"/proc/{process}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def warnings_in(err: str) -> list[str]:
    return [line for line in err.splitlines() if "warning" in line.lower() or "W&B" in line or "wandb" in line.lower()]


def courses_in(segments: list[Segment]) -> list[int]:
    return [row["courses"] for segment in segments for row in segment.history if "courses" in row]


@pytest.fixture(scope="module")
def untracked(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The tables of the same study without tracking."""
    out = tmp_path_factory.mktemp("untracked") / "run"
    dyad("run", *STUDY, f"out={out}", "report=false", cwd=out.parent)
    return parquet_bytes(out)


@pytest.fixture(scope="module")
def requeued(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A tracked run that was drained by a preemption signal, and finished by the same command."""
    out = tmp_path_factory.mktemp("requeued") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_MODE", "offline")
        patch.setenv("WANDB_API_KEY", KEY)
        patch.setenv("SLURM_JOB_ID", "4711")
        with Started(out, *TRACKED, "tracking.group=winter") as started:
            started.until(lambda: started.tracked_step() >= 2)
            started.process.send_signal(signal.SIGUSR1)
            started.gate.touch()
            status, said, err = started.end()
        assert status == 3, err
        assert "SIGUSR1 was received" in said
        patch.setenv("SLURM_JOB_ID", "4712")
        dyad("run", *STUDY, f"out={out}", *TRACKED, "tracking.group=winter", cwd=out.parent)
    yield out


def test_a_requeued_run_is_one_wandb_run_with_every_step_once_and_in_order(requeued: Path) -> None:
    first, second = segments_of(requeued)
    assert first.finished and second.finished
    state = json.loads((requeued / "wandb" / "tracker.json").read_text())
    assert first.run_id == second.run_id == state["run_id"]
    assert state["run_id"].startswith(json.loads((requeued / "run.json").read_text())["identity"][:8])
    assert [first.group, second.group, first.project] == ["winter", "winter", "ward"]
    assert first.tags == second.tags == ["pilot", "night"]
    steps = [*first.steps, *second.steps]
    assert first.steps and second.steps
    assert steps == sorted(set(steps)), "a step came twice, or out of order"
    courses = courses_in([first, second])
    assert courses == sorted(set(courses))
    assert courses[-1] == COURSES
    assert all(row["_step"] == row["courses"] for segment in (first, second) for row in segment.history[:-1])
    assert first.metrics["live/*"] == "courses"


def test_its_config_says_what_ran_where(requeued: Path) -> None:
    first, second = segments_of(requeued)
    meta = json.loads((requeued / "run.json").read_text())
    for segment, job in ((first, "4711"), (second, "4712")):
        assert segment.config["identity"] == meta["identity"]
        assert segment.config["study"]["replicates"] == 8
        assert segment.config["design"]["courses"] == COURSES
        assert segment.config["slurm"]["job_id"] == job
        assert segment.config["origin"] == meta["origin"]
        assert "tracking" not in segment.config["study"]


def test_its_rows_say_how_the_run_went(requeued: Path) -> None:
    last = [row for segment in segments_of(requeued) for row in segment.history if "courses" in row][-1]
    assert last["live/planned"] == COURSES
    assert last["live/failed"] == last["live/in_flight"] == 0
    assert last["live/turns_per_second"] > 0
    assert last["live/courses_per_minute"] > 0


def test_at_the_end_come_estimates_tables_pictures_and_artifacts(requeued: Path) -> None:
    first, second = segments_of(requeued)
    assert "report" not in first.artifacts
    assert second.artifacts["report"] == ["report.html"]
    assert "turns/part-00000.parquet" in second.artifacts["dataset"]
    tables = {name: value for name, value in second.history[-1].items() if name.startswith("tables/")}
    assert {"tables/behaviours", "tables/scores", "tables/contrasts"} <= set(tables)
    assert all(0 < table["nrows"] <= 1000 for table in tables.values())
    table = json.loads((second.path.parent / "files" / tables["tables/behaviours"]["path"]).read_text())
    assert {"estimate", "low", "high", "method", "clusters"} <= set(table["columns"])
    pictures = {name: value for name, value in second.history[-1].items() if name.startswith("plots/")}
    assert 0 < len(pictures) <= 8
    assert all((second.path.parent / "files" / picture["path"]).is_file() for picture in pictures.values())
    estimates = {name: value for name, value in second.summary.items() if name.startswith("estimates/")}
    limits = {name.removesuffix(".low") for name in estimates if name.endswith(".low")}
    assert limits
    assert all(estimates[f"{name}.low"] <= estimates[name] <= estimates[f"{name}.high"] for name in limits)
    assert second.summary["counts/courses"] == COURSES


def test_the_key_stands_nowhere_in_the_runs_folder(requeued: Path) -> None:
    files = [path for path in requeued.rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if KEY.encode() in path.read_bytes()]


def test_what_was_told_is_not_told_again(requeued: Path) -> None:
    before = len(segments_of(requeued))
    dyad("track", str(requeued), cwd=requeued.parent)
    assert len(segments_of(requeued)) == before


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="the service is found in /proc")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=lambda how: how.name)
def test_a_lost_service_costs_one_warning_and_nothing_of_the_study(
    how: signal.Signals, tmp_path: Path, untracked: dict[str, bytes]
) -> None:
    with Started(tmp_path / "run", *TRACKED, "tracking.wait_seconds=4") as started:
        started.until(lambda: any(segment.history for segment in segments_of(tmp_path / "run")))
        service = started.service()
        os.kill(service, how)
        started.gate.touch()
        status, said, err = started.end()
    assert status == 0, err
    assert f"{COURSES} of {COURSES} courses ended" in said
    assert len(warnings_in(err)) == 1, err
    assert "the study is not affected; `dyad track" in warnings_in(err)[0]
    assert parquet_bytes(tmp_path / "run") == untracked
    assert not Path(f"/proc/{service}").exists() or b"Z" in Path(f"/proc/{service}/stat").read_bytes()
    if how is signal.SIGKILL:
        dyad("track", "run", cwd=tmp_path)
        lost, after = segments_of(tmp_path / "run")
        steps = [*lost.steps, *after.steps]
        assert steps == sorted(set(steps))
        assert lost.run_id == after.run_id
        assert after.finished and "dataset" in after.artifacts
