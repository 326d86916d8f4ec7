"""What a job's script does, run by bash with a stand-in for `dyad`: signals arrive, dead servers are not waited for."""

import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from simulator.cli.track import _watch
from simulator.errors import UserError
from simulator.launching.chain import Submission, chain
from simulator.launching.servers import replace_servers
from simulator.launching.settings import parse_cluster
from simulator.launching.slurm import read_jobs, record_jobs, stop_jobs, submit_jobs
from simulator.store.runs import open_run
from simulator.studies.limits import used_before
from tests.mock_for_tests import mock_server
from tests.test_cli import dyad

ROOT = str(Path(__file__).parent.parent)
STUB = """\
#!{python}
import os, signal, sys, time
log = open({log!r}, "a", buffering=1)
def drain(*_):
    print("heard", *sys.argv[1:2], file=log); time.sleep(0.5); print("drained", *sys.argv[1:2], file=log); sys.exit(3)
signal.signal(signal.SIGTERM, drain)
if sys.argv[1] == "serve" and sys.argv[2] != "wait":
    sys.exit(2)
if sys.argv[1:3] == ["serve", "wait"]:
    os.execv({python!r}, [{python!r}, "-c", "from simulator.cli.main import main; main()", *sys.argv[1:]])
print("began", *sys.argv[1:2], os.getpid(), file=log)
time.sleep(60)
"""


@pytest.fixture
def job(tmp_path: Path) -> Callable[[str, dict], subprocess.Popen[str]]:
    """Start the script of one job of a chain whose `dyad` is a stand-in that works until it is told to stop."""
    stub = tmp_path / "bin" / "dyad"
    stub.parent.mkdir()
    stub.write_text(STUB.format(python=sys.executable, log=str(tmp_path / "log")))
    (stub.parent / "squeue").write_text("#!/bin/sh\necho RUNNING\n")
    (stub.parent / "scontrol").write_text(f'#!/bin/sh\necho "$@" >> {tmp_path / "scontrol"}\n')
    for file in stub.parent.iterdir():
        file.chmod(0o755)

    def start(name: str, content: dict) -> subprocess.Popen[str]:
        settings = parse_cluster({"kind": "slurm", "tasks": 1, "dyad": str(stub), "signal_seconds": 40, **content})
        jobs = chain(settings, Submission((), (), (), tmp_path / "run", tmp_path), [0])
        script = tmp_path / f"{name}.sbatch"
        script.write_text(next(job.script for job in jobs if job.name == name))
        env = {
            **os.environ, "SLURM_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "0", "PYTHONPATH": ROOT,
            "PATH": f"{stub.parent}:{os.environ['PATH']}",
        }  # fmt: skip
        return subprocess.Popen(["bash", str(script)], env=env, stderr=subprocess.PIPE, text=True)

    return start


def log_of(folder: Path, word: str, seconds: float = 20) -> str:
    deadline = time.monotonic() + seconds
    while not (folder / "log").exists() or word not in (folder / "log").read_text():
        assert time.monotonic() < deadline, f"no '{word}'"
        time.sleep(0.05)
    return (folder / "log").read_text()


@pytest.mark.parametrize(
    ("name", "then"),
    [("simulate", ""), ("code", ""), ("again", "{{ dyad }} code {{ run }}"),
     ("again", "{{ dyad }} code {{ run }} | cat && echo more")],
)  # fmt: skip
def test_a_drain_reaches_what_a_job_runs_and_the_job_waits_for_it_and_queues_again(
    job: Callable[[str, dict], subprocess.Popen[str]], tmp_path: Path, name: str, then: str
) -> None:
    process = job(name, {"then": {"again": f"set -o pipefail; {then}"}} if then else {})
    pid = int(log_of(tmp_path, "began").split()[-1])
    process.send_signal(signal.SIGUSR1)
    process.communicate(timeout=20)
    assert log_of(tmp_path, "drained").count("heard") == 1
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert process.returncode in (3, 143)  # of a pipe, that of what a signal ended
    assert (tmp_path / "scontrol").read_text().startswith("requeue 7")


