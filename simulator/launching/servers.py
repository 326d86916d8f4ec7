"""The server jobs of a run that lives on a cluster: sent again where they are gone, one more, or ended.

Which jobs serve is in `RUN/slurm/jobs.json`, what each does in `RUN/slurm/serve-<purpose>-<number>.sbatch`. A server
joins by the endpoint file that its job writes and leaves with it, so the rest of the chain is told nothing.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from simulator.errors import UserError, nearest
from simulator.launching.slurm import cancel, job_states, record_jobs, sbatch

_NAME = re.compile(r"serve-(\w+)-(\d+)")


def replace_servers(run: Path, purposes: Sequence[str] = ()) -> list[tuple[str, str]]:
    """Send every server job again that does not live any more; or one more for each of `purposes`.

    Returns:
        Names and ids of the jobs that were sent.

    Raises:
        UserError: the run has no server jobs, or SLURM cannot be asked or refuses.
    """
    rows = _server_rows(run)
    known = sorted({row["name"] for row in rows}, key=_place)
    for row in rows:
        if not row["lives"]:  # what it left behind names a server that is gone
            (run / "endpoints" / _place(row["name"])[0] / f"{row['id']}.json").unlink(missing_ok=True)
    living = {row["name"] for row in rows if row["lives"]}
    attempt = max(row["attempt"] for row in rows)
    sent: dict[str, str] = {}

    def send(name: str) -> None:
        sent[name] = sbatch(name, run / "slurm" / f"{name}.sbatch")
        record_jobs(run, {name: sent[name]}, attempt)  # at once: the next one may be refused

    for purpose in purposes:
        numbers = [number for served, number in map(_place, [*known, *sent]) if served == purpose]
        if not numbers:
            raise UserError(
                f"{run}: no server jobs for '{purpose}'{nearest(purpose, {_place(one)[0] for one in known})}"
            )
        name = f"serve-{purpose}-{max(numbers) + 1}"
        first = run / "slurm" / f"serve-{purpose}-{min(numbers)}.sbatch"
        script = first.with_name(f"{name}.sbatch")
        script.write_text(re.sub(r"(?m)^(#SBATCH --job-name=.*-)\d+$", rf"\g<1>{max(numbers) + 1}", first.read_text()))
        send(name)
    for name in () if purposes else known:
        if name not in living:
            send(name)
    return list(sent.items())


def end_servers(run: Path, attempt: int | None = None) -> list[tuple[str, str]]:
    """Cancel the server jobs that live; with `attempt`, only if no job of a later attempt at the run lives.

    Returns:
        Names and ids of the jobs that were cancelled.

    Raises:
        UserError: as `replace_servers`.
    """
    rows = _server_rows(run)
    later = attempt is not None and any(row["attempt"] > attempt and row["lives"] for row in job_states(run) or [])
    living = [] if later else [(row["name"], row["id"]) for row in rows if row["lives"]]
    cancel([number for _, number in living])
    return living


def ending_servers(run: Path) -> list[str]:
    """Server jobs that are on their way out: whether one of them queues again, SLURM does not say before it has ended.

    Raises:
        UserError: as `replace_servers`.
    """
    return [row["name"] for row in _server_rows(run) if row["state"].startswith("COMPLETING")]


def _server_rows(run: Path) -> list[dict[str, Any]]:
    rows = job_states(run)
    if rows is None:
        raise UserError(f"{run}: SLURM cannot be asked about its jobs from here; go to a login node")
    servers = [row for row in rows if _NAME.fullmatch(row["name"])]
    if not servers:
        raise UserError(f"{run}: no server jobs were sent for it; cluster.layout=pooled sends them")
    return servers


def _place(name: str) -> tuple[str, int]:
    found = _NAME.fullmatch(name)
    assert found is not None
    return found[1], int(found[2])
