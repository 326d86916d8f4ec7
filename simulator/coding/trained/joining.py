"""Scores joined into probabilities: a logistic regression and a few small neural networks, averaged.

Both see the same standardised inputs. The networks have one hidden layer of rectified units; what is stored of either
is a handful of small matrices, so that applying them needs nothing but products.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from simulator.coding.trained.recipes import Recipe

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.int64]
Layers = tuple[Floats, Floats, Floats, Floats]
"""Weights and constants of the hidden and of the output layer."""


@dataclass(slots=True, frozen=True)
class Joint:
    """`linear` (inputs + 1, values), the constant last; `networks` as layers."""

    middle: Floats
    factor: Floats
    linear: Floats
    networks: list[Layers]

    def probabilities(self, inputs: Floats) -> Floats:
        """(units, values), each row summing to 1."""
        scaled = ((inputs - self.middle) * self.factor).astype(np.float32)
        found = softmax(scaled @ self.linear[:-1] + self.linear[-1])
        if not self.networks:
            return found
        deep = np.zeros_like(found)
        for first, first_constant, second, second_constant in self.networks:
            deep += softmax(np.maximum(scaled @ first + first_constant, 0) @ second + second_constant)
        averaged: Floats = (found + deep / len(self.networks)) / 2
        return averaged


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
        return Joint(middle, factor, linear, [])
    scaled = (inputs - middle) * factor
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = LogisticRegression(C=1 / recipe.strength, max_iter=300).fit(scaled, values)
        coefficients, constants = _two_columns(model.coef_.T, model.intercept_)
        linear[:-1, met], linear[-1, met] = coefficients, constants
        networks = [_fit_network(recipe, scaled, values, met, count, seed) for seed in range(_networks(recipe))]
    return Joint(middle, factor, linear, networks)


def softmax(scores: Floats) -> Floats:
    """Rows that sum to 1."""
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    found: Floats = powers / powers.sum(axis=1, keepdims=True)
    return found


def _networks(recipe: Recipe) -> int:
    return recipe.networks if recipe.has("networks") else 0


def _fit_network(recipe: Recipe, scaled: Floats, values: Ints, met: Ints, count: int, seed: int) -> Layers:
    from sklearn.neural_network import MLPClassifier

    model = MLPClassifier(
        (recipe.hidden,), alpha=recipe.decay, max_iter=recipe.epochs, learning_rate_init=0.003, random_state=seed
    ).fit(scaled, values)
    coefficients, constants = _two_columns(model.coefs_[1], model.intercepts_[1])
    second, second_constant = np.zeros((recipe.hidden, count), np.float32), np.full(count, -20.0, np.float32)
    second[:, met], second_constant[met] = coefficients, constants
    return model.coefs_[0].astype(np.float32), model.intercepts_[0].astype(np.float32), second, second_constant


def _two_columns(coefficients: Floats, constants: Floats) -> tuple[Floats, Floats]:
    """With two values scikit-learn keeps one column of log-odds; the other one is 0."""
    if coefficients.shape[1] > 1:
        return coefficients, constants
    return np.hstack([np.zeros_like(coefficients), coefficients]), np.array([0.0, constants[0]])
