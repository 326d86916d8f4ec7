"""How far scores of simulated clients can be relied on: generalizability first, alpha and omega second.

The headline is a generalizability coefficient: what of the variance of single answers is the client's, the
therapist's, the session's, the asking's and the item's, with their interactions, and how well a mean over the design's
own numbers tells therapists (or clients) apart. Alpha and omega of a subscale are always named with their answer type
and level, because the same scale has very different ones.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from simulator.analysis.clientcast.frames import Stages, answer_types
from simulator.errors import UserError
from simulator.instruments.loading import load_instrument
from simulator.statistics.generalizability import variance_components
from simulator.statistics.reliability import cronbach_alpha, intraclass_correlation, omega_total

if TYPE_CHECKING:
    import polars as pl

    from simulator.statistics.generalizability import Components

EFFECTS = (
    ("client",), ("therapist",), ("item",), ("client", "therapist"), ("client", "item"), ("therapist", "item"),
    ("client", "therapist", "item"), ("client", "therapist", "session"), ("client", "therapist", "session", "item"),
    ("client", "therapist", "session", "asking"),
)  # fmt: skip
"""Sessions are nested in client and therapist, askings in sessions; what is left is asking by item and error."""
FACETS = ("client", "therapist", "session", "asking", "item")
DRAWS = 60
LEVELS = ("single ratings", "between clients", "between therapists", "within client and therapist")


def generalizability(answers: "pl.DataFrame") -> list[dict[str, Any]]:
    """Shares of variance and coefficients, per instrument and answer type.

    `coefficients` are for the study's own numbers of clients, sessions, askings and items: `therapists` (relative
    error), `therapists_absolute`, `clients`, and `therapists_once` for one session of each client asked once.
    """
    rows = []
    for kind in answer_types(answers):
        for instrument in answers["instrument"].unique().sort().to_list():
            part = answers.filter(instrument=instrument)
            facets = {name: part[name].to_numpy() for name in FACETS}
            effects = [effect for effect in EFFECTS if part["item"].n_unique() > 1 or "item" not in effect]
            try:
                found = variance_components(part[kind].to_numpy().astype(np.float64), facets, effects, draws=DRAWS)
            except (ValueError, np.linalg.LinAlgError) as problem:
                rows.append({"instrument": instrument, "answer_type": kind, "problem": str(problem)})
                continue
            rows.append({"instrument": instrument, "answer_type": kind, "problem": None, **_described(found, part)})
    return rows


def _described(found: "Components", part: "pl.DataFrame") -> dict[str, Any]:
    import polars as pl

    cells = part.group_by("client", "therapist").agg(pl.col("session").n_unique())
    sizes = {
        "client": part["client"].n_unique(), "therapist": part["therapist"].n_unique(),
        "session": max(1, round(float(np.mean(cells["session"].to_numpy())))), "asking": part["asking"].n_unique(),
        "item": part["item"].n_unique(),
    }  # fmt: skip
    once = {**sizes, "session": 1, "asking": 1}
    coefficients = {
        "therapists": found.coefficient(("therapist",), sizes),
        "therapists_absolute": found.coefficient(("therapist",), sizes, absolute=True),
        "therapists_once": found.coefficient(("therapist",), once),
        "clients": found.coefficient(("client",), sizes),
    }
    return {
        "observations": found.observations, "sizes": sizes,
        "components": [
            {
                "name": each.name, "levels": each.levels, "variance": each.variance, "share": _known(each.share),
                "share_error": _known(each.share_error),
            }
            for each in found.components
        ],
        "confounded": dict(found.confounded),
        "coefficients": {name: _known(value) for name, value in coefficients.items()},
    }  # fmt: skip


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value


def internal_consistency(answers: "pl.DataFrame") -> list[dict[str, Any]]:
    """Alpha and omega of every scale of two items or more, per answer type and level.

    Rows whose answers are not complete are left out and counted; a coefficient is None where rows are too few or do not
    vary, never a default.
    """
    rows = []
    for kind in answer_types(answers):
        for instrument, form in answers.select("instrument", "form").unique().sort("instrument", "form").iter_rows():
            part = answers.filter(instrument=instrument, form=form)
            items = [item.id for item in load_instrument(instrument).items_of(form)]
            wide = part.pivot("item", index=["client", "therapist", "session", "asking"], values=kind).sort(
                "client", "therapist", "session", "asking"
            )
            table = wide.select(items).to_numpy().astype(np.float64)
            levels = _levels(table, wide["client"].to_numpy(), wide["therapist"].to_numpy())
            for scale in load_instrument(instrument).scales_of(form):
                own = list(range(len(items))) if scale.items == "all" else [items.index(item) for item in scale.items]
                if len(own) < 2 or scale.kind == "difference":
                    continue
                for level, values in levels.items():
                    rows.append(
                        {
                            "instrument": instrument, "scale": scale.name, "items": len(own), "answer_type": kind,
                            "level": level, **_consistency(values[:, own]),
                        }
                    )  # fmt: skip
    return rows


Table = npt.NDArray[np.float64]


def _levels(table: Table, clients: npt.NDArray[Any], therapists: npt.NDArray[Any]) -> dict[str, Table]:
    cells = np.array([f"{client}\n{therapist}" for client, therapist in zip(clients, therapists, strict=True)])
    names, index = np.unique(cells, return_inverse=True)
    means = _means(table, index, len(names))
    return dict(
        zip(
            LEVELS,
            (table, _grouped(table, clients), _grouped(table, therapists), table - means[index]),
            strict=True,
        )
    )


def _grouped(table: Table, labels: npt.NDArray[Any]) -> Table:
    names, index = np.unique(labels, return_inverse=True)
    return _means(table, index, len(names))


def _means(table: Table, index: npt.NDArray[np.int64], groups: int) -> Table:
    """Means of the answers that were given, by group and item."""
    there = ~np.isnan(table)
    sums = np.zeros((groups, table.shape[1]))
    counts = np.zeros((groups, table.shape[1]))
    np.add.at(sums, index, np.where(there, table, 0.0))
    np.add.at(counts, index, there)
    with np.errstate(invalid="ignore"):
        return sums / counts


def _consistency(values: Table) -> dict[str, Any]:
    complete = values[~np.isnan(values).any(axis=1)]
    found: dict[str, Any] = {
        "rows": len(complete),
        "left_out": len(values) - len(complete),
        "alpha": None,
        "omega": None,
    }
    if len(complete) > 2:
        found["alpha"] = cronbach_alpha(complete)
        found["omega"] = omega_total(complete) if len(complete) > values.shape[1] + 1 else None
    return found


def reasking(stages: Stages, answers: "pl.DataFrame") -> list[dict[str, Any]]:
    """Agreement of a client with itself when it is asked again: ICC(1) of instrument scores over askings of a
    session."""
    from simulator.analysis.clientcast.frames import ratings

    rows = []
    for kind in answer_types(answers):
        scores = ratings(answers, ["client", "therapist"], kind)
        for instrument in scores["instrument"].unique().sort().to_list():
            wide = scores.filter(instrument=instrument).pivot("asking", index="session", values="score").sort("session")
            table = wide.drop("session").to_numpy().astype(np.float64)
            complete = table[~np.isnan(table).any(axis=1)]
            if table.shape[1] < 2:
                continue
            try:
                icc = intraclass_correlation(complete, "1")
            except UserError:
                icc = None
            row = {"instrument": instrument, "answer_type": kind, "askings": table.shape[1], "sessions": len(complete)}
            rows.append(row | {"icc": icc})
    return rows
