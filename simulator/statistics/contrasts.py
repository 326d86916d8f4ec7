"""Differences between two arms (therapists, strata, moments).

Paired, the default: only clusters that both arms have are compared. For a population the covariance of the two arms'
cluster means is taken out, which is what pairing buys; for a fixed set of clusters the replicates of the two arms are
independent draws. Unpaired: for arms that were never meant to share clusters (human sessions of high and low quality);
every cluster counts, and where one happens to stand in both arms its covariance is taken into account.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from simulator.statistics.intervals import TOO_FEW_CLUSTERS, Interval
from simulator.statistics.limits import UNBOUNDED, UNIT, Bounds, difference_limits, difference_p
from simulator.statistics.means import NAN, Clustered, clustered
from simulator.statistics.moments import Array, Moments
from simulator.statistics.rules import Estimand, carrier, too_few, too_few_for_share
from simulator.statistics.shares import session_shares

METHOD: dict[Estimand, str] = {
    "population": "square-and-add of Hall limits, paired on {cluster}",
    "these personas": "square-and-add of Hall limits, replicates within {cluster}",
}
UNPAIRED = "square-and-add of Hall limits, {cluster} of both arms"


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
    return contrast_intervals([(first, second)], estimand, level, cluster, shares=shares, bounds=bounds)[0]


def contrast_intervals(
    pairs: Sequence[tuple[Clustered, Clustered]],
    estimand: Estimand,
    level: float = 0.95,
    cluster: str = "personas",
    *,
    shares: bool = False,
    bounds: Bounds = UNBOUNDED,
    pairing: bool = True,
) -> list[Interval]:
    """`contrast_interval` of many pairs of arms at once: p-values are searched for all of them together.

    `pairing` says whether the arms are paired on clusters; without it the estimand is a population's.
    """
    if not pairing and estimand != "population":
        raise ValueError("arms that are not paired on clusters have no fixed set of clusters in common")
    method = (METHOD[estimand] if pairing else UNPAIRED).format(cluster=cluster)
    scale = UNIT if shares else bounds
    prepared = [
        _prepare(*(paired(first, second) if pairing else (first, second)), estimand, shares) for first, second in pairs
    ]
    usable = [item for item in prepared if item.reason is None]
    solved: list[tuple[float, float, float]] = []
    if usable:
        first, second = _stack([item.first for item in usable]), _stack([item.second for item in usable])
        covariance = np.array([item.covariance for item in usable])
        low, high = difference_limits(first, second, covariance, level, scale)
        p = difference_p(first, second, covariance, scale)
        solved = list(zip(low.tolist(), high.tolist(), p.tolist(), strict=True))
    answers = iter(solved)
    rows: list[Interval] = []
    for item in prepared:
        low_, high_, p_ = next(answers) if item.reason is None else (NAN, NAN, None)
        flag = item.reason or (TOO_FEW_CLUSTERS if item.flagged else None)
        rows.append(
            Interval(
                estimate=item.difference, low=low_, high=high_, level=level, method=method, clusters=item.clusters,
                units=item.units, cluster=cluster, flag=flag, p=p_,
            )
        )  # fmt: skip
    return rows


@dataclass(frozen=True, slots=True)
class _Prepared:
    first: Moments
    second: Moments
    covariance: float
    difference: float
    clusters: int
    units: int
    flagged: bool
    reason: str | None


def _prepare(one: Clustered, two: Clustered, estimand: Estimand, shares: bool) -> _Prepared:
    n = len(np.union1d(one.names, two.names))
    units = len(one.values) + len(two.values)
    smaller = min(len(one.names), len(two.names))
    if not smaller:
        nothing = Moments(*(np.asarray(NAN) for _ in range(4)))
        return _Prepared(nothing, nothing, 0.0, NAN, 0, 0, True, "nothing that both arms have")
    a, b = one.moments(estimand), two.moments(estimand)
    population = estimand == "population"
    covariance = _covariance(one, two) if population else 0.0
    df = np.minimum(a.df, b.df)
    if shares:
        values = (one.means, two.means) if population else (one.values, two.values)
        seen = max(int((arm > 0).sum()) for arm in values)
        missed = max(int((arm < 1).sum()) for arm in values)
        flagged = too_few_for_share(estimand, carrier(a.mean, b.mean), seen, missed, smaller, df)
    else:
        flagged = too_few(estimand, df)
    variance = float(a.variance + b.variance)
    known = np.isfinite(variance)
    reason = "variance unknown" if not known else "no variation" if variance <= 1e-24 else None
    return _Prepared(a, b, covariance, float(a.mean - b.mean), n, units, bool(flagged), reason)


def _covariance(one: Clustered, two: Clustered) -> float:
    """Covariance of the two means from the clusters that stand in both arms; `covariance_of_means` where all do."""
    _, first, second = np.intersect1d(one.names, two.names, assume_unique=True, return_indices=True)
    if len(first) < 2:
        return 0.0
    deviations = (one.means - one.means.mean())[first] * (two.means - two.means.mean())[second]
    return float(deviations.sum() * len(first) / ((len(first) - 1) * len(one.names) * len(two.names)))


def _stack(items: Sequence[Moments]) -> Moments:
    return Moments(
        np.array([float(item.mean) for item in items]),
        np.array([float(item.variance) for item in items]),
        np.array([float(item.third) for item in items]),
        np.array([float(item.df) for item in items]),
    )
