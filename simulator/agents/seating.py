"""From configuration to a seated agent: any AutoGen agent can take a chair.

A chair's configuration names a class by `_target_` and gives its arguments. Arguments that are themselves mappings with
a `_target_` (a model client, a tool) are made once per process and shared by all seats, except that a model client is
handed to each seat behind a light handle that knows course, session and turn. What the class asks for by name decides
what it gets besides: `seat` (our own agents), `name` (AutoGen's), `model_client`.
"""

import inspect
from collections.abc import Mapping
from typing import Any

from autogen_agentchat.agents import BaseChatAgent
from autogen_core.models import ChatCompletionClient

from simulator.agents.base import Seat
from simulator.errors import UserError, nearest
from simulator.locate import locate
from simulator.models.clients import ModelClients
from simulator.models.handle import CallLog, SeatedModelClient
from simulator.secrets import with_secrets


class ChairFactory:
    """Seats agents of one configuration. Resolving happens once; seating is cheap.

    Args:
        role: the chair's role in the cast.
        name: the configuration's name (`mi_consistent`).
        config: mapping with `_target_` and the arguments.
        clients: the run's model clients, so that chairs with one model share it; its own by default.

    Raises:
        UserError: `_target_` is missing or wrong, or the class has no such argument.
    """

    def __init__(self, role: str, name: str, config: Mapping[str, Any], clients: ModelClients | None = None) -> None:
        self._clients = clients or ModelClients()
        where = f"{role}.{name}"
        if "_target_" not in config:
            raise UserError(f"{where}: the key '_target_' is missing; name the agent's class there")
        self._class = locate(str(config["_target_"]), where)
        given = {key: value for key, value in config.items() if key != "_target_"}
        self._arguments = {
            key: _made(value, f"{where}.{key}", self._clients)
            for key, value in with_secrets(given, self._class, where).items()
        }
        accepted = inspect.signature(self._class).parameters
        self._takes = {key for key in ("seat", "name") if key in accepted}
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in accepted.values()):
            for key in self._arguments:
                if key not in accepted:
                    raise UserError(
                        f"{where}.{key}: {self._class.__name__} has no such argument{nearest(key, accepted)}"
                    )

    @property
    def holds_sessions(self) -> bool:
        """False for a chair that stays empty, as a waiting list's: its courses have no sessions."""
        return bool(getattr(self._class, "holds_sessions", True))

    def seat(self, seat: Seat) -> tuple[BaseChatAgent, list[SeatedModelClient]]:
        """A fresh agent for one session, with the handles on the model clients that it was given."""
        arguments = dict(self._arguments)
        handles = []
        for key, value in arguments.items():
            if isinstance(value, ChatCompletionClient):
                takes_seed, affinity = self._clients.sends_seed(value), f"{seat.course}:{seat.session}"
                handle = SeatedModelClient(value, seat.seed, seat.role, CallLog(), takes_seed, affinity)
                arguments[key] = handle
                handles.append(handle)
        if "seat" in self._takes:
            arguments["seat"] = seat
        if "name" in self._takes:
            arguments.setdefault("name", seat.role)
        agent = self._class(**arguments)
        if not isinstance(agent, BaseChatAgent):
            raise UserError(
                f"{seat.role}: {self._class.__name__} is no AutoGen BaseChatAgent; only such agents take a chair"
            )
        return agent, handles


def _made(value: Any, where: str, clients: ModelClients) -> Any:
    if isinstance(value, Mapping):
        if "_target_" not in value:
            return {key: _made(part, f"{where}.{key}", clients) for key, part in value.items()}
        target = locate(str(value["_target_"]), where)
        if isinstance(target, type) and issubclass(target, ChatCompletionClient):
            return clients.get(value, where)
        given = with_secrets({key: part for key, part in value.items() if key != "_target_"}, target, where)
        made = {key: _made(part, f"{where}.{key}", clients) for key, part in given.items()}
        try:
            return target(**made)
        except TypeError as error:
            raise UserError(f"{where}: {error}") from None
    if isinstance(value, list | tuple):
        return [_made(part, where, clients) for part in value]
    return value
