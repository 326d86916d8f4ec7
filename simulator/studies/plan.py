"""From a study's design to its courses.

Courses are enumerated lazily and in a fixed order: persona, replicate, condition. A course's id is a hash of its own
condition, persona, replicate and the root seed, so that adding a condition leaves every other course as it is.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from simulator.errors import UserError, nearest
from simulator.personas.loading import load_persona_set
from simulator.personas.schema import Persona
from simulator.records.fingerprints import fingerprint
from simulator.resources import resource_root
from simulator.secrets import refuse_secrets
from simulator.sessions.course import CourseSpec
from simulator.studies.chairs import check_replay, counted_option
from simulator.studies.config import PersonaChoice, StudyConfig, resolve_path
from simulator.studies.recordings import Recording
from simulator.studies.replay import load_recordings
from simulator.studies.source import load_sources


@dataclass(frozen=True, slots=True)
class Condition:
    """One cell of the design: who sits in which chair, in which arm. `content` is what its courses' ids depend on."""

    name: str
    arm: str
    chairs: dict[str, str]
    content: dict[str, Any]


@dataclass(slots=True)
class Plan:
    """The courses of a study. Courses are numbered in the plan's order and made when they are asked for."""

    config: StudyConfig
    personas: list[Persona]
    conditions: list[Condition]
    available_personas: int
    """How many personas there were before `personas.limit` cut them."""
    chairs: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What of each chair's configuration counts: role -> name -> content."""
    recordings: list[Recording] = field(default_factory=list)
    """Recorded sessions in place of personas, where the study replays some or makes its clients from some."""
    _person_prints: list[str] = field(init=False)
    _condition_prints: list[str] = field(init=False)

    def __post_init__(self) -> None:
        if self.recordings:
            self._person_prints = [_print_of(recording) for recording in self.recordings]
        else:
            self._person_prints = [fingerprint(persona.model_dump(mode="json")) for persona in self.personas]
        self._condition_prints = [fingerprint(condition.content) for condition in self.conditions]

    @property
    def size(self) -> int:
        """Number of courses."""
        return len(self._person_prints) * len(self.conditions) * self.config.replicates

    def _place(self, number: int) -> tuple[int, int, int]:
        rest, condition = divmod(number, len(self.conditions))
        persona, replicate = divmod(rest, self.config.replicates)
        return persona, replicate, condition

    def course_id(self, number: int) -> str:
        """The id of a course: a hash of its own condition, persona, replicate and the root seed."""
        persona, replicate, condition = self._place(number)
        own = [self._condition_prints[condition], self._person_prints[persona], replicate, self.config.seed]
        return fingerprint(own)

    def spec(self, number: int) -> CourseSpec:
        """The course with a number from 0 to `size` - 1."""
        place, replicate, cell = self._place(number)
        condition = self.conditions[cell]
        course = self.course_id(number)
        shared = fingerprint([self._person_prints[place], replicate, self.config.seed])
        pairing_key = shared if self.config.pairing == "persona" else course
        about = (course, pairing_key, condition.name, condition.arm, condition.chairs)
        if not self.recordings:
            return CourseSpec(*about, self.personas[place], replicate)
        recording = self.recordings[place]
        return CourseSpec(*about, recording.persona, replicate, recording.cluster, recording.memory, recording.stratum)

    def courses(self) -> Iterator[CourseSpec]:
        """All courses, in the plan's order, one at a time."""
        return map(self.spec, range(self.size))

    def index(self) -> "PlanIndex":
        """The courses sorted by id, 40 bytes each."""
        ids = np.fromiter((self.course_id(number) for number in range(self.size)), dtype="S32", count=self.size)
        order = np.argsort(ids, kind="stable")
        return PlanIndex(self, ids[order], order)


@dataclass(slots=True)
class PlanIndex:
    """A plan's courses in the order of their ids, in which shards and ranges of the dataset are contiguous."""

    plan: Plan
    ids: npt.NDArray[np.bytes_]
    numbers: npt.NDArray[np.int64]

    def count(self, first: int, end: int, parts: int) -> int:
        """How many courses the parts `first` to `end` - 1 of `parts` equal ranges of ids hold."""
        low, high = (np.searchsorted(self.ids, f"{bound * 2**32 // parts:08x}".encode()) for bound in (first, end))
        return int((len(self.ids) if end == parts else high) - low)

    def within(self, part: int, parts: int) -> Iterator[CourseSpec]:
        """The courses of one of `parts` equal ranges of ids (`parts` a power of two), sorted by id."""
        low, high = (f"{bound * 2**32 // parts:08x}".encode() for bound in (part, part + 1))
        first = int(np.searchsorted(self.ids, low))
        last = len(self.ids) if part + 1 == parts else int(np.searchsorted(self.ids, high))
        for position in range(first, last):
            yield self.plan.spec(int(self.numbers[position]))


def _print_of(recording: Recording) -> str:
    """What of a recording its courses' ids depend on: what was said, and what is made of it."""
    source = recording.memory.get("source")
    if source is None:
        return recording.fingerprint
    kept = ("transcript", "use", "seed_turns", "turn_ratio")
    return fingerprint([recording.fingerprint, *(source.get(key) for key in kept)])


def load_personas(choice: PersonaChoice, seed: int) -> tuple[list[Persona], int]:
    """The personas of a study, and how many there would be without `limit`.

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
                raise UserError(
                    f"personas.ids: no persona '{name}' in {choice.set or choice.population}{nearest(name, by_id)}"
                )
        personas = [by_id[name] for name in choice.ids]
    return personas[: choice.limit], len(personas)


def make_plan(config: StudyConfig) -> Plan:
    """The plan of a study; reads its personas, or the sessions that it replays.

    Raises:
        UserError: a file or a chair's configuration is wrong, or a key stands in it.
    """
    refuse_secrets(config.model_dump(mode="json"), "")
    for purpose, model in {"": config.model, **config.models}.items():  # what is laid over a model has no `_target_`
        refuse_secrets(model, f"{purpose}.model".lstrip("."), below=True)
    roles = config.session.roles
    protocol = config.session.model_dump(mode="json", exclude={"arms", "interventions", "guards", "course"})
    if config.session.course.several:
        protocol["course"] = config.session.course.model_dump(mode="json")
    if config.session.guards.acting:  # a guard that only records changes nothing that is said
        protocol["guards"] = config.session.guards.acting
    counted = {role: {name: counted_option(config, role, name) for name in config.options[role]} for role in roles}
    conditions = []
    for names in itertools.product(*(config.options[role] for role in roles)):
        chairs = dict(zip(roles, names, strict=True))
        for arm, stimuli in config.session.arms.items():
            content = {
                "chairs": {role: {"name": name, **counted[role][name]} for role, name in chairs.items()},
                "protocol": protocol,
                "interventions": {name: config.session.interventions[name].model_dump(mode="json") for name in stimuli},
                "arm": arm,
            }
            name = "+".join([*names, *([arm] if arm != "plain" else [])])
            conditions.append(Condition(name, arm, chairs, content))
    if config.replay.run is not None:
        check_replay(config)
        recordings = load_recordings(config.replay, "client", "therapist")
    elif config.source.run is not None:
        recordings = load_sources(config.source)
    else:
        personas, available = load_personas(config.personas, config.seed)
        return Plan(config, personas, conditions, available, counted)
    known = {recording.persona.id: recording.persona for recording in recordings if recording.persona is not None}
    return Plan(config, list(known.values()), conditions, len(known), counted, recordings)
