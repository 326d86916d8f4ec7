"""Probabilities that mean what they say, and a decision that does not forget rare values.

Both are fitted on units that the fitted model did not see: each training session was left out once. `temperature`
divides log-probabilities by one number (Guo et al., ICML 2017); `isotonic` replaces each value's probability by a
rising step function of it (Zadrozny & Elkan, KDD 2002), after which rows are made to sum to 1.

The decision takes the value with the highest log p - favour * log(share of the value). With `favour` 0 the likeliest
value wins; larger numbers give rare values their due, as macro-F1 asks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.int64]
Method = Literal["temperature", "isotonic"]

_FLOOR = 1e-6
_FAVOURS = tuple(step / 20 for step in range(4, 17))
_KNOTS = 200


@dataclass(slots=True, frozen=True)
class Calibration:
    """`temperature` above 0; `knots` (values, 2, n) holds for each value where its step function stands and how high,
    empty where the method is `temperature`."""

    method: Method
    temperature: float
    knots: Floats

    def apply(self, probabilities: Floats) -> Floats:
        """Calibrated probabilities (units, values)."""
        if self.method == "temperature":
            powers = np.maximum(probabilities, _FLOOR) ** (1 / self.temperature)
        else:
            columns = zip(probabilities.T, self.knots, strict=True)
            heights = [np.interp(column, where, height) for column, (where, height) in columns]
            powers = np.maximum(np.stack(heights, axis=1), _FLOOR)
        found: Floats = powers / powers.sum(axis=1, keepdims=True)
        return found


def fit_calibration(method: Method, probabilities: Floats, values: Ints) -> Calibration:
    """Fit on held-out probabilities (units, values) and what people coded."""
    if method == "temperature":
        return Calibration(method, _temperature(probabilities, values), np.zeros((0, 2, 0), np.float32))
    from sklearn.isotonic import IsotonicRegression

    where = np.quantile(probabilities, np.linspace(0, 1, _KNOTS), axis=0).T
    knots = np.zeros((probabilities.shape[1], 2, _KNOTS), np.float32)
    for value in range(probabilities.shape[1]):
        fitted = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(
            probabilities[:, value], values == value
        )  # fmt: skip
        knots[value] = where[value], fitted.predict(where[value])
    return Calibration(method, 1.0, knots)


def decide(probabilities: Floats, shares: Floats, favour: float) -> Ints:
    """The value of each unit, as its place."""
    scores = np.log(np.maximum(probabilities, _FLOOR)) - favour * np.log(np.maximum(shares, _FLOOR))
    found: Ints = np.where(shares > 0, scores, -np.inf).argmax(axis=1)
    return found


def fit_favour(probabilities: Floats, values: Ints, shares: Floats) -> float:
    """The favour with the best macro-F1 on held-out units, read from a curve smoothed over its neighbours, so that one
    lucky step of a few rare units does not decide."""
    from simulator.statistics.agreement import confusion, macro_f1

    labels = range(probabilities.shape[1])
    curve = np.array(
        [float(macro_f1(confusion(values, decide(probabilities, shares, favour), labels))) for favour in _FAVOURS]
    )
    padded = np.pad(curve, 2, mode="edge")
    smooth = np.convolve(padded, np.ones(5) / 5, mode="valid")
    return _FAVOURS[int(smooth.argmax())]


def _temperature(probabilities: Floats, values: Ints) -> float:
    """The temperature of least log loss, by golden-section search on its logarithm between 1/5 and 5."""
    logs = np.log(np.maximum(probabilities, _FLOOR))

    def loss(exponent: float) -> float:
        scaled = logs / np.exp(exponent)
        top = scaled.max(axis=1, keepdims=True)
        total = np.log(np.exp(scaled - top).sum(axis=1)) + top[:, 0]
        return float((total - scaled[np.arange(len(values)), values]).mean())

    low, high, ratio = -np.log(5.0), np.log(5.0), (np.sqrt(5.0) - 1) / 2
    for _ in range(40):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        low, high = (low, right) if loss(left) <= loss(right) else (left, high)
    return float(np.exp((low + high) / 2))
