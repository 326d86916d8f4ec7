"""Mean, variance and third cumulant of an estimator, from cluster values or from replicates within clusters.

These three numbers and the degrees of freedom are all that `statistics.limits` needs. Functions take leading axes, so
that one study and a coverage experiment of thousands of studies run through the same lines.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Moments:
    """Cumulants of the sampling distribution of a mean, each of shape (...).

    Args:
        mean: the estimate.
        variance: estimated variance of the estimate; NaN where there is nothing to estimate it from.
        third: estimated third cumulant of the estimate; 0 where it cannot be estimated.
        df: degrees of freedom behind `variance`.
    """

    mean: Array
    variance: Array
    third: Array
    df: Array

    def at(self, selection: Any) -> "Moments":
        """The same for a part of the leading axes (any numpy index)."""
        return Moments(self.mean[selection], self.variance[selection], self.third[selection], self.df[selection])


def over_clusters(values: Array) -> Moments:
    """Moments of the mean of cluster values of shape (..., n), clusters drawn independently from a population."""
    n = values.shape[-1]
    mean = values.mean(axis=-1)
    deviations = values - mean[..., None]
    squares = deviations * deviations
    variance = squares.sum(axis=-1) / ((n - 1) * n) if n > 1 else np.full_like(mean, np.nan)
    third = (squares * deviations).sum(axis=-1) / ((n - 1) * (n - 2) * n) if n > 2 else np.zeros_like(mean)
    return Moments(mean, variance, third, np.full_like(mean, n - 1))


def within_clusters(values: Array) -> Moments:
    """Moments of the mean over a fixed set of clusters of the means of their replicates; `values` is (..., n, r).

    Only the replicates vary. Their variance is pooled over clusters, n (r - 1) degrees of freedom: in clusters where a
    rare behaviour did not happen the variance estimate is zero, and only the sum over clusters means anything.
    """
    n, r = values.shape[-2:]
    means = values.mean(axis=-1)
    mean = means.mean(axis=-1)
    deviations = values - means[..., None]
    squares = deviations * deviations
    variance = squares.sum(axis=(-2, -1)) / ((r - 1) * r * n * n) if r > 1 else np.full_like(mean, np.nan)
    third = (squares * deviations).sum(axis=(-2, -1)) / ((r - 1) * (r - 2) * r * n**3) if r > 2 else np.zeros_like(mean)
    return Moments(mean, variance, third, np.full_like(mean, n * (r - 1)))


def within_unequal_clusters(values: Array, index: npt.NDArray[np.int64], n: int) -> Moments:
    """`within_clusters` for one study with any number of replicates per cluster.

    Args:
        values: one value per replicate, shape (m,).
        index: the cluster of each, in 0..n-1, shape (m,); every cluster has at least one.

    Clusters with a single replicate take the pooled variance of the others, clusters with fewer than three the pooled
    third cumulant; with one replicate everywhere the variance is NaN.
    """
    r = np.bincount(index, minlength=n).astype(np.float64)
    means = np.bincount(index, weights=values, minlength=n) / r
    deviations = values - means[index]
    squares = np.bincount(index, weights=deviations**2, minlength=n)
    cubes = np.bincount(index, weights=deviations**3, minlength=n)
    df = float((r - 1).sum())
    several = r > 1
    pooled = squares.sum() / df if df else np.nan
    variances = np.where(several, squares / np.maximum(r - 1, 1), pooled)
    many = r > 2
    cumulants = np.where(many, cubes * r / np.where(many, (r - 1) * (r - 2), 1), 0.0)
    if many.any():
        cumulants = np.where(many, cumulants, cumulants[many].mean())
    return Moments(
        np.asarray(means.mean()),
        np.asarray((variances / r).sum() / n**2),
        np.asarray((cumulants / r**2).sum() / n**3),
        np.asarray(df),
    )
