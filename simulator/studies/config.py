"""The typed configuration of a study: what Hydra composed, checked.

An unknown key or a value of the wrong type is one line that names the field and the nearest valid name. Everything here
can be set on the command line; nothing here is ignored.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from simulator.errors import UserError, nearest
from simulator.models.purposes import model_of
from simulator.sessions.administration import InstrumentChoice
from simulator.sessions.protocol import Name, SessionProtocol
from simulator.store.journal import SYNC_POLICIES
from simulator.studies.part import Part, parse_part
from simulator.studies.replay import ReplayChoice
from simulator.studies.source import SourceChoice

Settings = TypeVar("Settings", bound=BaseModel)

ChairOptions = Annotated[dict[Name, dict[str, Any]], Field(min_length=1)]


class _Config(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class PersonaChoice(_Config):
    """Which personas take part: a set of files, or a sample from a declared population."""

    set: str | None = None
    """A shipped set's name or a path to a file or folder."""
    population: str | None = None
    """A shipped population's name or a path."""
    sample: Annotated[int, Field(ge=1)] | None = None
    """How many personas to draw from the population."""
    ids: list[str] | None = None
    """Only these personas of the set."""
    limit: Annotated[int, Field(ge=1)] | None = None
    """Only the first so many."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.set is None) == (self.population is None):
            raise ValueError("give either 'set' or 'population'")
        if (self.population is None) != (self.sample is None):
            raise ValueError("'population' and 'sample' go together")
        return self


class Limits(_Config):
    """What a run may use. `failure_rate` of the courses that a process has tried (once there are 20), or of its
    latest ones, drains that process; the others go on."""

    concurrency: Annotated[int, Field(ge=1)] = 64
    """Courses in flight at once, over all workers."""
    lease_seconds: Annotated[float, Field(gt=0)] = 60.0
    """A writer that has not shown itself for this long may be taken over."""
    workers: Annotated[int, Field(ge=1)] | None = None
    """Processes; by default as many as this process may use cores."""
    failure_rate: Annotated[float, Field(gt=0, le=1)] = 0.5
    tokens: Annotated[int, Field(ge=1)] | None = None
    """Tokens, prompts and answers together, after which the run stops."""
    cost: Annotated[float, Field(gt=0)] | None = None
    """The same for what calls cost by their models' `price`."""
    hours: Annotated[float, Field(gt=0)] | None = None
    """The same for hours in which the run was running. All three count all attempts at a run."""
    course_seconds: Annotated[float, Field(gt=0)] = 86_400.0
    """A course that takes longer fails (protocol: deadline); taken up again, it goes on from there."""
    sync: Literal["local", "network"] | Annotated[float, Field(gt=0)] = "local"
    """When the journal is brought to the device: a preset of `SYNC_POLICIES`, or every so many seconds."""

    @property
    def sync_seconds(self) -> float:
        """Seconds between two syncs of the journal."""
        return SYNC_POLICIES[self.sync] if isinstance(self.sync, str) else self.sync


