"""Scores joined into probabilities by a logistic regression on standardised inputs."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from simulator.coding.trained.recipes import Recipe

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.int64]


@dataclass(slots=True, frozen=True)
class Joint:
    """`linear` (inputs + 1, values), the constant last, for inputs (x - middle) * factor."""

    middle: Floats
    factor: Floats
    linear: Floats

    def probabilities(self, inputs: Floats) -> Floats:
        """(units, values), each row summing to 1."""
        scaled = ((inputs - self.middle) * self.factor).astype(np.float32)
        return softmax(scaled @ self.linear[:-1] + self.linear[-1])


def fit_joint(recipe: Recipe, inputs: Floats, values: Ints, count: int) -> Joint:
    """Learn to join; values that no unit has get (almost) no probability."""
    from sklearn.linear_model import LogisticRegression

    spread = inputs.std(axis=0)
    middle = inputs.mean(axis=0).astype(np.float32)
    factor = np.where(spread > 1e-6, 1 / np.where(spread > 1e-6, spread, 1), 0).astype(np.float32)
    linear = np.zeros((inputs.shape[1] + 1, count), np.float32)
    linear[-1] = -20.0
    met = np.unique(values)
    if len(met) == 1:
        linear[-1, met] = 0.0
        return Joint(middle, factor, linear)
    scaled = (inputs - middle) * factor
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = LogisticRegression(C=1 / recipe.strength, max_iter=300).fit(scaled, values)
        coefficients, constants = _two_columns(model.coef_.T, model.intercept_)
        linear[:-1, met], linear[-1, met] = coefficients, constants
    return Joint(middle, factor, linear)


def softmax(scores: Floats) -> Floats:
    """Rows that sum to 1."""
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    found: Floats = powers / powers.sum(axis=1, keepdims=True)
    return found


def _two_columns(coefficients: Floats, constants: Floats) -> tuple[Floats, Floats]:
    """With two values scikit-learn keeps one column of log-odds; the other one is 0."""
    if coefficients.shape[1] > 1:
        return coefficients, constants
    return np.hstack([np.zeros_like(coefficients), coefficients]), np.array([0.0, constants[0]])
