"""A real SLURM of two nodes on this machine: one slurmctld, two slurmd on ports of their own, and a munged.

Everything lies in one folder and is ended by `stop`. It needs root, as slurmd does, and Debian's `slurm-wlm` and
`munge`. `dyad` on its nodes is this clone.
"""

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
PROGRAM = "import sys; from simulator.cli.main import main; main(sys.argv[1:])"
NEEDED = ("slurmctld", "slurmd", "munged", "sbatch", "squeue", "scancel", "scontrol")

CONF = """\
ClusterName=dyad
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=5
CredType=cred/munge
SlurmctldPort={port}
SlurmdParameters=config_overrides
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
SlurmdSpoolDir={folder}/spool.%n
StateSaveLocation={folder}/state
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
KillWait=5
MinJobAge=600
SlurmdTimeout=60
UnkillableStepTimeout=10
RebootProgram=/bin/true
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={port1} CPUs=3 RealMemory=1000 State=UNKNOWN
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={port2} CPUs=3 RealMemory=1000 State=UNKNOWN
PartitionName=main Nodes=n1,n2 Default=YES MaxTime=60 State=UP
"""


def why_not() -> str | None:
    """Why there can be no SLURM here, or None."""
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if missing:
        return f"{', '.join(missing)} is missing; apt-get install slurm-wlm munge"
    return None if os.geteuid() == 0 else "slurmd needs root"


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


class Cluster:
    """A running cluster; `environment` is what its commands need."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen[bytes]] = []
        ports = _free_ports(3)
        conf = folder / "slurm.conf"
        conf.write_text(
            CONF.format(
                folder=folder, host=socket.gethostname().split(".")[0], port=ports[0], port1=ports[1], port2=ports[2]
            )
        )
        for name in ("munge", "state", "spool.n1", "spool.n2"):
            (folder / name).mkdir()
        key = folder / "munge" / "key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o400)
        command = folder / "bin" / "dyad"
        command.parent.mkdir()
        command.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -c "{PROGRAM}" "$@"\n')
        command.chmod(0o755)
        path = f"{command.parent}:{os.environ['PATH']}"
        self.environment = {**os.environ, "SLURM_CONF": str(conf), "PATH": path}
        own = folder / "munge"
        places = {"key": key, "socket": own / "socket", "pid": own / "pid", "log": own / "log", "seed": own / "seed"}
        options = [f"--{name}{'' if name == 'socket' else '-file'}={path}" for name, path in places.items()]
        self._start("munged", "--foreground", "--force", *options)
        self.until(lambda: (folder / "munge" / "socket").exists(), 20, "munged")
        self._start("slurmctld", "-D", "-i")
        for node in ("n1", "n2"):
            self._start("slurmd", "-D", "-N", node)
        self.until(lambda: self.run("sinfo", "--noheader", "--format=%D %t").split() == ["2", "idle"], 60, "the nodes")

    def _start(self, *words: str) -> None:
        log = (self.folder / f"{words[0]}.{len(self.processes)}.out").open("wb")
        self.processes.append(
            subprocess.Popen(words, env=self.environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        )

    def run(self, *words: str) -> str:
        """A command's stdout, whatever its exit status."""
        done = subprocess.run(words, env=self.environment, capture_output=True, text=True, timeout=60)
        return done.stdout.strip()

    def dyad(self, *arguments: str, cwd: Path, code: int = 0) -> str:
        """The command on a login node; its stdout, or stderr where it is to fail."""
        done = subprocess.run(
            ["dyad", *arguments], cwd=cwd, env=self.environment, capture_output=True, text=True, timeout=240
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout if code == 0 else done.stderr

    def finished(self, run: Path, seconds: float) -> None:
        """Wait for a run's report; an error shows the ends of its jobs' logs."""
        try:
            self.until(lambda: (run / "report.html").exists(), seconds, f"the report of {run}")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{logs(run)}") from None

    def restarts(self, task: str) -> int:
        """How often a task was queued again."""
        text = self.run("scontrol", "show", "job", task)
        return int(text.partition("Restarts=")[2].split()[0] or 0) if "Restarts=" in text else 0

    def running_tasks(self, array: str) -> dict[str, str]:
        """Array tasks that run, and on which node."""
        rows = self.run("squeue", "--noheader", "--array", f"--jobs={array}", "--states=RUNNING", "--format=%K %N")
        return dict(row.split() for row in rows.splitlines())

    def until(self, holds, seconds: float, what: str) -> None:
        """Look until something holds; an error names what did not, and what SLURM says."""
        end = time.monotonic() + seconds
        looking = _Pause()
        while not holds():
            if time.monotonic() > end:
                queue = self.run("squeue", "--array") if self.processes else ""
                logs = "\n".join(path.read_text(errors="replace")[-1500:] for path in self.folder.glob("*.log"))
                raise AssertionError(f"{what}: not within {seconds:g} s\n{queue}\n{logs}")
            looking.once()

    def stop(self) -> None:
        """Cancel every job and end every process of ours."""
        with contextlib.suppress(Exception):
            self.run("scancel", "--user=root", "--signal=KILL", "--full")
            self.run("scancel", "--user=root")
            self.until(lambda: self.run("squeue", "--noheader") == "", 60, "the end of every job")  # its processes, too
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(15)


def site(folder: Path, **more: Any) -> list[str]:
    """A cluster file of one's own, for the small nodes here, and the words that name it."""
    (folder / "own" / "cluster").mkdir(parents=True)
    content = {"defaults": ["slurm"], "memory": "200M", "time": "00:20:00", "cpus": 1, "signal_seconds": 16, **more}
    (folder / "own" / "cluster" / "site.yaml").write_text(json.dumps(content))
    return ["--config-dir", str(folder / "own"), "cluster=site"]


def tiny_on_vllm(folder: Path) -> list[str]:
    """Make the tiny model; returns what `dyad serve` is asked for to serve it on vLLM's CPU build."""
    python, weights = os.environ["DYAD_VLLM_PYTHON"], folder / "tiny"
    subprocess.run([python, str(ROOT / "tests" / "tiny_model.py"), str(weights)], check=True, timeout=300)
    return [
        "model=endpoint", "model.name=tiny", f"model.serving.model={weights}", "model.serving.max_model_len=8192",
        "serving.replicas=1", "serving=cpu", "serving.env={VLLM_CPU_KVCACHE_SPACE: '1', HF_HUB_OFFLINE: '1'}",
        "serving.drain_seconds=5", "serving.args={max_num_batched_tokens: 8192}",
    ]  # fmt: skip


def job_ids(run: Path) -> dict[str, str]:
    """The jobs of a run by name; the latest of each."""
    return {job["name"]: job["id"] for job in json.loads((run / "slurm" / "jobs.json").read_text())}


def logs(run: Path) -> str:
    """The ends of the logs of a run's jobs."""
    return "\n".join(f"{path.name}: {path.read_text()[-600:]}" for path in sorted((run / "slurm").glob("*.log")))


class _Pause:
    """A short pause between two looks at something that only SLURM can say."""

    def __init__(self) -> None:
        import threading

        self._never = threading.Event()

    def once(self) -> None:
        self._never.wait(0.2)


@contextlib.contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """A cluster for as long as the block lasts."""
    one = Cluster(folder)
    try:
        yield one
    finally:
        one.stop()
