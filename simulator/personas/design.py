"""A population file: the declared design from which personas are drawn.

A variable has either `levels` (probabilities of its named levels) or `quantiles` (its values at the probabilities
`QUANTILE_POINTS`, joined by straight lines); with `given` a `table` holds one of these per level of an earlier
variable, X"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from simulator.errors import UserError, nearest
from simulator.personas.fragments import Fragments, load_fragments
from simulator.personas.loading import read_yaml, validation_lines
from simulator.personas.schema import Attachment, Line, Problem, Slug, Speech, StageOfChange

QUANTILE_POINTS = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)

LIFE_STAGES = {"adolescent": (12, 18), "young": (18, 35), "middle": (35, 60), "older": (60, 100)}
"""Ages in years, from and below."""

LANGUAGE_LEVELS = ("basic", "intermediate", "fluent", "native")
AI_USE = ("none", "occasional", "weekly", "daily")
PROBLEMS: tuple[str, ...] = Problem.model_fields["domain"].annotation.__args__  # type: ignore[union-attr]
REGISTERS: tuple[str, ...] = Speech.model_fields["register_"].annotation.__args__  # type: ignore[union-attr]
TRAITS = (
    "openness",
    "conscientiousness",
    "extraversion",
    "agreeableness",
    "neuroticism",
    "resistance",
    "emotional_fluctuation",
    "willingness_to_disclose",
)

LEVELS: dict[str, tuple[str, ...]] = {
    "life_stage": tuple(LIFE_STAGES),
    "gender": ("woman", "man", "nonbinary"),
    "background": (),
    "language_level": LANGUAGE_LEVELS,
    "problem": PROBLEMS,
    "attachment": tuple(Attachment),
    "stage_of_change": tuple(StageOfChange),
    "register": REGISTERS,
    "ai_use": AI_USE,
    "phq9_item9": ("0", "1", "2", "3"),
}
"""Categorical variables and their levels in order; those of `background` are the ones its fragment file describes."""

_FRACTION = (0.0, 1.0)
RANGES: dict[str, tuple[float, float]] = {
    "age": (12.0, 100.0),
    **dict.fromkeys(TRAITS, _FRACTION),
    "loneliness": _FRACTION,
    "dependence_proneness": _FRACTION,
    "ai_trust": _FRACTION,
    "ai_companionship_seeking": _FRACTION,
    "phq8_total": (0.0, 24.0),
    "gad7_total": (0.0, 21.0),
    "words_per_turn": (2.0, 60.0),
}
"""Continuous variables and their bounds. `phq8_total` is the sum of the first eight PHQ-9 items."""

Distribution = npt.NDArray[np.float64]
"""Cumulative probabilities of the levels, or the values at `QUANTILE_POINTS`."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class VariableSpec(_Part):
    """One variable as the file writes it."""

    levels: dict[str, float] | None = None
    quantiles: list[float] | None = None
    given: str | None = None
    table: dict[str, dict[str, float] | list[float]] | None = None


class PopulationFile(_Part):
    """The file's content. `about` says what the design is meant for; `fragments` is a folder beside the file."""

    name: Slug
    about: Annotated[str, Field(min_length=1)]
    fragments: Line = "fragments"
    licence: Line = "Apache-2.0"
    variables: dict[str, VariableSpec]
    phq8_items: Annotated[list[float], Field(min_length=8, max_length=8)]
    """How readily each of the first eight PHQ-9 items is endorsed, in standard deviations of a person's own items."""
    gad7_items: Annotated[list[float], Field(min_length=7, max_length=7)]
    correlations: dict[str, dict[str, Annotated[float, Field(gt=-1.0, lt=1.0)]]] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Variable:
    """A checked variable. `by_parent` has one distribution per level of `parent` in order, or one where it has none."""

    name: str
    parent: str | None
    by_parent: tuple[Distribution, ...]
    levels: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Population:
    """A checked population. `mixing` is the Cholesky factor (variables x variables) of the copula's correlations;
    `files` are all files whose content decides what is drawn."""

    name: str
    about: str
    licence: str
    variables: tuple[Variable, ...]
    mixing: Distribution
    phq8_items: tuple[float, ...]
    gad7_items: tuple[float, ...]
    fragments: Fragments
    files: tuple[Path, ...]

    def levels(self, variable: str) -> tuple[str, ...]:
        """The levels of a categorical variable, in the order of its codes."""
        return next(v.levels for v in self.variables if v.name == variable) or ()


def load_population(path: Path | str) -> Population:
    """The population of a file, with the fragments that its folder names.

    Raises:
        UserError: one line with file and field.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such population file; name a YAML file such as personas/populations/general.yaml")
    content = read_yaml(path)
    if not isinstance(content, Mapping):
        raise UserError(f"{path}: a population is a mapping of fields")
    try:
        file = PopulationFile.model_validate(_text_keys(content))
    except ValidationError as error:
        raise UserError(f"{path}: {validation_lines(error, PopulationFile)[0]}") from None
    fragments = load_fragments(path.parent / file.fragments)
    known = {**LEVELS, "background": tuple(fragments.backgrounds)}
    try:
        variables = tuple(_variables(file, known))
        mixing = _mixing(file, [variable.name for variable in variables])
    except _Problem as problem:
        raise UserError(f"{path}: {problem}") from None
    return Population(
        name=file.name,
        about=file.about,
        licence=file.licence,
        variables=variables,
        mixing=mixing,
        phq8_items=tuple(file.phq8_items),
        gad7_items=tuple(file.gad7_items),
        fragments=fragments,
        files=(path, *fragments.files),
    )


class _Problem(Exception):
    """What is wrong with a field, without the file's name."""


