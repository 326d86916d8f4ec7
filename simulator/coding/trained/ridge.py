"""Linear scores by ridge regression: one column per value of a code, +1 where a unit has it and -1 where not.

The minimum of sum_i w_i |y_i - x_i b|^2 + penalty |b|^2 is found by conjugate gradients (Hestenes & Stiefel, J Res Natl
Bur Stand 49:409, 1952) on the features themselves, so memory grows with what is stored and not with its square. The
weights w_i favour rare values: inverse frequency to the power `BALANCE`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Floats = npt.NDArray[np.floating[Any]]

BALANCE = 0.75
_STEPS = 120
_TOLERANCE = 1e-3


class Design:
    """The features of some units: a sparse part, a dense part and a constant.

    Args:
        sparse: (units, features).
        dense: (units, measures).
    """

    def __init__(self, sparse: csr_array, dense: Floats) -> None:
        self.sparse = sparse
        self.dense = np.hstack([dense, np.ones((dense.shape[0], 1))]).astype(np.float32)

    @property
    def width(self) -> int:
        """How many coefficients a column of scores has."""
        return int(self.sparse.shape[1] + self.dense.shape[1])

    def rows(self, chosen: npt.NDArray[np.bool_] | npt.NDArray[np.int64]) -> Design:
        """The same features of some of the units."""
        return Design(self.sparse[chosen], self.dense[chosen, :-1])

    def scores(self, coefficients: Floats) -> Floats:
        """(units, columns) from (width, columns)."""
        split = self.sparse.shape[1]
        found: Floats = self.sparse @ coefficients[:split] + self.dense @ coefficients[split:]
        return found

    def back(self, residuals: Floats) -> Floats:
        """The transposed product: (width, columns) from (units, columns)."""
        return np.concatenate([self.sparse.T @ residuals, self.dense.T @ residuals])


def value_weights(values: npt.NDArray[np.int64], count: int) -> Floats:
    """A weight per unit, mean 1: the inverse frequency of its value to the power `BALANCE`."""
    frequency = np.bincount(values, minlength=count) / max(len(values), 1)
    weights = np.where(frequency > 0, frequency, 1.0)[values] ** -BALANCE
    mean = float(weights.mean()) if len(weights) else 1.0
    scaled: Floats = weights / mean
    return scaled


def fit_ridge(design: Design, values: npt.NDArray[np.int64], count: int, penalty: float) -> Floats:
    """Coefficients (width, count), float32, for units with `values` in 0..count-1."""
    weights = value_weights(values, count)[:, None].astype(np.float32)
    target = np.where(values[:, None] == np.arange(count), 1.0, -1.0).astype(np.float32)
    found = np.zeros((design.width, count), np.float32)
    residual = design.back(weights * target)
    direction = residual.copy()
    size = (residual**2).sum(axis=0)
    goal = size * _TOLERANCE**2
    for _ in range(_STEPS):
        if not (size > goal).any():
            break
        image = design.back(weights * design.scores(direction)) + np.float32(penalty) * direction
        curvature = (direction * image).sum(axis=0)
        step = np.where(curvature > 0, size / np.where(curvature > 0, curvature, 1), 0).astype(np.float32)
        found += step * direction
        residual -= step * image
        new = (residual**2).sum(axis=0)
        direction = residual + np.where(size > 0, new / np.where(size > 0, size, 1), 0).astype(np.float32) * direction
        size = new
    return found
