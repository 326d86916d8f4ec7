"""What is asked of SLURM: `sbatch` for each job of a chain, `squeue` for what lives, `sacct` where there is one.

The ids of a run's jobs lie in `RUN/slurm/jobs.json`, so that anyone with the folder can ask for them.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.errors import UserError
from simulator.store.runs import write_atomically

if TYPE_CHECKING:  # `dyad status` asks for jobs on every run, and what plans chains takes half a second to import
    from simulator.launching.chain import Job

OVER = frozenset({
    "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "TIMEOUT",
})  # fmt: skip
"""States of jobs that do not live: `squeue` tells them for a while of jobs that are asked for by number."""
SECONDS = 120
"""How long a command of SLURM's may take."""


def submit_jobs(jobs: Sequence[Job], run: Path, attempt: int) -> list[tuple[str, str]]:
    """Submit a chain; returns names and job ids. Where one is refused, those before it are cancelled.

    Raises:
        UserError: there is no SLURM here, or it refuses a job.
    """
    if shutil.which("sbatch") is None:
        raise UserError(
            "cluster=slurm: no sbatch on this machine; go to a login node, or use --dry-run or cluster=local"
        )
    folder = run / "slurm"
    folder.mkdir(parents=True, exist_ok=True)
    ids: dict[str, str] = {}
    for job in jobs:
        script = script_of(run, job, attempt)
        script.write_text(job.script)
        words = command_of(job, script, ids)
        try:
            if attempt:
                refuse_if_stopped(run)
            ids[job.name] = _sent(job.name, script, words)
            record_jobs(run, {job.name: ids[job.name]}, attempt)  # at once: a job that nobody knows cannot be cancelled
        except BaseException as error:
            left = "no job of this run was left submitted"
            try:
                cancel(list(ids.values()))
            except UserError as refusal:
                left = f"{refusal}: cancel them yourself"
            if isinstance(error, UserError):
                raise UserError(f"{error}; {left}") from None
            if not left.startswith("no job"):
                raise UserError(f"the chain was not sent whole; {left}") from error
            raise
    return list(ids.items())


def sbatch(name: str, script: Path) -> str:
    """Submit one script by itself; returns its job's id.

    Raises:
        UserError: SLURM refuses it.
    """
    return _sent(name, script, ["sbatch", "--parsable", str(script)])


def _sent(name: str, script: Path, words: Sequence[str]) -> str:
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise UserError(
            f"SLURM did not answer within {SECONDS} s to the job '{name}', script {script}; look whether it arrived "
            "(squeue --me)"
        ) from None
    if done.returncode:
        said = " ".join(done.stderr.replace("sbatch: error:", "").split())
        raise UserError(f"SLURM refused the job '{name}' ({said}), script {script}")
    return done.stdout.strip().partition(";")[0]


def record_jobs(run: Path, ids: Mapping[str, str], attempt: int) -> None:
    """Add jobs to those that are known of a run."""
    known = [*read_jobs(run), *({"name": name, "id": number, "attempt": attempt} for name, number in ids.items())]
    write_atomically(run / "slurm" / "jobs.json", json.dumps(known, indent=1).encode())


def script_of(run: Path, job: Job, attempt: int) -> Path:
    """Where a job's script is kept."""
    return run / "slurm" / (f"{job.name}.sbatch" if attempt == 0 else f"{job.name}.{attempt}.sbatch")


def command_of(job: Job, script: Path, ids: dict[str, str]) -> list[str]:
    """The command that submits a job; a job that is not submitted yet stands as `<name>`."""
    words = ["sbatch", "--parsable"]
    if job.after:
        words.append(f"--dependency={job.how}:{':'.join(ids.get(name, f'<{name}>') for name in job.after)}")
    return [*words, str(script)]


def read_jobs(run: Path) -> list[dict[str, Any]]:
    """The jobs that were submitted for a run: name, id and attempt; none where it was never submitted."""
    try:
        return list(json.loads((run / "slurm" / "jobs.json").read_text()))
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise UserError(f"{run}/slurm/jobs.json cannot be read ({error}); remove it to forget the run's jobs") from None


