"""Folds that keep groups (videos, posts) whole and spread values evenly."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from simulator.coding.trained.examples import Examples
from simulator.errors import UserError
from simulator.records.seeds import key64, mix64_array

Ints = npt.NDArray[np.int64]

FEWEST_GROUPS = 4


def fold_of_turns(examples: Examples, count: int, seed: int = 0) -> Ints:
    """The fold of every turn, sessions end to end; all turns of a group share one.

    Raises:
        UserError: fewer than `FEWEST_GROUPS` groups.
    """
    groups = examples.groups()
    different = len(np.unique(groups))
    if different < FEWEST_GROUPS:
        raise UserError(
            f"{examples.source}: {different} {examples.group} are too few to train on; needs at least {FEWEST_GROUPS}"
        )
    coded = np.stack([examples.values(task) for task in examples.tasks])
    _, stratum = np.unique(coded, axis=1, return_inverse=True)
    return spread(groups, stratum.ravel().astype(np.int64), min(count, different), seed)


def spread(groups: npt.NDArray[Any], strata: Ints, count: int, seed: int) -> Ints:
    """Fold per unit: groups one after the other, each into the fold in which the shares of the strata over folds stay
    most alike, as in scikit-learn's StratifiedGroupKFold. Uneven groups come early, in an order drawn from `seed`:
    strictly by how uneven they are, all seeds would give nearly the same folds, as few groups are alike in it."""
    known, index = np.unique(groups, return_inverse=True)
    kinds = int(strata.max()) + 1
    counts = np.bincount(index * kinds + strata, minlength=len(known) * kinds).reshape(len(known), kinds)
    drawn = mix64_array(np.arange(1, len(known) + 1, dtype=np.uint64) ^ np.uint64(key64(f"folds {seed}")))
    order = np.lexsort((drawn, -counts.std(axis=1) * (0.5 + drawn / 2.0**64)))
    shares = counts / np.maximum(counts.sum(axis=0), 1)
    held, units = np.zeros((count, kinds)), np.zeros(count)
    found = np.zeros(len(known), np.int64)
    for group in order:
        others = (held**2).sum(axis=0) + 2 * held * shares[group] + shares[group] ** 2
        middle = (held.sum(axis=0) + shares[group]) / count
        variance = np.maximum(others / count - middle**2, 0)
        uneven = np.sqrt(variance).mean(axis=1)
        best = np.lexsort((units, uneven.round(12)))[0]
        found[group] = best
        held[best] += shares[group]
        units[best] += counts[group].sum()
    assigned: Ints = found[index]
    return assigned
