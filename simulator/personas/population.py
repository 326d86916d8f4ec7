"""Personas drawn from a declared population, by seed: any number, and any part of them.

Persona i depends on the population file, the seed and i alone. The same row gives the persona and, in `sample_traits`,
the numbers that dynamics need, so a study on numbers and one with words speak about the same clients.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from simulator.errors import UserError
from simulator.personas.columns import Column, draw_columns, persona_seeds, trait_columns
from simulator.personas.composition import compose
from simulator.personas.design import LEVELS, Population, load_population
from simulator.personas.schema import Persona

__all__ = ["Population", "load_population", "sample_personas", "sample_traits"]

_CHUNK = 512


def sample_personas(population: Population, n: int, seed: int, start: int = 0) -> Iterator[Persona]:
    """Personas `start` to `start + n - 1` of the population, one at a time.

    Args:
        population: from `load_population`.
        n: how many, at least 0.
        seed: the root seed; personas of another seed are other people.
        start: index of the first, from 0.
    """
    _check_range(n, start)
    for first in range(start, start + n, _CHUNK):
        indices = np.arange(first, min(first + _CHUNK, start + n), dtype=np.int64)
        columns = draw_columns(population, seed, indices)
        seeds = persona_seeds(population.name, seed, indices, "words").tolist()
        plain = {name: _plain(population, name, column) for name, column in columns.items()}
        for row, index in enumerate(indices.tolist()):
            yield compose(population, index, seeds[row], {name: values[row] for name, values in plain.items()})


def sample_traits(population: Population, n: int, seed: int, start: int = 0) -> dict[str, Column]:
    """The numbers of the same personas as `sample_personas`, as columns of shape (n,).

    Categorical columns hold codes into `Population.levels(name)`: `attachment`, `stage_of_change`, `problem`,
    `register`, `ai_use`, `phq9_item9`. `adolescent` and `high_risk` are booleans.
    """
    _check_range(n, start)
    return trait_columns(draw_columns(population, seed, np.arange(start, start + n, dtype=np.int64)))


def _check_range(n: int, start: int) -> None:
    if n < 0 or start < 0:
        raise UserError(f"personas: n and start are at least 0, not {n} and {start}")


def _plain(population: Population, name: str, column: Column) -> list[Any]:
    """A column as plain Python values, levels by name."""
    values: list[Any] = column.tolist()
    if name in LEVELS:
        levels = population.levels(name)
        return [levels[code] for code in values]
    return values
