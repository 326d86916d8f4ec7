"""The ClientCAST client: played from a profile that was read out of a recorded session (Wang et al. 2024).

Corrected by default; every choice of the original that can change a result is a switch, so that its effect can be
shown: the recording in the prompt (`reference`), manners that were not identified filled in (`default_manner`),
situation and problem exchanged (`swap_situation_problem`), positively worded symptom items left out
(`positive_symptoms`), and a rater who knows reasons and traits alone (`character`).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from simulator.agents.base import Seat
from simulator.agents.model_agent import ModelAgent
from simulator.agents.profiles.fields import Field, profile_fields
from simulator.agents.prompting import load_prompt, path_of
from simulator.agents.reading import recording_of
from simulator.errors import UserError, nearest
from simulator.models.messages import Completer, Message

Reference = Literal["none", "window50", "full"]
Character = Literal["full", "reasons_and_traits"]

WINDOW, WINDOW_FROM, WINDOW_BACK, WINDOW_MOVES_AT = 50, 60, 10, 0.85
"""ClientCAST shows 50 utterances of a recording of 60 or more; when the talk passes .85 of the window's end, the window
begins 10 before that end."""

MANNERS = {
    "feeling_expression": "{level} unwillingness to speak about feelings",
    "emotional_fluctuation": "{level} swings of feeling",
    "resistance": "{level} resistance to the therapist",
}
DEFAULT_MANNERS = {
    "feeling_expression": "may be unwilling to speak about feelings",
    "emotional_fluctuation": "feelings may swing",
    "resistance": "may resist the therapist and hold feelings back",
}
_SYNOPSIS = ("gender", "age", "occupation", "situation", "problem", "emotion", "reasons")
_RATERS_SYNOPSIS = ("gender", "age", "occupation", "reasons")


class ClientCastClient(ModelAgent):
    """A client played from a profile.

    Args:
        seat: the chair, with a recording and its profile.
        model_client: the model.
        prompt: `clientcast`, or the path of a .jinja file with the same blocks.
        reference: how much of the recording stands in the prompt (ClientCAST: window50).
        default_manner: what was not identified is taken to be there (ClientCAST: true).
        swap_situation_problem: each stands under the other's name (ClientCAST: true).
        positive_symptoms: whether positively worded symptom items are used (ClientCAST: false).
        character: the whole profile, or what ClientCAST's rater knows.

    Raises:
        UserError: no recording, no profile, or an unknown choice.
    """

    def __init__(
        self,
        seat: Seat,
        model_client: Completer,
        prompt: str = "clientcast",
        reference: Reference = "none",
        default_manner: bool = False,
        swap_situation_problem: bool = False,
        positive_symptoms: bool = True,
        character: Character = "full",
    ) -> None:
        recording = recording_of(seat)
        if "profile" not in recording:
            raise UserError(f"{seat.role}: the client has no profile; name the run that read it as source.profiles=RUN")
        for field, value, choices in (
            ("reference", reference, ("none", "window50", "full")),
            ("character", character, ("full", "reasons_and_traits")),
        ):
            if value not in choices:
                raise UserError(f"{seat.role}.{field}: no choice '{value}'{nearest(value, choices)}")
        self._profile: Mapping[str, Mapping[str, Any]] = recording["profile"]
        self._recorded_session: Sequence[Any] = recording["turns"]
        self._reference = reference
        self._window = 0
        self._prompt = load_prompt(path_of("client", prompt, "client prompt"), ("system", "persona", "reminder"))
        self._name = str(self._profile.get("name", {}).get("value") or "the client")
        self._described = self._describe(default_manner, swap_situation_problem, positive_symptoms, character)
        super().__init__(
            seat,
            model_client,
            self._prompt.render("system"),
            self._persona_text(),
            self._prompt.render("reminder", called=self._name),
            (self._name,),
            f"client from a profile, reference {reference}",
        )

    @property
    def called(self) -> str:
        return self._name

    async def prepare(self, turn: int) -> None:
        """Move the window over the recording along with the talk, where there is one."""
        if self._reference != "window50" or len(self._recorded_session) < WINDOW_FROM:
            return
        window = window_at(turn)
        if window != self._window:
            self._window = window
            lead = "\n\n".join((self._prompt.render("system"), self._persona_text()))
            self._lead = Message("system", lead)

    def _persona_text(self) -> str:
        return self._prompt.render("persona", called=self._name, reference=self._shown(), **self._described)

    def _shown(self) -> list[tuple[str, str]]:
        said = [(one.role, one.text) for one in self._recorded_session]
        if self._reference == "none":
            return []
        if self._reference == "full" or len(said) < WINDOW_FROM:
            return said
        return said[self._window : self._window + WINDOW]

    def _value(self, field: str) -> str | None:
        value = self._profile.get(field, {}).get("value")
        return None if value is None else str(value)

    def _describe(self, defaults: bool, swapped: bool, positive: bool, character: Character) -> dict[str, Any]:
        """Synopsis, manner, traits and symptoms in words; what was not identified is left out, or defaulted."""
        fields = profile_fields()
        exchanged = {"situation": "problem", "problem": "situation"} if swapped else {}
        wanted = _SYNOPSIS if character == "full" else _RATERS_SYNOPSIS
        synopsis = [(name, value) for name in wanted if (value := self._value(exchanged.get(name, name))) is not None]
        traits = [
            (name, value)
            for name, field in fields.items()
            if field.group == "big_five" and (value := self._value(name)) is not None
        ]
        if character != "full":
            return {"synopsis": synopsis, "manner": [], "traits": traits, "symptoms": []}
        manner = []
        for name, words in MANNERS.items():
            level = self._value(name)
            if level is not None:
                manner.append(words.format(level=level))
            elif defaults:
                manner.append(DEFAULT_MANNERS[name])
        symptoms = [
            (field.topic, value)
            for name, field in fields.items()
            if field.group == "symptoms" and (positive or not field.positive) and (value := self._shows(field, name))
        ]
        return {"synopsis": synopsis, "manner": manner, "traits": traits, "symptoms": symptoms}

    def _shows(self, field: Field, name: str) -> str | None:
        """A symptom's severity where it is not the lowest one."""
        value = self._value(name)
        lowest = field.options[-1 if field.positive else 0]
        return value if value != lowest else None


def window_at(turn: int) -> int:
    """Where ClientCAST's window over the recording begins when a turn is about to be spoken."""
    begin = 0
    while turn > WINDOW_MOVES_AT * (begin + WINDOW):
        begin += WINDOW - WINDOW_BACK
    return begin