@pytest.mark.parametrize(
    "then",
    ["{{ dyad }} code {{ run }}\ntouch next", "{{ dyad }} code {{ run }} | cat; touch next"],
    ids=["lines", "pipe"],
)
def test_nothing_of_a_command_is_begun_after_a_drain_and_it_queues_again(
    job: Callable[[str, dict], subprocess.Popen[str]], tmp_path: Path, then: str
) -> None:
    process = job("again", {"then": {"again": then.replace("next", str(tmp_path / "next"))}})
    log_of(tmp_path, "began")
    process.send_signal(signal.SIGUSR1)
    process.communicate(timeout=20)
    assert "drained" in (tmp_path / "log").read_text()
    assert not (tmp_path / "next").exists()
    assert (tmp_path / "scontrol").read_text().startswith("requeue 7")
    assert process.returncode == 143


def test_a_line_of_a_command_that_fails_is_the_last_and_fails_the_job(
    job: Callable[[str, dict], subprocess.Popen[str]], tmp_path: Path
) -> None:
    process = job("again", {"then": {"again": f"(exit 5)\ntouch {tmp_path / 'next'}"}})
    process.communicate(timeout=20)
    assert process.returncode == 5
    assert not (tmp_path / "next").exists()


def test_a_colocated_server_that_does_not_start_is_not_waited_for(
    job: Callable[[str, dict], subprocess.Popen[str]], tmp_path: Path
) -> None:
    process = job("simulate", {"layout": "colocated", "serve": ["model=x"], "wait_seconds": 600})
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 2
    assert "has ended" in said


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Stand-ins for SLURM's commands, each a line of shell that runs in the test's folder."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setattr("simulator.launching.slurm.SECONDS", 1)

    def commands(**lines: str) -> None:
        for name, line in lines.items():
            file = tmp_path / "bin" / name
            file.write_text(f"#!/bin/sh\ncd {tmp_path}\n{line}\n")
            file.chmod(0o755)

    return commands


SENDS = "echo x >> sent; n=$(wc -l < sent)"


@pytest.mark.parametrize(
    ("scancel", "outcome"),
    [("", "no job of this run was left submitted"), ("exec sleep 60", "not answer within 1 s to scancel 1 2: cancel"),
     ("echo down >&2; exit 1", r"did not cancel 1 2 \(down\): cancel them yourself")],
    ids=["cancelled", "hangs", "refused"],
)  # fmt: skip
def test_a_chain_that_could_not_be_sent_whole_is_cancelled_and_known(
    slurm: Callable[..., None], tmp_path: Path, scancel: str, outcome: str
) -> None:
    slurm(sbatch=f"{SENDS}\n[ $n -lt 3 ] || exec sleep 60\necho $n", scancel=f'echo "$@" > cancelled\n{scancel}')
    jobs = chain(parse_cluster({"kind": "slurm"}), Submission((), (), (), tmp_path / "run", tmp_path), [0])
    with pytest.raises(UserError, match=f"SLURM did not answer within 1 s to the job 'code'.*{outcome}") as error:
        submit_jobs(jobs, tmp_path / "run", 0)
    assert "\n" not in str(error.value)
    assert (tmp_path / "cancelled").read_text() == "1 2\n"
    assert [known["id"] for known in read_jobs(tmp_path / "run")] == ["1", "2"]


def test_servers_that_were_sent_are_known_though_the_next_one_is_refused(
    slurm: Callable[..., None], tmp_path: Path
) -> None:
    slurm(sbatch=f"{SENDS}\n[ $n -lt 2 ] || exit 1\necho 10$n", squeue="")
    run = tmp_path / "run"
    (run / "slurm").mkdir(parents=True)
    record_jobs(run, {"serve-model-0": "1", "serve-model-1": "2"}, 0)
    with pytest.raises(UserError, match="refused the job 'serve-model-1'"):
        replace_servers(run)
    assert [known["id"] for known in read_jobs(run)] == ["1", "2", "101"]


def test_a_sweep_that_is_refused_in_the_middle_names_what_was_sent(slurm: Callable[..., None], tmp_path: Path) -> None:
    slurm(sbatch=f"{SENDS}\n[ $n -lt 5 ] || {{ echo full >&2; exit 1; }}\necho $n", squeue="", scancel="")
    done = dyad("submit", "cluster=slurm", "cluster.tasks=2", "-m", "personas.limit=2", "seed=1,2", "out=sweep",
                cwd=tmp_path, code=2)  # fmt: skip
    first, second = sorted((tmp_path / "sweep").iterdir())
    if not read_jobs(first):
        first, second = second, first
    assert [known["id"] for known in read_jobs(first)] == ["1", "2", "3", "4"]
    assert read_jobs(second) == []
    assert "refused the job 'simulate' (full)" in done.stderr
    assert f"sweep/{first.name}" in done.stderr and len(done.stderr.splitlines()) == 1


