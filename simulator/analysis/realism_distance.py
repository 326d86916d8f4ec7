"""How far apart two sets of sessions are, and how far apart two sets of people are.

A line's distance is the 1-Wasserstein distance between the session-level distributions, in the line's own unit,
computed from quantiles at 101 levels; a transition matrix's is the mean total variation between its rows, weighted by
how often the reference is in each state. The scale is the human-against-human distance: the reference's clusters
(videos, sessions) are split at random into halves many times, and the median of the halves' distances is one unit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from simulator.records.seeds import key64, uniforms

Array = npt.NDArray[np.float64]

LEVELS: Array = np.linspace(0.0, 1.0, 101)
SPLITS = 400
"""Random splits behind a human-against-human distance."""
BEYOND = 2.0
"""A line further off than this many human-against-human distances is called outside."""


def quantiles(values: npt.ArrayLike) -> Array | None:
    """Quantiles of session values at `LEVELS`, NaN left out; None where nothing is left."""
    numbers = np.asarray(values, dtype=np.float64)
    numbers = numbers[np.isfinite(numbers)]
    return np.quantile(numbers, LEVELS) if numbers.size else None


def wasserstein(first: Array, second: Array) -> float:
    """1-Wasserstein distance of two distributions given by quantiles at `LEVELS`, (101,) each."""
    return float(np.trapezoid(np.abs(first - second), LEVELS))


def transition_distance(run: Array, reference: Array) -> float:
    """Distance between two tables of step counts (states, states), in [0, 1].

    The mean over the reference's states, weighted by its counts, of the total variation between the rows. A state that
    the run never shows counts as 1: nothing about it agrees. NaN where the reference or the run has no steps.
    """
    if not run.sum() or not reference.sum():
        return float("nan")
    weights = reference.sum(axis=1) / reference.sum()
    totals = run.sum(axis=1)
    rows = np.divide(run, totals[:, None], out=np.zeros_like(run), where=totals[:, None] > 0)
    wanted = reference.sum(axis=1)
    theirs = np.divide(reference, wanted[:, None], out=np.zeros_like(reference), where=wanted[:, None] > 0)
    variation = np.where(totals > 0, np.abs(rows - theirs).sum(axis=1) / 2, 1.0)
    return float((weights * variation).sum())


@dataclass(frozen=True, slots=True)
class Halves:
    """Distances between random halves of one human set.

    Args:
        median: the human-against-human distance, the scale of a line.
        p95: what one split in twenty exceeds.
        false_alarm: the share of splits further apart than `BEYOND` medians, in [0, 1]: how often the rule would call
            people unlike people.
    """

    median: float
    p95: float
    false_alarm: float

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, six significant digits."""
        return {"median": _short(self.median), "p95": _short(self.p95), "false_alarm": _short(self.false_alarm)}

    @classmethod
    def of(cls, distances: Sequence[float]) -> "Halves | None":
        """From the distances of all splits; None where there are none."""
        found = np.asarray(distances, dtype=np.float64)
        found = found[np.isfinite(found)]
        if not found.size:
            return None
        median = float(np.median(found))
        return cls(median, float(np.quantile(found, 0.95)), float(np.mean(found > BEYOND * median)))


def _short(value: float) -> float:
    return float(f"{value:.6g}")


def halves(clusters: npt.NDArray[Any], name: str, splits: int = SPLITS) -> list[npt.NDArray[np.bool_]]:
    """Random halves of the clusters: for each split a mask (n,) of the rows in the first half.

    Args:
        clusters: the cluster of every row (n,).
        name: what is split; the splits derive from it and from nothing else.
    """
    names, index = np.unique(clusters, return_inverse=True)
    seeds = np.arange(len(names), dtype=np.uint64) + np.uint64(key64(f"split halves of {name}") >> 12)
    order = [np.argsort(uniforms(seeds, slot), kind="stable") for slot in range(splits)]
    half = len(names) // 2
    masks = []
    for places in order:
        chosen = np.zeros(len(names), dtype=np.bool_)
        chosen[places[:half]] = True
        masks.append(chosen[index])
    return masks


def half_distances(values: npt.ArrayLike, masks: Sequence[npt.NDArray[np.bool_]]) -> Halves | None:
    """Distances between the halves of session values (n,), NaN left out; None where a set is too small to be halved."""
    numbers = np.asarray(values, dtype=np.float64)
    found = []
    for mask in masks:
        first, second = quantiles(numbers[mask]), quantiles(numbers[~mask])
        if first is not None and second is not None:
            found.append(wasserstein(first, second))
    return Halves.of(found)


def half_transition_distances(counts: Array, masks: Sequence[npt.NDArray[np.bool_]]) -> Halves | None:
    """The same for step counts per session, (n, states, states)."""
    return Halves.of([transition_distance(counts[mask].sum(axis=0), counts[~mask].sum(axis=0)) for mask in masks])