class StudyConfig(_Config):
    """A whole study, as `dyad run` takes it."""

    experiment: Name
    seed: Annotated[int, Field(ge=0)] = 0
    replicates: Annotated[int, Field(ge=1)] = 1
    pairing: Literal["course", "persona"] = "course"
    """Whether courses have seeds of their own, or share them across conditions for the same persona and replicate."""
    personas: PersonaChoice
    client: ChairOptions
    therapist: ChairOptions
    chairs: dict[Name, ChairOptions] = {}
    """Further roles of the cast by name."""
    model: dict[str, Any] | None = None
    """The model behind every chair and coder that takes one and has none of its own (`conf/model`)."""
    models: dict[Name, dict[str, Any]] = {}
    """Models of single purposes, as they are written in place: `client.model`, `chairs.ROLE.model`, `coders.model`."""
    replay: ReplayChoice = ReplayChoice()
    """Recorded sessions whose client turns are replayed; `personas` is then not read."""
    source: SourceChoice = SourceChoice()
    """Recorded sessions that clients are made from; `personas` is then not read."""
    session: SessionProtocol = SessionProtocol()
    instruments: dict[Name, InstrumentChoice] = {}
    coders: dict[Name, dict[str, Any]] = {}
    limits: Limits = Limits()
    out: str | None = None
    """Folder of the run; by default runs/<experiment>-<first 8 of the identity>."""
    shards: Annotated[int, Field(ge=1, le=4096)] | str | None = None
    """Journal files that can be written at once, a power of two; by default it follows from the number of courses.
    `K/N` simulates only the (K+1)-th of N parts of them, `none` only merges what was simulated."""
    retry_failed: bool = False
    """Take failed courses up again."""
    accept_code_change: bool = False
    """Continue a run that another version of Dyad's simulating code began."""
    report: bool = True
    """Write the report when the run is done."""
    extend: bool = False
    """Add cells to the run in `out`."""
    stages: dict[Name, Any] = {}
    """Runs that follow each other in place of a single one (`simulator.studies.stages`)."""
    conclude: str | None = None
    """Function that gets the folder of a study in stages when the last one is done, and says where its report is."""
    cluster: dict[str, Any] = {}
    """Where `dyad submit` sends the run; checked by `simulator.launching.settings`."""
    tracking: dict[str, Any] = {}
    """What is told to Weights & Biases; checked by `simulator.tracking.settings`."""

    @model_validator(mode="before")
    @classmethod
    def _models_in_place(cls, content: Any) -> Any:
        """Take `client.model` and its like out from among the options, whose names stand beside them."""
        if not isinstance(content, Mapping):
            return content
        content, models = dict(content), dict(content.get("models") or {})
        chairs = content.get("chairs")
        if isinstance(chairs, Mapping):
            content["chairs"] = {role: _without_model(role, options, models) for role, options in chairs.items()}
        for purpose in ("client", "therapist", "coders"):
            if purpose in content:
                content[purpose] = _without_model(purpose, content[purpose], models)
        return content | {"models": models}

    @model_validator(mode="after")
    def _roles_are_seated(self) -> Self:
        for role in self.session.roles:
            if role not in self.options:
                raise ValueError(f"session.roles: nobody can sit in chair '{role}'{nearest(role, self.options)}")
        for name, choice in self.instruments.items():
            if choice.respondent not in self.session.roles:
                raise ValueError(
                    f"instruments.{name}.respondent: '{choice.respondent}' is not in the cast"
                    f"{nearest(choice.respondent, self.session.roles)}"
                )
        if self.replay.run is not None and self.source.run is not None:
            raise ValueError("replay.run and source.run: give one of them")
        if isinstance(self.shards, str):
            parse_part(self.shards)
        elif self.shards is not None and self.shards & (self.shards - 1):
            raise ValueError(f"shards: {self.shards} is no power of two")
        return self

    @property
    def part(self) -> Part | None:
        """The part of the run that is asked for; None for all of it."""
        return parse_part(self.shards) if isinstance(self.shards, str) else None

    @property
    def options(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Who can sit in which chair: role -> name -> configuration."""
        return {"client": self.client, "therapist": self.therapist, **self.chairs}

    def model_for(self, purpose: str, own: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
        """The model of a purpose (a role, or `coders`) as a configuration for `ModelClients.get`.

        Args:
            purpose: whose model.
            own: what a single option has as its own `model`.

        Returns:
            The configuration, with its `_target_`; None where none is configured.
        """
        return model_of(self.model, self.models.get(purpose), own)


def _without_model(purpose: str, options: Any, models: dict[str, Any]) -> Any:
    if not isinstance(options, Mapping) or "model" not in options:
        return options
    if options["model"] is not None:
        models[purpose] = options["model"]
    return {name: option for name, option in options.items() if name != "model"}


def parse_config(content: Mapping[str, Any]) -> StudyConfig:
    """Check a composed configuration.

    Raises:
        UserError: the first mistakes, in one line.
    """
    try:
        return StudyConfig.model_validate(content)
    except ValidationError as error:
        raise UserError("configuration: " + "; ".join(_explain(problem) for problem in error.errors()[:3])) from None


def parse_group(name: str, model: type[Settings], content: Mapping[str, Any]) -> Settings:
    """Check a group of the configuration that is no part of a study.

    Raises:
        UserError: the first mistake, in one line that names the field.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join([name, *(str(part) for part in problem["loc"])])
        if problem["type"] == "extra_forbidden":
            known = nearest(str(problem["loc"][-1]), model.model_fields)
            raise UserError(f"{place}: unknown key{known}") from None
        if problem["type"] == "value_error":
            raise UserError(f"{place}.{str(problem['msg']).removeprefix('Value error, ')}") from None
        message = str(problem["msg"])
        raise UserError(f"{place}: {message[0].lower()}{message[1:]}, got {problem['input']!r}"[:300]) from None


def _explain(problem: Any) -> str:
    place = [str(part) for part in problem["loc"]]
    field = ".".join(place)
    if problem["type"] == "extra_forbidden":
        return f"unknown key '{field}'{nearest(place[-1], known_keys(place[:-1]))}"
    if problem["type"] == "missing":
        return f"'{field}' is missing"
    message = str(problem["msg"]).removeprefix("Value error, ")
    if problem["type"] == "value_error":
        return f"{field}.{message}" if field else message
    return f"'{field}': {message[0].lower()}{message[1:]}, got {problem['input']!r}"[:300]


def known_keys(place: Sequence[str]) -> list[str]:
    """The keys that a configuration may have at a place, as far as the schema says."""
    model: Any = StudyConfig
    for part in place:
        annotation = (
            model.model_fields[part].annotation
            if hasattr(model, "model_fields") and part in model.model_fields
            else None
        )
        inner = [a for a in getattr(annotation, "__args__", ()) if isinstance(a, type) and issubclass(a, BaseModel)]
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            model = annotation
        elif inner:
            model = inner[0]
    return list(model.model_fields) if hasattr(model, "model_fields") else []


def resolve_path(name: str, shipped: Path) -> Path:
    """A shipped resource by name, or the user's path as it is."""
    for candidate in (shipped / name, shipped / f"{name}.yaml"):
        if candidate.exists() and "/" not in name:
            return candidate
    return Path(name).expanduser()
