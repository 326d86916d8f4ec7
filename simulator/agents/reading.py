"""Reading a recorded session: what an agent offers that finds something in it, and the chair that only stands in it.

An agent gets the recording under `Seat.memory["source"]` (see `simulator.studies.source`): `turns` with role, text and
what a scripted speaker planted, `source` (`course:session`), `transcript` (the fingerprint of what was said), `profile`
where one was read out of it before. Agents open no store.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from autogen_agentchat.messages import BaseChatMessage

from simulator.agents.base import DyadAgent, Seat, TurnMessage
from simulator.errors import SessionError, UserError
from simulator.records.journal_records import Extracted

SOURCE = "source"
"""Key of `Seat.memory` under which the recording stands."""


@runtime_checkable
class ReadsRecordings(Protocol):
    """An agent that reads a recorded session field by field, each of which can be asked by itself."""

    @property
    def fields(self) -> Sequence[str]:
        """Names of what it looks for, in order."""
        ...

    async def read(self, field: str) -> Extracted:
        """What it finds; what it does not find is missing with a reason."""
        ...


def recording_of(seat: Seat) -> Mapping[str, Any]:
    """The recording that a seat was given.

    Raises:
        UserError: there is none.
    """
    if SOURCE not in seat.memory:
        raise UserError(f"{seat.role}: there is no recorded session; name a run or an import as source.run=FOLDER")
    found: Mapping[str, Any] = seat.memory[SOURCE]
    return found


def said_in(recording: Mapping[str, Any]) -> list[BaseChatMessage]:
    """The recording's turns as the messages that a chair would have heard."""
    return [
        TurnMessage(
            content=said.text, source=said.role, role=said.role, turn=turn, planted=said.planted, state=said.state
        )
        for turn, said in enumerate(recording["turns"])
    ]


class RecordedSpeaker(DyadAgent):
    """Somebody who is heard in a recording and says nothing else.

    Args:
        seat: the chair.
    """

    def __init__(self, seat: Seat) -> None:
        super().__init__(seat, "speaks in a recorded session")
        recording_of(seat)

    async def respond(self, turn: int, seed: int) -> TurnMessage:
        raise SessionError(
            "protocol", "recording_only", f"{self.seat.role}: who only stands in a recording cannot go on speaking"
        )
