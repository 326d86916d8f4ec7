"""A study on a real SLURM of two nodes, with everything that takes jobs away: the tables are those of a laptop."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulator.store.reading import read_table
from simulator.store.runs import open_run
from simulator.studies.composing import compose
from simulator.studies.running import run_study
from tests.slurm_cluster import Cluster, cluster, why_not
from tests.studies_for_tests import parquet_bytes

ROOT = Path(__file__).parent.parent
PROGRAM = "import sys; from simulator.cli.main import main; main(sys.argv[1:])"
SITE = (
    "cluster=slurm",
    "cluster.memory=200M",
    "cluster.time='00:20:00'",
    "cluster.cpus=1",
    "cluster.signal_seconds=30",
)

pytestmark = pytest.mark.skipif(why_not() is not None, reason=f"no SLURM here: {why_not()}")


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("slurm")
    command = folder / "bin" / "dyad"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -c "{PROGRAM}" "$@"\n')
    command.chmod(0o755)
    with cluster(folder) as running:
        running.environment["PATH"] = f"{command.parent}:{os.environ['PATH']}"
        yield running


def dyad(slurm: Cluster, *arguments: str, cwd: Path, code: int = 0) -> str:
    done = subprocess.run(
        ["dyad", *arguments], cwd=cwd, env=slurm.environment, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout if code == 0 else done.stderr


def job_ids(run: Path) -> dict[str, str]:
    return {job["name"]: job["id"] for job in json.loads((run / "slurm" / "jobs.json").read_text())}


def logs(run: Path) -> str:
    return "\n".join(f"{path.name}: {path.read_text()[-600:]}" for path in (run / "slurm").glob("*.log"))


def finished(slurm: Cluster, run: Path, seconds: float) -> None:
    try:
        slurm.until(lambda: (run / "report.html").exists(), seconds, f"the report of {run}")
    except AssertionError as error:
        raise AssertionError(f"{error}\n{logs(run)}") from None


def restarts(slurm: Cluster, task: str) -> int:
    text = slurm.run("scontrol", "show", "job", task)
    return int(text.partition("Restarts=")[2].split()[0] or 0) if "Restarts=" in text else 0


def running_tasks(slurm: Cluster, array: str) -> dict[str, str]:
    """Array tasks that run, and on which node."""
    rows = slurm.run("squeue", "--noheader", "--array", f"--jobs={array}", "--states=RUNNING", "--format=%K %N")
    return dict(row.split() for row in rows.splitlines())


def written(run: Path, part: int, parts: int) -> bool:
    """Whether the task of a part has begun to write."""
    shards = int(open_run(run).meta["shards"])
    first, end = part * shards // parts, (part + 1) * shards // parts
    return any(list((run / "journal").glob(f"{shard:04d}.*.jsonl")) for shard in range(first, end))


def test_killed_preempted_and_moved_tasks_leave_every_course_once(slurm: Cluster, tmp_path: Path) -> None:
    study = ("therapist=[mi_consistent,companion,cbt,over_cold]", "personas.limit=40", "replicates=5",
             "instruments=[phq9]", "limits.workers=1", "limits.concurrency=1",
             "client.scripted._target_=tests.slow_chairs.SlowClient")  # fmt: skip
    run = tmp_path / "run"
    out = dyad(slurm, "submit", *SITE, *study, f"out={run}", cwd=tmp_path)
    ids = job_ids(run)
    assert list(ids) == ["simulate", "merge", "code", "report"]
    assert f"simulate: {ids['simulate']}" in out
    array = ids["simulate"]

    slurm.until(lambda: "n2" in running_tasks(slurm, array).values(), 60, "a task on the second node")
    killed: list[str] = []

    def kill_one_that_writes() -> bool:
        for task, node in running_tasks(slurm, array).items():
            if node == "n1" and written(run, int(task), 8):
                slurm.run("scancel", "--signal=KILL", f"{array}_{task}")
                killed.append(task)
                return True
        return False

    slurm.until(kill_one_that_writes, 60, "a task on the first node that writes")
    moved = running_tasks(slurm, array)
    slurm.run("scontrol", "update", "nodename=n2", "state=down", "reason=test")
    slurm.until(lambda: "n2" not in running_tasks(slurm, array).values(), 30, "nothing runs on the node that is down")
    slurm.run("scontrol", "update", "nodename=n2", "state=resume")
    preempted: list[str] = []

    def preempt_one_that_writes() -> bool:
        for task in running_tasks(slurm, array):
            if task not in moved and written(run, int(task), 8):
                slurm.run("scancel", "--signal=USR1", "--batch", f"{array}_{task}")
                preempted.append(task)
                return True
        return False

    slurm.until(preempt_one_that_writes, 60, "a task to preempt")
    status = json.loads(dyad(slurm, "status", str(run), "--json", cwd=tmp_path))
    assert {job["name"] for job in status["jobs"] if job["lives"]} >= {"code", "report"}
    assert "still live" in dyad(slurm, "submit", *SITE, *study, f"out={run}", cwd=tmp_path, code=2)
    finished(slurm, run, 240)

    told = logs(run)
    assert "courses have not ended" in told, told  # the killed task's part was missing, and was sent again
    assert len({job["attempt"] for job in json.loads((run / "slurm" / "jobs.json").read_text())}) == 2
    assert all(restarts(slurm, f"{array}_{task}") == 1 for task in preempted)
    counts = json.loads(dyad(slurm, "status", str(run), "--json", cwd=tmp_path))
    assert (counts["ended"], counts["failed"], counts["not_begun"]) == (800, 0, 0)
    courses = read_table(run, "courses", ["course_id", "status"])
    assert (len(courses), courses["course_id"].n_unique(), set(courses["status"])) == (800, 800, {"ended"})
    run_study(compose(*study, "limits.concurrency=256", f"out={tmp_path / 'local'}"))
    here, there = parquet_bytes(tmp_path / "local"), parquet_bytes(run)
    assert here == {name: there[name] for name in here}
    assert {name.partition("/")[0] for name in there.keys() - here.keys()} == {"codings"}


def test_an_invalid_partition_is_one_line_and_leaves_no_job(slurm: Cluster, tmp_path: Path) -> None:
    said = dyad(slurm, "submit", *SITE, "cluster.partition=nope", "personas.limit=1", "out=x", cwd=tmp_path, code=2)
    assert len(said.strip().splitlines()) == 1
    assert "invalid partition specified: nope" in said
    assert slurm.run("squeue", "--noheader", "--name=dyad-x-simulate") == ""
