"""A coder's figures against people's codes: agreement, calibration, baselines, value by value, with intervals.

Intervals resample whole groups (videos, posts), see docs/statistics.md. Coefficients that need an order (weighted
kappa, ordinal and interval alpha, ICC of levels) are there for ordinal codes only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from simulator.coding.trained.examples import Task
from simulator.statistics import agreement as stats
from simulator.statistics.calibration import calibration_counts, expected_calibration_error
from simulator.statistics.clustered_agreement import cluster_interval, discrimination, intraclass, pearson
from simulator.statistics.intervals import Interval

Array = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Coded:
    """The units of one task that both people and the coder gave a value.

    Args:
        meant, given: what people and the coder say, as places in the task's values.
        probabilities: (units, values) where the coder states one for every value, (units, 1) where only for the one
            that it gave; NaN where it states none.
        groups, sessions, strata: of each unit; an empty stratum is none.
        baselines: what simpler coders give to the same units.
    """

    task: Task
    meant: Ints
    given: Ints
    probabilities: Array
    groups: npt.NDArray[np.str_]
    sessions: Ints
    strata: npt.NDArray[np.str_]
    baselines: Mapping[str, Ints] = field(default_factory=dict)

    @property
    def stated(self) -> Array:
        """The probability of the value given, (units,)."""
        if self.probabilities.shape[1] == 1:
            return self.probabilities[:, 0]
        stated: Array = self.probabilities[np.arange(len(self.given)), self.given]
        return stated


def figures(units: Coded, cluster: str, resamples: int = 2000) -> dict[str, Any]:
    """All figures of one task; `docs/coders.md` says what the keys are.

    Args:
        cluster: what the groups are, in the plural.
    """
    labels = range(len(units.task.values))
    matrices, _ = stats.cluster_confusions(units.meant, units.given, labels, units.groups)
    drawn = stats.bootstrap_matrices(matrices, resamples, seed=0)
    total = matrices.sum(axis=0)
    statistics = _coefficients(units.task)
    intervals = {
        name: stats.bootstrap_interval(matrices, statistic, cluster=cluster, drawn=drawn)
        for name, statistic in statistics.items()
    }
    intervals["ece"] = _calibration(units, cluster, resamples)
    if units.task.ordinal:
        levels = np.stack([units.meant, units.given], axis=1).astype(np.float64)
        intervals["icc"] = cluster_interval(
            partial(intraclass, levels), units.groups, cluster=cluster, resamples=resamples
        )  # fmt: skip
    baselines = {"majority": stats.majority_baseline(total)} | {
        name: stats.confusion(units.meant, given, labels) for name, given in units.baselines.items()
    }
    return {
        **{name: interval.estimate for name, interval in intervals.items()},
        "intervals": {name: interval.to_dict() for name, interval in intervals.items()},
        "baselines": {
            name: {key: float(f(matrix)) for key, f in statistics.items()} for name, matrix in baselines.items()
        },
        "codes": _rows(units, matrices, drawn, cluster, resamples),
        "session_shares": _shares(units, cluster, resamples),
        "confusion": total.astype(int).tolist(),
        "strata": {
            name: {key: float(f(_of_stratum(units, name))) for key, f in statistics.items()}
            for name in sorted(set(units.strata.tolist()) - {""})
        },
        "units": len(units.meant),
        "clusters": len(matrices),
    }  # fmt: skip


def part_figures(units: Coded, chosen: npt.NDArray[np.bool_], cluster: str, resamples: int = 2000) -> dict[str, Any]:
    """The coefficients of some of the units alone, with their intervals and the baselines on the same units."""
    baselines = {name: given[chosen] for name, given in units.baselines.items()}
    part = Coded(
        units.task, units.meant[chosen], units.given[chosen], units.probabilities[chosen], units.groups[chosen],
        units.sessions[chosen], units.strata[chosen], baselines,
    )  # fmt: skip
    found = figures(part, cluster, resamples) if chosen.any() else {}
    kept = [*_coefficients(units.task), "intervals", "baselines", "clusters"]
    sessions = len(np.unique(part.sessions))
    return {key: found[key] for key in kept if key in found} | {"units": int(chosen.sum()), "sessions": sessions}


def _coefficients(task: Task) -> dict[str, stats.Statistic]:
    def alpha(metric: stats.Metric) -> stats.Statistic:
        return lambda matrix: stats.alpha_from_confusion(matrix, metric)

    found: dict[str, stats.Statistic] = {
        "macro_f1": stats.macro_f1,
        "kappa": stats.cohen_kappa,
        "alpha": alpha("ordinal" if task.ordinal else "nominal"),
        "ac1": stats.gwet_ac1,
        "accuracy": stats.observed_agreement,
    }
    if task.ordinal:
        found |= {
            "weighted_kappa": lambda matrix: stats.cohen_kappa(matrix, "quadratic"),
            "weighted_kappa_linear": lambda matrix: stats.cohen_kappa(matrix, "linear"),
            "alpha_nominal": alpha("nominal"),
            "alpha_interval": alpha("interval"),
        }
    return found


def _calibration(units: Coded, cluster: str, resamples: int) -> Interval:
    """Expected calibration error of the stated probabilities; NaN where there are none."""
    stated = ~np.isnan(units.stated)
    bins = calibration_counts((units.given == units.meant)[stated], units.stated[stated], units.groups[stated])
    return stats.percentile_interval(
        float(expected_calibration_error(bins.sum(axis=0))),
        expected_calibration_error(stats.bootstrap_matrices(bins, resamples, seed=0)),
        clusters=len(bins), units=int(stated.sum()), cluster=cluster,
    )  # fmt: skip


def _rows(units: Coded, matrices: Array, drawn: Array, cluster: str, resamples: int) -> list[dict[str, Any]]:
    """One row per value of the code."""
    total = matrices.sum(axis=0)
    meant, given = stats.base_rates(total)
    whole = units.probabilities.shape[1] == len(units.task.values)
    rows = []
    for place, value in enumerate(units.task.values):
        scores = {
            name: stats.bootstrap_interval(matrices, _label_score(part, place), cluster=cluster, drawn=drawn)
            for part, name in enumerate(("precision", "recall", "f1"))
        }
        if whole and not np.isnan(units.probabilities[:, place]).any():
            scores["auc"] = cluster_interval(
                partial(discrimination, units.meant == place, units.probabilities[:, place]),
                units.groups,
                cluster=cluster,
                resamples=min(resamples, 500),
            )
        rows.append({
            "code": value,
            **{name: interval.estimate for name, interval in scores.items()},
            "auc": scores["auc"].estimate if "auc" in scores else None,
            "base_rate": float(meant[place]),
            "coded_rate": float(given[place]),
            "units": int(total[place].sum()),
            "intervals": {name: interval.to_dict() for name, interval in scores.items()},
        })  # fmt: skip
    return rows


def _label_score(part: int, place: int) -> stats.Statistic:
    return lambda matrix: stats.label_scores(matrix)[part][..., place]


def _shares(units: Coded, cluster: str, resamples: int) -> dict[str, Any]:
    """How well the session's share of each value agrees with people's: ICC(2,1) and Pearson's correlation.

    Empty where sessions hold one unit, so that shares say nothing that units do not.
    """
    known, first, index = np.unique(units.sessions, return_index=True, return_inverse=True)
    if len(units.meant) < 2 * len(known):
        return {}
    count = np.bincount(index).astype(np.float64)
    groups = units.groups[first]
    found = {}
    for place, value in enumerate(units.task.values):
        sides = [np.bincount(index, side == place) / count for side in (units.meant, units.given)]
        table = np.stack(sides, axis=1)
        statistics: dict[str, Callable[[Array], Array]] = {
            "icc": partial(intraclass, table),
            "pearson": partial(pearson, *table.T),
        }
        found[value] = {
            name: cluster_interval(statistic, groups, cluster=cluster, resamples=resamples).to_dict()
            for name, statistic in statistics.items()
        }
    return found


def _of_stratum(units: Coded, stratum: str) -> Array:
    here = units.strata == stratum
    return stats.confusion(units.meant[here], units.given[here], range(len(units.task.values)))
