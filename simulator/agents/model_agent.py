"""An agent whose words come from a language model.

A request is laid out for prefix caching: instructions shared by all sessions, then the persona, then the conversation,
and last a reminder of the role. Every message is encoded once. The agent is a function of its seat, of what it heard
and of the model's answers: hearing the journal again rebuilds it; `again` asks for another answer in place of the last.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autogen_agentchat.messages import BaseChatMessage
from autogen_core import CancellationToken

from simulator.agents.base import STIMULUS, DyadAgent, Seat, TurnMessage
from simulator.agents.between_sessions import Kept
from simulator.agents.model_memory import earlier_text, take_notes
from simulator.agents.prompting import content_of
from simulator.agents.questionnaires import ask_item
from simulator.models.choice import Order
from simulator.models.messages import ASKED_AGAIN, Completer, Message, Request
from simulator.records.journal_records import Answer

if TYPE_CHECKING:
    from simulator.instruments.schema import Instrument, Item

NOTE = "For you alone, not said by anybody in the room: "
"""Stands before a stimulus that is told to one chair alone."""
ANSWERS = 3
"""Answers that a model is asked for, each with a seed of its own, until one holds a word. A turn without one fails."""


class ModelAgent(DyadAgent):
    """A chair with a model behind it.

    Subclasses may override `reminder`, `prepare` (what is decided before a turn is spoken) and `state` with its
    counterpart `restore`.

    Args:
        seat: the chair.
        model_client: completes requests; seeds, affinity and accounting are the handle's business.
        system: instructions shared by all sessions of this configuration.
        persona: what is only this session's (empty for chairs without a persona).
        reminder: the last words before every answer.
        own_names: labels that models like to put before what they say, beside the role's name.
    """

    def __init__(
        self,
        seat: Seat,
        model_client: Completer,
        system: str,
        persona: str,
        reminder: str,
        own_names: tuple[str, ...] = (),
        description: str = "",
    ) -> None:
        super().__init__(seat, description)
        self.model = model_client
        self.instructions = (sys.intern(system), reminder)
        """What this agent was told to do, without the persona: a turn that repeats it is a prompt echo."""
        earlier = earlier_text(seat, self.called)
        self._lead = Message("system", "\n\n".join(part for part in (system, persona, earlier) if part))
        self._reminder = Message("system", reminder)
        self._history: list[Message] = []
        self._regeneration = 0
        self._prepared = -1
        self._labels = tuple(name.lower() for name in (seat.role, *own_names) if name)

    @classmethod
    def reads(cls, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """What stands for the user's own prompt files in a run's identity: their content in place of their path.

        Raises:
            UserError: a file cannot be read.
        """
        own = {key: str(value) for key, value in arguments.items() if str(value).endswith(".jinja")}
        return {key: content_of(Path(path)) for key, path in own.items()}

    @property
    def conversation(self) -> list[Message]:
        """Instructions, persona and what was said so far: what every request of this session begins with."""
        return [self._lead, *self._history]

    def reminder(self) -> Message:
        """The last message before the answer."""
        return self._reminder

    async def prepare(self, turn: int) -> None:
        """Decide what has to be decided before the turn is spoken; called once per turn, also when it is said again."""

    def state(self) -> dict[str, float] | None:
        """The state that is journalled with a turn: numbers on 0-1."""
        return None

    def restore(self, state: dict[str, float]) -> None:
        """Take a journalled state up again."""

    async def respond(self, turn: int, seed: int) -> TurnMessage:
        if self._prepared != turn:
            await self.prepare(turn)
            self._prepared = turn
        if self._regeneration:
            seed = self.seat.seed(turn, "turn", self._regeneration)
        messages = [self._lead, *self._history, self.reminder()]
        completion = await self.model.complete(Request(messages, seed=seed, purpose="turn"))
        said, asked = self._spoken(completion.text), 1
        while not said and asked < ANSWERS:  # thoughts alone, or nothing at all
            asked += 1
            purpose = f"{ASKED_AGAIN}{asked}"
            seed = self.seat.seed(turn, purpose, self._regeneration)
            completion = await self.model.complete(Request(messages, seed=seed, purpose=purpose))
            said = self._spoken(completion.text)
        return TurnMessage(
            content=said,
            source=self.name,
            role=self.seat.role,
            turn=turn,
            finish_reason=completion.finish_reason,
            model=completion.model,
            seed=seed,
            regeneration=self._regeneration,
            state=self.state(),
        )

    async def again(self, regeneration: int) -> TurnMessage:
        """Another answer in place of the last one, with a seed of its own; the first is forgotten, unless there
        is no other."""
        self._turns -= 1
        last, answer = self._history.pop(), None
        self._regeneration = regeneration
        try:
            answer = await self.respond(self._turns, 0)
        finally:
            self._regeneration = 0
            if answer is None or not answer.content.strip():
                self._turns += 1
                self._history.append(last)
        if answer.content.strip():
            self._take_in(answer)
        return answer

    def heard(self, message: BaseChatMessage) -> None:
        if message.source == STIMULUS:
            self._history.append(Message("system", NOTE + message.to_model_text()))
        elif message.source == self.seat.role:
            self._history.append(Message("assistant", message.to_model_text()))
            if isinstance(message, TurnMessage) and message.state is not None:
                self.restore(message.state)
        elif len(self.seat.partner_roles) > 1:
            self._history.append(Message("user", f"{message.source}: {message.to_model_text()}"))
        else:
            self._history.append(Message("user", message.to_model_text()))

    label_orders: Sequence[Order] = ("averaged", "shuffled")

    async def answer_item(
        self, instrument: Instrument, item: Item, form: str, seed: int, *, order: Order = "averaged"
    ) -> Answer:
        """The answer to a questionnaire item in character, by choice with probabilities where the scale has steps."""
        return await ask_item(self.model, self.conversation, self.called, instrument, item, form, seed, order=order)

    async def take_notes(self, seed: int) -> Kept:
        """What is kept of the session that is over: notes in the model's words, and the state."""
        return Kept(await take_notes(self.model, self.conversation, self.called, seed), self.state())

    @property
    def called(self) -> str:
        """Who fills in a questionnaire, as the prompt puts it."""
        return f"the {self.seat.role}"

    async def on_reset(self, cancellation_token: CancellationToken) -> None:
        await super().on_reset(cancellation_token)
        self._history.clear()
        self._prepared = -1

    def _spoken(self, text: str) -> str:
        """What is said: without the speaker's own label in front, and without quotation marks around all of it."""
        said = text.strip()
        label = _LABEL.match(said) if ":" in said else None
        if label is not None and label[1].lower() in self._labels:
            said = said[label.end() :].strip()
        if len(said) > 2 and said[0] in '"“' and said[-1] in '"”' and not re.search('["“”]', said[1:-1]):
            said = said[1:-1].strip()
        return said


_LABEL = re.compile(r"(?:\*\*)?([^:\n]{1,200}?)(?:\*\*)?\s*:(?:\*\*)?\s*")
"""Whatever stands before the first colon; one expression for all names, since compiling one for each costs more than a
turn."""
