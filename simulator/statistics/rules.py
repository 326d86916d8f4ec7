"""When an interval says "too few clusters": decided from the data at hand, never from a truth.

The numbers were set by simulation (docs/statistics.md): below them coverage of 95 % intervals is not known to lie
between .93 and .97.
"""

from typing import Literal

import numpy as np
import numpy.typing as npt

from simulator.statistics.moments import Array

Estimand = Literal["population", "these personas"]
"""Whom an interval speaks about: the population that the clusters were drawn from, or these clusters and no others."""

MIN_CLUSTERS = 8
"""Fewer clusters than this carry no interval for a population."""
MIN_DF = 12
"""Fewer degrees of freedom within clusters carry no interval for a fixed set."""
MIN_SEEN = 6
"""A behaviour must be seen (if common: be absent) in this many clusters; for a fixed set, in this many sessions."""
RARE = 0.075
"""A share below this (or above 1 - this) is rare, and needs `ENOUGH_FOR_RARE` clusters."""
ENOUGH_FOR_RARE = 20

BoolArray = npt.NDArray[np.bool_]


def too_few(estimand: Estimand, df: npt.ArrayLike) -> BoolArray:
    """The part of the rule that needs no share: shape of `df`."""
    enough = MIN_DF if estimand == "these personas" else MIN_CLUSTERS - 1
    return np.asarray(np.asarray(df) < enough, dtype=np.bool_)


def too_few_for_share(
    estimand: Estimand,
    share: npt.ArrayLike,
    seen: npt.ArrayLike,
    missed: npt.ArrayLike,
    clusters: int,
    df: npt.ArrayLike,
) -> BoolArray:
    """Whether a share carries the flag, for any common shape of the arrays.

    Args:
        share: the estimate.
        seen: in how many clusters (sessions, for a fixed set) the behaviour occurred at all.
        missed: in how many it was not universal.
        clusters: number of clusters.
        df: degrees of freedom of the variance.
    """
    estimate = np.asarray(share)
    rare = np.minimum(estimate, 1 - estimate) < RARE
    sparse = (np.asarray(seen) < MIN_SEEN) | (np.asarray(missed) < MIN_SEEN)
    flagged = too_few(estimand, df) | sparse | (rare & (clusters < ENOUGH_FOR_RARE))
    return np.asarray(flagged, dtype=np.bool_)


def carrier(first: Array, second: Array) -> Array:
    """Of two shares the one nearer to one half: a difference is carried by the arm that shows the behaviour."""
    return np.where(np.minimum(first, 1 - first) > np.minimum(second, 1 - second), first, second)