def test_where_slurm_does_not_answer_jobs_may_live(
    slurm: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is sent a second time, and the tracker goes on; away from a cluster it does not wait for jobs."""
    slurm(sbatch=f"{SENDS}\necho $n", squeue="")
    study = ("submit", "cluster=slurm", "cluster.tasks=2", "personas.limit=2", "out=run")
    dyad(*study, cwd=tmp_path)
    word = _watch(tmp_path / "run", threading.Event())
    assert word(0) == "over"
    slurm(squeue="exit 1")
    assert "SLURM cannot be asked whether jobs of this run still live" in dyad(*study, cwd=tmp_path, code=2).stderr
    assert _watch(tmp_path / "run", threading.Event())(0) is None
    (tmp_path / "bin" / "squeue").unlink()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert _watch(tmp_path / "run", threading.Event())(0) == "over"


@pytest.mark.parametrize("name", ["my run", "half%done", "a;b"])
def test_a_name_that_scripts_do_not_bear_is_one_line(tmp_path: Path, name: str) -> None:
    done = dyad("submit", "cluster=slurm", "--dry-run", f"out='{name}'", cwd=tmp_path, code=2)
    assert "which SLURM's scripts do not bear" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_sweep_with_servers_of_its_own_can_be_named(tmp_path: Path) -> None:
    servers = '+cluster.servers.model={serve: ["model=qwen3_8b"]}'
    done = dyad("submit", "cluster=slurm", "--dry-run", "cluster.layout=pooled", servers, "model=qwen3_8b",
                "client=[static]", "therapist=[lm_mi]", "-m", "seed=1,2", "out=sweep", cwd=tmp_path)  # fmt: skip
    assert done.stdout.count("sweep/") > 2


def test_a_budget_holds_for_all_parts_of_a_run_together(tmp_path: Path) -> None:
    with mock_server(latency=1.0) as mock:
        words = [
            *mock.overrides, "client=[static]", "therapist=[lm_mi]", "personas.limit=8", "replicates=4",
            "instruments=[]", "coders=[]", "limits.workers=1", "session.max_turns=20",
            "limits.concurrency=2", "limits.tokens=60000", "limits.sync=0.2", "report=false", "out=run",
        ]  # fmt: skip
        command = [sys.executable, "-c", "from simulator.cli.main import main; main()", "run", *words, "--quiet"]
        env = {**os.environ, "PYTHONPATH": ROOT}
        parts = [
            subprocess.Popen([*command, f"shards={number}/4"], cwd=tmp_path, env=env, stdout=subprocess.PIPE, text=True)
            for number in range(4)
        ]
        said = [part.communicate(timeout=240)[0] for part in parts]
    assert {part.returncode for part in parts} == {3}
    assert all("limits.tokens=60000 is reached" in line for line in said)
    run = open_run(tmp_path / "run")
    assert 60_000 <= used_before(run.journal, int(run.meta["shards"])).tokens < 120_000
    done = dyad("submit", "cluster=slurm", "cluster.attempt=1", "cluster.tasks=4", *words, cwd=tmp_path, code=2)
    assert "limits.tokens=60000 is reached" in done.stderr and "nothing is sent" in done.stderr


def commands_of(page: Path) -> list[list[str]]:
    """The `dyad submit` commands of a page that need no configuration of one's own."""
    text = page.read_text().replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines() if line.startswith("    dyad submit cluster=")]
    return [shlex.split(line, comments=True)[1:] for line in lines]


@pytest.mark.parametrize("words", commands_of(Path(ROOT) / "slurm" / "README.md"), ids=lambda words: words[-1])
def test_the_guides_commands_are_accepted(words: list[str], tmp_path: Path) -> None:
    done = dyad(*words, *(["--dry-run"] if "--dry-run" not in words else []), cwd=tmp_path)
    assert "#SBATCH --array=" in done.stdout


