"""The scripted therapists of the reference dyad: a policy in a chair, with no model behind it."""

from autogen_agentchat.messages import BaseChatMessage
from autogen_core import CancellationToken

from simulator.agents.base import STIMULUS, DyadAgent, Seat, TurnMessage
from simulator.agents.between_sessions import Kept, course_memory
from simulator.agents.scripted import slots
from simulator.agents.scripted.dynamics_therapist import TherapistProcess
from simulator.agents.scripted.grammar import ClientView, realise_therapist, said_back
from simulator.agents.scripted.grammar_person import first_clause, to_second_person
from simulator.agents.scripted.hearing import hear_client, hear_therapist, own_channel
from simulator.agents.scripted.notes import TherapistSaid, note
from simulator.records.seeds import Draws

MODEL = "scripted"


class ScriptedTherapist(DyadAgent):
    """A therapist whose every turn is planned by `dynamics.TherapistProcess` and worded by the grammar.

    It never sees the persona: it knows what it has heard, words and planted codes alike (a scripted client's turns
    carry what they tell, see `client`). It never ends a session by itself; after a client's goodbye it speaks once
    more. In a course of several sessions it notes what it heard, and what it has not forgotten by the next session it
    can say back there (`planted["scripted"]["recalled"]`).

    Args:
        seat: the chair.
        policy: name of a shipped policy (`policies/<policy>.yaml`).

    Raises:
        UserError: there is no such policy, or its file is wrong.
    """

    def __init__(self, seat: Seat, policy: str) -> None:
        super().__init__(seat, f"scripted therapist of the reference dyad, policy {policy}")
        self.policy = policy
        self._begin()

    def _begin(self) -> None:
        self.process = TherapistProcess(self.policy, self.seat.seed(-1, slots.SESSION))
        memory = self._memory = course_memory(self.seat)
        self._disclosed: list[str] = memory.texts("fact") if memory is not None else []
        self._people: list[str] = memory.texts("person") if memory is not None else []
        self._client_name = memory.text("name") if memory is not None else ""
        self._topic = memory.text("topic") if memory is not None else ""
        self._said_back = [said_back(clause) for clause in self._disclosed]
        self._remembered = len(self._disclosed)
        if self._disclosed:
            self.process.recall(range(self._remembered))
        self._said = TherapistSaid()
        self._told: dict[str, str] = {}
        self._last = ""

    def heard(self, message: BaseChatMessage) -> None:
        if message.source == STIMULUS:
            return
        if message.source == self.seat.role:
            said = hear_therapist(message)
            text = message.to_model_text().lower()
            self.process.said(said.behaviour, (i for i, clause in enumerate(self._said_back) if clause in text))
            if self._memory is not None:
                self._said.take(message, said)
            return
        heard, own = hear_client(message), own_channel(message)
        self._client_name = str(own.get("name", self._client_name))
        self._topic = str(own.get("topic", self._topic))
        self._last = message.to_model_text()
        heard.fact = _position(self._disclosed, own.get("told"))
        if len(self._said_back) < len(self._disclosed):
            self._said_back.append(said_back(self._disclosed[-1]))
        heard.person = _position(self._people, own.get("person"))
        self.process.hear(heard)
        if self._memory is not None:
            self._told.update({str(own[key]): kind for key, kind in _NOTED.items() if key in own})

    async def respond(self, turn: int, seed: int) -> TurnMessage:
        plan = self.process.decide(turn, Draws(seed))
        view = ClientView(self._client_name, self._disclosed, self._people, self._topic, self._last)
        text = realise_therapist(plan, turn, Draws(self.seat.seed(turn, "text")), view)
        own = {"policy": self.policy, "tone": plan.tone}
        if plan.fact is not None and plan.fact < self._remembered and _says(text, self._disclosed[plan.fact]):
            own["recalled"] = self._disclosed[plan.fact]
        return TurnMessage(
            content=text,
            source=self.name,
            role=self.seat.role,
            turn=turn,
            model=MODEL,
            seed=seed,
            planted={**plan.planted(), "scripted": own},
            goodbye=plan.goodbye,
        )

    async def take_notes(self, seed: int) -> Kept:
        """Who the client is, what it told and whom it named, what was promised and given to do."""
        notes = [note(kind, text) for kind, text in (("name", self._client_name), ("topic", self._topic)) if text]
        return Kept([*notes, *(note(kind, text) for text, kind in self._told.items()), *self._said.notes()])

    async def on_reset(self, cancellation_token: CancellationToken) -> None:
        await super().on_reset(cancellation_token)
        self._begin()


_NOTED = {"told": "fact", "person": "person"}
"""Kind of note by what a client's turn tells of itself."""


def _says(text: str, clause: str) -> bool:
    """Whether a text says a client's clause back, whole or its first part."""
    said = text.lower()
    return any(to_second_person(part).lower() in said for part in (clause, first_clause(clause)))


def _position(known: list[str], told: object) -> int | None:
    """Where `told` stands among what is known, which it joins if it is new; None where nothing was told."""
    if told is None:
        return None
    word = str(told)
    if word not in known:
        known.append(word)
    return known.index(word)
