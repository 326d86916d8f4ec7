"""A run as a chain of jobs, rendered from the templates in `slurm/`; nothing is asked or sent here.

    serve-* (pooled)   simulate (an array of parts) -> merge -> code -> then.* -> report -> release (ends the servers)

The merge job follows however the array ends: it sends lost parts again, a bounded number of times, and only with all
courses over the rest goes on. The servers end however the chain does. A variable that a template asks for and nobody
gives is one line.
"""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError, TemplateNotFound

from simulator.errors import UserError
from simulator.launching.settings import ClusterSettings
from simulator.resources import resource_root


@dataclass(frozen=True, slots=True)
class Job:
    """One submission: its script, and the jobs it waits for (`after`: names, with `how` they must have ended)."""

    name: str
    script: str
    after: tuple[str, ...] = ()
    how: str = "afterok"


@dataclass(frozen=True, slots=True)
class Submission:
    """What a run is submitted with.

    Args:
        overrides: what composes the study, `cluster` and `out` left out.
        cluster_overrides: the rest, by which the merge job sends lost parts again.
        flags: Hydra's flags, for instance --config-dir.
        run: the run's folder, as the commands name it.
        workdir: where they are given.
    """

    overrides: Sequence[str]
    cluster_overrides: Sequence[str]
    flags: Sequence[str]
    run: Path
    workdir: Path
    tracking: Sequence[str] | None = None
    """Settings of the job that tells W&B (`key=value` of the group `tracking`); None where nothing is tracked."""


def split_overrides(overrides: Sequence[str]) -> tuple[list[str], list[str]]:
    """What composes the study, and what says where it is sent; `out`, `shards` and the group `tracking`, which has a
    job of its own, are in neither."""
    study: list[str] = []
    cluster: list[str] = []
    for word in overrides:
        key = word.lstrip("+~").partition("=")[0]
        if key in ("out", "shards", "cluster.attempt") or key.partition(".")[0] == "tracking":
            continue
        (cluster if key == "cluster" or key.startswith("cluster.") else study).append(word)
    return study, cluster