def test_the_guides_pooled_example_is_accepted(tmp_path: Path) -> None:
    """With a site's file as the guide shows it; `ours` is `slurm` here."""
    page = (Path(ROOT) / "slurm" / "README.md").read_text()
    example = page.partition("in `my_site/cluster/eight.yaml`:")[2]
    settings = example.partition("```yaml\n")[2].partition("```")[0].replace("[ours]", "[slurm]")
    (tmp_path / "my_site" / "cluster").mkdir(parents=True)
    (tmp_path / "my_site" / "cluster" / "eight.yaml").write_text(settings)
    command = example.partition("    dyad submit ")[2].partition("\n\n")[0].replace("\\\n", " ")
    done = dyad("submit", *shlex.split(command), "--dry-run", cwd=tmp_path)
    assert done.stdout.count("#SBATCH --gpus-per-node=4") == 2
    assert "--dependency=after:<serve-model-0>" in done.stdout


def submitted_chain(slurm: Callable[..., None], folder: Path) -> tuple[str, ...]:
    """Submit a chain of four jobs, of which the file `living` says who lives; returns the words."""
    slurm(sbatch=f"{SENDS}\necho $n", squeue="cat living", scancel='echo "$@" >> cancelled; : > living')
    (folder / "living").touch()
    study = ("submit", "cluster=slurm", "cluster.tasks=2", "personas.limit=2", "out=run")
    dyad(*study, cwd=folder)
    return study


def test_stop_cancels_every_job_of_a_run_that_lives_and_nothing_is_sent_again(
    slurm: Callable[..., None], tmp_path: Path
) -> None:
    study = submitted_chain(slurm, tmp_path)
    (tmp_path / "living").write_text("2|N/A|PENDING|Dependency|\n1|0|RUNNING|None|n1\n")
    done = dyad("submit", "stop", "run", cwd=tmp_path)
    assert done.stdout == "simulate: 1 cancelled\nmerge: 2 cancelled\n"
    assert (tmp_path / "cancelled").read_text() == "2 1\n"  # first the one that sends parts again
    assert "it was stopped by" in dyad(*study, "cluster.attempt=1", cwd=tmp_path, code=2).stderr
    assert len(read_jobs(tmp_path / "run")) == 4
    dyad(*study, cwd=tmp_path)
    dyad(*study, "cluster.attempt=1", cwd=tmp_path)
    assert len(read_jobs(tmp_path / "run")) == 8  # those of the chain that was stopped are set aside
    assert "no jobs were sent for it" in dyad("submit", "stop", "rum", cwd=tmp_path, code=2).stderr


def test_a_merge_job_that_was_queued_again_while_it_sent_parts_takes_back_what_it_had_sent(
    slurm: Callable[..., None], tmp_path: Path
) -> None:
    study = submitted_chain(slurm, tmp_path)
    record_jobs(tmp_path / "run", {"simulate": "9"}, 1)
    (tmp_path / "living").write_text("9|0|RUNNING|None|n1\n2|N/A|RUNNING|None|n1\n")
    dyad(*study, "cluster.attempt=1", cwd=tmp_path)
    assert (tmp_path / "cancelled").read_text() == "9\n"


def test_failed_courses_are_taken_up_again_by_the_array_and_not_by_the_coding_job(
    slurm: Callable[..., None], tmp_path: Path
) -> None:
    slurm(sbatch=f"{SENDS}\necho $n", squeue="")
    failing = "+therapist.broken={_target_: tests.scripts_for_tests.Reciter, fails_at: 1}"
    study = ("personas.limit=2", "replicates=1", "therapist=[]", failing, "limits.workers=1", "out=run")
    dyad("run", *study, "limits.failure_rate=1", "report=false", "--quiet", cwd=tmp_path)
    again = ("submit", "cluster=slurm", "cluster.tasks=2", *study)
    assert "simulate" not in [known["name"] for known in read_jobs(tmp_path / "run")]
    dyad(*again, cwd=tmp_path)
    assert "simulate" not in [known["name"] for known in read_jobs(tmp_path / "run")]
    dyad(*again, "retry_failed=true", cwd=tmp_path)
    assert "simulate" in [known["name"] for known in read_jobs(tmp_path / "run")]
    scripts = tmp_path / "run" / "slurm"
    assert "retry_failed=true" in (scripts / "simulate.sbatch").read_text()
    assert "retry_failed" not in (scripts / "code.sbatch").read_text()


