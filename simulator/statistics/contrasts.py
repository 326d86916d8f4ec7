"""Differences between two arms (therapists, codebooks, moments), paired on clusters.

Only clusters that both arms have are compared. For a population the covariance of the two arms' cluster means is taken
out, which is what pairing buys; for a fixed set of clusters the replicates of the two arms are independent draws.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from simulator.statistics.intervals import TOO_FEW_CLUSTERS, Interval
from simulator.statistics.limits import UNBOUNDED, UNIT, Bounds, difference_limits, difference_p
from simulator.statistics.means import NAN, Clustered, clustered
from simulator.statistics.moments import Array
from simulator.statistics.rules import Estimand, carrier, too_few, too_few_for_share
from simulator.statistics.shares import session_shares

METHOD: dict[Estimand, str] = {
    "population": "square-and-add of Hall limits, paired on {cluster}",
    "these personas": "square-and-add of Hall limits, replicates within {cluster}",
}


def paired(first: Clustered, second: Clustered) -> tuple[Clustered, Clustered]:
    """Both arms cut down to the clusters that they share, in one order."""
    common = np.intersect1d(first.names, second.names)
    return _only(first, common), _only(second, common)


def _only(data: Clustered, common: npt.NDArray[Any]) -> Clustered:
    position = np.full(len(data.names), -1, dtype=np.int64)
    kept = np.isin(data.names, common)
    position[kept] = np.arange(int(kept.sum()))
    index = position[data.index]
    return Clustered(data.values[index >= 0], index[index >= 0], data.means[kept], data.names[kept])


def covariance_of_means(first: Array, second: Array) -> Array:
    """Covariance of the two means of paired cluster values of shape (..., n); zero with one cluster."""
    n = first.shape[-1]
    deviations = (first - first.mean(axis=-1, keepdims=True)) * (second - second.mean(axis=-1, keepdims=True))
    return np.asarray(deviations.sum(axis=-1) / max(n * (n - 1), 1))


def contrast_of_shares(
    counts: tuple[npt.ArrayLike, npt.ArrayLike],
    units: tuple[npt.ArrayLike, npt.ArrayLike],
    clusters: tuple[npt.ArrayLike, npt.ArrayLike],
    *,
    estimand: Estimand = "population",
    level: float = 0.95,
    cluster: str = "personas",
) -> Interval:
    """First arm minus second arm of `mean_of_session_shares`; each argument is a pair of arrays, one per arm."""
    arms = [clustered(session_shares(counts[i], units[i]), clusters[i]) for i in (0, 1)]
    return contrast_interval(arms[0], arms[1], estimand, level, cluster, shares=True)


def contrast_of_means(
    values: tuple[npt.ArrayLike, npt.ArrayLike],
    clusters: tuple[npt.ArrayLike, npt.ArrayLike],
    *,
    estimand: Estimand = "population",
    level: float = 0.95,
    bounds: Bounds = UNBOUNDED,
    cluster: str = "personas",
) -> Interval:
    """First arm minus second arm of `mean_over_clusters`; `bounds` are those of the scale, not of the difference."""
    arms = [clustered(values[i], clusters[i]) for i in (0, 1)]
    return contrast_interval(arms[0], arms[1], estimand, level, cluster, bounds=bounds)


def contrast_interval(
    first: Clustered,
    second: Clustered,
    estimand: Estimand,
    level: float = 0.95,
    cluster: str = "personas",
    *,
    shares: bool = False,
    bounds: Bounds = UNBOUNDED,
) -> Interval:
    """The contrast of two grouped arms, with its p-value. The flag follows `statistics.rules`, for shares by the arm
    that shows the behaviour."""
    one, two = paired(first, second)
    n, units = len(one.names), len(one.values) + len(two.values)
    method = METHOD[estimand].format(cluster=cluster)
    if not n:
        return Interval(
            estimate=NAN,
            low=NAN,
            high=NAN,
            level=level,
            method=method,
            clusters=0,
            units=0,
            cluster=cluster,
            flag=f"no {cluster} in both arms",
        )
    a, b = one.moments(estimand), two.moments(estimand)
    difference = float(a.mean - b.mean)
    if not np.isfinite(a.variance + b.variance) or float(a.variance + b.variance) <= 1e-24:
        reason = "no variation" if np.isfinite(a.variance + b.variance) else "variance unknown"
        return Interval(
            estimate=difference,
            low=NAN,
            high=NAN,
            level=level,
            method=method,
            clusters=n,
            units=units,
            cluster=cluster,
            flag=reason,
        )
    population = estimand == "population"
    covariance = covariance_of_means(one.means, two.means) if population else 0.0
    scale = UNIT if shares else bounds
    low, high = difference_limits(a, b, covariance, level, scale)
    df = np.minimum(a.df, b.df)
    if shares:
        values = (one.means, two.means) if population else (one.values, two.values)
        seen = max(int((arm > 0).sum()) for arm in values)
        missed = max(int((arm < 1).sum()) for arm in values)
        flagged = too_few_for_share(estimand, carrier(a.mean, b.mean), seen, missed, n, df)
    else:
        flagged = too_few(estimand, df)
    return Interval(
        estimate=difference,
        low=float(low),
        high=float(high),
        level=level,
        method=method,
        clusters=n,
        units=units,
        cluster=cluster,
        flag=TOO_FEW_CLUSTERS if bool(flagged) else None,
        p=float(difference_p(a, b, covariance, scale)),
    )
