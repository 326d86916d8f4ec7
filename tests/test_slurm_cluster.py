"""A study on a real SLURM of two nodes, with everything that takes jobs away: the tables are those of a laptop."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulator.store.reading import read_table
from simulator.store.runs import open_run
from simulator.studies.composing import compose
from simulator.studies.running import run_study
from tests.slurm_cluster import ROOT, Cluster, cluster, job_ids, logs, site, tiny_on_vllm, why_not
from tests.studies_for_tests import parquet_bytes

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
    with cluster(tmp_path_factory.mktemp("slurm")) as running:
        yield running


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
    out = slurm.dyad("submit", *SITE, *study, f"out={run}", cwd=tmp_path)
    ids = job_ids(run)
    assert list(ids) == ["simulate", "merge", "code", "report"]
    assert f"simulate: {ids['simulate']}" in out
    array = ids["simulate"]

    slurm.until(lambda: "n2" in slurm.running_tasks(array).values(), 60, "a task on the second node")
    killed: list[str] = []

    def kill_one_that_writes() -> bool:
        for task, node in slurm.running_tasks(array).items():
            if node == "n1" and written(run, int(task), 8):
                slurm.run("scancel", "--signal=KILL", f"{array}_{task}")
                killed.append(task)
                return True
        return False

    slurm.until(kill_one_that_writes, 60, "a task on the first node that writes")
    moved = slurm.running_tasks(array)
    slurm.run("scontrol", "update", "nodename=n2", "state=down", "reason=test")
    slurm.until(lambda: "n2" not in slurm.running_tasks(array).values(), 30, "nothing runs on the node that is down")
    slurm.run("scontrol", "update", "nodename=n2", "state=resume")
    preempted: list[str] = []

    def preempt_one_that_writes() -> bool:
        for task in slurm.running_tasks(array):
            if task not in moved and written(run, int(task), 8):
                slurm.run("scancel", "--signal=USR1", "--batch", f"{array}_{task}")
                preempted.append(task)
                return True
        return False

    slurm.until(preempt_one_that_writes, 60, "a task to preempt")
    status = json.loads(slurm.dyad("status", str(run), "--json", cwd=tmp_path))
    assert {job["name"] for job in status["jobs"] if job["lives"]} >= {"code", "report"}
    assert "still live" in slurm.dyad("submit", *SITE, *study, f"out={run}", cwd=tmp_path, code=2)
    slurm.finished(run, 240)

    told = logs(run)
    assert "courses have not ended" in told, told  # the killed task's part was missing, and was sent again
    assert len({job["attempt"] for job in json.loads((run / "slurm" / "jobs.json").read_text())}) == 2
    assert all(slurm.restarts(f"{array}_{task}") == 1 for task in preempted)
    counts = json.loads(slurm.dyad("status", str(run), "--json", cwd=tmp_path))
    assert (counts["ended"], counts["failed"], counts["not_begun"]) == (800, 0, 0)
    courses = read_table(run, "courses", ["course_id", "status"])
    assert (len(courses), courses["course_id"].n_unique(), set(courses["status"])) == (800, 800, {"ended"})
    run_study(compose(*study, "limits.concurrency=256", f"out={tmp_path / 'local'}"))
    here, there = parquet_bytes(tmp_path / "local"), parquet_bytes(run)
    assert here == {name: there[name] for name in here}
    assert {name.partition("/")[0] for name in there.keys() - here.keys()} == {"codings"}


THEN = """\
cd "$1"
echo began >> told
[ "$(grep -c began told)" = 1 ] || exit 0
trap 'sleep 1; echo drained >> told; exit 3' TERM
for _ in $(seq 600); do sleep 0.2; done
"""
"""Works for two minutes unless it is told to stop, which takes it a second; the second time it ends at once."""


def test_a_task_serves_its_own_model_and_is_preempted_while_that_starts_as_is_what_follows(
    slurm: Cluster, tmp_path: Path
) -> None:
    """A stand-in serves; with DYAD_TEST_COLOCATED=1 it is vLLM with the tiny model."""
    serve = ["model=endpoint", "model.name=tiny", "model.serving.model=x", "serving.replicas=1",
             f"serving.python={sys.executable}", f"serving.entry=[{ROOT}/tests/fake_vllm.py]"]  # fmt: skip
    serve = tiny_on_vllm(tmp_path) if os.environ.get("DYAD_TEST_COLOCATED") else serve
    run = tmp_path / "run"
    study = ("model=endpoint", "model.name=tiny", "model.sampling.max_tokens=16", "client=[static]",
             "therapist=[lm_mi]", "personas.limit=4", "replicates=1", "instruments=[]", "session.max_turns=4",
             "limits.workers=1", f"out={run}")  # fmt: skip
    (tmp_path / "then.sh").write_text(THEN)
    then = {"again": f"bash {tmp_path}/then.sh {tmp_path}\necho next >> {tmp_path}/told"}
    own = site(tmp_path, layout="colocated", tasks=1, serve=serve, wait_seconds=400, then=then)
    slurm.dyad("submit", *own, *study, cwd=tmp_path)
    task = f"{job_ids(run)['simulate']}_0"
    slurm.until(lambda: list((run / "slurm").glob("serve-*")), 60, "the task's server is being started")
    slurm.run("scancel", "--signal=USR1", "--batch", task)
    slurm.until((tmp_path / "told").exists, 400, f"the command behind the coding\n{logs(run)}")
    slurm.run("scancel", "--signal=USR1", "--batch", job_ids(run)["again"])
    slurm.finished(run, 120)
    assert (tmp_path / "told").read_text().split() == ["began", "drained", "began", "next"]  # never two at once
    assert (slurm.restarts(task), slurm.restarts(job_ids(run)["again"])) == (1, 1)
    courses, executions = read_table(run, "courses", ["status"]), read_table(run, "executions", ["replica"])
    assert courses["status"].to_list() == ["ended"] * 4
    assert all(str(replica).startswith("http://127.0.0.1:") for replica in executions["replica"].drop_nulls())


def test_an_invalid_partition_is_one_line_and_leaves_no_job(slurm: Cluster, tmp_path: Path) -> None:
    said = slurm.dyad("submit", *SITE, "cluster.partition=nope", "personas.limit=1", "out=x", cwd=tmp_path, code=2)
    assert len(said.strip().splitlines()) == 1
    assert "invalid partition specified: nope" in said
    assert slurm.run("squeue", "--noheader", "--name=dyad-x-simulate") == ""


def test_a_sweep_gives_the_folders_and_the_comparison_that_it_gives_on_a_laptop(slurm: Cluster, tmp_path: Path) -> None:
    study = ("therapist=[mi_consistent]", "personas.limit=6", "instruments=[phq9]", "limits.workers=1",
             "session.max_turns=8,12,20", "out=sweep")  # fmt: skip
    here, there = tmp_path / "laptop", tmp_path / "cluster"
    here.mkdir()
    there.mkdir()
    slurm.dyad("submit", "-m", *SITE, "cluster.tasks=2", *study, cwd=there)
    slurm.dyad("run", "-m", *study, "--quiet", cwd=here)
    names = sorted(path.name for path in (here / "sweep").iterdir())
    assert len(names) == 3
    for name in names:
        slurm.finished(there / "sweep" / name, 180)
        tables, sent = parquet_bytes(here / "sweep" / name), parquet_bytes(there / "sweep" / name)
        assert tables and tables == sent
    assert sorted(path.name for path in (there / "sweep").iterdir()) == names
    said = [slurm.dyad("compare", *(f"sweep/{name}" for name in names), cwd=folder) for folder in (here, there)]
    assert said[0] == said[1]
    assert "session.max_turns" in said[0]