def job_states(run: Path) -> list[dict[str, Any]] | None:
    """The run's jobs with their tasks and states; None where SLURM cannot be asked.

    A job that `squeue` does not know any more has the state that `sacct` tells, or `over` where it tells none.
    """
    jobs = read_jobs(run)
    if not jobs or shutil.which("squeue") is None:
        return [] if not jobs else None
    living = _living([job["id"] for job in jobs])
    if living is None:
        return None
    gone = [job["id"] for job in jobs if job["id"] not in living]
    accounted = _accounted(gone)
    rows = []
    for job in jobs:
        for task, state in living.get(job["id"]) or [("", accounted.get(job["id"], "over"))]:
            rows.append({**job, "task": task, "state": state, "lives": job["id"] in living})
    return rows


def cancel(ids: Sequence[str]) -> None:
    """Cancel jobs, of which there may be none.

    Raises:
        UserError: SLURM refuses, or does not answer.
    """
    if not ids:
        return
    words = ["scancel", *ids]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise UserError(f"SLURM did not answer within {SECONDS} s to {' '.join(words)}") from None
    if done.returncode:
        raise UserError(f"SLURM did not cancel {' '.join(ids)} ({' '.join(done.stderr.split())})")


def stop_jobs(run: Path) -> list[tuple[str, str]]:
    """Cancel every job of a run that lives, and let no merge job send lost parts again until it is submitted anew.

    Returns:
        Names and ids of the jobs that were cancelled.

    Raises:
        UserError: the run has no jobs, or SLURM cannot be asked or refuses.
    """
    if not read_jobs(run):
        raise UserError(f"{run}: no jobs were sent for it; give the folder that `dyad submit` named")
    _mark(run).touch()
    ended: dict[str, str] = {}
    while True:  # a merge job may have been sending just then: what it sent before it saw the mark goes, too
        rows = job_states(run)
        if rows is None:
            raise UserError(f"{run}: SLURM cannot be asked about its jobs from here; go to a login node")
        living = {row["id"]: row["name"] for row in rows if row["lives"] and row["id"] not in ended}
        if not living:
            return [(name, number) for number, name in ended.items()]
        cancel(sorted(living, key=lambda number: living[number] != "merge"))
        ended |= living


def begin_jobs(run: Path) -> None:
    """A run whose jobs are all over is submitted anew: it is not stopped any more, and its old jobs are set aside."""
    _mark(run).unlink(missing_ok=True)
    if (known := run / "slurm" / "jobs.json").exists():
        known.replace(known.with_name("jobs.before.json"))


def cancel_attempt(run: Path, attempt: int) -> None:
    """Cancel what lives of an attempt whose merge job was itself queued again while it sent it.

    Raises:
        UserError: SLURM refuses.
    """
    rows = job_states(run) or []
    cancel(
        [
            row["id"]
            for row in rows
            if row["lives"] and row["attempt"] == attempt and not row["name"].startswith("serve-")
        ]
    )


def refuse_if_stopped(run: Path) -> None:
    """Refuse to send lost parts of a run again that somebody stopped.

    Raises:
        UserError: it was stopped.
    """
    if _mark(run).exists():
        raise UserError(f"{run}: it was stopped by `dyad submit stop`, so nothing is sent again")


def _mark(run: Path) -> Path:
    return run / "slurm" / "stopped"


def _living(ids: Sequence[str]) -> dict[str, list[tuple[str, str]]] | None:
    words = ["squeue", "--noheader", "--array", "--format=%F|%K|%T|%r|%N", f"--jobs={','.join(ids)}"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return None
    if done.returncode and "Invalid job id" not in done.stderr:  # what it says of a single one that is over
        return None
    found: dict[str, list[tuple[str, str]]] = {}
    for line in done.stdout.splitlines():
        number, task, state, reason, node = (*line.split("|"), "", "", "", "")[:5]
        if number in ids and state not in OVER:
            why = node or (f"({reason})" if reason != "None" else "")
            found.setdefault(number, []).append(("" if task == "N/A" else task, f"{state} {why}".strip()))
    return found


def _accounted(ids: Sequence[str]) -> dict[str, str]:
    if not ids or shutil.which("sacct") is None:
        return {}
    words = ["sacct", "--noheader", "--allocations", "--parsable2", "--format=JobID,State", f"--jobs={','.join(ids)}"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return {}
    found: dict[str, set[str]] = {}
    for line in done.stdout.splitlines():
        number, _, state = line.partition("|")
        found.setdefault(number.partition("_")[0], set()).add(state)
    return {number: ", ".join(sorted(states)) for number, states in found.items()}
