"""How simulated clients rate the therapists: means, paired contrasts, and whether the negative controls come last."""

from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.analysis.clientcast.frames import CLUSTER, Stages, session_scores
from simulator.statistics.families import holm
from simulator.statistics.means import mean_over_clusters
from simulator.statistics.mixed import paired_difference

if TYPE_CHECKING:
    import polars as pl

CONTROLS = ("silent", "off_topic", "parroting", "hostile")
"""Negative controls, scripted (`conf/therapist/<name>`) or as policies of a model."""


def control_names(options: dict[str, dict[str, Any]]) -> list[str]:
    """Which therapists of a study are negative controls, whatever they are called."""
    return [
        name
        for name, option in options.items()
        if str(option.get("_target_", "")).endswith(".ControlTherapist") or option.get("policy") in CONTROLS
    ]


def therapist_results(stages: Stages, answers: "pl.DataFrame", kind: str = "sampled") -> dict[str, Any]:
    """Means and contrasts of every instrument, first therapist minus second, on 0-1.

    Returns:
        `order` (therapists as the design names them), `controls`, `means` (instrument, therapist, interval),
        `contrasts` (instrument, first, second, interval, adjusted p over the instrument's pairs), and `separation`, one
        row per instrument.
    """
    options = stages.runs["simulated"].meta["config"]["therapist"]
    met = set(answers["therapist"].unique())
    order = [name for name in stages.runs["simulated"].meta["design"]["therapists"] if name in met]
    found = set(control_names(options))
    controls = [name for name in order if name in found]
    scores = session_scores(answers, ["client", "therapist"], kind)
    means, contrasts, separation = [], [], []
    for instrument in scores["instrument"].unique().sort().to_list():
        part = scores.filter(instrument=instrument)
        own = {name: part.filter(therapist=name) for name in order}
        for name, rows in own.items():
            interval = mean_over_clusters(
                rows["score"].to_numpy().astype(np.float64), rows["client"].to_numpy(), bounds=(0.0, 1.0),
                cluster=CLUSTER,
            )  # fmt: skip
            means.append({"instrument": instrument, "therapist": name, "interval": interval.to_dict()})
        pairs = [_contrast(part, instrument, first, second) for first, second in combinations(order, 2)]
        adjusted = holm(np.array([np.nan if row["p"] is None else row["p"] for row in pairs]))
        for row, p in zip(pairs, adjusted, strict=True):
            row["adjusted_p"] = None if np.isnan(p) else float(p)
        contrasts += pairs
        if controls and len(controls) < len(order):
            separation.append(_separation(instrument, means, pairs, controls))
    return {"order": order, "controls": controls, "means": means, "contrasts": contrasts, "separation": separation}


def _contrast(part: "pl.DataFrame", instrument: str, first: str, second: str) -> dict[str, Any]:
    import polars as pl

    rows = part.filter(pl.col("therapist").is_in([first, second]))
    interval = paired_difference(
        rows["score"].to_numpy().astype(np.float64), (rows["therapist"] == second).to_numpy(),
        rows["client"].to_numpy(), cluster=CLUSTER,
    )  # fmt: skip
    found = {"instrument": instrument, "first": first, "second": second, "interval": interval.to_dict()}
    return found | {"p": interval.p}


def _separation(
    instrument: str, means: list[dict[str, Any]], pairs: list[dict[str, Any]], controls: list[str]
) -> dict[str, Any]:
    """Whether the controls come last, and how many of the pairs of a control and a therapist are apart."""
    own = {row["therapist"]: row["interval"] for row in means if row["instrument"] == instrument}
    known = {name: each for name, each in own.items() if each["estimate"] is not None}
    working = [name for name in known if name not in controls]
    crossed = [row for row in pairs if (row["first"] in controls) != (row["second"] in controls)]
    apart = 0
    for row in crossed:
        each, sign = row["interval"], -1 if row["first"] in controls else 1
        if each["low"] is not None and row["adjusted_p"] is not None and row["adjusted_p"] < 0.05:
            apart += sign * each["estimate"] > 0 and each["low"] * each["high"] > 0
    here = [name for name in controls if name in known]
    best = max(here, key=lambda name: known[name]["estimate"]) if here else None
    worst = min(working, key=lambda name: known[name]["estimate"]) if working else None
    last = best is not None and worst is not None and known[best]["estimate"] < known[worst]["estimate"]
    limits = [known[name][end] for name, end in ((best, "high"), (worst, "low")) if name is not None]
    return {
        "instrument": instrument, "controls_last": bool(last), "best_control": best, "worst_therapist": worst,
        "pairs": len(crossed), "pairs_apart": int(apart),
        "intervals_apart": len(limits) == 2 and None not in limits and limits[0] < limits[1],
    }  # fmt: skip
