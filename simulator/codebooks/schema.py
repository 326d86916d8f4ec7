"""What a codebook is: behaviours with definitions, units, scales, the situation in which each can occur, and agreement.

A codebook is one YAML file. Definitions and examples are in our own words; the published ones stay with their authors.
Whether a code is exploratory follows from its published agreement between people and cannot be switched off.
"""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from simulator.errors import UserError, nearest
from simulator.records.fingerprints import fingerprint

Text = Annotated[str, StringConstraints(min_length=1, max_length=1200, strip_whitespace=True)]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]+(?:[-_.][A-Za-z0-9]+)*$", max_length=80)]
Unit = Literal["utterance", "turn", "exchange", "session", "course"]
Live = Literal["always", "departure", "sincerely_asked", "outside_support", "risk", "distress", "warmth_called"]
"""`always`, or the situation that must hold in the turn before: the client leaves; asks sincerely what the other is;
people or help outside are in play; there is a sign of risk; the client is in distress; warmth is called for."""

AGREEMENT_BAR = 0.667
"""Below this agreement between people a code is exploratory: Krippendorff's (2004) lowest bound."""

_CHANCE_CORRECTED = frozenset({"krippendorff alpha", "fleiss kappa", "cohen kappa", "mean pairwise kappa"})


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Option(_Part):
    """One value of a nominal or ordinal code, with its meaning in our words."""

    value: Name
    definition: Text


class Scale(_Part):
    """`binary` (absent, present), `nominal` (one of the options) or `ordinal` (one of the levels, ascending)."""

    kind: Literal["binary", "nominal", "ordinal"]
    options: list[Option] = []

    @model_validator(mode="after")
    def _options_fit_the_kind(self) -> Self:
        values = [option.value for option in self.options]
        if self.kind == "binary" and values:
            raise ValueError("a binary code is absent or present and takes no options")
        if self.kind != "binary" and len(values) < 2:
            raise ValueError(f"an {self.kind} code needs at least two options" if self.kind == "ordinal" else
                             "a nominal code needs at least two options")  # fmt: skip
        if len(set(values)) < len(values):
            raise ValueError("an option stands twice")
        return self

    @property
    def values(self) -> tuple[str, ...]:
        """The values a judgment can have, as they stand in the dataset; binary codes: `absent`, `present`."""
        return tuple(option.value for option in self.options) if self.options else ("absent", "present")


class Example(_Part):
    """An invented example. `before` is what the other side said before; `value` the value it gets; `why` the reason."""

    text: Text
    value: Name
    before: Text | None = None
    why: Text | None = None


class Agreement(_Part):
    """A published figure. `between` says who agreed, `on` whether it was measured on this code or on one near it.

    Only agreement between people on the code itself counts for whether a code is exploratory.
    """

    measure: Literal[
        "krippendorff alpha", "fleiss kappa", "cohen kappa", "mean pairwise kappa", "AC1", "accuracy", "macro-F1"
    ]
    figure: Annotated[float, Field(ge=-1, le=1)]
    between: Literal["people", "people and model", "models"]
    on: Literal["this code", "a related code"] = "this code"
    source: Text


class Code(_Part):
    """One behaviour. `positive` examples show it, `negative` ones look like it and are not.

    `read_from` is `events` for codes that a course's own records decide (decisions, attendance) and no coder reads from
    text. `complete` says that definition, inclusion, exclusion and two examples of both kinds are given.
    """

    id: Name
    name: Text
    definition: Text
    unit: Unit
    roles: Annotated[list[Name], Field(min_length=1)]
    scale: Scale
    live: Live = "always"
    inclusion: list[Text] = []
    exclusion: list[Text] = []
    positive: list[Example] = []
    negative: list[Example] = []
    source: Text
    agreement: list[Agreement] = []
    complete: bool
    read_from: Literal["text", "events"] = "text"
    note: Text | None = None

    @property
    def exploratory(self) -> bool:
        """True unless every published chance-corrected agreement between people reaches `AGREEMENT_BAR`."""
        figures = [
            each.figure
            for each in self.agreement
            if each.between == "people" and each.on == "this code" and each.measure in _CHANCE_CORRECTED
        ]
        return not figures or min(figures) < AGREEMENT_BAR

    @property
    def values(self) -> tuple[str, ...]:
        """The values a judgment of this code can have."""
        return self.scale.values


class Outcome(_Part):
    """Codes that are reported as one: present in a unit where any of them is, over units where any of them is live."""

    name: Text
    unit: Text
    codes: Annotated[list[Name], Field(min_length=1)]
    note: Text | None = None


class Codebook(_Part):
    """A versioned list of codes. `outcomes` group codes and are reported apart, never summed."""

    name: Name
    title: Text
    version: Annotated[str, StringConstraints(pattern=r"^[0-9]+(?:\.[0-9]+)*$")]
    source: Text
    licence: Text
    about: Text
    codes: Annotated[list[Code], Field(min_length=1)]
    outcomes: dict[Name, Outcome] = {}
    notes: list[Text] = []

    @model_validator(mode="after")
    def _names_agree(self) -> Self:
        ids = [code.id for code in self.codes]
        for twice in sorted({name for name in ids if ids.count(name) > 1}):
            raise ValueError(f"codes: id '{twice}' stands twice")
        for code in self.codes:
            for example in (*code.positive, *code.negative):
                if example.value not in code.values:
                    raise ValueError(
                        f"codes.{code.id}: example value '{example.value}' is none of the code's"
                        f"{nearest(example.value, code.values)}"
                    )
        for outcome, group in self.outcomes.items():
            for member in group.codes:
                if member not in ids:
                    raise ValueError(f"outcomes.{outcome}.codes: no code '{member}'{nearest(member, ids)}")
        return self

    @property
    def fingerprint(self) -> str:
        """32 hexadecimal characters that stand for the whole content."""
        return fingerprint(self.model_dump(mode="json"))

    @property
    def complete(self) -> bool:
        """Whether every code has all the fields asked of a complete one."""
        return all(code.complete for code in self.codes)

    def code(self, code_id: str) -> Code:
        """The code called `code_id`. Raises: UserError with the nearest id."""
        for code in self.codes:
            if code.id == code_id:
                return code
        raise UserError(f"{self.name}: no code '{code_id}'{nearest(code_id, [code.id for code in self.codes])}")