def test_what_does_not_stop_in_time_is_killed_and_queues_again(
    job: Callable[[str, dict], subprocess.Popen[str]], tmp_path: Path
) -> None:
    deaf = f"trap '' TERM; echo began >> {tmp_path / 'log'}; while :; do sleep 1; done"
    process = job("again", {"signal_seconds": 2, "then": {"again": f"bash -c {shlex.quote(deaf)}"}})
    log_of(tmp_path, "began")
    process.send_signal(signal.SIGUSR1)
    process.communicate(timeout=30)
    assert process.returncode == 137
    assert (tmp_path / "scontrol").read_text().startswith("requeue 7")


def test_a_signal_before_anything_is_begun_queues_the_job_again(
    job: Callable[[str, dict], subprocess.Popen[str]], tmp_path: Path
) -> None:
    ready = tmp_path / "log"
    process = job("code", {"setup": [f"echo began >> {ready}; while [ ! -e {tmp_path / 'go'} ]; do sleep 0.1; done"]})
    log_of(tmp_path, "began")
    process.send_signal(signal.SIGUSR1)
    (tmp_path / "go").touch()
    process.communicate(timeout=30)
    assert process.returncode == 143 and ready.read_text() == "began\n"
    assert (tmp_path / "scontrol").read_text().startswith("requeue 7")


def test_servers_are_ended_though_slurm_does_not_answer_at_once(
    job: Callable[[str, dict], subprocess.Popen[str]], tmp_path: Path
) -> None:
    stub = tmp_path / "bin" / "dyad"
    stub.write_text(f"#!/bin/sh\necho asked >> {tmp_path / 'log'}\n[ $(wc -l < {tmp_path / 'log'}) -ge 3 ] || exit 2\n")
    (tmp_path / "bin" / "sleep").write_text("#!/bin/sh\n")
    (tmp_path / "bin" / "sleep").chmod(0o755)
    process = job("release", {"layout": "pooled", "servers": {"model": {"serve": ["model=qwen3_8b"]}},
                              "dyad": str(stub)})  # fmt: skip
    process.communicate(timeout=20)
    assert process.returncode == 0 and log_of(tmp_path, "asked").count("asked") == 3


@pytest.mark.parametrize(
    ("key", "time"), [("time", "00:02:00"), ("time", "2"), ("after.time", "1:30"), ("time", "00:00:30")]
)
def test_a_job_whose_time_is_no_longer_than_its_signal_is_refused(key: str, time: str) -> None:
    content = {"time": time} if key == "time" else {"after": {"time": time}}
    with pytest.raises(UserError, match=f"{key}: {time} is not longer than signal_seconds"):
        parse_cluster({"kind": "slurm", **content})
    parse_cluster({"kind": "slurm", "time": "1-0", "after": {"time": "3"}})


def test_what_servers_would_serve_is_checked_before_they_wait_for_gpus(tmp_path: Path) -> None:
    done = dyad("submit", "cluster=slurm", "--dry-run", "cluster.layout=colocated", 'cluster.serve=["model=qwen9"]',
                "model=qwen3_8b", "client=[static]", "therapist=[lm_mi]", cwd=tmp_path, code=2)  # fmt: skip
    assert "qwen9" in done.stderr and len(done.stderr.splitlines()) == 1


def test_stop_ends_what_a_merge_job_was_sending_just_then(slurm: Callable[..., None], tmp_path: Path) -> None:
    run = tmp_path / "run"
    (run / "slurm").mkdir(parents=True)
    record_jobs(run, {"merge": "1"}, 0)
    late = json.dumps([*read_jobs(run), {"name": "simulate", "id": "2", "attempt": 1}])
    (tmp_path / "late").write_text(late)
    slurm(squeue='case "$*" in *1,2*) echo "2|0|PENDING|None|";; esac; echo "1|N/A|RUNNING|None|n1"',
          scancel='echo "$@" >> cancelled; cp late run/slurm/jobs.json')  # fmt: skip
    assert stop_jobs(run) == [("merge", "1"), ("simulate", "2")]
    assert (tmp_path / "cancelled").read_text() == "1\n2\n"
