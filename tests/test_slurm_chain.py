"""The whole chain on a real SLURM of two nodes with real vLLM: servers, simulation, W&B, coding, report.

Skipped where SLURM or vLLM is missing. A tiny model of random weights speaks: what is shown is that everything arrives.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from tests.slurm_cluster import Cluster, cluster, job_ids, logs, site, tiny_on_vllm, why_not
from tests.wandb_offline import segments_of

PYTHON = os.environ.get("DYAD_VLLM_PYTHON")
pytestmark = [
    pytest.mark.skipif(why_not() is not None, reason=f"no SLURM here: {why_not()}"),
    pytest.mark.skipif(not PYTHON, reason="DYAD_VLLM_PYTHON is not set (.ci/vllm-env prints one)"),
]
COURSES, TURNS, TASKS = 16, 6, 2
STUDY = (
    "client=[static]", "therapist=[lm_mi,lm_supportive]", "personas.limit=8", "replicates=1", "instruments=[phq4]",
    f"session.max_turns={TURNS}", "session.end_on_goodbye=false", "session.goodbye_loop=1000",
    "model@client.model=endpoint", "client.model.name=tiny", "client.model.answer_prefix=true",
    "client.model.sampling.max_tokens=32", "client.model.sampling.ignore_eos=true",
    "model@therapist.model=endpoint", "therapist.model.name=tiny",
    "therapist.model.sampling.max_tokens=32", "therapist.model.sampling.ignore_eos=true",
    "coders=[rules,llm]", "coders.llm.codebook=esconv", "coders.llm.least_share=0",
    "model@coders.model=endpoint", "coders.model.name=tiny", "limits.workers=1", "limits.concurrency=2",
    "tracking=wandb", "tracking.every=2",
)  # fmt: skip


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("slurm")) as running:
        yield running


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What `dyad serve` is asked for."""
    return tiny_on_vllm(tmp_path_factory.mktemp("model"))


def turns_written(run: Path) -> int:
    return sum(file.read_bytes().count(b'"record":{"kind":"turn"') for file in (run / "journal").glob("*.jsonl"))


def table(run: Path, name: str) -> pl.DataFrame:
    return pl.read_parquet(run / "dataset" / name / "*.parquet")


def check_everything_is_there(run: Path) -> None:
    """Every course once, with every turn, coding and answer, and one report."""
    courses, sessions, turns = (table(run, name) for name in ("courses", "sessions", "turns"))
    assert (len(courses), courses["course_id"].n_unique(), set(courses["status"])) == (COURSES, COURSES, {"ended"})
    told = turns.group_by("course_id", "session").agg(pl.col("turn")).join(sessions, on=["course_id", "session"])
    assert len(told) == COURSES
    for numbers, length in told.select("turn", "turns").iter_rows():
        assert numbers == list(range(length))  # none lost, none doubled
    codings = table(run, "codings")
    for coder, roles in (("rules", ["client", "therapist"]), ("llm", ["therapist"])):
        coded = codings.filter(pl.col("coder") == coder).select("course_id", "turn").unique()
        spoken = turns.filter(pl.col("role").cast(str).is_in(roles)).select("course_id", "turn")
        assert coded.sort("course_id", "turn").equals(spoken.sort("course_id", "turn")), coder
    answers = table(run, "administrations")
    for instrument, moment in (("PHQ-4", "course_start"), ("SRS", "afterwards (after)")):
        given = answers.filter(instrument=instrument, moment=moment)
        assert len(given) == 4 * COURSES == len(given.unique(["course_id", "item"]))
    assert len(list(run.glob("report*.html"))) == 1 and "SRS" in (run / "report.html").read_text()


def check_wandb_was_told(run: Path) -> None:
    """One offline run of W&B that ends with all courses, the report and the tables."""
    segments = segments_of(run)
    steps = [step for segment in segments for step in segment.steps]
    assert steps == sorted(set(steps)) and len({segment.run_id for segment in segments}) == 1
    assert segments[-1].finished and {"report", "dataset"} <= set(segments[-1].artifacts)
    assert {"simulate.0", "merge.0", "administer.0"} <= set(segments[-1].config["slurm"]["jobs"])
    assert [row["courses"] for segment in segments for row in segment.history if "courses" in row][-1] == COURSES


def test_the_chain_survives_a_lost_server_and_a_preempted_task(
    slurm: Cluster, serve: list[str], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    server = {"serve": serve, "gpus": 0, "cpus": 1, "memory": "900M", "time": "00:30:00"}
    administer = (
        "{{ dyad }} administer {{ run }} instruments=[srs] name=after "
        "model=endpoint model.name=tiny model.answer_prefix=true model.endpoints={{ endpoints }}/therapist"
    )
    own = site(tmp_path, layout="pooled", tasks=TASKS, servers={"client": server, "therapist": server},
               then={"administer": administer})  # fmt: skip
    out = slurm.dyad(
        "submit", *own, *STUDY, f"coders.model.endpoints={run}/endpoints/therapist", f"out={run}", cwd=tmp_path
    )
    ids = job_ids(run)
    assert " ".join(ids) == ("serve-client-0 serve-therapist-0 track simulate merge code administer report release")
    assert f"release: {ids['release']}" in out
    array = ids["simulate"]

    slurm.until(lambda: turns_written(run) >= 8, 240, "turns by the servers of both chairs")
    slurm.run("scancel", ids["serve-client-0"])
    lost = run / "endpoints" / "client" / f"{ids['serve-client-0']}.json"
    slurm.until(lambda: not lost.exists(), 60, "the cancelled server leaves")
    ending = ("squeue", "--noheader", f"--jobs={ids['serve-client-0']}", "--states=RUNNING,COMPLETING")
    slurm.until(lambda: slurm.run(*ending) == "", 60, "its job ends, which takes some seconds longer")
    replaced = slurm.dyad("submit", "servers", str(run), cwd=tmp_path)
    again = job_ids(run)["serve-client-0"]
    assert replaced == f"serve-client-0: {again}\n" and again != ids["serve-client-0"]
    before = turns_written(run)
    assert before < COURSES * TURNS
    preempted = next(iter(slurm.running_tasks(array)))
    slurm.run("scancel", "--signal=USR1", "--batch", f"{array}_{preempted}")
    slurm.finished(run, 300)

    told = logs(run)
    assert slurm.restarts(f"{array}_{preempted}") == 1, told
    check_everything_is_there(run)
    slurm.until(lambda: slurm.run("squeue", "--noheader") == "", 90, "the servers and the tracker end")
    check_wandb_was_told(run)
