"""From a study's design to its courses.

Courses are enumerated lazily and in a fixed order: persona, replicate, condition. A course's id is a hash of its own
condition, persona, replicate and the root seed, so that adding a condition leaves every other course as it is.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from simulator.personas.loading import load_persona_set
from simulator.personas.schema import Persona
from simulator.records.fingerprints import fingerprint
from simulator.resources import resource_root
from simulator.sessions.course import CourseSpec
from simulator.studies.config import PersonaChoice, StudyConfig, resolve_path
from simulator.errors import UserError, nearest


@dataclass(frozen=True, slots=True)
class Condition:
    """One cell of the design: who sits in which chair, in which arm. `content` is what its courses' ids depend on."""

    name: str
    arm: str
    chairs: dict[str, str]
    content: dict[str, Any]


@dataclass(slots=True)
class Plan:
    """The courses of a study."""

    config: StudyConfig
    personas: list[Persona]
    conditions: list[Condition]

    @property
    def size(self) -> int:
        """Number of courses."""
        return len(self.personas) * len(self.conditions) * self.config.replicates

    def courses(self) -> Iterator[CourseSpec]:
        """All courses, in the plan's order, one at a time."""
        for persona in self.personas:
            person = fingerprint(persona.model_dump(mode="json"))
            for replicate in range(self.config.replicates):
                for condition in self.conditions:
                    own = {
                        "condition": condition.content,
                        "persona": person,
                        "replicate": replicate,
                        "seed": self.config.seed,
                    }
                    course = fingerprint(own)
                    shared = fingerprint({key: own[key] for key in ("persona", "replicate", "seed")})
                    yield CourseSpec(
                        course, shared if self.config.pairing == "persona" else course, condition.name, condition.arm,
                        condition.chairs, persona, replicate,
                    )  # fmt: skip


def load_personas(choice: PersonaChoice, seed: int) -> list[Persona]:
    """The personas of a study.

    Raises:
        UserError: a file is wrong, or an id of `ids` is not in the set.
    """
    root = resource_root("personas")
    if choice.population is not None and choice.sample is not None:
        from simulator.personas.population import load_population, sample_personas

        population = load_population(resolve_path(choice.population, root / "populations"))
        personas = list(sample_personas(population, choice.sample, seed))
    else:
        personas = load_persona_set(resolve_path(str(choice.set), root))
    if choice.ids is not None:
        by_id = {persona.id: persona for persona in personas}
        for name in choice.ids:
            if name not in by_id:
                raise UserError(f"personas.ids: no persona '{name}' in {choice.set or choice.population}{nearest(name, by_id)}")
        personas = [by_id[name] for name in choice.ids]
    return personas[: choice.limit]


def make_plan(config: StudyConfig) -> Plan:
    """The plan of a study; reads its persona files."""
    roles = config.session.roles
    protocol = config.session.model_dump(mode="json", exclude={"arms", "stimuli"})
    conditions = []
    for names in itertools.product(*(config.options[role] for role in roles)):
        chairs = dict(zip(roles, names, strict=True))
        for arm, stimuli in config.session.arms.items():
            content = {
                "chairs": {role: {"name": name, **config.options[role][name]} for role, name in chairs.items()},
                "protocol": protocol,
                "stimuli": {name: config.session.stimuli[name].model_dump(mode="json") for name in stimuli},
                "arm": arm,
            }
            name = "+".join([*names, *([arm] if arm != "plain" else [])])
            conditions.append(Condition(name, arm, chairs, content))
    return Plan(config, load_personas(config.personas, config.seed), conditions)
