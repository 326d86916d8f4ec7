"""What `dyad submit` would send: every submission as a golden file, and mistakes in one line.

`DYAD_WRITE_GOLDEN=1 uv run pytest tests/test_slurm_submit.py` writes the golden files anew.
"""

import json
import os
from pathlib import Path

import pytest

from simulator.errors import UserError
from simulator.launching.chain import Submission, chain, split_overrides
from simulator.launching.settings import parse_cluster
from simulator.launching.slurm import command_of, script_of
from simulator.serving.waiting import wait_for_server
from simulator.studies.part import Part, parse_part
from simulator.studies.running import run_study
from tests.studies_for_tests import parquet_bytes, small
from tests.test_cli import TINY, dyad

GOLDEN = Path(__file__).parent / "fixtures" / "slurm"
SERVE = ["model=qwen3_8b", "serving.replicas=1"]
LAYOUTS = {
    "plain": {},
    "site": {"partition": "gpu", "account": "lab", "qos": "low", "constraint": "a100", "at_once": 4, "tasks": 16,
             "setup": ["module load python", "source venv/bin/activate"], "directives": ["--exclusive"],
             "after": {"memory": "96G", "cpus": 16, "partition": "cpu"}, "tracked": ["tracking.mode=offline"]},
    "colocated": {"layout": "colocated", "gpus": 2, "serve": SERVE},
    "pooled": {"layout": "pooled",
               "servers": {"client": {"serve": SERVE, "jobs": 2}, "therapist": {"serve": SERVE, "nodes": 2, "gpus": 4}},
               "then": {"again": "dyad code {{ run }} coders=rules"}},
    "placed": {"layout": "pooled", "partition": "gpu", "constraint": "a100", "directives": ["--exclusive"],
               "servers": {"client": {"serve": SERVE, "partition": "small", "constraint": "l4", "directives": []},
                           "therapist": {"serve": SERVE}},
               "after": {"partition": "cpu", "directives": ["--exclude=n1"]}, "tracked": ["mode=offline"]},
    "retry": {"attempt": 1, "tasks": 16},
}  # fmt: skip


def submissions(content: dict, parts: list[int]) -> str:
    settings = parse_cluster({"kind": "slurm", **{key: value for key, value in content.items() if key != "tracked"}})
    study, cluster = split_overrides(
        ["therapist=[cbt,companion]", "cluster=slurm", "out=elsewhere", "cluster.attempt=0", "+note='a b'"]
    )
    submission = Submission(
        study, cluster, ["--config-dir", "/project/own"], Path("runs/one"), Path("/project"), content.get("tracked")
    )
    text = ""
    for job in chain(settings, submission, parts):
        words = command_of(job, script_of(submission.run, job, settings.attempt), {})
        text += f"$ {' '.join(words)}\n{job.script}\n"
    return text


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_submission_is_the_golden_one(layout: str) -> None:
    content = LAYOUTS[layout]
    parts = [1, 5, 6, 7] if layout == "retry" else list(range(content.get("tasks", 8)))
    text = submissions(content, parts)
    file = GOLDEN / f"{layout}.txt"
    if os.environ.get("DYAD_WRITE_GOLDEN"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    assert text == file.read_text()


MISTAKES = [
    ({"partitions": "x"}, "cluster.partitions: unknown key (did you mean 'partition'?)"),
    ({"time": "soon"}, "cluster.time: "),
    ({"layout": "pooled"}, "cluster.servers: it goes with layout=pooled"),
    ({"serve": ["model=qwen3_8b"]}, "cluster.serve: it goes with layout=colocated"),
    ({"templates": "nowhere"}, "cluster.templates: nowhere is no folder"),
    ({"then": {"x": "dyad code {{ rn }}"}}, "cluster.then.x: 'rn' is undefined"),
]


@pytest.mark.parametrize(("content", "message"), MISTAKES, ids=[next(iter(content)) for content, _ in MISTAKES])
def test_a_mistake_in_the_settings_is_one_line(content: dict, message: str) -> None:
    with pytest.raises(UserError) as error:
        submissions(content, [0])
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_sites_own_template_may_ask_for_variables_and_a_missing_one_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "_header.sbatch").write_text("#SBATCH --reservation={{ reservation }}\n")
    with pytest.raises(UserError, match=r"'reservation' is undefined; give it as cluster\.variables") as error:
        submissions({"templates": str(tmp_path)}, [0])
    assert "\n" not in str(error.value)
    given = submissions({"templates": str(tmp_path), "variables": {"reservation": "monday"}}, [0])
    assert given.count("--reservation=monday") == 4


