"""A trained model: from coded sessions to probabilities of every value, in two steps.

First, linear scores by ridge regression from each turn's words, its context and its measures. Every training session is
also scored by models that did not see it (folds over groups: videos, posts), so that the second step, which joins a
turn's scores with its neighbours', learns from honest ones. Calibration and the favour of rare values are fitted on the
same folds. Nothing of a session outside the training set enters anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from simulator.coding.trained.calibrating import Calibration, Method, decide, fit_calibration, fit_favour
from simulator.coding.trained.examples import Examples, Task
from simulator.coding.trained.folds import fold_of_turns
from simulator.coding.trained.joining import Joint, fit_joint
from simulator.coding.trained.length import by_length, fit_length
from simulator.coding.trained.odds import fit_odds
from simulator.coding.trained.reading import Features, Reader, fit_scale, full_design, odds_vectors, text_design
from simulator.coding.trained.recipes import Recipe
from simulator.coding.trained.ridge import fit_ridge
from simulator.coding.trained.rules_seen import RuleHits
from simulator.coding.trained.scoring import First, Scores, first_scores, joint_inputs, rows_of_task, sentences_of
from simulator.coding.trained.sentences import fit_sentences, sentence_values
from simulator.coding.trained.turns import Turns, lay_out
from simulator.errors import UserError

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.int64]


@dataclass(slots=True, frozen=True)
class TaskModel:
    """What was learnt for one task. `length` is the baseline that sees nothing but the number of words."""

    task: Task
    first: First
    joint: Joint
    calibration: Calibration
    shares: Floats
    favour: float
    length: Floats


@dataclass(slots=True, frozen=True)
class Prediction:
    """For the turns `rows` of a task's role: `values` as places in the task's values, calibrated `probabilities`, and
    the values of the baseline that sees only lengths."""

    rows: Ints
    values: Ints
    probabilities: Floats
    length_only: Ints


class Model:
    """All tasks of one training set. `reader` holds the vocabularies."""

    def __init__(self, reader: Reader, tasks: list[TaskModel]) -> None:
        self.reader = reader
        self.tasks = tasks

    def predict(self, turns: Turns) -> dict[str, Prediction]:
        """Predictions by task. Sessions are read whole: what is said later counts too."""
        features = self.reader.read(turns)
        scores = Scores()
        for learnt in self.tasks:
            rows = rows_of_task(learnt.task, turns)
            found = first_scores(self.reader, features, rows, learnt.task, learnt.first)
            scores.put(learnt.task, rows, found, len(turns))
        tasks = [learnt.task for learnt in self.tasks]
        predictions = {}
        for learnt in self.tasks:
            inputs = joint_inputs(self.reader.recipe, tasks, learnt.task, features, scores)
            raw = learnt.joint.probabilities(inputs)
            predictions[learnt.task.name] = Prediction(
                rows_of_task(learnt.task, turns),
                decide(raw, learnt.shares, learnt.favour),
                learnt.calibration.apply(raw),
                by_length(learnt.length, features.column("log_words")[rows_of_task(learnt.task, turns)]),
            )
        return predictions


def fit(examples: Examples, recipe: Recipe, method: Method = "temperature") -> Model:
    """Train on all sessions of `examples`.

    On one thread: products in another order would give other last digits.

    Raises:
        UserError: too few groups for folds, or a task without at least two values.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(1):
        return _fit(examples, recipe, method)


def _fit(examples: Examples, recipe: Recipe, method: Method) -> Model:
    turns = lay_out(session.turns for session in examples.sessions)
    reader = Reader(recipe, RuleHits(examples.tasks[0].codebook))
    reader.fit(turns)
    features = reader.read(turns)
    folds = fold_of_turns(examples, recipe.folds)
    scores = Scores()
    first = {task.name: _fit_first(reader, features, task, examples, folds, scores) for task in examples.tasks}
    learnt = []
    for task in examples.tasks:
        rows = rows_of_task(task, turns)
        inputs = joint_inputs(recipe, examples.tasks, task, features, scores)
        values = examples.values(task)[rows]
        coded = values >= 0
        held_out = np.zeros((len(rows), len(task.values)))
        for fold in np.unique(folds):
            out = folds[rows] == fold
            joint = fit_joint(recipe, inputs[coded & ~out], values[coded & ~out], len(task.values))
            held_out[out] = joint.probabilities(inputs[out])
        shares = np.bincount(values[coded], minlength=len(task.values)) / coded.sum()
        learnt.append(
            TaskModel(
                task,
                first[task.name],
                fit_joint(recipe, inputs[coded], values[coded], len(task.values)),
                fit_calibration(method, held_out[coded], values[coded]),
                shares,
                fit_favour(held_out[coded], values[coded], shares),
                fit_length(features.column("log_words")[rows[coded]], values[coded], len(task.values)),
            )
        )
    return Model(reader, learnt)


def _fit_first(
    reader: Reader, features: Features, task: Task, examples: Examples, folds: Ints, scores: Scores
) -> First:
    """The first step from all sessions; puts into `scores` those of models that left each turn out."""
    recipe, rows = reader.recipe, rows_of_task(task, features.turns)
    values = examples.values(task)[rows]
    coded = values >= 0
    if len(np.unique(values[coded])) < 2:
        raise UserError(f"{examples.source}: {task.code}: needs units of at least two values to learn from")
    evidence = _evidence(examples, task, rows) if recipe.has("sentences") else None
    count = len(task.values)

    def learn(chosen: npt.NDArray[np.bool_]) -> First:
        kept, wanted = rows[chosen], values[chosen]
        scale = fit_scale(recipe, features, kept, task.role)
        full = full_design(recipe, features, scale, kept, task.role)
        odds = recipe.has("odds") and recipe.serves("odds", task.role)
        return First(
            scale,
            fit_ridge(text_design(features, kept), wanted, count, recipe.penalty),
            fit_ridge(full, wanted, count, recipe.penalty),
            fit_odds(odds_vectors(recipe, features, kept), wanted, count) if odds else None,
            _fit_sentences(reader, features, kept, wanted, count, evidence, chosen),
        )

    for fold in np.unique(folds):
        out = folds[rows] == fold
        found = first_scores(reader, features, rows[out], task, learn(coded & ~out))
        scores.put(task, rows[out], found, len(features.turns))
    return learn(coded)


def _fit_sentences(
    reader: Reader,
    features: Features,
    rows: Ints,
    values: Ints,
    count: int,
    evidence: list[Any] | None,
    chosen: npt.NDArray[np.bool_],
) -> Floats | None:
    if evidence is None:
        return None
    sentences, vectors = sentences_of(reader, features, rows)
    kept = [spans for spans, wanted in zip(evidence, chosen, strict=True) if wanted]
    return fit_sentences(vectors, sentence_values(sentences, values, kept), count)


def _evidence(examples: Examples, task: Task, rows: Ints) -> list[Any] | None:
    """The evidence of each of the rows; None where the data set has none for the task."""
    spans = [
        session.evidence.get(task.name, {}).get(index, ())
        for session in examples.sessions
        for index in range(len(session.turns))
    ]
    return [spans[row] for row in rows] if any(spans) else None
