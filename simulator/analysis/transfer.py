"""An AnnoMI coder on another set's texts that people have not coded: what it says there, and beside what.

MIBOT's counsellor is a language model and its codes are a model's too. Agreement with them shows whether two machines
see the same things in these texts. It is no validity: no figure here says how either agrees with people on them.
Three ways of cutting the same turns are compared: MIBOT's own utterances, this parser's, and whole turns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt

from simulator.coding.base import CodedTurn
from simulator.coding.trained.examples import CodedSession, Examples
from simulator.coding.trained.model import Model
from simulator.coding.trained.turns import lay_out
from simulator.coding.units import in_utterances
from simulator.statistics import agreement as stats
from simulator.statistics.clustered_agreement import cluster_interval

NOTE = "not validated for this text"
"""What stands beside every figure of a coder on texts that it was not validated on."""

COMPARED = {"question": "q", "reflection": "r"}
"""AnnoMI's value and MIBOT's label of the behaviours that both know by one name."""


def volleys(session: CodedSession) -> list[list[int]]:
    """Indices of the utterances of each turn: those of one speaker in a row."""
    places = range(len(session.turns))
    return [list(parts) for _, parts in groupby(places, key=lambda place: session.turns[place].role)]


def transfer_table(model: Model, mibot: Examples) -> dict[str, Any]:
    """Shares, R:Q and agreement by unit, and MIBOT's own codes beside them."""
    theirs, owner = _turns(mibot)
    by_unit: dict[str, Any] = {}
    report: dict[str, Any] = {"note": NOTE, "sessions": len(mibot.sessions), "turns": len(theirs), "by_unit": by_unit}
    labels = np.array([label for each in theirs for label in each])
    clusters = np.repeat(owner, [len(each) for each in theirs])
    by_unit["MIBOT's codes, its utterances"] = _rates(labels, COMPARED, clusters)
    said = {
        "ours, its utterances": _say(model, mibot, _as_it_parts),
        "ours, our utterances": _say(model, mibot, _as_we_part),
        "ours, whole turns": _say(model, mibot, _unparted),
    }
    for name, (values, session, _) in said.items():
        by_unit[name] = _rates(values, {code: code for code in COMPARED}, session)
    values, session, _ = said["ours, its utterances"]
    report["agreement on its utterances"] = {
        code: _agreement(labels == label, values == code, session) for code, label in COMPARED.items()
    }
    meant = {code: np.array([label in each for each in theirs]) for code, label in COMPARED.items()}
    report["agreement on presence in a turn"] = {
        name: {code: _agreement(meant[code], _present(said[name], code, len(theirs)), owner) for code in COMPARED}
        for name in said
    }
    report["turns with a question"] = float(meant["question"].mean())
    report["utterances that are a question"] = float((labels == "q").mean())
    return report


def _turns(mibot: Examples) -> tuple[list[list[str]], npt.NDArray[np.int64]]:
    """MIBOT's labels in each of the counsellor's turns, and the session that the turn belongs to."""
    labels, owner = [], []
    for place, session in enumerate(mibot.sessions):
        codes = session.codes.get("therapist", {})
        for parts in volleys(session):
            if session.turns[parts[0]].role == "therapist":
                labels.append([codes.get(part, "") for part in parts])
                owner.append(place)
    return labels, np.array(owner, np.int64)


Units = tuple[Sequence[CodedTurn], list[int]]
"""The units of a session and the turn, from 0, that each stands in."""


def _as_it_parts(session: CodedSession) -> Units:
    return session.turns, [number for number, parts in enumerate(volleys(session)) for _ in parts]


def _as_we_part(session: CodedSession) -> Units:
    units, places = in_utterances(_unparted(session)[0])
    return units, [turn for turn, _ in places]


def _unparted(session: CodedSession) -> Units:
    whole = [
        session.turns[parts[0]]._replace(turn=number, text=" ".join(session.turns[part].text for part in parts))
        for number, parts in enumerate(volleys(session))
    ]
    return whole, list(range(len(whole)))


Said = tuple[npt.NDArray[np.str_], npt.NDArray[np.int64], npt.NDArray[np.int64]]


def _say(model: Model, mibot: Examples, parts: Callable[[CodedSession], Units]) -> Said:
    """The coder's value of every unit of the counsellor, the session and the counsellor's turn that it belongs to."""
    laid, session_of, turn_of = [], [], []
    for place, session in enumerate(mibot.sessions):
        units, numbers = parts(session)
        laid.append(units)
        session_of += [place] * len(units)
        turn_of += [(place, number) for number in numbers]
    turns = lay_out(laid)
    prediction = model.predict(turns)["therapist"]
    names = np.array(next(learnt.task.values for learnt in model.tasks if learnt.task.name == "therapist"))
    _, turn = np.unique(np.array(turn_of)[prediction.rows], axis=0, return_inverse=True)
    return names[prediction.values], np.array(session_of, np.int64)[prediction.rows], turn.ravel().astype(np.int64)


def _present(said: Said, code: str, turns: int) -> npt.NDArray[np.bool_]:
    values, _, turn = said
    found: npt.NDArray[np.bool_] = np.bincount(turn[values == code], minlength=turns) > 0
    return found


def _rates(values: npt.NDArray[Any], codes: dict[str, str], clusters: npt.NDArray[Any]) -> dict[str, Any]:
    """Share of every compared behaviour among units and the ratio of reflections to questions, resampling sessions."""
    holds = {code: (values == label).astype(np.float64) for code, label in codes.items()}
    found: dict[str, Any] = {"units": len(values)}
    for code, one in holds.items():
        found[f"share of {code}s"] = cluster_interval(
            partial(_weighted_mean, one), clusters, cluster="sessions", resamples=500
        ).to_dict()
    found["R:Q"] = cluster_interval(
        lambda weights: weights @ holds["reflection"] / np.maximum(weights @ holds["question"], 1e-9), clusters,
        cluster="sessions", resamples=500,
    ).to_dict()  # fmt: skip
    return found


def _weighted_mean(values: npt.NDArray[np.float64], weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    found: npt.NDArray[np.float64] = weights @ values / weights.sum(axis=-1)
    return found


def _agreement(
    meant: npt.NDArray[np.bool_], given: npt.NDArray[np.bool_], clusters: npt.NDArray[Any]
) -> dict[str, Any]:
    matrices, _ = stats.cluster_confusions(meant.astype(int), given.astype(int), (0, 1), clusters)
    drawn = stats.bootstrap_matrices(matrices, 1000, seed=0)
    statistics: dict[str, stats.Statistic] = {
        "kappa": stats.cohen_kappa,
        "f1": lambda matrix: stats.label_scores(matrix)[2][..., 1],
    }
    return {
        name: stats.bootstrap_interval(matrices, statistic, cluster="sessions", drawn=drawn).to_dict()
        for name, statistic in statistics.items()
    }
