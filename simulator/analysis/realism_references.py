"""Human references: what sessions of people look like, by modality.

Three come with the package as session-level quantiles, computed by experiments/realism/reference.py: `annomi` and
`annomi_low` (spoken demonstrations of good and of poor motivational interviewing) and `mibot` (people typing with an
LLM therapist). Of `esconv` (people typing with people) only means are known, so it has no distance. Any other imported
set becomes a reference by `reference_from`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.analysis.realism_codes import STATES, CodedTurns, coded_turns, step_counts, steps, sustain_shares
from simulator.analysis.realism_distance import (
    SPLITS,
    Array,
    Halves,
    half_distances,
    half_transition_distances,
    halves,
    quantiles,
)
from simulator.analysis.realism_measures import MEASURES
from simulator.analysis.realism_sessions import pooled, session_measures
from simulator.errors import UserError, nearest

if TYPE_CHECKING:
    import polars as pl

SHIPPED = ("annomi", "annomi_low", "mibot", "esconv")


@dataclass(frozen=True, slots=True)
class ReferenceLine:
    """One measure of a human set.

    Args:
        mean: mean over sessions (over turns or sessions, as its source has it, where `quantiles` is None).
        quantiles: at `realism_distance.LEVELS`, (101,), or None where they are not known.
        sessions, left_out: sessions with the measure, and without it.
        halves: distances between the set's random halves; None where they are not known.
    """

    mean: float
    quantiles: Array | None = None
    sessions: int = 0
    left_out: int = 0
    halves: Halves | None = None


@dataclass(frozen=True, slots=True)
class Reference:
    """A human set to hold runs against. `transitions` are its step counts over `STATES`, or None where nothing that
    people coded is known; `pooled` are measures over all turns."""

    name: str
    title: str
    modality: str
    source: str
    licence: str
    note: str
    sessions: int
    clusters: int
    cluster: str
    lines: Mapping[str, ReferenceLine]
    pooled: Mapping[str, float] = field(default_factory=dict)
    transitions: Array | None = None
    transition_halves: Halves | None = None

    def about(self) -> dict[str, Any]:
        """Plain JSON values: everything but the lines."""
        return {
            "name": self.name, "title": self.title, "modality": self.modality, "source": self.source,
            "licence": self.licence, "note": self.note, "sessions": self.sessions, "clusters": self.clusters,
            "cluster": self.cluster,
        }  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, the form of the shipped files; six significant digits."""
        return {
            **self.about(),
            "pooled": {name: _short(value) for name, value in self.pooled.items()},
            "measures": {
                name: {
                    "mean": _short(line.mean), "sessions": line.sessions, "left_out": line.left_out,
                    "quantiles": None if line.quantiles is None else [_short(q) for q in line.quantiles],
                    "halves": None if line.halves is None else line.halves.to_dict(),
                }
                for name, line in self.lines.items()
            },
            "transitions": None if self.transitions is None else {
                "states": list(STATES),
                "counts": self.transitions.astype(int).tolist(),
                "halves": None if self.transition_halves is None else self.transition_halves.to_dict(),
            },
        }  # fmt: skip


def _short(value: float) -> float:
    return float(f"{float(value):.6g}")


def load_reference(name: str) -> Reference:
    """A reference that ships with the package.

    Raises:
        UserError: there is none of that name.
    """
    if name not in SHIPPED:
        raise UserError(f"no human reference '{name}'{nearest(name, SHIPPED)}")
    text = resources.files("simulator.analysis").joinpath("references", f"{name}.json").read_text(encoding="utf-8")
    return _from_dict(json.loads(text))


def _from_dict(data: Mapping[str, Any]) -> Reference:
    lines = {
        name: ReferenceLine(
            entry["mean"],
            None if entry["quantiles"] is None else np.asarray(entry["quantiles"], dtype=np.float64),
            entry["sessions"],
            entry["left_out"],
            None if entry["halves"] is None else Halves(**entry["halves"]),
        )
        for name, entry in data["measures"].items()
    }
    steps_of = data["transitions"]
    return Reference(
        **{name: data[name] for name in ("name", "title", "modality", "source", "licence", "note")},
        **{name: data[name] for name in ("sessions", "clusters", "cluster", "pooled")},
        lines=lines,
        transitions=None if steps_of is None else np.asarray(steps_of["counts"], dtype=np.float64),
        transition_halves=Halves(**steps_of["halves"]) if steps_of and steps_of["halves"] else None,
    )


def step_tables(coded: CodedTurns, sessions: "pl.DataFrame") -> Array:
    """Step counts of every session over `STATES`, both directions, (sessions, states, states), in `sessions`' order."""
    import polars as pl

    both = pl.concat([steps(coded, "client", "therapist"), steps(coded, "therapist", "client")])
    index = sessions.select("course_id", "session").with_row_index("at")
    counts = step_counts(both, STATES, STATES).join(index, on=["course_id", "session"])
    table = np.zeros((len(sessions), len(STATES), len(STATES)))
    table[counts["at"].to_numpy(), counts["row"].to_numpy(), counts["column"].to_numpy()] = counts["count"].to_numpy()
    return table


def reference_from(
    turns: "pl.DataFrame",
    courses: "pl.DataFrame",
    codings: "pl.DataFrame | None" = None,
    *,
    name: str,
    title: str = "",
    modality: str = "imported set",
    source: str = "",
    licence: str = "",
    note: str = "",
    cluster: str = "clusters",
    splits: int = SPLITS,
) -> Reference:
    """A reference from the tables of a dataset of people.

    Args:
        turns, courses, codings: its tables; halves are split by the courses' `cluster`. Codes count only where the
            coder is `expert`.
        name: what it is called; the splits derive from it.
        cluster: what its clusters are, in the plural.

    Raises:
        UserError: there are no sessions in it.
    """
    if not len(turns):
        raise UserError(f"the human reference '{name}' has no turns; name a run that holds sessions of people")
    coded = coded_turns(turns, codings, "expert") if codings is not None and len(codings) else None
    sessions = session_measures(turns, sustain_shares(coded) if coded else None)
    sessions = sessions.join(courses.select("course_id", "cluster"), on="course_id", how="left", maintain_order="left")
    clusters = sessions["cluster"].fill_null("").to_numpy()
    masks = halves(clusters, name, splits)
    lines: dict[str, ReferenceLine] = {}
    for measure in MEASURES:
        values = sessions[measure.name].to_numpy().astype(np.float64)
        levels = quantiles(values)
        if levels is not None:
            kept = int(np.isfinite(values).sum())
            mean = float(np.nanmean(values))
            lines[measure.name] = ReferenceLine(mean, levels, kept, len(values) - kept, half_distances(values, masks))
    tables = step_tables(coded, sessions) if coded else None
    return Reference(
        name, title or name, modality, source, licence, note, len(sessions), len(np.unique(clusters)), cluster,
        lines, pooled(sessions), None if tables is None else tables.sum(axis=0),
        None if tables is None else half_transition_distances(tables, masks),
    )  # fmt: skip
