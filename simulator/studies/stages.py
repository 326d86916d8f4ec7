"""A study in stages: ordinary runs, one after the other, of which a later one takes up what earlier ones left.

`stages` of a configuration is a table of stages in order. Each is a study like others, in a folder of its own below the
study's: journalled, resumable, with an identity that follows from the contents of what it reads. The same command after
a kill therefore goes on in the stage that was cut, and stages that ended are left as they are.

A stage is composed from the user's own overrides and from what it fixes. `groups` are its choices among configuration
groups (`with_model` in their place where a model sits behind that group), `set` its values. The user's choice of a
group counts in stages that leave it `open`; elsewhere it does not, nor does anything below the group, models aside. A
value that begins with `@` is the folder of the stage of that name.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from simulator.errors import UserError, nearest

FOLDER_OF = "@"
STAGES_FILE = "stages.json"
"""In the folder of a study in stages: what the stages are, and which folder stands for one that was left out."""
_OURS = ("out", "stages", "conclude", "report")
"""Keys of the whole study: no stage takes them over."""
_GROUPS = ("client", "therapist", "chairs", "instruments", "coders", "session", "personas")
_MODELLED = ("client", "therapist", "coders")


class Stage(BaseModel):
    """One stage; see the module's docstring."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    unless: str | None = None
    """A key of the configuration; where it is set, its value is the folder that stands for this stage."""
    groups: dict[str, list[str] | str] = {}
    with_model: dict[str, list[str] | str] = {}
    open: list[str] = []
    set: dict[str, Any] = {}


StageTable = Annotated[dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")], Stage], Field()]


def stages_of(content: Mapping[str, Any]) -> dict[str, Stage]:
    """The stages of a composed configuration, in order; none where it is a single run.

    Raises:
        UserError: a stage is written wrongly, or names no stage before it.
    """
    table: dict[str, Stage] = {}
    for name, given in (content.get("stages") or {}).items():
        try:
            table[name] = Stage.model_validate(given)
        except ValidationError as error:
            problem = error.errors()[0]
            place = ".".join(["stages", name, *(str(part) for part in problem["loc"])])
            raise UserError(f"{place}: {problem['msg']}") from None
        for key, value in _leaves(table[name].set):
            if isinstance(value, str) and value.startswith(FOLDER_OF):
                earlier = [known for known in table if known != name]
                if value[1:] not in earlier:
                    raise UserError(
                        f"stages.{name}.set.{key}: '{value}' names no stage before it{nearest(value[1:], earlier)}"
                    )
    return table


def folders_of(content: Mapping[str, Any], table: Mapping[str, Stage], folder: Path) -> dict[str, Path]:
    """The folder of every stage, a given one where the stage is left out."""
    return {
        name: Path(str(given)).expanduser() if (given := left_out(content, stage)) else folder / name
        for name, stage in table.items()
    }


def left_out(content: Mapping[str, Any], stage: Stage) -> str | None:
    """The folder that was given in place of a stage; None where the stage has to run."""
    if stage.unless is None:
        return None
    value: Any = content
    for part in stage.unless.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return None if value is None else str(value)


def stage_overrides(
    content: Mapping[str, Any], stage: Stage, own: Sequence[str], folders: Mapping[str, Path], folder: Path
) -> list[str]:
    """What composes a stage.

    Args:
        content: the whole study as it was composed.
        stage: the stage.
        own: the user's overrides.
        folders: of every stage, by name.
        folder: of this one.
    """
    choices = dict(stage.groups)
    choices |= {group: choice for group, choice in stage.with_model.items() if _has_model(content, group)}
    named = {_key(override) for override in own}
    kept = [override for override in own if _counts(_key(override), choices, stage.open)]
    chosen = [
        f"{group}={_written(choice)}"
        for group, choice in choices.items()
        if not (group in stage.open and group in named)
    ]
    values = [
        f"++{key}={_written(folders[value[1:]] if isinstance(value, str) and value.startswith(FOLDER_OF) else value)}"
        for key, value in _leaves(stage.set)
    ]
    return [*kept, *chosen, *values, f"out={_quoted(str(folder))}", "report=false"]


def _counts(key: str, choices: Mapping[str, Any], left_open: Sequence[str]) -> bool:
    """Whether a user's override counts in a stage that fixes the groups `choices`."""
    top, _, rest = key.partition(".")
    if top in _OURS:
        return False
    if "@" in top or rest.split(".")[0] == "model":
        return True
    return top not in choices or top in left_open or top not in _GROUPS


def _key(override: str) -> str:
    return re.sub(r"^[~+]+", "", override.partition("=")[0]).strip().replace("/", ".")


def _has_model(content: Mapping[str, Any], group: str) -> bool:
    own = content.get(group)
    return bool(content.get("model")) or (group in _MODELLED and isinstance(own, Mapping) and bool(own.get("model")))


def _leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _written(value: Any) -> str:
    """A value in Hydra's grammar."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{_written(part)}" for key, part in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(_written(part) for part in value) + "]"
    if isinstance(value, (int, float)):
        return str(value)
    return _quoted(str(value))


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
