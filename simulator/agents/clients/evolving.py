"""The evolving client: an inner state is brought up to date before every turn, and the turn is spoken from it.

The model states five numbers from 0 to 10 by JSON schema. None moves by more than a step, whatever the model says: 1 to
3, by the persona's emotional fluctuation. They are journalled as the turn's `state` on 0-1, and a resumed client goes
on from them.
"""

from simulator.agents.base import Seat
from simulator.agents.clients.base import PersonaClient
from simulator.agents.deciding import numbers
from simulator.models.messages import Completer, Message
from simulator.personas.schema import Attachment, Persona

MEANINGS = {
    "distress": "how bad it feels right now",
    "trust": "how far the therapist is trusted",
    "openness": "how ready to tell what is usually kept back",
    "resistance": "how much against what the therapist wants",
    "hope": "how possible it seems that things get better",
}
"""The dimensions of the state, with what each means."""

LARGEST = 10

TRUST = {Attachment.SECURE: 5, Attachment.PREOCCUPIED: 5, Attachment.DISMISSING: 3, Attachment.FEARFUL: 2}
"""Trust at the start, 0-10, by attachment style: avoidant styles begin with less."""


class EvolvingClient(PersonaClient):
    """A client with an inner state that the model itself updates, in steps that are bounded by rule.

    Args:
        seat: the chair, with a persona, from which the state starts.
        model_client: the model.
        prompt: `evolving`, or the path of a .jinja file with the same blocks.
    """

    def __init__(self, seat: Seat, model_client: Completer, prompt: str = "evolving") -> None:
        super().__init__(seat, model_client, prompt, ("update",), {"levels": []})  # rendered anew for every turn
        self._levels = starting_levels(self.persona)
        self.step = 1 + round(2 * self.persona.traits.emotional_fluctuation)
        self.taken_up()

    async def prepare(self, turn: int) -> None:
        if not self._history:
            return
        question = self.said_of("update", levels=list(self._levels.items()), meanings=MEANINGS, step=self.step)
        asked = await numbers(
            self.model,
            [*self.conversation, question],
            list(MEANINGS),
            LARGEST,
            lambda attempt: self.seat.seed(turn, "state", attempt),
            "state",
        )
        for name, value in asked.items():
            before = self._levels[name]
            self._levels[name] = min(before + self.step, max(before - self.step, value))

    def reminder(self) -> Message:
        return self.said_of("reminder", levels=list(self._levels.items()))

    def state(self) -> dict[str, float]:
        return {name: value / LARGEST for name, value in self._levels.items()}

    def restore(self, state: dict[str, float]) -> None:
        self._levels = {name: round(state[name] * LARGEST) for name in MEANINGS}


def starting_levels(persona: Persona) -> dict[str, int]:
    """The state before anything was said, 0-10, from the persona's severities, traits, attachment and stage."""
    severity = (persona.severity.phq9_total / 27 + persona.severity.gad7_total / 21) / 2
    traits = persona.traits
    return {
        "distress": round(10 * (0.2 + 0.7 * severity)),
        "trust": TRUST[persona.attachment],
        "openness": round(8 * traits.willingness_to_disclose),
        "resistance": round(9 * traits.resistance),
        "hope": round(7 * (1 - severity)),
    }
