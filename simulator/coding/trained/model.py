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
from simulator.coding.trained.joining import Joint, fit_joint
from simulator.coding.trained.length import by_length, fit_length
from simulator.coding.trained.reading import Features, Reader, Scale, fit_scale, full_design, text_design
from simulator.coding.trained.recipes import Recipe
from simulator.coding.trained.ridge import fit_ridge
from simulator.coding.trained.rules_seen import RuleHits
from simulator.coding.trained.scoring import Scores, first_scores, joint_inputs, rows_of_task
from simulator.coding.trained.sentences import cut, fit_sentences, sentence_values
from simulator.coding.trained.turns import Turns, lay_out
from simulator.errors import UserError

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.int64]

FEWEST_GROUPS = 4


@dataclass(slots=True, frozen=True)
class TaskModel:
    """What was learnt for one task; `sentences` is None where the training data name no evidence. `length` is the
    baseline that sees nothing but the number of words."""

    task: Task
    scale: Scale
    text: Floats
    full: Floats
    sentences: Floats | None
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
            found = first_scores(
                self.reader, features, rows, learnt.scale, learnt.text, learnt.full, learnt.sentences
            )  # fmt: skip
            scores.put(learnt.task, rows, *found, len(turns))
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
    folds = _folds(examples, recipe.folds)
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
                *first[task.name],
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
) -> tuple[Scale, Floats, Floats, Floats | None]:
    """Coefficients of the first step from all sessions; puts into `scores` those of models that left each turn out."""
    rows = rows_of_task(task, features.turns)
    values = examples.values(task)[rows]
    coded = values >= 0
    if len(np.unique(values[coded])) < 2:
        raise UserError(f"{examples.source}: {task.code}: needs units of at least two values to learn from")
    evidence = _evidence(examples, task, rows) if reader.recipe.has("sentences") else None

    def learn(chosen: npt.NDArray[np.bool_]) -> tuple[Scale, Floats, Floats, Floats | None]:
        kept, wanted, count = rows[chosen], values[chosen], len(task.values)
        scale = fit_scale(reader.recipe, features, kept)
        text = fit_ridge(text_design(features, kept), wanted, count, reader.recipe.penalty)
        full = fit_ridge(full_design(reader.recipe, features, scale, kept), wanted, count, reader.recipe.penalty)
        return scale, text, full, _fit_sentences(reader, features, kept, wanted, count, evidence, chosen)

    for fold in np.unique(folds):
        out = folds[rows] == fold
        found = first_scores(reader, features, rows[out], *learn(coded & ~out))
        scores.put(task, rows[out], *found, len(features.turns))
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
    sentences = cut([features.turns.turns[row].text for row in rows])
    kept = [spans for spans, wanted in zip(evidence, chosen, strict=True) if wanted]
    vectors = reader.vocabularies[0].vectors(reader.tokens(sentences.texts))
    return fit_sentences(vectors, sentence_values(sentences, values, kept), count)


def _evidence(examples: Examples, task: Task, rows: Ints) -> list[Any] | None:
    """The evidence of each of the rows; None where the data set has none for the task."""
    spans = [
        session.evidence.get(task.name, {}).get(index, ())
        for session in examples.sessions
        for index in range(len(session.turns))
    ]
    return [spans[row] for row in rows] if any(spans) else None


def _folds(examples: Examples, count: int) -> Ints:
    """The fold of every turn: whole groups, values spread evenly.

    Raises:
        UserError: fewer than `FEWEST_GROUPS` groups.
    """
    import warnings

    from sklearn.model_selection import StratifiedGroupKFold

    groups = examples.groups()
    different = len(np.unique(groups))
    if different < FEWEST_GROUPS:
        raise UserError(
            f"{examples.source}: {different} {examples.group} are too few to train on; needs at least {FEWEST_GROUPS}"
        )
    coded = np.stack([examples.values(task) for task in examples.tasks])
    _, stratum = np.unique(coded, axis=1, return_inverse=True)
    folds = np.zeros(len(groups), np.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        splitter = StratifiedGroupKFold(min(count, different), shuffle=True, random_state=0)
        for number, (_, out) in enumerate(splitter.split(groups, stratum.ravel(), groups)):
            folds[out] = number
    return folds
