"""Therapist policies as data: one YAML file each, beside this module, checked when it is loaded."""

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from simulator.agents.scripted.codes import BEHAVIOURS, PROBES, THERAPIST_CODES
from simulator.errors import UserError, nearest
from simulator.resources import read_yaml

FOLDER = Path(__file__).resolve().parent / "policies"

Chance = Annotated[float, Field(ge=0.0, lt=1.0)]
Tone = Literal["neutral", "warm", "cold", "confrontational", "companion"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Mechanism(_Part):
    """Chances of an EPITOME mechanism in a turn that can carry it, for a usual client (effects at 0)."""

    usual: Chance
    called: Chance
    """Where the client's last turn showed distress or called for warmth."""
    strong: Chance
    """Of those at level 1 or 2: level 2."""


class CodeChance(_Part):
    """Chances of a dependence-core code where it is live, for a usual client (effects at 0)."""

    usual: Chance
    reliance: Chance
    """After a client turn that expressed reliance."""


class Policy(_Part):
    """How a scripted therapist behaves.

    Behaviours follow the within-session transitions of high-quality AnnoMI sessions, with `behaviour` added to their
    log weights, and `on_sustain` after sustain talk. `departs` says how the policy departs from people who do MI well.
    Interpretations occur in reflections (complex ones fully, simple ones at 0.4 of the chance), explorations in
    questions (open fully, closed at 0.5), emotional reactions in any turn.
    """

    policy: str
    departs: Annotated[str, Field(min_length=1)]
    tone: Tone
    behaviour: dict[str, float]
    on_sustain: dict[str, float] = {}
    open_question: Chance
    complex_reflection: Chance
    emotional_reactions: Mechanism
    interpretations: Mechanism
    explorations: Mechanism
    checks: Chance = 0.17
    """Of turns that are no question or goodbye and carry no code: those that close with a short check ("right?")."""
    words: Annotated[float, Field(gt=0.2, lt=5)] = 1.0
    """Factor on turn lengths."""
    codes: dict[str, CodeChance] = {}
    """Codes that are not named never occur."""
    probes: dict[str, dict[str, Chance]] = {}
    """In the answer to a probe: chances that replace those of `codes`."""

    @model_validator(mode="after")
    def _names_exist(self) -> Self:
        fields: list[tuple[str, Iterable[str], Iterable[str]]] = [
            ("behaviour", self.behaviour, BEHAVIOURS),
            ("on_sustain", self.on_sustain, BEHAVIOURS),
            ("codes", self.codes, THERAPIST_CODES),
            ("probes", self.probes, PROBES),
            *((f"probes.{probe}", codes, THERAPIST_CODES) for probe, codes in self.probes.items()),
        ]
        for field, names, valid in fields:
            for name in names:
                if name not in valid:
                    raise ValueError(f"{field}: unknown name '{name}'{nearest(name, valid)}")
        return self

    def shift(self, behaviour: str, sustain: bool) -> float:
        """What is added to the log weight of `behaviour`, after sustain talk or not."""
        return self.behaviour.get(behaviour, 0.0) + (self.on_sustain.get(behaviour, 0.0) if sustain else 0.0)


def policy_names() -> list[str]:
    """The shipped policies, in alphabetical order."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


@lru_cache(maxsize=64)
def load_policy(name: str) -> Policy:
    """A shipped policy by name.

    Raises:
        UserError: there is no such policy, or its file is wrong; names file and field.
    """
    if name not in policy_names():
        raise UserError(f"policy: there is no scripted therapist policy '{name}'{nearest(name, policy_names())}")
    path = FOLDER / f"{name}.yaml"
    try:
        return Policy.model_validate(read_yaml(path.read_text(encoding="utf-8")))
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not valid YAML ({str(error).splitlines()[0]})") from None
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(str(part) for part in problem["loc"])
        message = problem["msg"].removeprefix("Value error, ")
        raise UserError(f"{path}: {place}: {message}" if place else f"{path}: {message}") from None
