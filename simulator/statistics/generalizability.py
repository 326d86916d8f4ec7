"""Where the variance of a score comes from: variance components, their shares, and generalizability coefficients.

A score is the sum of a mean and of random effects; an effect is named by the facets that index it (`persona`,
`persona x item`), the last one being what is left. Components are estimated from symmetric sums: half the mean squared
difference of two observations that share a grouping is the sum of the components on which they differ, which gives one
linear equation per grouping. This is unbiased whether or not the design is balanced, so that a missing answer is left
out and nothing is filled in; on balanced data it equals the analysis of variance. Estimates can be negative where a
component is near zero; they are reported as they are, and count as zero in shares and coefficients only.

Standard errors come from a parametric bootstrap of the very design (normal effects with the estimated components).

Sources: Koch, Technometrics 9:93 (1967) and 10:551 (1968, symmetric sums of squared differences); Cronbach, Gleser,
Nanda & Rajaratnam, The Dependability of Behavioral Measurements (1972) and Brennan, Generalizability Theory (2001, the
coefficients: relative error counts interactions with the object of measurement, absolute error everything else).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from simulator.records.seeds import key64

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]
Effect = tuple[str, ...]

RESIDUAL = "residual"


def name_of(effect: Effect) -> str:
    """`persona x item` for ("persona", "item")."""
    return " x ".join(effect)


@dataclass(frozen=True, slots=True)
class Component:
    """One source of variance. `variance` may be negative; `share` is of the sum of all, negative ones counting zero."""

    name: str
    effect: Effect
    levels: int
    """Distinct groups of the effect in the data."""
    variance: float
    error: float
    """Standard error of `variance`."""
    share: float
    share_error: float


@dataclass(frozen=True, slots=True)
class Components:
    """All sources of variance of a score, the residual last, and what could not be told apart from another."""

    components: tuple[Component, ...]
    observations: int
    mean: float
    levels: Mapping[str, int]
    """Levels of each facet."""
    confounded: Mapping[str, str] = field(default_factory=dict)
    """Effects that this design cannot separate, and why."""

    def coefficient(self, object_: Sequence[str], sizes: Mapping[str, int], absolute: bool = False) -> float:
        """A generalizability coefficient (with `absolute`, of dependability), 0-1; NaN where there is no variance.

        Args:
            object_: facets that index what is measured, for instance ("therapist",).
            sizes: over how many levels of every other facet a measurement is averaged, for instance {"item": 12}.
            absolute: whether differences between levels of the other facets count as error too.

        Raises:
            ValueError: a facet whose size is not given, or below one.
        """
        wanted, universe, error = set(object_), 0.0, 0.0
        for component in self.components:
            over = [facet for facet in component.effect if facet not in wanted]
            variance = max(component.variance, 0.0)
            if not over:
                universe += variance
                continue
            if not absolute and not wanted & set(component.effect):
                continue
            for facet in over:
                if sizes.get(facet, 0) < 1:
                    raise ValueError(f"over how many levels of '{facet}' is a measurement averaged?")
                variance /= sizes[facet]
            error += variance
        return universe / (universe + error) if universe + error > 0 else float("nan")


@dataclass(frozen=True, slots=True)
class _Design:
    """Groupings of the observations, and the linear equations that their squared differences obey."""

    effects: tuple[Effect, ...]
    groups: tuple[Index, ...]
    """Group of every observation, per effect."""
    matrix: Array
    """(equations, effects): share of an equation's pairs that differ on the effect."""
    pairs: Array

    def solve(self, values: Array) -> Array:
        """Components of one set of values."""
        right = np.empty(len(self.effects))
        squares = values * values
        for row, group in enumerate((None, *self.groups[:-1])):
            if group is None:
                right[row] = len(values) * squares.sum() - values.sum() ** 2
            else:
                counts = np.bincount(group)
                right[row] = (counts * np.bincount(group, squares) - np.bincount(group, values) ** 2).sum()
        return np.asarray(np.linalg.solve(self.matrix, right / (2.0 * self.pairs)))


