"""Whether probabilities mean what they say, and how well they put units in order."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

BINS = 10
"""Bins of equal width on [0, 1]."""


def calibration_counts(right: npt.ArrayLike, probability: npt.ArrayLike, clusters: npt.ArrayLike) -> Array:
    """Per cluster and bin: units, units that were right, sum of the probabilities; (clusters, BINS, 3).

    Args:
        right: whether the value given was right, per unit.
        probability: that of the value given, in [0, 1].
        clusters: what each unit belongs to; clusters come in sorted order.
    """
    hits, claimed = np.asarray(right, dtype=np.float64), np.asarray(probability, dtype=np.float64)
    known, index = np.unique(np.asarray(clusters), return_inverse=True)
    place = index * BINS + np.minimum((claimed * BINS).astype(np.int64), BINS - 1)
    size = max(len(known), 1) * BINS
    parts = [np.bincount(place, weights, minlength=size) for weights in (np.ones(len(hits)), hits, claimed)]
    found: Array = np.stack(parts, axis=-1).reshape(-1, BINS, 3).astype(np.float64)
    return found


def expected_calibration_error(counts: Array) -> Array:
    """Mean distance between the share that was right and the mean probability, over bins weighted by their units.

    Args:
        counts: (..., BINS, 3), see `calibration_counts`; leading axes are carried along.

    Guo et al., ICML 2017, equation 3. NaN without units.
    """
    total = counts[..., 0].sum(axis=-1)
    gaps = np.abs(counts[..., 1] - counts[..., 2]).sum(axis=-1)
    found: Array = np.where(total > 0, gaps / np.where(total > 0, total, 1.0), np.nan)
    return found


def area_under_curve(positive: npt.ArrayLike, score: npt.ArrayLike) -> float:
    """The share of pairs of a positive and a negative unit in which the positive one scores higher, ties by half.

    NaN where one of the two kinds is missing. (Mann & Whitney, Ann Math Stat 18:50, 1947.)
    """
    from scipy.stats import rankdata

    truth: npt.NDArray[Any] = np.asarray(positive, dtype=np.bool_)
    count = int(truth.sum())
    if not count or count == len(truth):
        return float("nan")
    ranks = rankdata(np.asarray(score, dtype=np.float64))
    return float((ranks[truth].sum() - count * (count + 1) / 2) / (count * (len(truth) - count)))
