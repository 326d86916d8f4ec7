"""Small agents that tests seat: they say what they are told to, and remember what they heard."""

from collections.abc import Sequence
from typing import Any

from autogen_agentchat.agents import BaseChatAgent
from autogen_agentchat.base import Response
from autogen_agentchat.messages import BaseChatMessage, TextMessage
from autogen_core import CancellationToken

from simulator.agents.base import DyadAgent, Seat, TurnMessage
from simulator.agents.between_sessions import Decision, Kept
from simulator.records.journal_records import Note


class Reciter(DyadAgent):
    """Says `lines` in order (the last one for ever), then what it has heard so far; fails at turn `fails_at`."""

    def __init__(self, seat: Seat, lines: list[str] | None = None, fails_at: int | None = None, tag: str = "") -> None:
        super().__init__(seat)
        self.lines = lines or ["hm"]
        self.fails_at = fails_at
        self.tag = tag
        self.memory: list[str] = []

    def heard(self, message: BaseChatMessage) -> None:
        self.memory.append(f"{message.source}:{message.to_model_text()}")

    async def respond(self, turn: int, seed: int) -> TurnMessage:
        if self.fails_at is not None and turn >= self.fails_at:
            raise RuntimeError("the agent broke")
        said = sum(line.startswith(f"{self.seat.role}:") for line in self.memory)
        line = self.lines[min(said, len(self.lines) - 1)]
        text = line.format(turn=turn, seed=seed, heard=len(self.memory))
        return TurnMessage(content=text, source=self.seat.role, role=self.seat.role, seed=seed, model="test")


class Foreign(BaseChatAgent):
    """A stranger's agent: not rebuilt by hearing again, keeps a counter that only its own saved state knows."""

    def __init__(self, name: str) -> None:
        super().__init__(name, "a stranger")
        self.count = 0
        self.heard_in_all: list[str] = []

    @property
    def produced_message_types(self) -> list[type[BaseChatMessage]]:
        return [TextMessage]

    async def on_messages(self, messages: Any, cancellation_token: CancellationToken) -> Response:
        self.heard_in_all += [message.to_model_text() for message in messages]
        self.count += 1
        text = f"{self.count}: {len(self.heard_in_all)} heard"
        return Response(chat_message=TextMessage(content=text, source=self.name))

    async def on_reset(self, cancellation_token: CancellationToken) -> None:
        self.count = 0

    async def save_state(self) -> dict[str, Any]:
        return {"count": self.count, "heard": list(self.heard_in_all)}

    async def load_state(self, state: Any) -> None:
        self.count, self.heard_in_all = state["count"], list(state["heard"])


class Decider(Reciter):
    """Answers every question with `answers[first option]` where that is given, with the first option otherwise."""

    def __init__(self, seat: Seat, answers: dict[str, str] | None = None) -> None:
        super().__init__(seat, ["hm"])
        self.answers = answers or {}

    async def decide(self, options: Sequence[str], seed: int) -> Decision:
        return Decision(self.answers.get(options[0], options[0]), [1 / len(options)] * len(options))

    async def take_notes(self, seed: int) -> Kept:
        return Kept([Note("note", f"session {self.seat.session}")], {"sessions": self.seat.session + 1.0})
