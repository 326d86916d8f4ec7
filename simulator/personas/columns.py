"""The numbers of drawn personas, as columns: what dynamics need, without any words.

Row i depends on the population, the seed and i alone. Every step is elementwise, so that a row is the same whichever
others are drawn beside it.
"""

from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from simulator.personas.consistency import ADULT_AGE
from simulator.personas.design import QUANTILE_POINTS, RANGES, TRAITS, Population
from simulator.records.seeds import UInt64Array, key64, mix64_array, turn_seed_array, uniforms

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Column = FloatArray | IntArray | npt.NDArray[np.bool_]

_INTEGERS = ("phq8_total", "gad7_total", "words_per_turn")

# Each further point on an item is that much harder to reach than the first: people spread their points over items.
_STEP = 1.4


def persona_seeds(population: str, seed: int, indices: IntArray, purpose: str) -> UInt64Array:
    """Seeds of the personas at `indices` for one purpose; equal `derive_seed(f"{population}:{seed}", i, -1, ...)`."""
    sessions = mix64_array((indices + 1).astype(np.uint64))
    keys = mix64_array(np.uint64(key64(f"{population}:{seed}")) ^ sessions)
    return turn_seed_array(keys, -1, "persona", purpose)


def draw_columns(population: Population, seed: int, indices: IntArray) -> dict[str, Column]:
    """The columns of the personas at `indices`, each of shape (len(indices),).

    Codes (int64) index the schema's levels in order: `attachment`, `stage_of_change`, `problem`, `register`, `ai_use`,
    `life_stage`, `gender`, `background`, `language_level`, `phq9_item9`. Totals, `age` and `words_per_turn` are whole
    numbers; traits and other fractions are on 0-1, to three decimals. `phq9_items` (n, 9) and `gad7_items` (n, 7) are
    the item scores.
    """
    columns: dict[str, Column] = {}
    for variable, latent in zip(population.variables, _latents(population, seed, indices), strict=True):
        values = np.zeros(len(indices))
        parents = columns[variable.parent] if variable.parent else np.zeros(len(indices), dtype=np.int64)
        for code, distribution in enumerate(variable.by_parent):
            rows = parents == code
            if variable.levels is None:
                values[rows] = np.interp(latent[rows], QUANTILE_POINTS, distribution)
            else:
                # A level of probability zero is never reached: `right` skips entries equal to the draw.
                codes = np.searchsorted(distribution, latent[rows], side="right")
                values[rows] = np.minimum(codes, np.searchsorted(distribution, distribution[-1]))
        columns[variable.name] = _finished(variable.name, values, variable.levels is not None)
    columns["phq9_items"], columns["gad7_items"] = _items(population, seed, indices, columns)
    columns["phq9_total"] = columns["phq9_items"].sum(axis=1)
    columns["adolescent"] = columns["age"] < ADULT_AGE
    self_harm = population.levels("problem").index("self-harm")
    columns["high_risk"] = (columns["phq9_item9"] > 0) | (columns["problem"] == self_harm)
    return columns


def _latents(population: Population, seed: int, indices: IntArray) -> list[FloatArray]:
    """Correlated uniform numbers, one array per variable."""
    normals = []
    for variable in population.variables:
        uniform = uniforms(persona_seeds(population.name, seed, indices, variable.name), 0)
        normals.append(_normal(np.clip(uniform, 1e-15, 1.0 - 1e-15)))
    mixed = []
    for row in population.mixing:
        total = np.zeros(len(indices))
        for weight, normal in zip(row, normals, strict=True):
            if weight != 0.0:
                total += weight * normal
        mixed.append(np.fromiter(map(_NORMAL.cdf, total.tolist()), np.float64, len(total)))
    return mixed


_NORMAL = NormalDist()
"""The standard library's: SciPy's functions are quicker by the million, and take longer to import than most runs to
plan."""


def _normal(uniform: FloatArray) -> FloatArray:
    """Standard normal numbers by their cumulative probabilities, all within (0, 1)."""
    return np.fromiter(map(_NORMAL.inv_cdf, uniform.tolist()), np.float64, len(uniform))


def _finished(name: str, values: FloatArray, categorical: bool) -> Column:
    if categorical:
        return values.astype(np.int64)
    if name == "age":
        # Whole years lived: 17.9 is 17, and the upper end of a life stage belongs to the next.
        return (np.ceil(values) - 1.0).clip(*RANGES["age"]).astype(np.int64)
    if name in _INTEGERS:
        return np.rint(values).astype(np.int64)
    rounded: FloatArray = np.round(values, 3)
    return rounded


def _items(
    population: Population, seed: int, indices: IntArray, columns: dict[str, Column]
) -> tuple[IntArray, IntArray]:
    """Item scores that sum to the drawn totals."""
    first_eight = _spread(population, seed, indices, "phq9", population.phq8_items, columns["phq8_total"])
    phq9: IntArray = np.column_stack([first_eight, columns["phq9_item9"].astype(np.int64)])
    gad7 = _spread(population, seed, indices, "gad7", population.gad7_items, columns["gad7_total"])
    return phq9, gad7


def _spread(
    population: Population,
    seed: int,
    indices: IntArray,
    purpose: str,
    readiness: tuple[float, ...],
    totals: Column,
) -> IntArray:
    """Shape (n, items), 0-3 each: a total's points go to the steps that are easiest for the person, in order."""
    seeds = persona_seeds(population.name, seed, indices, purpose)
    noise = np.column_stack([_normal(np.clip(uniforms(seeds, k), 1e-15, 1.0 - 1e-16)) for k in range(len(readiness))])
    ease = (noise + np.array(readiness))[:, :, None] - _STEP * np.arange(3)
    flat = ease.reshape(len(indices), -1)
    ranks: IntArray = np.argsort(np.argsort(-flat, axis=1, kind="stable"), axis=1, kind="stable")
    given = ranks < totals.astype(np.int64)[:, None]
    scores: IntArray = given.reshape(ease.shape).sum(axis=2, dtype=np.int64)
    return scores


def trait_columns(columns: dict[str, Column]) -> dict[str, Column]:
    """The columns that dynamics read, under the persona schema's own names."""
    names = (
        *TRAITS,
        "phq9_total",
        "gad7_total",
        "phq9_item9",
        "attachment",
        "stage_of_change",
        "problem",
        "register",
        "loneliness",
        "dependence_proneness",
        "ai_use",
        "ai_trust",
        "ai_companionship_seeking",
        "words_per_turn",
        "age",
        "adolescent",
        "high_risk",
    )
    return {name: columns[name] for name in names}
