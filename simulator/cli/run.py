"""`dyad run`: simulate, code and report a study.

A Hydra application: overrides, `--cfg job`, `--info`, `-m` and `--config-dir` work as Hydra's users expect. Our own
flags are taken out before Hydra parses: `--json` (one JSON object on stdout) and `--quiet`.
"""

import json
import os
import re
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from simulator.cli.output import progress_bar, say, show, show_json
from simulator.errors import UserError, nearest
from simulator.resources import resource_root

OUR_FLAGS = ("--json", "--quiet")


def main(arguments: Sequence[str]) -> int:
    """Run the command; see the module's docstring."""
    ours = {flag for flag in arguments if flag in OUR_FLAGS}

    rest = [word for word in arguments if word not in OUR_FLAGS]

    def job(content: Any, sweeping: bool, overrides: list[str]) -> dict[str, Any]:
        if sweeping:
            content, _ = in_group(content, sweep_name(content, rest))
        return run_one(content, overrides, quiet="--quiet" in ours, sweeping=sweeping)

    results = each_run("dyad run", rest, job)
    if "--json" in ours:
        show_json(results[0] if len(results) == 1 else {"runs": results})
    else:
        for result in results:
            show(_sentence(result))
    return 3 if any(result["stopped_by"] for result in results) else 0


Do = Callable[[Any, bool, list[str]], dict[str, Any]]


def each_run(program: str, arguments: list[str], do: Do) -> list[dict[str, Any]]:
    """Compose each run that Hydra's command line names (several with `-m`), and do something with each.

    What comes of it goes through files: a launcher of Hydra's may do each in a process of its own.

    Args:
        program: as it stands in usage lines.
        arguments: overrides and Hydra's own flags.
        do: takes the composed content, whether it is one of a sweep, and the overrides that compose it; gives what
            JSON can hold.

    Raises:
        UserError: a mistake in the configuration, or what `do` raised.
    """
    import hydra
    from hydra.core.hydra_config import HydraConfig
    from hydra.errors import HydraException
    from hydra.types import RunMode
    from omegaconf import DictConfig, OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    def job(config: DictConfig) -> None:
        about = HydraConfig.get()
        sweeping = about.mode is RunMode.MULTIRUN
        content = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
        try:
            came: dict[str, Any] = {"result": do(content, sweeping, list(about.overrides.task))}
        except UserError as mistake:  # carried out by hand: Hydra would print a second line of its own
            came = {"mistake": str(mistake)}
        place = Path(os.environ["DYAD_SWEEP_DIR"]) / f"{about.job.num if sweeping else 0:06d}.json"
        place.write_text(json.dumps(came))

    before = sys.argv
    several = [word for word in arguments if word in ("-m", "--multirun")]  # Hydra wants it before overrides
    words = [*several, *(word for word in arguments if word not in several)]
    _check_flags(program, words)
    sys.argv = [program, *words]
    os.environ["HYDRA_FULL_ERROR"] = "1"  # so that errors reach us, and the user as one line
    try:
        with tempfile.TemporaryDirectory(prefix="dyad-sweep-") as scratch:
            os.environ["DYAD_SWEEP_DIR"] = scratch
            decorated = hydra.main(version_base="1.3", config_path=str(resource_root("conf")), config_name="config")
            decorated(job)()
            ends = [json.loads(file.read_text()) for file in sorted(Path(scratch).glob("*.json"))]
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(f"configuration: {one_line(str(error))}") from None
    finally:
        sys.argv = before
    mistakes = [end["mistake"] for end in ends if "mistake" in end]
    if mistakes:
        done = [end["result"]["run"] for end in ends if "result" in end]
        before_it = f" (done before it or beside it: {', '.join(done)})" if done else ""
        raise UserError(f"{mistakes[0]}{before_it}")
    return [end["result"] for end in ends]


def _check_flags(program: str, words: Sequence[str]) -> None:
    """Have Hydra's own parser look at its flags, for one line where it would print its whole usage."""
    from hydra._internal.utils import get_args_parser

    parser = get_args_parser()

    def refuse(message: str) -> NoReturn:
        raise UserError(f"{program}: {message}; see `{program} --help`")

    parser.error = refuse  # type: ignore[method-assign]
    parser.parse_args(words)


