"""Studies in stages for `dyad run` and `dyad report`: every stage as a run, then what concludes them."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from simulator.cli.output import say
from simulator.errors import UserError
from simulator.locate import locate
from simulator.studies.stages import STAGES_FILE, Stage, folders_of, left_out, stage_overrides, stages_of

RunStage = Callable[[dict[str, Any]], dict[str, Any]]
_NOT_COUNTED = (
    "out", "limits", "report", "retry_failed", "accept_code_change", "extend", "cluster", "tracking", "shards",
    "conclude",
)  # fmt: skip


def run_stages(
    content: Mapping[str, Any], overrides: Sequence[str], run_stage: RunStage, quiet: bool
) -> dict[str, Any]:
    """Run all stages of a composed study, or continue them; returns what is printed about it.

    Args:
        content: the whole study as it was composed.
        overrides: the user's.
        run_stage: runs one composed stage, as `dyad run` runs a study.
        quiet: whether to say which stage it is.

    Raises:
        UserError: a stage cannot be run; what the stages before it left stays.
    """
    from simulator.store.runs import open_run
    from simulator.studies.composing import composed

    if content.get("shards") is not None and not isinstance(content["shards"], int):
        raise UserError("shards: a study in stages is run whole; name parts of one of its stages instead")
    table = stages_of(content)
    folder = Path(content["out"]).expanduser() if content.get("out") else _default_folder(content)
    _make(folder, content)
    folders = folders_of(content, table, folder)
    outcomes: dict[str, dict[str, Any]] = {}
    for place, (name, stage) in enumerate(table.items(), 1):
        if left_out(content, stage) is not None:
            open_run(folders[name])
            continue
        if not quiet:
            say(f"stage {place} of {len(table)}: {name}")
        own = composed(*stage_overrides(content, stage, overrides, folders, folders[name]))
        outcomes[name] = run_stage({**own, "stages": {}, "conclude": None})
        if outcomes[name]["stopped_by"]:
            break
    stopped = next((one["stopped_by"] for one in outcomes.values() if one["stopped_by"]), None)
    report = None
    if stopped is None:
        _note(folder, content, folders, table)
        if content.get("report", True) and content.get("conclude"):
            report = str(conclude(folder))
    failures: dict[str, int] = {}
    for one in outcomes.values():
        for cause, count in one["failures"].items():
            failures[cause] = failures.get(cause, 0) + count
    sums = {key: sum(one[key] for one in outcomes.values()) for key in ("courses", "ended", "failed")}
    return {
        "run": str(folder), "stages": outcomes, **sums, "failures": failures, "stopped_by": stopped, "report": report,
    }  # fmt: skip


def conclude(folder: Path) -> Path:
    """Measure all stages of a study that is done and write its report; returns where that is.

    Raises:
        UserError: the stages are not done.
    """
    file = folder / STAGES_FILE
    noted = json.loads(file.read_text()) if file.exists() else {}
    if "stages" not in noted:
        raise UserError(f"{folder}: its stages are not done; the command that began them goes on from there")
    written: Path = locate(noted["conclude"], "conclude")(folder)
    return written


def _make(folder: Path, content: Mapping[str, Any]) -> None:
    from simulator.store.runs import write_atomically

    file = folder / STAGES_FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not file.exists():
            if any(not entry.name.startswith(".") for entry in folder.iterdir()):
                raise UserError(f"{folder} is not empty and no study in stages; name another folder, or empty it")
            write_atomically(file, json.dumps({"experiment": content["experiment"]}, indent=1).encode())
    except OSError as error:
        raise UserError(f"cannot write {folder}: {error.strerror}; choose another folder") from None


def _note(folder: Path, content: Mapping[str, Any], folders: Mapping[str, Path], table: Mapping[str, Stage]) -> None:
    """Say where every stage lies: below the study's folder by its name, a given one by its path."""
    from simulator.store.runs import write_atomically

    places = {
        name: name if left_out(content, table[name]) is None else str(path.resolve()) for name, path in folders.items()
    }
    noted = {"experiment": content["experiment"], "conclude": content.get("conclude"), "stages": places}
    write_atomically(folder / STAGES_FILE, json.dumps(noted, indent=1).encode())


def _default_folder(content: Mapping[str, Any]) -> Path:
    from simulator.records.fingerprints import fingerprint

    counted = {key: _without_addresses(value) for key, value in content.items() if key not in _NOT_COUNTED}
    return Path("runs") / f"{content['experiment']}-{fingerprint(counted)[:8]}"


def _without_addresses(value: Any) -> Any:
    from simulator.models.settings import NOT_IDENTITY

    if isinstance(value, Mapping):
        return {key: _without_addresses(part) for key, part in value.items() if key not in NOT_IDENTITY}
    return value
