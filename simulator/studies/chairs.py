"""Who sits in a chair of a study, and with which model: what is made of it, and what of it counts.

A chair or a coder that takes a model gets that of its purpose (`StudyConfig.model_for`). What counts for identities and
ids is what can change an answer: addresses, keys, prices and pools do not, and of a file of the user's own its content
counts and not its path.
"""

import inspect
from collections.abc import Mapping
from typing import Any

from simulator.agents.base import DyadAgent
from simulator.agents.clients.replay import ReplayClient
from simulator.errors import UserError
from simulator.locate import locate
from simulator.models.openai import OpenAIServerClient
from simulator.models.settings import NOT_IDENTITY, parse_model
from simulator.studies.config import StudyConfig


def seated_option(config: StudyConfig, role: str, name: str) -> dict[str, Any]:
    """The configuration from which a chair is made, with its model as `model_client`.

    Raises:
        UserError: the chair needs a model and there is none.
    """
    option = config.options[role][name]
    parameter = _model_parameter(option, f"{role}.{name}", "model_client")
    if parameter is None:
        return option
    model = config.model_for(role, option.get("model"))
    rest = {key: value for key, value in option.items() if key != "model"}
    if model is not None:
        return {**rest, "model_client": model}
    if parameter.default is not parameter.empty:
        return rest
    raise UserError(
        f"{role}.{name}: no model is configured; add model=endpoint model.url=http://... model.name=..., "
        f"or a model of its own as {role}.{name}.model"
    )


def coder_options(config: StudyConfig) -> dict[str, dict[str, Any]]:
    """The configurations from which coders are made: one that has the parameter `model` gets its model's configuration.

    Raises:
        UserError: a coder needs a model and there is none.
    """
    found = {}
    for name, option in config.coders.items():
        where = f"coders.{name}"
        parameter = _model_parameter(option, where, "model")
        model = config.model_for("coders", option.get("model")) if parameter is not None else None
        if model is not None:
            option = {**option, "model": model}
        elif parameter is not None and parameter.default is parameter.empty:
            raise UserError(
                f"{where}: no model is configured; add model=endpoint model.url=http://... model.name=..., "
                "or one for coders only: model@coders.model=endpoint coders.model.url=..."
            )
        found[name] = option
    return found


def counted_option(config: StudyConfig, role: str, name: str) -> dict[str, Any]:
    """What of a chair's configuration can change what it says.

    Raises:
        UserError: the model's configuration is wrong, or a file cannot be read.
    """
    option = config.options[role][name]
    where = f"{role}.{name}"
    counted = dict(option)
    reads = getattr(locate(str(option["_target_"]), where), "reads", None) if "_target_" in option else None
    if reads is not None:
        counted |= reads(option)
    if _model_parameter(option, where, "model_client") is not None:
        model = config.model_for(role, option.get("model"))
        counted["model"] = None if model is None else counted_model(model, where)
    return counted


def counted_model(model: Mapping[str, Any], where: str) -> dict[str, Any]:
    """What of a model's configuration can change what it says, with every default written out.

    Raises:
        UserError: the configuration is wrong.
    """
    target = locate(str(model["_target_"]), f"{where}.model")
    if not (isinstance(target, type) and issubclass(target, OpenAIServerClient)):
        return {key: value for key, value in model.items() if key != "sends_seed"}
    settings = {key: value for key, value in model.items() if key not in ("_target_", "sends_seed")}
    try:
        return {
            "_target_": model["_target_"],
            **parse_model(settings).model_dump(mode="json", exclude=set(NOT_IDENTITY)),
        }
    except UserError as error:
        raise UserError(f"{where}: {error}") from None


def check_replay(config: StudyConfig) -> None:
    """Refuse a replay in which nobody says the recorded turns, or somebody cannot be held to the recorded history, and
    one of several sessions, which would all be the same.

    Raises:
        UserError: in one line.
    """
    if config.session.course.several:
        raise UserError("replay.run: a course replays one recorded session; set session.course.sessions=1")
    for name, option in config.client.items():
        if not _is_a(option, ReplayClient, f"client.{name}"):
            raise UserError(f"client.{name}: replay.run is set and this client has its own words; add client=[replay]")
    if config.replay.history == "own":
        return
    for name, option in config.therapist.items():
        if not _is_a(option, DyadAgent, f"therapist.{name}"):
            raise UserError(
                f"therapist.{name}: only Dyad's own agents can be told what was really said; add replay.history=own"
            )


def _is_a(option: Mapping[str, Any], kind: type, where: str) -> bool:
    target = locate(str(option.get("_target_", "")), where)
    return isinstance(target, type) and issubclass(target, kind)


def _model_parameter(option: Mapping[str, Any], where: str, name: str) -> inspect.Parameter | None:
    """The parameter `name`, which takes the model; None where the class has none, or `model_client` is given."""
    if "_target_" not in option or "model_client" in option:
        return None
    return inspect.signature(locate(str(option["_target_"]), where)).parameters.get(name)
