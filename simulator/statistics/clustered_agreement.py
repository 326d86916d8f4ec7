"""Agreement of raters on numbers, and how well a number tells two kinds of subjects apart.

Every function takes how often each subject counts, `weights` (..., subjects), so that a bootstrap over clusters is one
call: a subject counts as often as its cluster was drawn (`cluster_interval`).

Sources: Shrout & Fleiss, Psychol Bull 86:420 (1979); Mann & Whitney, Ann Math Stat 18:50 (1947).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from simulator.statistics.agreement import bootstrap_weights, percentile_interval
from simulator.statistics.intervals import Interval

Array = npt.NDArray[np.float64]


def intraclass(table: Array, weights: Array, kind: Literal["agreement", "consistency"] = "agreement") -> Array:
    """The intraclass correlation of single raters who all rated every subject, in two ways.

    Args:
        table: (subjects, raters), complete.
        kind: `agreement` is ICC(2,1), where a rater who is always higher disagrees; `consistency` is ICC(3,1).

    NaN with fewer than two subjects or where nothing varies.
    """
    raters = table.shape[1]
    count = weights.sum(axis=-1)
    means = table.mean(axis=1)
    of_rater = (weights @ table) / count[..., None]
    grand = of_rater.mean(axis=-1)
    between = raters * (weights * (means - grand[..., None]) ** 2).sum(axis=-1) / (count - 1)
    shift = of_rater - grand[..., None]
    by_rater = count * (shift**2).sum(axis=-1) / (raters - 1)
    rest = (weights @ ((table - means[:, None]) ** 2).sum(axis=1)) - count * (shift**2).sum(axis=-1)
    error = rest / ((count - 1) * (raters - 1))
    denominator = between + (raters - 1) * error
    if kind == "agreement":
        denominator = denominator + raters * (by_rater - error) / count
    return _divide(between - error, denominator)


def pearson(first: Array, second: Array, weights: Array) -> Array:
    """The product-moment correlation; NaN where one side does not vary."""
    total = weights.sum(axis=-1)[..., None]
    one = first - (weights @ first)[..., None] / total
    two = second - (weights @ second)[..., None] / total
    products = (weights * one * two).sum(axis=-1)
    return _divide(products, np.sqrt((weights * one**2).sum(axis=-1) * (weights * two**2).sum(axis=-1)))


def discrimination(positive: npt.NDArray[np.bool_], score: Array, weights: Array) -> Array:
    """The share of pairs of a positive and a negative subject in which the positive one scores higher, ties by half.

    NaN where one of the two kinds is missing.
    """
    order = np.argsort(score, kind="stable")
    _, level = np.unique(score[order], return_inverse=True)
    starts = np.flatnonzero(np.diff(level, prepend=-1))
    sorted_weights = weights[..., order]
    ups = np.add.reduceat(sorted_weights * positive[order], starts, axis=-1)
    downs = np.add.reduceat(sorted_weights * ~positive[order], starts, axis=-1)
    below = np.cumsum(downs, axis=-1) - downs / 2
    return _divide((ups * below).sum(axis=-1), ups.sum(axis=-1) * downs.sum(axis=-1))


def cluster_interval(
    statistic: Callable[[Array], Array], clusters: npt.NDArray[Any], *, cluster: str, resamples: int = 2000,
    seed: int = 0, level: float = 0.95,
) -> Interval:  # fmt: skip
    """A statistic of weighted subjects with an expanded percentile interval from resampling whole clusters.

    Args:
        statistic: maps weights (..., subjects) to values (...).
        clusters: which cluster each subject belongs to.
        cluster: what the clusters are, in the plural.
    """
    known, index = np.unique(clusters, return_inverse=True)
    drawn = bootstrap_weights(len(known), resamples, seed)
    return percentile_interval(
        float(statistic(np.ones(len(index)))),
        np.concatenate([statistic(part[:, index]) for part in np.array_split(drawn, max(1, drawn.size // 2_000_000))]),
        clusters=len(known), units=len(index), cluster=cluster, level=level,
    )  # fmt: skip


def _divide(numerator: Array, denominator: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(denominator > 0, numerator / np.where(denominator > 0, denominator, 1.0), np.nan)
