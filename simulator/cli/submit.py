"""`dyad submit`: send a study to a cluster, with the overrides of `dyad run` and the group `cluster`.

dyad submit cluster=slurm replicates=10            prints the ids of its jobs and returns at once
dyad submit cluster=slurm --dry-run                prints every submission; needs neither SLURM nor a site's settings
dyad submit cluster=slurm -m seed=1,2,3 out=runs/sweep
dyad submit cluster=local                          the same chain in this process
dyad submit servers RUN                            sends server jobs again that are gone; `--end` cancels all
dyad submit servers RUN client                     sends one more for the clients
dyad submit stop RUN                               cancels every job of the run; the same `dyad submit` goes on later
"""

import argparse
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from simulator.cli.main import OneLineParser
from simulator.cli.output import say, show, show_json
from simulator.cli.run import each_run, in_group, out_below, run_one, sweep_name
from simulator.errors import UserError

OUR_FLAGS = ("--json", "--quiet", "--dry-run")
_NOT_IN_SCRIPTS = re.compile(r"""[\s"'`$\\%!&;()<>|*?#]""")


def main(arguments: Sequence[str]) -> int:
    """Run the command; see the module's docstring."""
    if arguments and arguments[0] == "servers":
        return _servers(arguments[1:])
    if arguments and arguments[0] == "stop":
        return _stop(arguments[1:])
    ours = {flag for flag in arguments if flag in OUR_FLAGS}
    rest = [word for word in arguments if word not in OUR_FLAGS]
    flags = _config_dir(rest)
    quiet, dry = "--quiet" in ours, "--dry-run" in ours
    from simulator.launching.settings import parse_cluster

    def job(content: Any, sweeping: bool, overrides: list[str]) -> dict[str, Any]:
        if sweeping:
            content, grouped = in_group(content, sweep_name(content, rest))
            overrides = [*overrides, *grouped]
        if sweeping and content.get("out"):
            seen = _with_servers(content, parse_cluster(content.get("cluster") or {}))  # as its jobs will see it
            content = {**content, "out": out_below(seen)["out"]}
        return submit_one(content, overrides, flags, quiet=quiet, dry=dry)

    results = each_run("dyad submit", rest, job)
    if "--json" in ours:
        show_json({"runs": results})
    elif not dry:
        for result in results:
            for name, number in result["jobs"]:
                show(f"{name}: {number}")
            show(f"run: {result['run']}")
    return 3 if any(result["stopped_by"] for result in results) else 0


