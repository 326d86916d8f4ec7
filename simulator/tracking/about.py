"""What W&B's config says of a run: its configuration and identity, the jobs it ran in, the state of the code.

Environment variables are read by name, so that no secret among them can come along.
"""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import simulator
from simulator.secrets import without_secrets
from simulator.store.runs import RunFolder

JOB_VARIABLES = (
    "SLURM_CLUSTER_NAME", "SLURM_JOB_ID", "SLURM_JOB_NAME", "SLURM_JOB_PARTITION", "SLURM_ARRAY_JOB_ID",
    "SLURM_ARRAY_TASK_ID", "SLURM_RESTART_COUNT",
)  # fmt: skip
_GIT_SECONDS = 5.0


def config_of(run: RunFolder) -> dict[str, Any]:
    """W&B's config of a run, nested; keys that say nothing are left out."""
    meta = run.meta
    about = {
        "identity": run.identity,
        **{name: meta.get(name) for name in ("kind", "experiment", "origin", "code_version", "created_by", "shards")},
        "folder": run.path.name,
        "design": meta.get("design"),
        "study": {
            name: without_secrets(part)
            for name, part in (meta.get("config") or {}).items()
            if name not in ("tracking", "out")
        },
        "slurm": {name.removeprefix("SLURM_").lower(): os.environ[name] for name in JOB_VARIABLES if name in os.environ}
        | submitted(run.path),
        "git": git_state(Path.cwd()) or git_state(Path(simulator.__file__).parent),
    }
    return {name: value for name, value in about.items() if value not in (None, {}, [])}


def submitted(folder: Path) -> dict[str, Any]:
    """The jobs that `dyad submit` sent, as it left them in the run's folder."""
    try:
        jobs = json.loads((folder / "slurm" / "jobs.json").read_text())
        return {"jobs": {f"{job['name']}.{job['attempt']}": job["id"] for job in jobs}}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def git_state(folder: Path) -> dict[str, Any] | None:
    """Commit, branch and how many files differ from it; None where the folder is in no repository."""
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return None
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return {
        "commit": commit,
        "branch": _git(folder, "rev-parse", "--abbrev-ref", "HEAD"),
        "changed_files": None if changed is None else len(changed.splitlines()),
    }


def _git(folder: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, text=True, timeout=_GIT_SECONDS, check=False,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
