"""A trained coder on coded sessions that it was not trained on: agreement, calibration and baselines, task by task.

Sessions that the coder has seen in training are left out and counted: by the hash of their transcript, or because half
of their longer texts stand in the training set. Intervals resample whole groups (videos, posts).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from simulator.codebooks import list_codebooks, load_codebook
from simulator.coding.people import people
from simulator.coding.trained.coder import TrainedCoder
from simulator.coding.trained.examples import CodedSession, Examples, Task
from simulator.coding.trained.files import text_hashes
from simulator.coding.trained.model import Prediction, TaskModel
from simulator.coding.trained.turns import lay_out
from simulator.errors import UserError, nearest
from simulator.statistics import agreement as stats
from simulator.statistics.calibration import area_under_curve, calibration_counts, expected_calibration_error
from simulator.statistics.intervals import Interval

Array = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_RESAMPLES = 2000
_SEEN_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Coded:
    """The units of one task: what people coded (`meant`) and the coder (`given`), as places in the task's values, with
    the probabilities of every value and the group of each unit."""

    task: Task
    meant: Ints
    given: Ints
    probabilities: Array
    length_only: Ints
    groups: npt.NDArray[np.str_]
    strata: npt.NDArray[np.str_]


def seen_in_training(coder: TrainedCoder, session: CodedSession) -> bool:
    """Whether a session, or half of its longer texts, stands in the coder's training set."""
    if session.fingerprint in coder.training_sessions:
        return True
    hashes = text_hashes([turn.text for turn in session.turns])
    return len(hashes) > 2 and float(np.isin(hashes, coder.training_texts).mean()) >= _SEEN_SHARE


def validate(coder: TrainedCoder, examples: Examples, resamples: int = _RESAMPLES) -> dict[str, dict[str, Any]]:
    """One dictionary per task that both the coder and the data have; see `docs/coders.md` for its keys.

    Raises:
        UserError: no task in common, other values, or no session that the coder has not seen.
    """
    tasks = _common(coder, examples)
    seen = np.array([seen_in_training(coder, session) for session in examples.sessions], dtype=np.bool_)
    if seen.all():
        raise UserError(
            f"{examples.source}: the coder was trained on all {len(seen)} sessions; validate it on others, "
            f"or on folds with `dyad bench coders`"
        )
    fresh = examples.subset(~seen)
    turns = lay_out(session.turns for session in fresh.sessions)
    predictions = coder.predict(turns)
    groups = fresh.groups()
    strata = np.array([session.stratum or "" for session in fresh.sessions for _ in session.turns], dtype=np.str_)
    found = {}
    for learnt, task in tasks:
        units = _units(learnt, task, fresh, predictions[learnt.task.name], groups, strata)
        found[task.name] = {
            **_report(units, fresh.group, resamples),
            "coder": coder.name,
            "coder_fingerprint": coder.fingerprint,
            "calibration": learnt.calibration.method,
            "data": examples.source_hash,
            "sessions": len(fresh.sessions),
            "sessions_left_out": int(seen.sum()),
            "exploratory": _exploratory(task),
            **people(task.codebook, task.code).to_dict(),
        }
    return found


def _common(coder: TrainedCoder, examples: Examples) -> list[tuple[TaskModel, Task]]:
    """The tasks of both sides. Raises: UserError."""
    known = {learnt.task.name: learnt for learnt in coder.tasks}
    shared = [(known[task.name], task) for task in examples.tasks if task.name in known]
    if not shared:
        name = examples.tasks[0].name if examples.tasks else "no codes"
        raise UserError(f"{examples.source}: no task of the coder; it has {name}{nearest(name, known)}")
    for learnt, task in shared:
        if learnt.task.code != task.code or learnt.task.role != task.role:
            raise UserError(
                f"{examples.source}: '{task.name}' is {task.code} there and {learnt.task.code} in the coder"
            )
        other = sorted(set(task.values) - set(learnt.task.values))
        if other:
            raise UserError(
                f"{examples.source}: {task.code}: the coder does not know the value '{other[0]}'"
                f"{nearest(other[0], learnt.task.values)}"
            )
    return shared


