"""Trained coders judged on sessions that they did not see: every group (video, post) is left out once.

The coder of a fold is trained on the other folds alone, with everything that training decides (calibration, how
strongly rare values are favoured) decided on folds inside them. What it says about the fold left out is pooled over
folds, so every unit is judged exactly once, by a coder that never met its group.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from simulator.coding.trained.calibrating import Method
from simulator.coding.trained.examples import Examples, Task
from simulator.coding.trained.folds import fold_of_turns
from simulator.coding.trained.model import Prediction, fit
from simulator.coding.trained.recipes import Recipe
from simulator.coding.trained.turns import lay_out

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Judged:
    """One task's units in the order of the data: `rows` are turns (sessions end to end), `meant` and `given` places in
    the task's values, `probabilities` (units, values), `length_only` what the length of the turn alone says."""

    task: Task
    rows: Ints
    meant: Ints
    given: Ints
    probabilities: npt.NDArray[Any]
    length_only: Ints


def split(examples: Examples, folds: Ints, fold: int) -> tuple[Examples, Examples]:
    """The sessions outside and inside a fold; `folds` is the fold of every turn."""
    starts = np.cumsum([0] + [len(session.turns) for session in examples.sessions[:-1]])
    inside = folds[starts] == fold
    return examples.subset(~inside), examples.subset(inside)


def judge_fold(
    examples: Examples, recipe: Recipe, fold: int, folds: Ints, method: Method = "temperature"
) -> dict[str, Prediction]:
    """What a coder trained on the other folds says about this one; rows count within the fold's sessions."""
    training, held_out = split(examples, folds, fold)
    model = fit(training, recipe, method)
    return model.predict(lay_out(session.turns for session in held_out.sessions))


def pool(examples: Examples, folds: Ints, predictions: dict[int, dict[str, Prediction]]) -> dict[str, Judged]:
    """The predictions of all folds, by task, for the units that people coded."""
    found = {}
    for task in examples.tasks:
        values = examples.values(task)
        rows, given, chances, lengths = [], [], [], []
        for fold, by_task in predictions.items():
            prediction = by_task[task.name]
            rows.append(np.flatnonzero(folds == fold)[prediction.rows])
            given.append(prediction.values)
            chances.append(prediction.probabilities)
            lengths.append(prediction.length_only)
        places = np.concatenate(rows)
        order = np.argsort(places, kind="stable")
        order = order[values[places[order]] >= 0]
        found[task.name] = Judged(
            task, places[order], values[places[order]], np.concatenate(given)[order], np.concatenate(chances)[order],
            np.concatenate(lengths)[order],
        )  # fmt: skip
    return found


def out_of_fold(examples: Examples, recipe: Recipe, count: int = 5, seed: int = 0) -> dict[str, Judged]:
    """Every unit judged by a coder that did not see its group. Raises: UserError as `fit`."""
    folds = fold_of_turns(examples, count, seed)
    return pool(examples, folds, {fold: judge_fold(examples, recipe, fold, folds) for fold in range(count)})
