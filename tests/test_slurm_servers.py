"""`dyad submit servers`: gone servers are sent again, more are added, all are ended; SLURM's commands are stand-ins."""

import json
import os
from pathlib import Path

import pytest

from simulator.errors import UserError
from simulator.launching.servers import end_servers, replace_servers
from tests.test_cli import dyad

COMMANDS = {
    "squeue": "cat living",
    "sbatch": 'echo "$@" >> sent; id=$((100 + $(wc -l < sent))); echo "$id|N/A|RUNNING|None|n1" >> living; echo $id',
    "scancel": 'echo "$@" >> cancelled',
}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run with two servers for clients, of which 1 is gone, and one for therapists."""
    (tmp_path / "bin").mkdir()
    for name, line in COMMANDS.items():
        command = tmp_path / "bin" / name
        command.write_text(f"#!/bin/sh\ncd {tmp_path}\n{line}\n")
        command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    folder = tmp_path / "run"
    names = {"serve-client-0": "10", "serve-client-1": "11", "serve-therapist-0": "12", "simulate": "13"}
    for purpose in ("client", "therapist"):
        (folder / "endpoints" / purpose).mkdir(parents=True)
    (folder / "slurm").mkdir()
    for name, number in names.items():
        (folder / "slurm" / f"{name}.sbatch").write_text(f"#!/bin/bash\n#SBATCH --job-name=dyad-run-{name}\nserve\n")
        if name != "simulate":
            (folder / "endpoints" / name.split("-")[1] / f"{number}.json").write_text("[]")
    jobs = [{"name": name, "id": number, "attempt": 0} for name, number in names.items()]
    (folder / "slurm" / "jobs.json").write_text(json.dumps(jobs))
    (tmp_path / "living").write_text("".join(f"{number}|N/A|RUNNING|None|n1\n" for number in ("10", "12", "13")))
    return folder


def jobs_of(run: Path) -> list[tuple[str, str]]:
    return [(job["name"], job["id"]) for job in json.loads((run / "slurm" / "jobs.json").read_text())]


def test_a_server_that_is_gone_is_sent_again_and_its_address_removed(run: Path) -> None:
    assert replace_servers(run) == [("serve-client-1", "101")]
    assert (run.parent / "sent").read_text() == f"--parsable {run}/slurm/serve-client-1.sbatch\n"
    assert [path.name for path in sorted((run / "endpoints").rglob("*.json"))] == ["10.json", "12.json"]
    assert jobs_of(run)[-1] == ("serve-client-1", "101")
    assert replace_servers(run) == []  # it lives now


def test_a_job_that_squeue_still_tells_of_but_that_is_over_is_gone(run: Path) -> None:
    living = run.parent / "living"
    living.write_text(living.read_text() + "11|N/A|CANCELLED|None|n1\n")
    assert replace_servers(run) == [("serve-client-1", "101")]


def test_a_job_that_is_ending_may_queue_again_and_is_named(run: Path) -> None:
    (run.parent / "living").write_text("10|N/A|RUNNING|None|n1\n11|N/A|COMPLETING|None|n1\n12|N/A|RUNNING|None|n1\n")
    done = dyad("submit", "servers", str(run), cwd=run.parent)
    assert done.stdout == "every server job lives; serve-client-1: ending just now, ask again in some seconds\n"


def test_one_more_server_gets_a_script_and_a_name_of_its_own(run: Path) -> None:
    assert replace_servers(run, ["client", "client", "therapist"]) == [
        ("serve-client-2", "101"), ("serve-client-3", "102"), ("serve-therapist-1", "103"),
    ]  # fmt: skip
    script = (run / "slurm" / "serve-client-3.sbatch").read_text()
    assert script == "#!/bin/bash\n#SBATCH --job-name=dyad-run-serve-client-3\nserve\n"
    assert len(jobs_of(run)) == 7


def test_the_servers_that_live_are_ended_and_nothing_else(run: Path) -> None:
    assert end_servers(run) == [("serve-client-0", "10"), ("serve-therapist-0", "12")]
    assert (run.parent / "cancelled").read_text() == "10 12\n"


def test_a_later_attempt_that_lives_keeps_the_servers(run: Path) -> None:
    jobs = [*json.loads((run / "slurm" / "jobs.json").read_text()), {"name": "simulate", "id": "20", "attempt": 1}]
    (run / "slurm" / "jobs.json").write_text(json.dumps(jobs))
    living = run.parent / "living"
    before = living.read_text()
    living.write_text(before + "20|0|RUNNING|None|n1\n")
    assert end_servers(run, attempt=0) == []
    assert not (run.parent / "cancelled").exists()
    living.write_text(before)  # that attempt is over
    assert end_servers(run, attempt=0) != []


def test_a_limit_that_is_reached_holds_no_coding_back_once_every_course_is_over(run: Path, tmp_path: Path) -> None:
    study = ("personas.limit=2", "replicates=1", "limits.workers=1", "out=done", "--quiet")
    dyad("run", *study, cwd=tmp_path)
    said = dyad("submit", "cluster=slurm", "cluster.tasks=2", *study, "limits.hours=0.0000001", cwd=tmp_path).stdout
    assert [line.partition(":")[0] for line in said.splitlines()] == ["merge", "code", "report", "run"]
    (tmp_path / "living").write_text("")
    study = tuple(word.replace("replicates=1", "replicates=2") for word in study)
    said = dyad("submit", "cluster=slurm", *study, "extend=true", "limits.hours=0.0000001", cwd=tmp_path, code=2).stderr
    assert "nothing is sent, a higher limit goes on from here" in said and len(said.splitlines()) == 1


def test_mistakes_are_one_line(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no server jobs for 'clients' \(did you mean 'client'\?\)") as error:
        replace_servers(run, ["clients"])
    assert "\n" not in str(error.value)
    done = dyad("submit", "servers", "nowhere", cwd=tmp_path, code=2)
    assert done.stderr == "dyad: nowhere: no server jobs were sent for it; cluster.layout=pooled sends them\n"
    (tmp_path / "bin" / "squeue").write_text("#!/bin/sh\nexit 1\n")
    done = dyad("submit", "servers", str(run), "--end", cwd=tmp_path, code=2)
    assert "SLURM cannot be asked about its jobs from here; go to a login node" in done.stderr
    assert len(done.stderr.splitlines()) == 1