def _units(
    learnt: TaskModel, task: Task, examples: Examples, prediction: Prediction,
    groups: npt.NDArray[np.str_], strata: npt.NDArray[np.str_],
) -> Coded:  # fmt: skip
    place = np.array([learnt.task.values.index(value) for value in task.values] or [0], np.int64)
    values = examples.values(task)[prediction.rows]
    coded = values >= 0
    if not coded.any():
        raise UserError(f"{examples.source}: {task.code}: no unit is coded in the sessions that the coder has not seen")
    rows = prediction.rows[coded]
    return Coded(
        learnt.task,
        place[values[coded]],
        prediction.values[coded],
        prediction.probabilities[coded].astype(np.float64),
        prediction.length_only[coded],
        groups[rows],
        strata[rows],
    )


def _report(units: Coded, cluster: str, resamples: int) -> dict[str, Any]:
    task, labels = units.task, range(len(units.task.values))
    matrices, _ = stats.cluster_confusions(units.meant, units.given, labels, units.groups)
    chosen = units.probabilities[np.arange(len(units.given)), units.given]
    bins = calibration_counts(units.given == units.meant, chosen, units.groups)
    statistics = _coefficients(task)
    drawn = stats.bootstrap_matrices(matrices, resamples, seed=0)
    intervals = {
        name: stats.bootstrap_interval(matrices, statistic, cluster=cluster, drawn=drawn)
        for name, statistic in statistics.items()
    }
    intervals["ece"] = _interval_of_ece(bins, cluster, resamples)
    total = matrices.sum(axis=0)
    length, _ = stats.cluster_confusions(units.meant, units.length_only, labels, units.groups)
    return {
        **{name: interval.estimate for name, interval in intervals.items()},
        "intervals": {name: interval.to_dict() for name, interval in intervals.items()},
        "baselines": {
            "majority": {name: float(f(stats.majority_baseline(total))) for name, f in statistics.items()},
            "length_only": {name: float(f(length.sum(axis=0))) for name, f in statistics.items()},
        },
        "codes": _rows(units, total),
        "confusion": total.astype(int).tolist(),
        "strata": {
            name: {key: float(f(_confusion(units, name))) for key, f in statistics.items()}
            for name in sorted(set(units.strata.tolist()))
            if name
        },
        "units": len(units.meant),
        "clusters": len(matrices),
    }  # fmt: skip


def _coefficients(task: Task) -> dict[str, stats.Statistic]:
    metric: stats.Metric = "ordinal" if task.ordinal else "nominal"
    found: dict[str, stats.Statistic] = {
        "macro_f1": stats.macro_f1,
        "kappa": stats.cohen_kappa,
        "alpha": lambda matrix: stats.alpha_from_confusion(matrix, metric),
        "ac1": stats.gwet_ac1,
        "accuracy": stats.observed_agreement,
    }
    if task.ordinal:
        found["weighted_kappa"] = lambda matrix: stats.cohen_kappa(matrix, "quadratic")
    return found


def _interval_of_ece(bins: Array, cluster: str, resamples: int) -> Interval:
    drawn = stats.bootstrap_matrices(bins, resamples, seed=0)
    interval = stats.bootstrap_interval(bins, expected_calibration_error, cluster=cluster, drawn=drawn)
    units = int(bins[..., 0].sum())
    return Interval(**{name: getattr(interval, name) for name in Interval.__slots__} | {"units": units})


def _confusion(units: Coded, stratum: str) -> Array:
    here = units.strata == stratum
    return stats.confusion(units.meant[here], units.given[here], range(len(units.task.values)))


def _rows(units: Coded, total: Array) -> list[dict[str, Any]]:
    precision, recall, f1 = stats.label_scores(total)
    meant, given = stats.base_rates(total)
    return [
        {
            "code": value,
            "precision": float(precision[place]),
            "recall": float(recall[place]),
            "f1": float(f1[place]),
            "auc": area_under_curve(units.meant == place, units.probabilities[:, place]),
            "base_rate": float(meant[place]),
            "coded_rate": float(given[place]),
            "units": int(total[place].sum()),
        }
        for place, value in enumerate(units.task.values)
    ]


def _exploratory(task: Task) -> bool:
    """Whether people agree too little on the code, or nobody knows whether they do."""
    if task.codebook not in list_codebooks():
        return True
    codes = {code.id: code for code in load_codebook(task.codebook).codes}
    return task.code not in codes or codes[task.code].exploratory
