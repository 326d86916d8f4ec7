"""The cognitive-model client: each turn is spoken out of the automatic thought that the therapist's words set off.

Before a turn the model chooses one of the persona's automatic thoughts, or none; the reminder then quotes it. The state
journalled with a turn is one number per thought (`thought_1`, ...) and `no_thought`: 1 for what went off, 0 for the
others, so that their means are how often each was active.
"""

from simulator.agents.base import Seat
from simulator.agents.clients.base import PersonaClient
from simulator.agents.deciding import decide
from simulator.models.messages import Completer, Message


class CognitiveModelClient(PersonaClient):
    """A client whose automatic thoughts drive what is said.

    Args:
        seat: the chair, with a persona.
        model_client: the model.
        prompt: `cognitive_model`, or the path of a .jinja file with the same blocks.
    """

    def __init__(self, seat: Seat, model_client: Completer, prompt: str = "cognitive_model") -> None:
        super().__init__(seat, model_client, prompt, ("appraisal",), {"thought": None})
        self._thoughts = seat.persona.cognitive_model.automatic_thoughts[:25] if seat.persona else []
        self._active: int | None = None
        self.taken_up()

    async def prepare(self, turn: int) -> None:
        if not self._history:
            self._active = None  # nothing has been said that could set off anything
            return
        index = await decide(
            self.model,
            self.conversation,
            self.prompt.render("appraisal", **self._values),
            [*(f'"{thought}"' for thought in self._thoughts), "none of them"],
            lambda attempt: self.seat.seed(turn, "appraisal", attempt),
            "appraisal",
        )
        self._active = index if index < len(self._thoughts) else None

    def reminder(self) -> Message:
        thought = None if self._active is None else self._thoughts[self._active]
        return self.said_of("reminder", thought=thought)

    def state(self) -> dict[str, float]:
        active = {
            f"thought_{number}": float(number - 1 == self._active) for number in range(1, len(self._thoughts) + 1)
        }
        return {**active, "no_thought": float(self._active is None)}

    def restore(self, state: dict[str, float]) -> None:
        on = [number for number in range(len(self._thoughts)) if state.get(f"thought_{number + 1}")]
        self._active = on[0] if on else None