def variance_components(
    values: npt.ArrayLike,
    facets: Mapping[str, npt.ArrayLike],
    effects: Sequence[Effect],
    *,
    draws: int = 200,
    seed: int = 0,
) -> Components:
    """Components of a score under a design.

    Args:
        values: one per observation (n,), NaN where an answer is missing (left out).
        facets: the level of every observation on each facet, (n,) each.
        effects: facets that index each random effect; nested facets stand with what they are nested in. What is left
            (all facets together) is added at the end as the residual.
        draws: repetitions of the parametric bootstrap.
        seed: of the bootstrap.

    Raises:
        ValueError: an effect names an unknown facet, or there are fewer than two observations.
    """
    numbers = np.asarray(values, dtype=np.float64)
    kept = ~np.isnan(numbers)
    numbers = numbers[kept]
    if len(numbers) < 2:
        raise ValueError("variance components need at least two observations")
    levels = {name: _codes(np.asarray(column)[kept]) for name, column in facets.items()}
    for effect in effects:
        for facet in effect:
            if facet not in levels:
                raise ValueError(f"effect '{name_of(effect)}': there is no facet '{facet}'")
    design, confounded = _design(levels, [*effects, tuple(facets)], len(numbers))
    estimate = design.solve(numbers - numbers.mean())
    errors, share_errors = _errors(design, estimate, draws, seed)
    shares = _shares(estimate)
    last = len(design.effects) - 1
    found = tuple(
        Component(
            RESIDUAL if place == last else name_of(effect), effect, int(design.groups[place].max()) + 1,
            float(estimate[place]), float(errors[place]), float(shares[place]), float(share_errors[place]),
        )
        for place, effect in enumerate(design.effects)
    )  # fmt: skip
    sizes = {name: int(codes.max()) + 1 for name, codes in levels.items()}
    return Components(found, len(numbers), float(numbers.mean()), sizes, confounded)


def _design(levels: Mapping[str, Index], effects: Sequence[Effect], n: int) -> tuple[_Design, dict[str, str]]:
    """The separable effects with their equations; an effect that groups like another one, or not at all, is named."""
    kept: list[Effect] = []
    groups: list[Index] = []
    confounded: dict[str, str] = {}
    for effect in effects[:-1]:
        group = _joined(levels, effect)
        count = int(group.max()) + 1
        if count == 1:
            confounded[name_of(effect)] = "only one level in these data"
            continue
        if count == n:
            confounded[name_of(effect)] = "each level observed once: part of the residual"
            continue
        twin = next((other for other, known in zip(kept, groups, strict=True) if _same(group, known)), None)
        if twin is not None:
            confounded[name_of(effect)] = f"the same groups as {name_of(twin)}"
            continue
        kept.append(effect)
        groups.append(group)
    kept.append(effects[-1])
    groups.append(np.arange(n))
    rows: list[Index] = [np.zeros(n, dtype=np.int64), *groups[:-1]]
    pairs = np.array([_pairs(row) for row in rows])
    shared = np.array([[_pairs(_together(row, group)) for group in groups] for row in rows])
    matrix = 1.0 - shared / pairs[:, None]
    while np.linalg.matrix_rank(matrix) < len(matrix):  # the finest effect that the others already explain
        place = next(p for p in reversed(range(len(kept) - 1)) if _redundant(matrix, p))
        confounded[name_of(kept[place])] = "not separable from the others in this design"
        del kept[place], groups[place]
        matrix = np.delete(np.delete(matrix, place, axis=1), place + 1, axis=0)
        pairs = np.delete(pairs, place + 1)
    return _Design(tuple(kept), tuple(groups), matrix, pairs), confounded


def _redundant(matrix: Array, place: int) -> bool:
    smaller = np.delete(np.delete(matrix, place, axis=1), place + 1, axis=0)
    return bool(np.linalg.matrix_rank(smaller) >= np.linalg.matrix_rank(matrix)) or len(smaller) == 1


def _errors(design: _Design, estimate: Array, draws: int, seed: int) -> tuple[Array, Array]:
    """Standard errors of components and shares by a parametric bootstrap."""
    generator = np.random.default_rng(key64(f"variance components {seed}"))
    spread = np.sqrt(np.maximum(estimate, 0.0))
    repeated = np.empty((draws, len(estimate)))
    for draw in range(draws):
        values = np.zeros(len(design.groups[0]))
        for scale, group in zip(spread, design.groups, strict=True):
            if scale > 0:
                values += scale * generator.standard_normal(int(group.max()) + 1)[group]
        repeated[draw] = design.solve(values - values.mean())
    shares = np.apply_along_axis(_shares, 1, repeated)
    return repeated.std(axis=0, ddof=1), shares.std(axis=0, ddof=1)


def _shares(estimate: Array) -> Array:
    positive = np.maximum(estimate, 0.0)
    total = positive.sum()
    return positive / total if total > 0 else np.full(len(estimate), np.nan)


def _codes(column: npt.NDArray[np.generic]) -> Index:
    return np.asarray(np.unique(column, return_inverse=True)[1], dtype=np.int64)


def _joined(levels: Mapping[str, Index], effect: Effect) -> Index:
    group = levels[effect[0]]
    for facet in effect[1:]:
        group = _together(group, levels[facet])
    return group


def _together(one: Index, other: Index) -> Index:
    return np.asarray(np.unique(one * (other.max() + 1) + other, return_inverse=True)[1], dtype=np.int64)


def _same(one: Index, other: Index) -> bool:
    return bool(one.max() == other.max() == _together(one, other).max())


def _pairs(group: Index) -> float:
    counts = np.bincount(group).astype(np.float64)
    return float((counts * (counts - 1.0)).sum() / 2.0)
