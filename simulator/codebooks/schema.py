"""What a codebook is: behaviours with definitions, units, scales, the situation in which each can occur, and agreement.

A codebook is one YAML file. Definitions and examples are in our own words; the published ones stay with their authors.
Whether a code is exploratory follows from its published agreement between people and cannot be switched off.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field, StringConstraints, model_validator

from simulator.codebooks.flows import Flow, find_circle, flow_problem
from simulator.codebooks.gates import ALWAYS, SITUATIONS
from simulator.codebooks.indices import Index
from simulator.codebooks.parts import STRICT, UNITS, Name, Text, Unit, Value
from simulator.errors import UserError, nearest
from simulator.records.fingerprints import fingerprint

AGREEMENT_BAR = 0.667
"""Below this agreement between people a code is exploratory: Krippendorff's (2004) lowest bound."""

_CHANCE_CORRECTED = frozenset({"krippendorff alpha", "fleiss kappa", "cohen kappa", "mean pairwise kappa", "kappa"})


class _Part(BaseModel):
    model_config = STRICT


class Option(_Part):
    """One value of a nominal or ordinal code, with its meaning in our words. `stands_for`: see `Code`."""

    value: Value
    definition: Text
    stands_for: list[Text] = []


class Scale(_Part):
    """`binary` (absent, present), `nominal` (one of the options) or `ordinal` (one of the levels, ascending).

    `present_values` are the options that count as the behaviour being there, for scales of which the source says so.
    """

    kind: Literal["binary", "nominal", "ordinal"]
    options: list[Option] = []
    present_values: list[Value] = []

    @model_validator(mode="after")
    def _options_fit_the_kind(self) -> Self:
        values = [option.value for option in self.options]
        if self.kind == "binary" and (values or self.present_values):
            raise ValueError("a binary code is absent or present and takes no options")
        if self.kind != "binary" and len(values) < 2:
            raise ValueError(f"an {self.kind} code needs at least two options" if self.kind == "ordinal" else
                             "a nominal code needs at least two options")  # fmt: skip
        if len(set(values)) < len(values):
            raise ValueError("an option stands twice")
        for value in self.present_values:
            if value not in values:
                raise ValueError(f"present_values: '{value}' is no option{nearest(value, values)}")
        return self

    @property
    def values(self) -> tuple[str, ...]:
        """The values a judgment can have, as they stand in the dataset; binary codes: `absent`, `present`."""
        return tuple(option.value for option in self.options) if self.options else ("absent", "present")


class Example(_Part):
    """An invented example. `before` is what the other side said before; `value` the value it gets; `why` the reason."""

    text: Text
    value: Value
    before: Text | None = None
    why: Text | None = None


class Agreement(_Part):
    """A published figure. `between` says who agreed, `on` whether it was measured on this code alone, on all codes of
    the set together or on one near it. A `kappa` or `reliability` is one whose source does not say which kind.

    Only agreement between people on the code itself counts for whether a code is exploratory.
    """

    measure: Literal[
        "krippendorff alpha",
        "fleiss kappa",
        "cohen kappa",
        "mean pairwise kappa",
        "kappa",
        "reliability",
        "AC1",
        "accuracy",
        "macro-F1",
    ]
    figure: Annotated[float, Field(ge=-1, le=1)]
    between: Literal["people", "people and model", "models"]
    on: Literal["this code", "the set", "a related code"] = "this code"
    source: Text


class Code(_Part):
    """One behaviour. `positive` examples show it, `negative` ones look like it and are not.

    `stands_for` lists the ids of published codes (as in the library's manifest) that this one renders. A code is asked
    only where it is live: where the situation `live` holds and, if `depends_on` lists codes, where one of those is
    present in the same unit or in the session or course around it. `read_from` is `events` for codes that a course's
    own records decide (decisions, attendance) and `analysis` for those computed over a whole dataset; no coder reads
    either from text. `complete` says that definition, inclusion, exclusion and two examples of both kinds are given.
    """

    id: Name
    name: Text
    definition: Text
    stands_for: list[Text] = []
    group: Name | None = None
    unit: Unit
    roles: Annotated[list[Name], Field(min_length=1)]
    scale: Scale
    live: Name = ALWAYS
    depends_on: list[Name] = []
    inclusion: list[Text] = []
    exclusion: list[Text] = []
    positive: list[Example] = []
    negative: list[Example] = []
    source: Text
    agreement: list[Agreement] = []
    complete: bool
    read_from: Literal["text", "events", "analysis"] = "text"
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

    @property
    def gated(self) -> bool:
        """Whether the code is live only in some units."""
        return self.live != ALWAYS or bool(self.depends_on)

    @property
    def published(self) -> tuple[str, ...]:
        """The ids of all published codes that the code or one of its options renders."""
        return (*self.stands_for, *(one for option in self.scale.options for one in option.stands_for))

    def present(self, value: str) -> bool:
        """Whether a judged value counts as the behaviour being there. Raises: UserError for a scale that has no such
        values."""
        if self.scale.kind == "binary":
            return value == "present"
        if not self.scale.present_values:
            raise UserError(f"{self.id}: no value counts as present; add 'present_values' to its scale")
        return value in self.scale.present_values


