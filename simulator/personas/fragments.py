"""Fragment banks: the words from which a drawn persona is put together.

A folder holds `backgrounds.yaml` (names and cultures), `life_stages.yaml` (occupations, households, people),
`speech.yaml` (fillers, habits and what every problem shares) and `domains/<problem>.yaml`. A domain has *themes*, so
that what one client says hangs together: a theme brings its own facts, goals and behaviour to change, the domain adds
what its themes share. Clauses may hold the blanks `{a}` and `{b}` (relations of the first two people, who are close)
and `{place}` (where the client's days are spent: 'work', 'school').
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from simulator.errors import UserError
from simulator.personas.loading import read_yaml, validation_lines
from simulator.personas.schema import Line, Problem

BLANKS = ("a", "b", "place")

_PROBLEMS: tuple[str, ...] = Problem.model_fields["domain"].annotation.__args__  # type: ignore[union-attr]
_BLANK = re.compile(r"\{(.*?)\}")


def _several(least: int) -> Any:
    return Field(min_length=least)


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Background(_Part):
    """Where a name comes from: the cultures it is given in, given names by gender, family names."""

    cultures: Annotated[list[Line], _several(1)]
    women: Annotated[list[Line], _several(5)]
    men: Annotated[list[Line], _several(5)]
    neutral: Annotated[list[Line], _several(2)]
    family: Annotated[list[Line], _several(4)]


class Occupation(_Part):
    """What fills the days: `kind` decides which problems it goes with, `place` completes 'at ...'."""

    name: Line
    kind: Literal["study", "work", "home"]
    place: Line


class Household(_Part):
    """Who lives with the client; `people` are relations."""

    text: Line
    people: list[Line]


class LifeStage(_Part):
    """Occupations, households, and the relations of people elsewhere: `close` ones may fill the blanks."""

    occupations: Annotated[list[Occupation], _several(3)]
    households: Annotated[list[Household], _several(3)]
    close: Annotated[list[Line], _several(5)]
    others: Annotated[list[Line], _several(2)]


class LifeStages(_Part):
    """By life stage; `women` and `men` are the relations whose names follow from their gender."""

    women: list[Line]
    men: list[Line]
    adolescent: LifeStage
    young: LifeStage
    middle: LifeStage
    older: LifeStage


class Register(_Part):
    """What clients of one register say besides the matter."""

    fillers: Annotated[list[Line], _several(4)]
    habits: Annotated[list[Line], _several(4)]


class SpeechBank(_Part):
    """Speech by register; fillers of people who still learn the language; statements of risk."""

    registers: Annotated[dict[Literal["plain", "formal", "casual", "terse", "rambling"], Register], _several(5)]
    learner_fillers: Annotated[list[Line], _several(2)]
    risk: Annotated[list[Line], _several(3)]
    """Sensitive statements of clients whose PHQ-9 item 9 is positive; no methods."""


class Theme(_Part):
    """One way that a problem shows. `person` is a relation that the theme needs (`{a}` is then that person), `absent`
    are relations that it rules out, `living_situation` replaces the household."""

    short: Line
    target_behaviour: Line
    facts: Annotated[list[Line], _several(5)]
    triggers: Annotated[list[Line], _several(3)]
    goals: Annotated[list[Line], _several(2)]
    person: Line | None = None
    absent: list[Line] = Field(default_factory=list)
    living_situation: Line | None = None
    life_stages: list[Literal["adolescent", "young", "middle", "older"]] = Field(default_factory=list)
    """Where the theme fits; empty for everywhere."""


class Domain(_Part):
    """A problem's themes and what they share. `needs` is the kind of occupation that it presupposes."""

    needs: Literal["study", "work"] | None = None
    themes: Annotated[list[Theme], _several(2)]
    facts: Annotated[list[Line], _several(6)]
    sensitive: Annotated[list[Line], _several(5)]
    durations: Annotated[list[Line], _several(3)]
    histories: Annotated[list[Line], _several(3)]
    core_beliefs: Annotated[list[Line], _several(3)]
    intermediate_beliefs: Annotated[list[Line], _several(3)]
    automatic_thoughts: Annotated[list[Line], _several(5)]
    coping: Annotated[list[Line], _several(3)]


@dataclass(frozen=True, slots=True)
class Fragments:
    """All banks of a folder; `files` are the ones that were read."""

    backgrounds: Mapping[str, Background]
    life_stages: LifeStages
    speech: SpeechBank
    domains: Mapping[str, Domain]
    files: tuple[Path, ...]


T = TypeVar("T", bound=BaseModel)


def load_fragments(folder: Path) -> Fragments:
    """The banks of a folder.

    Raises:
        UserError: one line with file and field.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder of fragments; name it in the population file's `fragments`")
    names = ["backgrounds", "life_stages", "speech", *(f"domains/{problem}" for problem in _PROBLEMS)]
    files = {name: folder / f"{name}.yaml" for name in names}
    raw = _mapping(files["backgrounds"])
    backgrounds = {
        str(name): _parse(Background, entry, files["backgrounds"], f"{name}.") for name, entry in raw.items()
    }
    if not backgrounds:
        raise UserError(f"{files['backgrounds']}: describes no background; add one")
    life_stages = _parse(LifeStages, _mapping(files["life_stages"]), files["life_stages"])
    speech = _parse(SpeechBank, _mapping(files["speech"]), files["speech"])
    domains = {}
    for problem in _PROBLEMS:
        file = files[f"domains/{problem}"]
        domains[problem] = _parse(Domain, _mapping(file), file)
        _check_domain(file, domains[problem])
    return Fragments(backgrounds, life_stages, speech, domains, tuple(files.values()))


def _mapping(file: Path) -> Mapping[Any, Any]:
    content = read_yaml(file)
    if not isinstance(content, Mapping):
        raise UserError(f"{file}: a fragment bank is a mapping of fields")
    return content


def _parse(model: type[T], content: Any, file: Path, prefix: str = "") -> T:
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise UserError(f"{file}: {prefix}{validation_lines(error, model)[0]}") from None


def _check_domain(file: Path, domain: Domain) -> None:
    for field, text in _clauses(domain):
        for blank in _BLANK.findall(text):
            if blank not in BLANKS:
                raise UserError(f"{file}: {field}: unknown blank '{{{blank}}}' (choices: {', '.join(BLANKS)})")
    for stage in ("adolescent", "young", "middle", "older"):
        if not any(not theme.life_stages or stage in theme.life_stages for theme in domain.themes):
            raise UserError(f"{file}: themes: none fits the life stage '{stage}'; leave one without `life_stages`")


def _clauses(domain: Domain) -> Iterator[tuple[str, str]]:
    def numbered(field: str, texts: Iterable[str]) -> Iterator[tuple[str, str]]:
        for index, text in enumerate(texts):
            yield f"{field}[{index}]", text

    for field in ("facts", "sensitive", "automatic_thoughts", "core_beliefs", "intermediate_beliefs", "coping"):
        yield from numbered(field, getattr(domain, field))
    for index, theme in enumerate(domain.themes):
        for field in ("facts", "triggers", "goals"):
            yield from numbered(f"themes[{index}].{field}", getattr(theme, field))
        yield from numbered(f"themes[{index}]", (theme.short, theme.target_behaviour))
