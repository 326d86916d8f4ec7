"""Means over clusters of session values, for both estimands: scores, rates, changes, lengths, and (in `shares`) shares.

A cluster's value is the mean over its sessions; the estimate is the mean over clusters, each counting once.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from simulator.statistics.intervals import TOO_FEW_CLUSTERS, Interval
from simulator.statistics.limits import UNBOUNDED, Bounds, hall_limits
from simulator.statistics.moments import Array, Moments, over_clusters, within_unequal_clusters
from simulator.statistics.rules import Estimand, too_few

METHOD: dict[Estimand, str] = {
    "population": "Hall's transformed t over {cluster}",
    "these personas": "Hall's transformed t over replicates within {cluster}",
}
"""Names of the methods, as printed; docs/statistics.md explains them."""
NAN = float("nan")


@dataclass(frozen=True, slots=True)
class Clustered:
    """Session values put into clusters: `values` and `index` (sessions,), `means` (clusters,), `names` of clusters."""

    values: Array
    index: npt.NDArray[np.int64]
    means: Array
    names: npt.NDArray[Any]

    def moments(self, estimand: Estimand) -> Moments:
        """Moments of the mean over clusters under an estimand."""
        if estimand == "population":
            return over_clusters(self.means)
        return within_unequal_clusters(self.values, self.index, len(self.names))


def clustered(values: npt.ArrayLike, clusters: npt.ArrayLike) -> Clustered:
    """Group session values (n,) by cluster label (n,); NaN (nothing to measure in that session) is left out."""
    numbers = np.asarray(values, dtype=np.float64)
    kept = ~np.isnan(numbers)
    names, index = np.unique(np.asarray(clusters)[kept], return_inverse=True)
    sums = np.bincount(index, weights=numbers[kept], minlength=len(names))
    return Clustered(numbers[kept], index, sums / np.bincount(index, minlength=len(names)), names)


def mean_over_clusters(
    values: npt.ArrayLike,
    clusters: npt.ArrayLike,
    *,
    estimand: Estimand = "population",
    level: float = 0.95,
    bounds: Bounds = UNBOUNDED,
    cluster: str = "personas",
) -> Interval:
    """The mean over clusters of the mean of their session values.

    Args:
        values: one per session (n,), NaN where there is none. For a change pass after - before.
        clusters: whose session it is (n,).
        estimand: what varies: clusters and replicates (`population`) or replicates alone (`these personas`).
        bounds: limits of the scale, at which the interval is cut.
        cluster: what the clusters are called, in the plural.
    """
    data = clustered(values, clusters)
    if not len(data.names):
        return no_interval(NAN, estimand, level, 0, 0, cluster, "nothing to measure")
    moments = data.moments(estimand)
    return from_moments(
        moments,
        estimand,
        level,
        bounds,
        len(data.names),
        len(data.values),
        cluster,
        bool(too_few(estimand, moments.df)),
    )


def from_moments(
    moments: Moments,
    estimand: Estimand,
    level: float,
    bounds: Bounds,
    clusters: int,
    units: int,
    cluster: str,
    flagged: bool,
) -> Interval:
    """The interval of one study's moments; without limits where the data hold no variation to estimate them from."""
    estimate = float(moments.mean)
    if not np.isfinite(moments.variance):
        reason = f"one session in each of the {cluster}" if estimand == "these personas" else TOO_FEW_CLUSTERS
        return no_interval(estimate, estimand, level, clusters, units, cluster, reason)
    if float(moments.variance) <= 1e-24 * max(1.0, estimate**2):
        return no_interval(estimate, estimand, level, clusters, units, cluster, "no variation")
    low, high = hall_limits(moments, level, bounds)
    return Interval(
        estimate=estimate,
        low=float(low),
        high=float(high),
        level=level,
        method=METHOD[estimand].format(cluster=cluster),
        clusters=clusters,
        units=units,
        cluster=cluster,
        flag=TOO_FEW_CLUSTERS if flagged else None,
    )


def no_interval(
    estimate: float, estimand: Estimand, level: float, clusters: int, units: int, cluster: str, reason: str
) -> Interval:
    """An estimate whose width is unknown, and why."""
    return Interval(
        estimate=estimate,
        low=NAN,
        high=NAN,
        level=level,
        method=METHOD[estimand].format(cluster=cluster),
        clusters=clusters,
        units=units,
        cluster=cluster,
        flag=reason,
    )