class Outcome(_Part):
    """Codes that are reported as one: present in a unit where any of them is, over units where any of them is live."""

    name: Text
    unit: Text
    codes: Annotated[list[Name], Field(min_length=1)]
    note: Text | None = None


class Codebook(_Part):
    """A versioned list of codes.

    `groups` names the parts of the list (a code says which one it is of), `situations` adds gates of this codebook's
    own, `outcomes` group codes and are reported apart, never summed, `indices` are the figures a manual derives, `flow`
    says in which order questions are asked. A file may give `defaults`: fields that every code has unless it says
    otherwise.
    """

    name: Name
    title: Text
    version: Annotated[str, StringConstraints(pattern=r"^[0-9]+(?:\.[0-9]+)*$")]
    source: Text
    licence: Text
    about: Text
    codes: Annotated[list[Code], Field(min_length=1)]
    groups: dict[Name, Text] = {}
    situations: dict[Name, Text] = {}
    outcomes: dict[Name, Outcome] = {}
    indices: dict[Name, Index] = {}
    flow: Flow | None = None
    notes: list[Text] = []

    @model_validator(mode="before")
    @classmethod
    def _defaults_reach_every_code(cls, content: Any) -> Any:
        if not isinstance(content, dict) or "defaults" not in content:
            return content
        defaults, codes = content["defaults"], content.get("codes")
        if not isinstance(defaults, dict):
            raise ValueError("defaults: must be a mapping of fields that the codes share")
        for field in defaults:
            if field not in Code.model_fields:
                raise ValueError(f"defaults: no field '{field}'{nearest(str(field), Code.model_fields)}")
        filled = [defaults | code if isinstance(code, dict) else code for code in codes or []]
        return {key: value for key, value in content.items() if key != "defaults"} | {"codes": filled}

    @model_validator(mode="after")
    def _names_agree(self) -> Self:
        ids = [code.id for code in self.codes]
        for twice in sorted({name for name in ids if ids.count(name) > 1}):
            raise ValueError(f"codes: id '{twice}' stands twice")
        for code in self.codes:
            problem = self._problem(code, ids)
            if problem:
                raise ValueError(f"codes.{code.id}: {problem}")
        circle = find_circle({code.id: set(code.depends_on) for code in self.codes})
        if circle:
            raise ValueError(f"codes: depend on each other in a circle: {' -> '.join(circle)}")
        for outcome, group in self.outcomes.items():
            for member in group.codes:
                if member not in ids:
                    raise ValueError(f"outcomes.{outcome}.codes: no code '{member}'{nearest(member, ids)}")
        for name, index in self.indices.items():
            for term in index.terms:
                problem = self._term_problem(term, index, ids)
                if problem:
                    raise ValueError(f"indices.{name}: {problem}")
        if self.flow is not None:
            problem = flow_problem(self.flow, {code.id: code.values for code in self.codes})
            if problem:
                raise ValueError(problem)
        return self

    def _problem(self, code: Code, ids: list[str]) -> str | None:
        """What of a code does not fit the rest of the codebook."""
        known = {ALWAYS, *SITUATIONS, *self.situations}
        if code.live not in known:
            return f"live: no situation '{code.live}'{nearest(code.live, known)}"
        if code.group is not None and code.group not in self.groups:
            return f"group: no group '{code.group}'{nearest(code.group, self.groups)}"
        for example in (*code.positive, *code.negative):
            if example.value not in code.values:
                return f"example value '{example.value}' is none of the code's{nearest(example.value, code.values)}"
        for name in code.depends_on:
            if name not in ids:
                return f"depends_on: no code '{name}'{nearest(name, ids)}"
            other = self.code(name)
            if UNITS.index(other.unit) < UNITS.index(code.unit):
                return f"depends_on: '{name}' is judged by {other.unit}, which is smaller than {code.unit}"
            if other.scale.kind != "binary" and not other.scale.present_values:
                return f"depends_on: '{name}' has no 'present_values' in its scale"
        return None

    def _term_problem(self, term: str, index: Index, ids: list[str]) -> str | None:
        """What is wrong with a term of an index."""
        name, _, value = term.partition("=")
        if name not in ids:
            return f"no code '{name}'{nearest(name, ids)}"
        code = self.code(name)
        if value and value not in code.values:
            return f"'{name}' has no value '{value}'{nearest(value, code.values)}"
        if code.unit != index.unit:
            return f"counts by {index.unit}, and '{name}' is judged by {code.unit}"
        if index.kind in ("sum", "mean"):
            if value or not all(_is_number(each) for each in code.values):
                return f"'{term}' is no rating, and a {index.kind} is over ratings"
        elif not value and code.scale.kind != "binary" and not code.scale.present_values:
            return f"'{name}' has no 'present_values' to count; write '{name}=value'"
        return None

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

    def situation(self, name: str) -> str:
        """The definition of a situation that a code may name. Raises: UserError with the nearest name."""
        known = SITUATIONS | self.situations
        if name not in known:
            raise UserError(f"{self.name}: no situation '{name}'{nearest(name, known)}")
        return known[name]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
