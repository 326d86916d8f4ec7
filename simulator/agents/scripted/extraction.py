"""The scripted stand-in for reading profiles: what the recording's persona is, with errors of a known rate.

It exists so that a whole study of profiles runs without a model and so that measures of faithfulness can be checked
against a known truth. It knows the persona of the scripted client who speaks in the recording, reads a stated share of
its fields wrongly, and cannot identify a stated share; nothing of it reads language.
"""

from collections.abc import Sequence

from autogen_agentchat.messages import BaseChatMessage

from simulator.agents.base import DyadAgent, Seat, TurnMessage
from simulator.agents.profiles.fields import UNKNOWN, Field, profile_fields
from simulator.agents.reading import recording_of
from simulator.errors import SessionError, UserError
from simulator.personas.schema import Persona
from simulator.records.journal_records import Extracted
from simulator.records.seeds import Draws

WRONG, UNIDENTIFIED, SPREAD = 0.15, 0.10, 8.0
"""Share of ordered fields read one step off, share of fields that cannot be identified, and the standard deviation of a
percentage around the truth."""


class ScriptedExtraction(DyadAgent):
    """Reads the profile of the scripted client of a recording; holds no session.

    Args:
        seat: the chair, with a recording of a scripted session and its persona.

    Raises:
        UserError: the recording has no persona.
    """

    def __init__(self, seat: Seat) -> None:
        super().__init__(seat, "scripted stand-in for reading a profile")
        self._recording = recording_of(seat)
        if seat.persona is None:
            raise UserError(
                f"{seat.role}: the scripted extraction reads sessions of the reference dyad alone; for others take "
                "client=[extraction] with a model"
            )
        self.persona: Persona = seat.persona

    @property
    def fields(self) -> Sequence[str]:
        """Names of all fields of a profile."""
        return list(profile_fields())

    def recall(self, turns: Sequence[BaseChatMessage]) -> None:
        """Nothing: the recording is known."""

    async def respond(self, turn: int, seed: int) -> TurnMessage:
        raise SessionError("protocol", "reading_only", f"{self.seat.role}: who reads recordings holds no session")

    async def read(self, field: str) -> Extracted:
        """One field of the persona, as it was read."""
        asked, seed = profile_fields()[field], self.seat.seed(-1, f"profile:{field}")
        found = Extracted(
            self.seat.course, 0, field, self._recording["source"], self._recording["transcript"], seed=seed
        )
        draws = Draws(seed)
        truth = true_value(self.persona, asked)
        if truth is None or draws.uniform() < UNIDENTIFIED:
            found.missing_reason = UNKNOWN
            return found
        found.value = _read(asked, truth, draws)
        found.number = asked.number(found.value)
        own = [turn for turn, said in enumerate(self._recording["turns"]) if said.role == self.seat.role]
        if own:
            found.evidence_turn = own[draws.below(len(own))]
            found.evidence_start, found.evidence_end = 0, len(self._recording["turns"][found.evidence_turn].text)
        return found


def _read(field: Field, truth: str, draws: Draws) -> str:
    if field.kind == "percent":
        return f"{min(100.0, max(0.0, float(truth) + SPREAD * draws.normal())):.0f}"
    if field.kind in ("level", "severity") and draws.uniform() < WRONG:
        place = field.options.index(truth) + (1 if draws.uniform() < 0.5 else -1)
        return field.options[min(len(field.options) - 1, max(0, place))]
    return truth


def true_value(persona: Persona, field: Field) -> str | None:
    """What a persona's field truly is; None where personas have no such field."""
    identity, traits = persona.identity, persona.traits
    if field.group == "big_five":
        return f"{100 * getattr(traits, field.name):.0f}"
    if field.group == "manner":
        levels = {
            "feeling_expression": 1.0 - traits.willingness_to_disclose,
            "emotional_fluctuation": traits.emotional_fluctuation,
            "resistance": traits.resistance,
        }
        return field.options[min(2, int(3 * levels[field.name]))]
    if field.group == "symptoms":
        instrument, item = field.name.split(":")
        scores = {"PHQ-9": persona.severity.phq9, "GAD-7": persona.severity.gad7}.get(instrument)
        return None if scores is None else field.options[scores[int(item) - 1]]
    texts = {
        "name": identity.name, "age": str(identity.age), "occupation": identity.occupation,
        "gender": {"woman": "female", "man": "male"}.get(identity.gender, identity.gender),
        "reasons": persona.problem.short, "problem": persona.problem.domain, "situation": persona.problem.facts[0],
    }  # fmt: skip
    value = texts.get(field.name)
    return value if not field.options or value in field.options else "other" if field.name == "gender" else None