def _text_keys(value: Any) -> Any:
    """YAML reads the level `0` as a number; levels are names."""
    if isinstance(value, Mapping):
        return {str(key): _text_keys(inner) for key, inner in value.items()}
    return value


def _variables(file: PopulationFile, known: Mapping[str, tuple[str, ...]]) -> Iterator[Variable]:
    wanted = [*known, *RANGES]
    for name in file.variables:
        if name not in wanted:
            raise _Problem(f"variables.{name}: unknown field{nearest(name, wanted)}")
    for name in wanted:
        if name not in file.variables:
            raise _Problem(f"variables.{name}: required and not given")
    earlier: list[str] = []
    for name, spec in file.variables.items():
        yield _variable(name, spec, known, earlier)
        earlier.append(name)


def _variable(name: str, spec: VariableSpec, known: Mapping[str, tuple[str, ...]], earlier: Sequence[str]) -> Variable:
    field = f"variables.{name}"
    levels = known.get(name)
    if spec.given is None:
        if spec.table is not None:
            raise _Problem(f"{field}.table: needs `given`, the variable that its levels belong to")
        wanted, other = ("levels", "quantiles") if levels is not None else ("quantiles", "levels")
        value = spec.levels if levels is not None else spec.quantiles
        if value is None or getattr(spec, other) is not None:
            raise _Problem(f"{field}: takes `{wanted}`, or `given` with `table`")
        return Variable(name, None, (_distribution(f"{field}.{wanted}", name, value, levels),), levels)
    if spec.given not in earlier or spec.given not in known:
        parents = [entry for entry in earlier if entry in known]
        raise _Problem(
            f"{field}.given: '{spec.given}' is not a variable with levels defined above{nearest(spec.given, parents)}"
        )
    if spec.table is None or spec.levels is not None or spec.quantiles is not None:
        raise _Problem(f"{field}: `given` goes with `table` alone")
    for level in spec.table:
        if level not in (*known[spec.given], "other"):
            near = nearest(level, (*known[spec.given], "other"))
            raise _Problem(f"{field}.table: '{level}' is not a level of {spec.given}{near}")
    rows = []
    for level in known[spec.given]:
        key = level if level in spec.table else "other"
        if key not in spec.table:
            raise _Problem(f"{field}.table: says nothing for {spec.given} '{level}'; add it or `other`")
        rows.append(_distribution(f"{field}.table.{key}", name, spec.table[key], levels))
        if name == "age" and spec.given == "life_stage":
            low, high = LIFE_STAGES[level]
            if rows[-1][0] < low or rows[-1][-1] > high:
                raise _Problem(f"{field}.table.{key}: ages of '{level}' lie in {low} to {high} years")
    return Variable(name, spec.given, tuple(rows), levels)


def _distribution(field: str, name: str, value: object, levels: tuple[str, ...] | None) -> Distribution:
    if levels is None:
        return _quantiles(field, name, value)
    if not isinstance(value, Mapping):
        raise _Problem(f"{field}: takes a probability for each level of {name}")
    for level, probability in value.items():
        if level not in levels:
            raise _Problem(f"{field}.{level}: not a level of {name}{nearest(level, levels)}")
        if probability < 0.0:
            raise _Problem(f"{field}.{level}: a probability is at least 0, not {probability}")
    total = sum(value.values())
    if abs(total - 1.0) > 1e-6:
        raise _Problem(f"{field}: the probabilities sum to {total:.6g}, not to 1")
    return np.cumsum([value.get(level, 0.0) for level in levels]) / total


def _quantiles(field: str, name: str, value: object) -> Distribution:
    points = ", ".join(f"{100 * point:g}" for point in QUANTILE_POINTS)
    if not isinstance(value, list) or len(value) != len(QUANTILE_POINTS):
        raise _Problem(f"{field}: takes {len(QUANTILE_POINTS)} values of {name}, at {points} percent")
    low, high = RANGES[name]
    if any(later < before for before, later in itertools.pairwise(value)):
        raise _Problem(f"{field}: the values at {points} percent must not fall")
    if value[0] < low or value[-1] > high:
        raise _Problem(f"{field}: {name} lies in {low:g} to {high:g}, not {value[0]:g} to {value[-1]:g}")
    return np.array(value, dtype=np.float64)


def _mixing(file: PopulationFile, names: list[str]) -> Distribution:
    matrix = np.eye(len(names))
    parents = {spec.given for spec in file.variables.values()}
    for first, row in file.correlations.items():
        for name in (first, *row):
            if name not in names:
                raise _Problem(f"correlations.{first}: '{name}' is not a variable of this file{nearest(name, names)}")
            if name in parents:
                raise _Problem(f"correlations.{first}: others are given '{name}', which may then not correlate")
        for second, value in row.items():
            i, j = names.index(first), names.index(second)
            if i == j or matrix[i, j] != 0.0:
                raise _Problem(f"correlations.{first}.{second}: give each pair of two variables once")
            matrix[i, j] = matrix[j, i] = value
    try:
        factor: Distribution = np.linalg.cholesky(matrix).astype(np.float64)
    except np.linalg.LinAlgError:
        raise _Problem("correlations: no set of variables can have these together; make some of them smaller") from None
    return factor
