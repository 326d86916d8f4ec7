"""What every chair of a session has in common.

A chair is taken by any AutoGen `BaseChatAgent`. Dyad's own agents extend `DyadAgent`: they carry what they planted and
how they felt on the message itself, and they are rebuilt after an interruption by `recall`, that is, by hearing again
what the journal holds, so that there is no second truth beside it. An agent from elsewhere is rebuilt from its own
`save_state`.
"""

from __future__ import annotations

import itertools
import os
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from autogen_agentchat.agents import BaseChatAgent
from autogen_agentchat.base import Response
from autogen_agentchat.messages import BaseChatMessage, BaseTextChatMessage
from autogen_core import CancellationToken
from pydantic import Field

from simulator.personas.schema import Persona
from simulator.records.journal_records import Answer
from simulator.records.seeds import session_key, turn_seed

if TYPE_CHECKING:
    from simulator.instruments.schema import Instrument, Item


PRIVATE_CHANNELS = frozenset({"scripted", "probe"})
"""Keys of `planted` that are no codebooks: what scripted agents tell each other, and which probe a turn delivers."""

STIMULUS = "stimulus"
"""Source of a message that is told to one chair alone and is no turn."""


_numbers = itertools.count()


def _next_id() -> str:
    """An id of its own for a message, at a tenth of the cost of a random one."""
    return f"{os.getpid():x}-{next(_numbers):x}"


class TurnMessage(BaseTextChatMessage):
    """A turn as an AutoGen message. Other chairs read `content`; the rest is for the journal and for scripted agents.

    `planted` maps codebook -> code -> value and is ground truth only where a scripted agent wrote it. `state` is the
    speaker's latent state after the turn. Neither is ever shown to a language model.
    """

    type: str = "TurnMessage"
    id: str = Field(default_factory=_next_id)
    turn: int = 0
    role: str = ""
    finish_reason: str = "stop"
    model: str = ""
    seed: int = 0
    regeneration: int = 0
    planted: dict[str, dict[str, Any]] | None = None
    state: dict[str, float] | None = None
    goodbye: bool | None = None
    """Whether the speaker takes leave for good; None where the agent does not say and the engine must listen."""


@dataclass(slots=True)
class Seat:
    """Where an agent sits: everything it may know about the course it takes part in.

    `role` and `partner_roles` are names of the cast; nothing here assumes that there are two. `persona` is the
    client's, and is None for chairs that must not see it (therapists).
    """

    role: str
    partner_roles: tuple[str, ...]
    course: str
    pairing_key: str
    session: int = 0
    persona: Persona | None = None
    condition: str = ""
    protocol: Mapping[str, Any] = field(default_factory=dict)
    memory: Mapping[str, Any] = field(default_factory=dict)
    _key: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._key = session_key(self.pairing_key, self.session)

    def seed(self, turn: int, purpose: str = "turn", regeneration: int = 0) -> int:
        """The derived seed of this chair at a turn (see `records.seeds`)."""
        return turn_seed(self._key, turn, self.role, purpose, regeneration)


class DyadAgent(BaseChatAgent):
    """A chair of Dyad's own. Subclasses implement `respond` and, where they hold state, `heard` and `on_reset`.

    Guarantees the engine relies on: `respond` is a function of the seat, the turns heard so far and the derived seed;
    hearing the journalled turns again leaves the agent exactly where it was.
    """

    def __init__(self, seat: Seat, description: str = "") -> None:
        super().__init__(seat.role, description or f"{seat.role} of a simulated session")
        self.seat = seat
        self._turns = 0
        replay = seat.memory.get("replay")
        self._recorded = replay["turns"] if replay is not None and replay["history"] == "recorded" else None

    @property
    def produced_message_types(self) -> Sequence[type[BaseChatMessage]]:
        return (TurnMessage,)

    @abstractmethod
    async def respond(self, turn: int, seed: int) -> TurnMessage:
        """The chair's next contribution. `turn` is its index in the session, from 0."""

    def heard(self, message: BaseChatMessage) -> None:
        """Take in one turn of the session, another chair's or (when rebuilt from the journal) one's own."""

    def recall(self, turns: Sequence[BaseChatMessage]) -> None:
        """Rebuild from journalled turns, own ones included, in order, with what was told to this chair alone."""
        for message in turns:
            self._take_in(message)

    def _take_in(self, message: BaseChatMessage) -> None:
        if self._recorded is not None and message.source == self.seat.role:
            message = self._as_recorded(message)
        if message.source != STIMULUS:
            self._turns = message.turn + 1 if isinstance(message, TurnMessage) else self._turns + 1
        self.heard(message)

    def _as_recorded(self, message: BaseChatMessage) -> BaseChatMessage:
        """What was really said in place of an own turn, while a recorded session is followed; then the turn."""
        turn = message.turn if isinstance(message, TurnMessage) else self._turns
        if self._recorded is None or turn >= len(self._recorded):
            return message
        return TurnMessage(content=self._recorded[turn][1], source=self.seat.role, turn=turn, role=self.seat.role)

    async def on_messages(self, messages: Sequence[BaseChatMessage], cancellation_token: CancellationToken) -> Response:
        for message in messages:
            self._take_in(message)
        turn = self._turns
        answer = await self.respond(turn, self.seat.seed(turn))
        answer.turn = turn
        self._take_in(answer)
        return Response(chat_message=answer)

    async def on_reset(self, cancellation_token: CancellationToken) -> None:
        self._turns = 0


@runtime_checkable
class Respondent(Protocol):
    """An agent that can be asked a questionnaire item, outside the transcript."""

    async def answer_item(self, instrument: Instrument, item: Item, form: str, seed: int) -> Answer:
        """The answer in character, before keying. Never raises for a refusal: that is an `Answer` with a reason."""
        ...


@runtime_checkable
class Regenerates(Protocol):
    """An agent that can take its last turn back and say it again."""

    async def again(self, regeneration: int) -> TurnMessage:
        """Another answer in place of the last one, with the seed of that regeneration; the first is forgotten."""
        ...


@runtime_checkable
class Rebuilt(Protocol):
    """An agent that is rebuilt by hearing the journal again."""

    def recall(self, turns: Sequence[BaseChatMessage]) -> None:
        """Take in journalled turns, own ones included, in order."""
        ...
