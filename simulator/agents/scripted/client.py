"""The scripted client of the reference dyad: a persona in a chair, with a latent state and no model behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from autogen_agentchat.messages import BaseChatMessage
from autogen_core import CancellationToken

from simulator.agents.base import STIMULUS, DyadAgent, Seat, TurnMessage
from simulator.agents.between_sessions import Decision, Kept, course_memory
from simulator.agents.reading import SOURCE
from simulator.agents.scripted import slots, weeks
from simulator.agents.scripted.answers import answer_item
from simulator.agents.scripted.dynamics import ClientProcess
from simulator.agents.scripted.effects import manner_of
from simulator.agents.scripted.equations import State
from simulator.agents.scripted.grammar import realise_client
from simulator.agents.scripted.hearing import hear_therapist, own_channel
from simulator.agents.scripted.notes import TherapistSaid, note
from simulator.agents.scripted.traits import drivers_of
from simulator.errors import UserError
from simulator.personas.schema import Persona
from simulator.records.journal_records import Answer, Note
from simulator.records.seeds import Draws

if TYPE_CHECKING:
    from simulator.instruments.schema import Instrument, Item

MODEL = "scripted"


class ScriptedClient(DyadAgent):
    """A client whose every turn is planned by `dynamics.ClientProcess` and worded by the grammar.

    Its messages carry the planted codes, the state, and under `planted["scripted"]` what a scripted therapist may know
    of it: its manner, the clause or relation that it just told, and at its first turn its name and topic. `goodbye`
    says whether it takes leave. Hearing a journal again rebuilds it exactly; one that rates a recording is in the state
    that the recording left it in. In a course of several sessions it goes on
    in the state in which it was left (`weeks`), tells what it has not told yet, notes, lives and decides.

    Args:
        seat: the chair, with a persona.

    Raises:
        UserError: the seat has no persona.
    """

    def __init__(self, seat: Seat) -> None:
        super().__init__(seat, "scripted client of the reference dyad")
        if seat.persona is None:
            raise UserError(f"{seat.role}: the scripted client needs a persona; seat it in the client's chair")
        self.persona: Persona = seat.persona
        self._rates = seat.memory.get(SOURCE, {}).get("use") == "rate"
        self._drivers = drivers_of(self.persona)
        self._begin()

    def _begin(self) -> None:
        persona = self.persona
        self._memory = course_memory(self.seat)
        state = self._memory.state if self._memory is not None else {}
        self._beyond = {"support": weeks.usual_support(persona.loneliness), "pull": 0.0, "helped": 0.0, **state}
        self.process = ClientProcess(
            self._drivers,
            manner_of(persona.id),
            self.seat.seed(-1, slots.SESSION),
            len(persona.problem.facts),
            len(persona.problem.sensitive),
            len(persona.identity.people),
            start=weeks.states_of(state) if state else None,
            told=int(state.get("told", 0)),
            told_sensitive=int(state.get("told_sensitive", 0)),
        )
        self._said = TherapistSaid()
        self._told: list[str] = []
        self._last = ""
        self._introduced = False

    def heard(self, message: BaseChatMessage) -> None:
        if message.source == STIMULUS:
            return
        if message.source == self.seat.role:
            own = own_channel(message)
            if self._rates and isinstance(message, TurnMessage) and message.state is not None:
                self.process.state = State(**message.state)
            self._introduced = self._introduced or "name" in own
            sensitive = bool(own.get("sensitive"))
            if "told" in own:
                self._told.append(own["told"])
            self.process.said("told" in own and not sensitive, sensitive)
            return
        self._last = message.to_model_text()
        noise = Draws(self.seat.seed(self._turns)).at(slots.HEARING)
        heard = hear_therapist(message)
        self.process.hear(heard, noise)
        if self._memory is not None:
            self._said.take(message, heard)

    async def respond(self, turn: int, seed: int) -> TurnMessage:
        process, persona = self.process, self.persona
        plan = process.decide(turn, Draws(seed))
        own: dict[str, Any] = {"manner": process.manner}
        if not self._introduced:
            own["name"] = persona.identity.name.split()[0]
            own["topic"] = persona.problem.target_behaviour
        if plan.sensitive is not None:
            own["told"], own["sensitive"] = persona.problem.sensitive[plan.sensitive], True
        elif plan.fact is not None:
            own["told"] = persona.problem.facts[plan.fact]
        if plan.person is not None:
            own["person"] = persona.identity.people[plan.person].relation
        text = realise_client(plan, persona, turn, Draws(self.seat.seed(turn, "text")), self._last)
        return TurnMessage(
            content=text,
            source=self.name,
            role=self.seat.role,
            turn=turn,
            model=MODEL,
            seed=seed,
            planted={**plan.planted(), "scripted": own},
            state=process.state._asdict(),
            goodbye=plan.goodbye,
        )

    async def answer_item(self, instrument: Instrument, item: Item, form: str, seed: int) -> Answer:
        """The client's answer to one item, from its state as it is now."""
        return answer_item(self.persona, self.process.state, instrument, item, form, seed)

    @property
    def whole_state(self) -> dict[str, float]:
        """The state with all that goes on between sessions: `support`, `pull`, `helped`, and how much was told."""
        process = self.process
        told = {"told": float(process.told), "told_sensitive": float(process.told_sensitive)}
        return self._beyond | process.state._asdict() | told

    async def take_notes(self, seed: int) -> Kept:
        """What it told, what it was promised or given to do, and how it came away."""
        state, said = self.whole_state, self._said
        drawn = (said.fostered - said.protected) / max(1, said.turns)
        state["pull"] = round(min(1.0, max(-1.0, 0.5 * state["pull"] + drawn)), 6)
        notes: list[Note] = [note("fact", text) for text in dict.fromkeys(self._told)]
        lighter = self.process.state.distress < 0.45
        notes.append(note("note", "came away lighter" if lighter else "came away with a weight"))
        return Kept([*notes, *said.notes()], state)

    def live(self, days: float, happened: Sequence[str], seed: int) -> dict[str, float]:
        """Move the state over days without a session."""
        state = weeks.live(self.whole_state, self._drivers, self.persona.loneliness, days, happened, seed)
        self.process.state, self._beyond = weeks.states_of(state), state
        return state

    async def decide(self, options: Sequence[str], seed: int) -> Decision:
        """One of the options, from the state as it is now."""
        return weeks.decide(options, self.whole_state, seed)

    async def on_reset(self, cancellation_token: CancellationToken) -> None:
        await super().on_reset(cancellation_token)
        self._begin()