def chain(settings: ClusterSettings, submission: Submission, parts: Sequence[int]) -> list[Job]:
    """All jobs, in the order of their submission.

    Args:
        settings: the cluster.
        submission: the run.
        parts: those of the run's `settings.tasks` parts that are to be simulated.

    Raises:
        UserError: a template is missing, wrong, or asks for a variable that nobody gives.
    """
    templates = _templates(settings)
    words = [*submission.flags, *submission.overrides, *_endpoint_overrides(settings, submission.run)]
    run = shlex.quote(str(submission.run))
    line = " ".join([settings.dyad, "run", *map(shlex.quote, [*words, f"out={submission.run}"])])
    coding_words = [word for word in words if not word.lstrip("+").startswith("retry_failed=")]  # that is for the array
    code_line = " ".join([settings.dyad, "run", *map(shlex.quote, [*coding_words, f"out={submission.run}"])])
    again = [*submission.flags, *submission.overrides, *submission.cluster_overrides, f"out={submission.run}",
             f"++cluster.attempt={settings.attempt + 1}"]  # fmt: skip
    shared: dict[str, Any] = {
        **settings.model_dump(exclude={"servers", "then", "serve", "variables", "after"}),
        "run": run,
        "run_name": submission.run.name,
        "workdir": str(submission.workdir),
        "logs": str(submission.run / "slurm"),
        "dyad_run": line,
        "resubmit": " ".join([settings.dyad, "submit", *map(shlex.quote, again)]),
        "array": _array(parts, settings.at_once),
        "endpoints": shlex.quote(str(submission.run / "endpoints")),
        "purposes": sorted(settings.servers),
        "serve": " ".join(map(shlex.quote, [*submission.flags, *settings.serve])),
        "tracking": "".join(f" {shlex.quote(word)}" for word in submission.tracking or ()),
        "drain_seconds": max(1, settings.signal_seconds * 3 // 4),
        **settings.variables,
    }

    size = settings.after.model_dump(exclude_none=True)
    placed = {key: size[key] for key in ("partition", "constraint", "directives") if key in size}

    def job(name: str, template: str, after: Sequence[str] = (), how: str = "afterok", **more: Any) -> Job:
        content = {**shared, "name": f"dyad-{submission.run.name}-{name}", **more}
        return Job(name, _render(templates, template, content), tuple(after), how)

    jobs = []
    if settings.attempt == 0:
        for purpose, server in settings.servers.items():
            about = {**server.model_dump(exclude={"serve", "jobs"}, exclude_none=True), "purpose": purpose,
                     "serve": " ".join(map(shlex.quote, [*submission.flags, *server.serve]))}  # fmt: skip
            jobs += [job(f"serve-{purpose}-{number}", "serve.sbatch", **about) for number in range(server.jobs)]
    if submission.tracking is not None and settings.attempt == 0:
        jobs.append(job("track", "track.sbatch", **placed))
    if parts:
        begun = [f"serve-{purpose}-0" for purpose in settings.servers] if settings.attempt == 0 else []
        jobs.append(job("simulate", "simulate.sbatch", begun, "after"))  # no task waits while servers are in the queue
    jobs.append(job("merge", "merge.sbatch", ["simulate"] if parts else [], "afterany", **size))
    coding = " ".join(word for word in words if word.startswith(("model.endpoints=", "coders.model.endpoints=")))
    jobs.append(job("code", "after.sbatch", ["merge"], purposes=_asked(settings, coding),
                    command=f"{code_line} report=false", **size))  # fmt: skip
    last = "code"
    for name, command in settings.then.items():
        text = _render_text(templates, f"cluster.then.{name}", command, shared)
        jobs.append(job(name, "after.sbatch", [last], purposes=_asked(settings, text), command=text, **size))
        last = name
    jobs.append(job("report", "after.sbatch", [last], purposes=[], command=f"{settings.dyad} report {run}", **size))
    if settings.servers:
        jobs.append(job("release", "release.sbatch", ["report"], "afterany", **placed))
    return jobs


def _asked(settings: ClusterSettings, text: str) -> list[str]:
    """The servers that words of a command name."""
    return [purpose for purpose in sorted(settings.servers) if re.search(rf"/endpoints/{purpose}\b", text)]


def _array(parts: Sequence[int], at_once: int | None) -> str:
    spans: list[list[int]] = []
    for part in parts:
        if spans and part == spans[-1][1] + 1:
            spans[-1][1] = part
        else:
            spans.append([part, part])
    text = ",".join(str(low) if low == high else f"{low}-{high}" for low, high in spans)
    return text if at_once is None else f"{text}%{at_once}"


def _endpoint_overrides(settings: ClusterSettings, run: Path) -> list[str]:
    """Where the chairs find the servers of layout=pooled, and that they outlive the loss of all of them for a while.
    With layout=colocated a task says where its own is; the jobs behind the array only have to know that it has one."""
    if settings.layout == "colocated":
        return [f"model.endpoints={run / 'endpoints' / 'model'}"]
    found = []
    for purpose in settings.servers:
        place = "model" if purpose == "model" else f"{purpose}.model"
        found += [f"{place}.endpoints={run / 'endpoints' / purpose}", f"{place}.pool.patience={settings.wait_seconds}"]
    return found


def _templates(settings: ClusterSettings) -> Environment:
    folders = [str(resource_root("slurm"))]
    if settings.templates is not None:
        own = Path(settings.templates).expanduser()
        if not own.is_dir():
            raise UserError(f"cluster.templates: {own} is no folder; copy slurm/ there and edit it")
        folders.insert(0, str(own))
    return Environment(
        loader=FileSystemLoader(folders), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        keep_trailing_newline=True, autoescape=False,
    )  # fmt: skip


def _render(templates: Environment, name: str, content: Mapping[str, Any]) -> str:
    try:
        return templates.get_template(name).render(content)
    except TemplateNotFound as error:
        raise UserError(f"slurm template {error.name} is missing; reinstall Dyad, or copy it from slurm/") from None
    except TemplateError as error:
        raise UserError(f"slurm template {name}: {error.message}; give it as cluster.variables.NAME=...") from None


def _render_text(templates: Environment, where: str, text: str, content: Mapping[str, Any]) -> str:
    try:
        return templates.from_string(text).render(content)
    except TemplateError as error:
        raise UserError(f"{where}: {error.message}; {{{{ run }}}} is the run's folder") from None
