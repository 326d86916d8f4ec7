"""Confidence limits that hold for skewed data and few clusters, vectorised over any leading axes.

One mean: Hall's monotone cubic transformation of the t statistic (P. Hall, Annals of Statistics 20, 1992), which takes
out the skewness that makes plain t intervals of rare behaviours miss on one side. A difference of two means: the
square-and-add limits of Zou & Donner (Statistics in Medicine 27, 2008; "MOVER"), which recover the variance of each
side from its own Hall limits. The coverage that decided for them stands in docs/statistics.md.
"""

import numpy as np
from scipy.special import stdtr, stdtrit

from simulator.statistics.moments import Array, Moments

Bounds = tuple[float, float]
UNBOUNDED: Bounds = (-np.inf, np.inf)
UNIT: Bounds = (0.0, 1.0)


def t_limits(moments: Moments, level: float = 0.95) -> tuple[Array, Array]:
    """Student's t; what the other limits are compared with. NaN where the variance is."""
    half = _quantile(moments.df, 0.5 + level / 2) * np.sqrt(moments.variance)
    return moments.mean - half, moments.mean + half


def logit_limits(moments: Moments, level: float = 0.95) -> tuple[Array, Array]:
    """Student's t on the logit of a mean in (0, 1), by the delta method; NaN where the mean is 0 or 1."""
    inside = (moments.mean > 0) & (moments.mean < 1)
    mean = np.where(inside, moments.mean, 0.5)
    half = _quantile(moments.df, 0.5 + level / 2) * np.where(inside, np.sqrt(moments.variance), np.nan)
    half = half / (mean * (1 - mean))
    centre = np.log(mean / (1 - mean))
    return 1 / (1 + np.exp(half - centre)), 1 / (1 + np.exp(-half - centre))


def hall_limits(moments: Moments, level: float = 0.95, bounds: Bounds = UNBOUNDED) -> tuple[Array, Array]:
    """Limits of one mean, cut at `bounds`; they always contain the mean and grow with the level."""
    return _hall(moments, _quantile(moments.df, 0.5 + level / 2), bounds)


def _quantile(df: Array, probability: Array | float) -> Array:
    """Quantile of Student's t."""
    return np.asarray(stdtrit(df, probability), dtype=np.float64)


def _hall(moments: Moments, quantile: Array, bounds: Bounds) -> tuple[Array, Array]:
    error = np.sqrt(moments.variance)
    # the standardised skewness of the mean; its largest possible value over clusters is about one
    skew = np.divide(moments.third, error**3, out=np.zeros_like(error), where=error > 0)
    low = np.maximum(moments.mean - np.maximum(_untransform(quantile, skew), 0.0) * error, bounds[0])
    high = np.minimum(moments.mean - np.minimum(_untransform(-quantile, skew), 0.0) * error, bounds[1])
    return low, high


def _untransform(x: Array, skew: Array) -> Array:
    """The t statistic whose transform is `x`: the inverse of t + s t^2/3 + s^2 t^3/27 + s/6 for skewness s."""
    small = np.abs(skew) < 1e-6
    s = np.where(small, 1.0, skew)
    return np.where(small, x, (3.0 / s) * (np.cbrt(1.0 + s * (x - s / 6.0)) - 1.0))


def difference_limits(
    first: Moments, second: Moments, covariance: Array | float, level: float = 0.95, bounds: Bounds = UNBOUNDED
) -> tuple[Array, Array]:
    """Limits of first - second. `covariance` is that of the two estimates (0 where they are independent); `bounds` are
    those of each mean, not of the difference."""
    q_first = _quantile(first.df, 0.5 + level / 2)
    q_second = _quantile(second.df, 0.5 + level / 2)
    return _difference(first, second, covariance, q_first, q_second, bounds)


def _difference(
    first: Moments, second: Moments, covariance: Array | float, q_first: Array, q_second: Array, bounds: Bounds
) -> tuple[Array, Array]:
    low_1, high_1 = _hall(first, q_first, bounds)
    low_2, high_2 = _hall(second, q_second, bounds)
    scale = np.sqrt(first.variance * second.variance)
    correlation = np.clip(np.divide(covariance, scale, out=np.zeros_like(scale), where=scale > 0), -1.0, 1.0)
    difference = first.mean - second.mean
    down_1, up_1 = first.mean - low_1, high_1 - first.mean
    down_2, up_2 = second.mean - low_2, high_2 - second.mean
    below = np.sqrt(np.maximum(down_1**2 + up_2**2 - 2 * correlation * down_1 * up_2, 0.0))
    above = np.sqrt(np.maximum(up_1**2 + down_2**2 - 2 * correlation * up_1 * down_2, 0.0))
    return difference - below, difference + above


def difference_p(first: Moments, second: Moments, covariance: Array | float, bounds: Bounds = UNBOUNDED) -> Array:
    """Two-sided p-value of no difference: 1 - the level at which `difference_limits` first touch zero (bisection).

    1 where the means are equal, NaN where a variance is.
    """
    below, above = np.zeros_like(first.mean), np.full_like(first.mean, 60.0)
    difference = first.mean - second.mean
    for _ in range(40):
        middle = (below + above) / 2
        # one tail probability for both sides, each with its own degrees of freedom
        q_second = _quantile(second.df, stdtr(first.df, middle))
        low, high = _difference(
            first, second, covariance, middle, np.where(np.isfinite(q_second), q_second, middle), bounds
        )
        excluded = np.where(difference > 0, low > 0, high < 0)
        below, above = np.where(excluded, middle, below), np.where(excluded, above, middle)
    p = 2 * stdtr(first.df, -below)
    p = np.where(difference == 0, 1.0, p)
    return np.where(np.isnan(first.variance + second.variance), np.nan, p)
