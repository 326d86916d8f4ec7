"""The scripted therapists of the reference dyad: a policy in a chair, with no model behind it."""

from autogen_agentchat.messages import BaseChatMessage
from autogen_core import CancellationToken

from simulator.agents.base import STIMULUS, DyadAgent, Seat, TurnMessage
from simulator.agents.scripted import slots
from simulator.agents.scripted.dynamics_therapist import TherapistProcess
from simulator.agents.scripted.grammar import ClientView, realise_therapist, said_back
from simulator.agents.scripted.hearing import hear_client, hear_therapist, own_channel
from simulator.records.seeds import Draws

MODEL = "scripted"


class ScriptedTherapist(DyadAgent):
    """A therapist whose every turn is planned by `dynamics.TherapistProcess` and worded by the grammar.

    It never sees the persona: it knows what it has heard, words and planted codes alike (a scripted client's turns
    carry what they tell, see `client`). It never ends a session by itself; after a client's goodbye it speaks once
    more.

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
        self._disclosed: list[str] = []
        self._said_back: list[str] = []
        self._people: list[str] = []
        self._client_name = ""
        self._topic = ""
        self._last = ""

    def heard(self, message: BaseChatMessage) -> None:
        if message.source == STIMULUS:
            return
        if message.source == self.seat.role:
            text = message.to_model_text().lower()
            back = (index for index, clause in enumerate(self._said_back) if clause in text)
            self.process.said(hear_therapist(message).behaviour, back)
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

    async def respond(self, turn: int, seed: int) -> TurnMessage:
        plan = self.process.decide(turn, Draws(seed))
        view = ClientView(self._client_name, self._disclosed, self._people, self._topic, self._last)
        text = realise_therapist(plan, turn, Draws(self.seat.seed(turn, "text")), view)
        return TurnMessage(
            content=text,
            source=self.name,
            role=self.seat.role,
            turn=turn,
            model=MODEL,
            seed=seed,
            planted={**plan.planted(), "scripted": {"policy": self.policy, "tone": plan.tone}},
            goodbye=plan.goodbye,
        )

    async def on_reset(self, cancellation_token: CancellationToken) -> None:
        await super().on_reset(cancellation_token)
        self._begin()


def _position(known: list[str], told: object) -> int | None:
    """Where `told` stands among what is known, which it joins if it is new; None where nothing was told."""
    if told is None:
        return None
    word = str(told)
    if word not in known:
        known.append(word)
    return known.index(word)
