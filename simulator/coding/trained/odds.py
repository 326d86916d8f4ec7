"""Logistic scores of features weighed by how much oftener they stand in units with a value than in units without it.

Each feature is multiplied by the logarithm of that ratio (add-one counts of units) before a logistic regression per
value is fitted, as in Wang & Manning, ACL 2012 (NBSVM). The product of ratio and coefficient is all that is kept.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from simulator.coding.trained.ridge import value_weights

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.int64]

_STRENGTH = 1.0


def fit_odds(vectors: Any, values: Ints, count: int) -> Floats:
    """Coefficients (features + 1, count), the constant last; a value that no unit or every unit has scores 0."""
    from scipy.sparse import csr_matrix
    from sklearn.linear_model import LogisticRegression

    present = csr_matrix(vectors, copy=True)
    present.data = np.ones_like(present.data)
    found = np.zeros((vectors.shape[1] + 1, count), np.float32)
    for value in range(count):
        wanted = values == value
        if not wanted.any() or wanted.all():
            continue
        inside = 1 + np.asarray(present[wanted].sum(axis=0)).ravel()
        outside = 1 + np.asarray(present[~wanted].sum(axis=0)).ravel()
        ratio = np.log((inside / inside.sum()) / (outside / outside.sum())).astype(np.float32)
        scaled = csr_matrix(vectors, copy=True)
        scaled.data = scaled.data * ratio[scaled.indices]
        scaled.indices, scaled.indptr = scaled.indices.astype(np.int32), scaled.indptr.astype(np.int32)
        model = LogisticRegression(C=_STRENGTH, solver="liblinear", random_state=0).fit(
            scaled, wanted, sample_weight=value_weights(wanted.astype(np.int64), 2)
        )
        found[:-1, value], found[-1, value] = ratio * model.coef_[0], model.intercept_[0]
    return found


def score_odds(vectors: Any, coefficients: Floats) -> Floats:
    """Log-odds (units, values)."""
    found: Floats = vectors @ coefficients[:-1] + coefficients[-1]
    return found