def test_a_dry_run_needs_no_slurm_and_writes_nothing(tmp_path: Path) -> None:
    placed = ("cluster.partition=gpu", "cluster.after.partition=cpu")
    done = dyad("submit", "cluster=slurm", *placed, "--dry-run", "-m", *TINY, "seed=1,2", "out=sweep", cwd=tmp_path)
    assert [done.stdout.count(f"#SBATCH --partition={name}") for name in ("gpu", "cpu")] == [2, 6]
    assert done.stdout.count("#SBATCH --array=0-7") == 2
    assert "seed=1 out=sweep/reference_dyad-" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_an_endpoint_file_that_nobody_writes_or_answers_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no model server after 0.1 s: .*nothing is not there"):
        wait_for_server(tmp_path / "nothing", 0.1)
    (tmp_path / "a.json").write_text(json.dumps([{"url": "http://127.0.0.1:9/v1"}]))
    with pytest.raises(UserError, match=r"http://127.0.0.1:9/v1 does not answer"):
        wait_for_server(tmp_path, 0.1)
    done = dyad("serve", "wait", "nothing", "--seconds", "0.1", cwd=tmp_path, code=2)
    assert len(done.stderr.strip().splitlines()) == 1


def test_parts_cover_every_shard_once_and_what_is_no_part_is_refused() -> None:
    for parts in (1, 3, 8, 13, 16):
        shards = [shard for number in range(parts) for shard in Part(number, parts).shards(16)]
        assert shards == list(range(16))
    for wrong in ("3/3", "1/0", "x", "1-2"):
        with pytest.raises(ValueError, match="shards: "):
            parse_part(wrong)
    with pytest.raises(ValueError, match="too few for 9 parts"):
        Part(0, 9).shards(8)


def test_a_run_in_parts_is_the_run_in_one_piece(tmp_path: Path) -> None:
    run_study(small(tmp_path / "whole"))
    parts = [run_study(small(tmp_path / "parts", f"shards={number}/3")) for number in (2, 0)]
    assert not any(part.finished for part in parts)
    unmerged = run_study(small(tmp_path / "parts", "shards=none"))
    assert unmerged.tally.stopped_by == f"{12 - sum(part.tally.ended for part in parts)} courses have not ended"
    assert not (tmp_path / "parts" / "dataset").exists()
    last = run_study(small(tmp_path / "parts", "shards=1/3"))
    assert sum(part.part_courses or 0 for part in [*parts, last]) == 12
    assert run_study(small(tmp_path / "parts", "shards=none")).finished
    assert parquet_bytes(tmp_path / "parts") == parquet_bytes(tmp_path / "whole")


def test_a_local_submission_is_the_same_chain_in_this_process(tmp_path: Path) -> None:
    done = dyad("submit", "cluster=local", "cluster.tasks=2", *TINY, "out=one", "--quiet", cwd=tmp_path)
    assert "run: one" in done.stdout
    assert (tmp_path / "one" / "report.html").is_file()
    dyad("run", *TINY, "out=two", "--quiet", cwd=tmp_path)
    assert parquet_bytes(tmp_path / "one") == parquet_bytes(tmp_path / "two")