def one_line(message: str) -> str:
    """Hydra's explanation in one line, with the nearest valid name."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    missing = re.search(r"Could not (?:find|load) '(.+)/([^/']+)'", message)
    if missing:
        group, name = missing.groups()
        folder = resource_root("conf") / group
        return f"{group}: no option '{name}'{nearest(name, (path.stem for path in folder.glob('*.yaml')))}"
    unknown = re.search(r"Could not override '([^']+)'", message)
    if unknown:
        from simulator.studies.config import known_keys

        *parents, key = unknown.group(1).split(".")
        return f"unknown key '{unknown.group(1)}'{nearest(key, known_keys(parents))}"
    return " ".join(lines)[:300]


def run_one(content: Any, overrides: Sequence[str] = (), *, quiet: bool, sweeping: bool) -> dict[str, Any]:
    """Run one composed configuration, stage by stage where it has stages; returns what is printed about it."""
    if content.get("stages"):
        from simulator.cli.stages import run_stages

        if sweeping:
            raise UserError("-m: a study in stages is run by itself; give one command for each setting")
        return run_stages(content, overrides, lambda stage: run_one(stage, quiet=quiet, sweeping=False), quiet)
    from simulator.studies.chairs import coder_options
    from simulator.studies.config import parse_config
    from simulator.studies.running import run_study
    from simulator.tracking.child import TrackerProcess
    from simulator.tracking.settings import parse_tracking

    if sweeping and content.get("out"):
        content = out_below(content)
    config = parse_config(content)
    coders = coder_options(config)
    tracking = parse_tracking(config.tracking)
    tracked = tracking.kind == "wandb" and config.part is None  # parts never write W&B: `dyad track` does
    bar = None

    def progress(tally: Any, plan: Any) -> None:
        nonlocal bar
        if bar is None:
            bar = progress_bar(plan.size, "simulating", quiet)
        bar.update(tally.tried + tally.skipped - bar.n)

    with TrackerProcess(tracking if tracked else None, say) as tracker:

        def started(run: Any, plan: Any) -> None:
            if not quiet:
                say(_opening(run.path, plan))
            tracker.start(run.path)

        result = run_study(config, progress, started)
        if bar is not None:
            bar.close()
        for line in result.notes:
            say(line)
        outcome: dict[str, Any] = {
            "run": str(result.run.path),
            "identity": result.run.identity,
            "courses": result.plan.size if result.part_courses is None else result.part_courses,
            "ended": result.tally.ended + result.tally.skipped - result.tally.failed_before,
            "failed": result.tally.failed + result.tally.failed_before,
            "failures": result.tally.failures,
            "stopped_by": result.tally.stopped_by,
            "report": None,
        }
        if result.finished and config.part is None:
            outcome["report"] = measure(result.run.path, coders, config.report, quiet)
            tracker.over = True
    return outcome


def sweep_name(content: Any, words: Sequence[str]) -> str:
    """What the runs of one sweep are called together: the folder they lie in, or else a hash of what was swept."""
    from simulator.records.fingerprints import fingerprint

    if content.get("out"):
        return Path(content["out"]).name
    elsewhere = ("cluster", "tracking", "limits", "hydra", "-", "report")
    swept = sorted(word for word in words if not word.lstrip("+~").startswith(elsewhere))
    is_swept = any(word.startswith("experiment=") and "," in word for word in words)
    return f"{'sweep' if is_swept else content['experiment']}-{fingerprint(swept)[:8]}"


def in_group(content: dict[str, Any], name: str) -> tuple[dict[str, Any], list[str]]:
    """The same run, tracked as one of a group, and the override that says so; unchanged, without an override, where it
    is not tracked or names a group itself."""
    tracking = content.get("tracking") or {}
    if tracking.get("kind") != "wandb" or tracking.get("group") is not None:
        return content, []
    return {**content, "tracking": {**tracking, "group": name}}, [f"tracking.group='{name}'"]


def _opening(folder: Path, plan: Any) -> str:
    cut = len(plan.personas) < plan.available_personas
    limited = f" (of {plan.available_personas}: personas.limit)" if cut else ""
    return (
        f"run: {folder}\n{len(plan.personas)} personas{limited} x {len(plan.conditions)} conditions "
        f"x {plan.config.replicates} replicates = {plan.size} courses"
    )


def out_below(content: dict[str, Any]) -> dict[str, Any]:
    """With `-m`, `out` is the parent of one folder per setting, named as the default folder is."""
    from simulator.studies.config import parse_config
    from simulator.studies.identity import identity_components, identity_of
    from simulator.studies.plan import make_plan
    from simulator.studies.running import default_folder

    config = parse_config(content)
    name = default_folder(config, identity_of(identity_components(make_plan(config)))).name
    return {**content, "out": str(Path(content["out"]) / name)}


def measure(folder: Path, coders: dict[str, dict[str, Any]], report: bool, quiet: bool) -> str | None:
    """Code a run's dataset and write its report; returns where the report is, or None where none was asked for."""
    from simulator.coding.datasets import code_run
    from simulator.reporting.writing import report_run

    for name, options in coders.items():
        if not quiet:
            say(f"coding: {name}")
        coded = code_run(folder, name, options)
        if coded.usage is not None and not quiet:
            say(f"{name}: {coded.usage.words}")
    return str(report_run(folder)) if report else None


def _sentence(result: dict[str, Any]) -> str:
    done = f"{result['ended']} of {result['courses']} courses ended"
    if result["failed"]:
        causes = ", ".join(f"{cause}: {count}" for cause, count in result["failures"].items()) or "in an earlier run"
        done += f", {result['failed']} failed ({causes}); retry_failed=true takes them up again"
    if result["stopped_by"]:
        again = "the same command"
        if result["stopped_by"].startswith("limits.") and " is reached " in result["stopped_by"]:
            again += " with a higher limit"
        return f"{done}; stopped: {result['stopped_by']}; {again} goes on from here\nrun: {result['run']}"
    return f"{done}\nreport: {result['report']}" if result["report"] else f"{done}\nrun: {result['run']}"