def _servers(arguments: Sequence[str]) -> int:
    from simulator.launching.servers import end_servers, ending_servers, replace_servers

    parser = OneLineParser("dyad submit servers", description="Server jobs of a run that was submitted.")
    parser.add_argument("run", type=Path, help="a folder that `dyad submit` made, with cluster.layout=pooled")
    parser.add_argument("purposes", nargs="*", help="send one more for each; else those that are gone are sent again")
    parser.add_argument("--end", action="store_true", help="cancel those that live")
    parser.add_argument("--attempt", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    run: Path = options.run
    jobs = end_servers(run, options.attempt) if options.end else replace_servers(run, options.purposes)
    for name, number in jobs:
        show(f"{name}: {number}{' cancelled' * options.end}")
    if not jobs:
        ending = [] if options.end else ending_servers(run)
        more = f"; {', '.join(ending)}: ending just now, ask again in some seconds" if ending else ""
        show("no server jobs to end" if options.end else f"every server job lives{more}")
    return 0


def _stop(arguments: Sequence[str]) -> int:
    from simulator.launching.slurm import stop_jobs

    parser = OneLineParser(
        "dyad submit stop", description="Cancel every job of a run; nothing that was written is lost."
    )
    parser.add_argument("run", type=Path, help="a folder that `dyad submit` made")
    jobs = stop_jobs(parser.parse_args(arguments).run)
    for name, number in jobs:
        show(f"{name}: {number} cancelled")
    if not jobs:
        show("no job of this run lives")
    return 0


def _config_dir(words: Sequence[str]) -> list[str]:
    for number, word in enumerate(words):
        if word in ("--config-dir", "-cd") and number + 1 < len(words):
            return ["--config-dir", str(Path(words[number + 1]).resolve())]
        if word.startswith("--config-dir="):
            return ["--config-dir", str(Path(word.partition("=")[2]).resolve())]
    return []


def submit_one(content: Any, overrides: list[str], flags: list[str], *, quiet: bool, dry: bool) -> dict[str, Any]:
    """Submit one composed run; returns its folder and the jobs (names and ids)."""
    from simulator.launching.chain import Submission, chain, split_overrides
    from simulator.launching.servers import replace_servers
    from simulator.launching.settings import parse_cluster
    from simulator.launching.slurm import (
        begin_jobs,
        cancel_attempt,
        command_of,
        refuse_if_stopped,
        script_of,
        submit_jobs,
    )
    from simulator.studies.config import parse_config
    from simulator.studies.identity import identity_components, identity_of
    from simulator.studies.plan import make_plan
    from simulator.studies.running import default_folder
    from simulator.tracking.settings import parse_tracking

    if content.get("stages"):
        raise UserError(
            f"experiment={content['experiment']} is a study in stages; run it as one job with `dyad run`, on a node "
            "that reaches the model server"
        )
    settings = parse_cluster(content.get("cluster") or {})
    _check_serving(settings, flags)
    content = _with_servers(content, settings)
    config = parse_config({**content, "shards": f"0/{settings.tasks}"})
    plan = make_plan(config)
    folder = Path(config.out) if config.out else default_folder(config, identity_of(identity_components(plan)))
    result: dict[str, Any] = {"run": str(folder), "jobs": [], "stopped_by": None}
    for what, place in (("out", folder), ("the folder you are in", Path.cwd())):
        if settings.kind == "slurm" and (odd := _NOT_IN_SCRIPTS.search(str(place))):
            raise UserError(f"{what}: '{place}' holds {odd[0]!r}, which SLURM's scripts do not bear; use another name")
    if settings.kind == "local":
        return result if dry else _in_process(content, settings.tasks, folder, quiet)
    if settings.attempt and not dry:
        refuse_if_stopped(folder)
    parts = list(range(settings.tasks)) if dry else _parts_to_do(plan, folder, settings.tasks, settings.attempt)
    study, cluster = split_overrides(overrides)
    tracking = None
    if parse_tracking(config.tracking).kind == "wandb":
        tracking = [word for word in overrides if word.startswith("tracking.")]
    jobs = chain(settings, Submission(study, cluster, flags, folder, Path.cwd(), tracking), parts)
    if dry:
        for job in jobs:
            show(f"# {job.name}\n$ {shlex.join(command_of(job, script_of(folder, job, settings.attempt), {}))}")
            show(job.script)
        return result
    if settings.attempt:
        cancel_attempt(folder, settings.attempt)
    else:
        begin_jobs(folder)
    again = replace_servers(folder) if settings.attempt and settings.servers else []
    return result | {"jobs": [*again, *submit_jobs(jobs, folder, settings.attempt)]}


def _check_serving(settings: Any, flags: Sequence[str]) -> None:
    """Compose what server jobs will serve, before they wait for GPUs.

    Raises:
        UserError: a mistake in it.
    """
    from simulator.serving.settings import compose_serving

    for words in [settings.serve, *(server.serve for server in settings.servers.values())]:
        if words:
            compose_serving(list(words), flags[-1] if flags else None)


def _with_servers(content: Any, settings: Any) -> Any:
    """The configuration as the jobs will see it: models are where the layout serves them."""
    purposes = ["model"] if settings.layout == "colocated" else list(settings.servers)
    for purpose in purposes:
        holder = content if purpose == "model" else content.get(purpose) or {}
        if not holder.get("model"):
            key = "model=NAME" if purpose == "model" else f"model@{purpose}.model=NAME"
            raise UserError(f"cluster.servers.{purpose}: nothing in the study asks for this model; add {key}")
        place = {**holder["model"], "url": None, "endpoints": f"endpoints/{purpose}"}
        content = {**content, purpose: place if purpose == "model" else {**holder, "model": place}}
    return content


def _parts_to_do(plan: Any, folder: Path, tasks: int, attempt: int) -> list[int]:
    """Make the run's folder, or open it, and find the parts that are not over.

    Raises:
        UserError: jobs of this run still live.
    """
    from simulator.launching.slurm import job_states
    from simulator.studies.limits import meter_for
    from simulator.studies.part import Part
    from simulator.studies.parts import unfinished_parts
    from simulator.studies.running import open_or_create

    run = open_or_create(plan)
    states = job_states(folder) if attempt == 0 else []
    if states is None:
        raise UserError(f"{folder}: SLURM cannot be asked whether jobs of this run still live; try again")
    living = sorted({row["id"] for row in states if row["lives"]})
    if living:
        raise UserError(
            f"{folder}: jobs of this run still live ({', '.join(living)}); wait, or end them by `dyad submit stop`"
        )
    shards = int(run.meta["shards"])
    try:
        Part(0, tasks).shards(shards)
    except ValueError as error:
        raise UserError(f"cluster.tasks={tasks}: {error}") from None
    parts = unfinished_parts(run, plan.index(), shards, tasks, plan.config.retry_failed and attempt == 0)
    if parts and (reached := meter_for(plan.config, run.journal, shards, 1, priced=True).reached()):
        raise UserError(f"{folder}: {reached}; nothing is sent, a higher limit goes on from here")
    return parts


def _in_process(content: Any, tasks: int, folder: Path, quiet: bool) -> dict[str, Any]:
    """The same chain without a cluster: every part, then the rest."""
    content = {**content, "out": str(folder)}
    for number in range(tasks):
        if not quiet:
            say(f"part {number} of {tasks}")
        result = run_one({**content, "shards": f"{number}/{tasks}"}, quiet=True, sweeping=False)
        if result["stopped_by"]:
            return {"run": str(folder), "jobs": [], "stopped_by": result["stopped_by"]}
    result = run_one({**content, "shards": None}, quiet=quiet, sweeping=False)
    return {"run": str(folder), "jobs": [], "stopped_by": result["stopped_by"]}
