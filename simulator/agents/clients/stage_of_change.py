"""The stage-of-change client: readiness moves with what the therapist does, and stages move with readiness.

Before each turn the model decides in which of five ways the therapist's last words left the client's readiness. What
follows from that is rule, not model:

    readiness += STEP * effect * (1 - resistance / 2)   where the effect is a gain (1 or 2)
    readiness += STEP * effect * (1/2 + resistance)     where it is a loss (-1 or -2)

with the persona's resistance on 0-1. The stage is the band of readiness (0-.2 precontemplation, -.4 contemplation, -.6
preparation, -.8 action, -1 maintenance), except that it moves by one stage at a time, upwards only when readiness lies
`MARGIN` above the border and at least `DWELL` of the client's turns after the last move. The numbers are ours: six
well-met turns in a row are worth about a stage to a client of middling resistance, and a pushed one falls back faster.

The state journalled with a turn is `readiness`, `stage` (0, .25, .5, .75, 1), `effect` (0 to 1, .5 for none) and
`since_move` (the client's turns since the stage last moved, as a share of `DWELL`, at most 1).
"""

from simulator.agents.base import Seat
from simulator.agents.clients.base import STAGES, PersonaClient
from simulator.agents.deciding import decide
from simulator.models.messages import Completer, Message
from simulator.personas.schema import StageOfChange

STEP, MARGIN, DWELL = 0.04, 0.03, 4

EFFECTS = (
    (-2, "pushed, judged or warned: digs in and defends things as they are"),
    (-1, "not quite understood: pulls back a little"),
    (0, "neither one way nor the other"),
    (1, "understood or asked in a good way: a little more open to change"),
    (2, "reached: feels own reasons or strength for change"),
)
"""How the therapist's words can leave the client, with the effect on readiness."""

ORDER = list(StageOfChange)


class StageOfChangeClient(PersonaClient):
    """A client who moves through the stages of change, resists when pushed, and falls back.

    Args:
        seat: the chair, with a persona, whose stage is where the client starts (in the middle of its band).
        model_client: the model.
        prompt: `stage_of_change`, or the path of a .jinja file with the same blocks.
    """

    def __init__(self, seat: Seat, model_client: Completer, prompt: str = "stage_of_change") -> None:
        super().__init__(
            seat, model_client, prompt, ("decision",), {"stage_now": "", "ruler": 0, "moved": ""}
        )  # the reminder is rendered anew for every turn
        self._stage = ORDER.index(self.persona.stage_of_change)
        self._readiness = (self._stage + 0.5) / len(ORDER)
        self._effect, self._since_move, self._moved = 0, DWELL, 0
        self.taken_up()

    async def prepare(self, turn: int) -> None:
        self._effect = self._moved = 0
        if not self._history:
            return
        index = await decide(
            self.model,
            self.conversation,
            self.prompt.render("decision", **self._values),
            [words for _, words in EFFECTS],
            lambda attempt: self.seat.seed(turn, "decision", attempt),
            "decision",
        )
        self._effect = EFFECTS[index][0]
        self._readiness, stage = moved(
            self._readiness, self._stage, self._effect, self._since_move, self.persona.traits.resistance
        )
        self._moved, self._stage = stage - self._stage, stage
        self._since_move = 0 if self._moved else min(self._since_move + 1, DWELL)

    def reminder(self) -> Message:
        name = self._values["name"]
        said = {
            0: "",
            1: f"Something has just shifted for {name}, not yet firmly.",
            -1: f"{name} has just slipped back.",
        }
        resists = f"{name} is on the defensive and shows it." if self._effect < 0 else ""
        return self.said_of(
            "reminder",
            stage_now=f"{name} {STAGES[ORDER[self._stage]]}.",
            ruler=round(10 * self._readiness),
            moved=" ".join(filter(None, (said[self._moved], resists))),
        )

    def state(self) -> dict[str, float]:
        return {
            "readiness": round(self._readiness, 4),
            "stage": self._stage / (len(ORDER) - 1),
            "effect": (self._effect + 2) / 4,
            "since_move": self._since_move / DWELL,
        }

    def restore(self, state: dict[str, float]) -> None:
        self._readiness = state["readiness"]
        self._stage = round(state["stage"] * (len(ORDER) - 1))
        self._effect = round(state["effect"] * 4) - 2
        self._since_move = round(state["since_move"] * DWELL)


def moved(readiness: float, stage: int, effect: int, since_move: int, resistance: float) -> tuple[float, int]:
    """(readiness, stage) after the therapist's words; see the module's docstring.

    Args:
        readiness: before, on 0-1.
        stage: before, 0 to 4.
        effect: -2 to 2.
        since_move: the client's turns since the stage last moved.
        resistance: the persona's, on 0-1.
    """
    weight = 1.0 - resistance / 2 if effect > 0 else 0.5 + resistance
    after = min(1.0, max(0.0, readiness + STEP * effect * weight))
    width = 1.0 / len(ORDER)
    if after < stage * width and stage > 0:
        return after, stage - 1
    if after >= (stage + 1) * width + MARGIN and stage < len(ORDER) - 1 and since_move >= DWELL:
        return after, stage + 1
    return after, stage
