"""Shares of sessions, averaged the way this project means them: mean over clusters of session shares.

A session's share is count / units of that session; a persona's is the mean of its sessions' shares; the estimate is the
mean over personas. Long sessions and talkative personas therefore weigh no more than short ones. The pooled share
(all counts over all units) is another quantity and has another name.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from simulator.statistics.intervals import TOO_FEW_CLUSTERS, Interval
from simulator.statistics.limits import Array, logit_limits


def cluster_means(values: npt.ArrayLike, clusters: npt.ArrayLike) -> tuple[Array, npt.NDArray[Any]]:
    """Mean of `values` (n,) within each cluster, NaN left out; and the clusters in sorted order.

    Clusters whose values are all NaN do not appear.
    """
    numbers = np.asarray(values, dtype=np.float64)
    kept = ~np.isnan(numbers)
    names, index = np.unique(np.asarray(clusters)[kept], return_inverse=True)
    sums = np.bincount(index, weights=numbers[kept], minlength=len(names))
    return sums / np.bincount(index, minlength=len(names)), names


def session_shares(counts: npt.ArrayLike, units: npt.ArrayLike) -> Array:
    """count / units per session; NaN where a session has no unit that could have shown the behaviour."""
    total = np.asarray(units, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(total > 0, np.asarray(counts, dtype=np.float64) / total, np.nan)


def mean_of_session_shares(
    counts: npt.ArrayLike,
    units: npt.ArrayLike,
    clusters: npt.ArrayLike,
    *,
    level: float = 0.95,
    cluster: str = "personas",
) -> Interval:
    """The share of a behaviour as the mean over clusters of session shares, with a population interval.

    Args:
        counts, units: per session (n,): how often the behaviour was present and in how many units it could have been.
        clusters: per session (n,): whose session it is.
    """
    shares = session_shares(counts, units)
    means, names = cluster_means(shares, clusters)
    sessions = int((~np.isnan(shares)).sum())
    if not len(names):
        nan = float("nan")
        return Interval(
            estimate=nan,
            low=nan,
            high=nan,
            level=level,
            method="none",
            clusters=0,
            units=0,
            cluster=cluster,
            flag="no units",
        )
    estimate, low, high = (float(limit) for limit in logit_limits(means, level))
    flag = None if low == low else TOO_FEW_CLUSTERS
    return Interval(
        estimate=estimate,
        low=low,
        high=high,
        level=level,
        method=f"logit-t over {cluster}",
        clusters=len(names),
        units=sessions,
        cluster=cluster,
        flag=flag,
    )
