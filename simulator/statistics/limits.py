"""Confidence limits for a mean over clusters, vectorised over any leading axes.

Every function takes cluster values of shape (..., n) and returns (estimate, low, high) of shape (...), so that one
study and a coverage experiment of thousands run through the same lines. Which of them is used where, and the coverage
that decided it, stands in docs/statistics.md.
"""

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

Array = npt.NDArray[np.float64]
Limits = tuple[Array, Array, Array]


def t_limits(values: Array, level: float = 0.95) -> Limits:
    """Student's t on the cluster values. NaN limits with fewer than two clusters."""
    n = values.shape[-1]
    mean = values.mean(axis=-1)
    if n < 2:
        return mean, np.full_like(mean, np.nan), np.full_like(mean, np.nan)
    half = stdtrit(n - 1, 0.5 + level / 2) * values.std(axis=-1, ddof=1) / np.sqrt(n)
    return mean, mean - half, mean + half


def logit_limits(values: Array, level: float = 0.95) -> Limits:
    """Student's t on the logit of the mean, by the delta method; for values in [0, 1].

    A mean of exactly 0 or 1 has no logit: its limits are NaN.
    """
    mean, low, high = t_limits(values, level)
    inside = (mean > 0) & (mean < 1)
    centre = np.where(inside, mean, 0.5)
    half = np.where(inside, (high - low) / 2, np.nan) / (centre * (1 - centre))
    logit = np.log(centre / (1 - centre))
    return mean, 1 / (1 + np.exp(half - logit)), 1 / (1 + np.exp(-half - logit))
