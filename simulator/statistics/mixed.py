"""Differences between two groups by linear mixed models (statsmodels), with intervals clustered by client.

`paired_difference` is for designs in which clients meet both groups: cell means of client and group, a random
intercept of the client, Student's t on the number of clients who met both less one. On complete data this is the paired
t interval; a client who met one group only still tells something. `adjusted_difference` is for groups of sessions that
differ in something else too (length): single sessions, covariates, a random intercept of the cluster.

Where the clusters' variance is estimated at its boundary of zero, or every cluster holds one session, the mixed model
is no model of the dependence any more; ordinary least squares with cluster-robust errors take its place, and the method
says so.
"""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from simulator.statistics.intervals import TOO_FEW_CLUSTERS, Interval

Array = npt.NDArray[np.float64]
FEWEST_CLUSTERS = 8
"""Below this an interval carries the flag of too few clusters (docs/statistics.md)."""
MIXED = "linear mixed model, random intercept of {one}, t"
ROBUST = "least squares, errors robust over {many}, t"


def paired_difference(
    values: npt.ArrayLike, second: npt.ArrayLike, clusters: npt.ArrayLike, *, level: float = 0.95,
    cluster: str = "clients",
) -> Interval:  # fmt: skip
    """Mean of the first group minus that of the second, over clusters.

    Args:
        values: one per session, NaN where there is none (left out).
        second: whether a session belongs to the second group.
        clusters: whose session it is.
        cluster: what clusters are called, in the plural.
    """
    numbers, group, names = np.asarray(values, np.float64), np.asarray(second, bool), np.asarray(clusters)
    kept = ~np.isnan(numbers)
    numbers, group, names = numbers[kept], group[kept], names[kept]
    known, index = np.unique(names, return_inverse=True)
    cell = 2 * index + group
    counts = np.bincount(cell, minlength=2 * len(known))
    sums = np.bincount(cell, weights=numbers, minlength=2 * len(known))
    there = counts > 0
    both = int((there[0::2] & there[1::2]).sum())
    means = sums[there] / counts[there]
    place = np.flatnonzero(there)
    design = np.column_stack([np.ones(len(place)), place % 2 == 0])
    return _fitted(means, design, place // 2, both - 1, len(numbers), both, level, cluster)


def adjusted_difference(
    values: npt.ArrayLike, second: npt.ArrayLike, covariates: Sequence[npt.ArrayLike], clusters: npt.ArrayLike, *,
    level: float = 0.95, cluster: str = "clients",
) -> Interval:  # fmt: skip
    """Mean of the first group minus that of the second at equal covariates; sessions are the units.

    Args:
        values, second, clusters: as above.
        covariates: one array per covariate; each is standardised.
    """
    numbers, group, names = np.asarray(values, np.float64), np.asarray(second, bool), np.asarray(clusters)
    kept = ~np.isnan(numbers)
    columns = [np.ones(int(kept.sum())), (~group[kept]).astype(np.float64)]
    for each in covariates:
        column = np.asarray(each, np.float64)[kept]
        spread = float(column.std())
        if spread > 0:
            columns.append((column - column.mean()) / spread)
    known, index = np.unique(names[kept], return_inverse=True)
    design = np.column_stack(columns)
    df = len(known) - design.shape[1] + 1 if len(known) < kept.sum() else len(known) - design.shape[1]
    return _fitted(numbers[kept], design, index, df, int(kept.sum()), len(known), level, cluster)


def _fitted(
    values: Array, design: Array, groups: npt.NDArray[np.int64], df: int, units: int, clusters: int, level: float,
    cluster: str,
) -> Interval:  # fmt: skip
    from scipy.special import stdtr, stdtrit

    nothing = Interval(
        estimate=float("nan"), low=float("nan"), high=float("nan"), level=level, method=MIXED.format(one=cluster),
        clusters=clusters, units=units, cluster=cluster, flag="nothing to compare",
    )  # fmt: skip
    if len(values) < 3 or np.linalg.matrix_rank(design) < design.shape[1]:
        return nothing
    estimate, error, method = _estimate(values, design, groups)
    method = method.format(one=cluster.removesuffix("s"), many=cluster)
    wide = float(stdtrit(df, 0.5 + level / 2)) * error if df > 0 and error > 0 else float("nan")
    flag = TOO_FEW_CLUSTERS if clusters < FEWEST_CLUSTERS else "no variation" if error <= 0 else None
    return Interval(
        estimate=estimate, low=estimate - wide, high=estimate + wide, level=level, method=method, clusters=clusters,
        units=units, cluster=cluster, flag=flag,
        p=float(2 * stdtr(df, -abs(estimate) / error)) if df > 0 and error > 0 else None,
    )  # fmt: skip


def _estimate(values: Array, design: Array, groups: npt.NDArray[np.int64]) -> tuple[float, float, str]:
    """Coefficient of the second column, its standard error, and by which method."""
    from statsmodels.regression.linear_model import OLS
    from statsmodels.regression.mixed_linear_model import MixedLM

    if len(np.unique(groups)) < len(groups):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the boundary is looked at below
            try:
                fit: Any = MixedLM(values, design, groups).fit(reml=True, method=["bfgs", "powell"])
                between = float(np.asarray(fit.cov_re).ravel()[0])
                error = float(fit.bse_fe[1])
                if fit.converged and np.isfinite(error) and between > 1e-4 * float(fit.scale):
                    return float(fit.fe_params[1]), error, MIXED
            except (np.linalg.LinAlgError, ValueError):
                pass
    robust: Any = OLS(values, design).fit(cov_type="cluster", cov_kwds={"groups": groups})
    return float(robust.params[1]), float(robust.bse[1]), ROBUST
