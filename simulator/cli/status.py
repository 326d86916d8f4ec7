"""`dyad status RUN`: how far a run is, and whether its journal is sound; `--repair` cuts damaged files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from simulator.cli.main import OneLineParser
from simulator.cli.output import show, show_json


def main(arguments: Sequence[str]) -> int:
    """Run the command; see the module's docstring."""
    parser = OneLineParser("dyad status", description=__doc__)
    parser.add_argument("run", type=Path, help="a folder that `dyad run` or `dyad import` made")
    parser.add_argument(
        "--repair", action="store_true", help="cut damaged journal files where they go bad, keep the rest aside"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    from simulator.launching.slurm import job_states

    status = run_status(options.run, repair=options.repair)
    jobs = job_states(options.run)
    if options.json:
        show_json({**status, "jobs": jobs})
    else:
        for line in [*_lines(status), *_job_lines(jobs)]:
            show(line)
    return 0


def _job_lines(jobs: list[dict[str, Any]] | None) -> list[str]:
    if jobs is None:
        return ["it was submitted, and SLURM cannot be asked from here about its jobs"]
    living = [job for job in jobs if job["lives"]]
    lines = [f"  {job['name']} {job['id']}{'_' * bool(job['task'])}{job['task']}: {job['state']}" for job in living]
    over = len({job["id"] for job in jobs}) - len({job["id"] for job in living})
    return [f"SLURM: {len(living)} jobs and tasks live, {over} jobs are over", *lines] if jobs else []


def run_status(folder: Path, *, repair: bool = False) -> dict[str, Any]:
    """Counts of a run from its journal, and what a repair did.

    Raises:
        UserError: not a run; or a damaged journal file where `repair` is not set.
    """
    from simulator.store.leases import LAPSE_SECONDS
    from simulator.store.progress import progress_of
    from simulator.store.runs import open_run

    run = open_run(folder)
    shards = int(run.meta.get("shards", 0))
    repaired = _repair(run, shards) if repair else []
    limits = run.meta.get("config", {}).get("limits", {})
    progress = progress_of(run.journal, shards, limits.get("lease_seconds", LAPSE_SECONDS))
    planned = int(run.meta.get("design", {}).get("courses", 0))
    left = progress.seconds_left(planned)
    return {
        "run": str(run.path),
        "kind": run.meta.get("kind"),
        "experiment": run.meta.get("experiment"),
        "identity": run.identity,
        "running": progress.running,
        "planned": planned,
        "ended": progress.states["ended"],
        "failed": progress.states["failed"],
        "in_flight": progress.states["in_flight"],
        "not_begun": max(0, planned - progress.states.total()),
        "turns": progress.turns,
        "turns_per_second": _rounded(progress.turns_per_second),
        "courses_per_second": _rounded(progress.courses_per_second),
        "seconds_left": _rounded(left),
        "tokens": {
            "prompt": progress.prompt_tokens,
            "cached": progress.cached_tokens,
            "completion": progress.completion_tokens,
            "completion_per_second": _rounded(progress.tokens_per_second),
        },
        "calls": progress.calls,
        "retries": progress.retries,
        "set_aside": progress.set_aside,
        "without_ground": progress.without_ground,
        "failures": dict(progress.failures.most_common()),
        "guards": dict(progress.guards.most_common()),
        "notes": [*repaired, *progress.notes],
    }


def _repair(run: Any, shards: int) -> list[str]:
    """Cut every journal file where it goes bad; one line for each."""
    from simulator.store.histories import read_shard
    from simulator.store.journal import cut_tail
    from simulator.store.leases import Lease

    notes = []
    for shard in range(shards):
        lease = Lease(run.journal, shard)
        try:
            for file in read_shard(run.journal, shard, repair=True).torn:
                notes.append(f"{file.path}: {len(file.tail)} bytes cut, kept in {cut_tail(file)}")
        finally:
            lease.release()
    return notes


def _rounded(figure: float | None) -> float | None:
    return None if figure is None else round(figure, 3)


def _lines(status: dict[str, Any]) -> list[str]:
    if status["kind"] == "import":
        return [f"{status['run']}: an import ({status['experiment']}); nothing to run"]
    lines = [
        f"{status['run']}: {status['experiment']} ({status['identity'][:8]})",
        f"{status['ended']} of {status['planned']} courses ended, {status['in_flight']} in flight, "
        f"{status['not_begun']} not begun, {status['failed']} failed; {status['turns']} turns",
    ]
    lines += _pace(status)
    lines += [f"  {count} x {cause}" for cause, count in status["failures"].items()]
    if status["set_aside"]:
        lines.append(f"{status['set_aside']} records of an older writer were set aside")
    if status["without_ground"]:
        lines.append(f"{status['without_ground']} records that continued from cut ones were set aside")
    return [*lines, *map(str, status["notes"])]


def _pace(status: dict[str, Any]) -> list[str]:
    """Rates and tokens in words; nothing where nothing was done yet."""
    if not status["turns_per_second"]:
        return []
    pace = f"{status['turns_per_second']:.4g} turns/s"
    if status["running"] and status["seconds_left"]:
        hours, seconds = divmod(round(status["seconds_left"]), 3600)
        pace = f"running: {pace}, about {hours} h {seconds // 60:02d} min left"
    elif status["seconds_left"]:
        pace = f"not running; it made {pace}"
    else:
        pace = f"it made {pace}"
    lines = [pace]
    if status["calls"]:
        tokens = status["tokens"]
        lines.append(
            f"{status['calls']} calls ({status['retries']} retries): {tokens['prompt']} prompt tokens "
            f"({tokens['cached']} from the prefix cache), {tokens['completion']} completion tokens"
        )
    return lines
