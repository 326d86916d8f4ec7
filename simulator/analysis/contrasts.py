"""Differences between therapists, paired on personas: behaviours and anything that has one number per session.

Groups of human sessions (strata) have no personas in common and are compared unpaired.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from simulator.analysis.estimands import Scope
from simulator.analysis.frequencies import behaviour_dict, cluster_numbers, groups_of
from simulator.analysis.judgments import Behaviour, Judgments
from simulator.statistics.contrasts import contrast_intervals
from simulator.statistics.families import holm
from simulator.statistics.intervals import Interval
from simulator.statistics.limits import UNBOUNDED, Bounds
from simulator.statistics.means import Clustered, clustered
from simulator.statistics.shares import session_shares

if TYPE_CHECKING:
    import polars as pl

Pairs = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Contrast:
    """First group minus second group.

    Args:
        by, first, second: the grouping column and its two values.
        what: the behaviour, or the name of a measure (for instance `WAI-SR total`).
        differences: one interval per estimand, keyed by the estimand's name.
        adjusted_p: Holm's p-value over the family, by estimand; the family is all pairs of one behaviour or measure.
    """

    by: str
    first: str
    second: str
    what: Behaviour | str
    differences: dict[str, Interval]
    adjusted_p: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        named = {"measure": self.what} if isinstance(self.what, str) else behaviour_dict(self.what)
        return {
            "by": self.by, "first": self.first, "second": self.second, **named,
            "differences": {name: interval.to_dict() for name, interval in self.differences.items()},
            "adjusted_p": {name: None if np.isnan(p) else p for name, p in self.adjusted_p.items()},
        }  # fmt: skip


def contrasts(
    judgments: Judgments,
    scopes: Sequence[Scope],
    *,
    by: str = "therapist",
    pairs: Pairs | None = None,
    level: float = 0.95,
) -> list[Contrast]:
    """Differences of session shares for every behaviour with units in both groups; all pairs unless some are named."""
    counts, units = judgments.per_session()
    shares = session_shares(counts, units)
    columns = [(behaviour, shares[:, b]) for b, behaviour in enumerate(judgments.behaviours)]
    return _all(columns, judgments.sessions, scopes, by, pairs, level, shares=True, bounds=UNBOUNDED)


def contrasts_of_measure(
    measure: str,
    values: npt.ArrayLike,
    sessions: "pl.DataFrame",
    scopes: Sequence[Scope],
    *,
    by: str = "therapist",
    pairs: Pairs | None = None,
    bounds: Bounds = UNBOUNDED,
    level: float = 0.95,
) -> list[Contrast]:
    """Differences of a number per session or course, for instance an alliance score or a change in it.

    Args:
        values: one per row of `sessions`, NaN where it is missing.
        sessions: any frame with the columns `cluster` and `by`, for instance `Judgments.sessions`.
        bounds: ends of the measure's scale.
    """
    column = np.asarray(values, dtype=np.float64)
    return _all([(measure, column)], sessions, scopes, by, pairs, level, shares=False, bounds=bounds)


def _all(
    columns: Sequence[tuple[Behaviour | str, npt.NDArray[np.float64]]],
    sessions: "pl.DataFrame",
    scopes: Sequence[Scope],
    by: str,
    pairs: Pairs | None,
    level: float,
    *,
    shares: bool,
    bounds: Bounds,
) -> list[Contrast]:
    clusters = cluster_numbers(sessions)
    members = dict(groups_of(sessions, by))
    wanted = list(combinations(members, 2)) if pairs is None else list(pairs)
    arms: dict[tuple[int, str], Clustered] = {
        (c, name): clustered(column[members[name]], clusters[members[name]])
        for c, (_, column) in enumerate(columns)
        for name in {name for pair in wanted for name in pair}
    }
    cells = [
        (c, first, second)
        for c in range(len(columns))
        for first, second in wanted
        if len(arms[c, first].names) and len(arms[c, second].names)
    ]
    both = [(arms[c, first], arms[c, second]) for c, first, second in cells]
    intervals = {
        s.name: contrast_intervals(both, s.estimand, level, s.cluster, shares=shares, bounds=bounds, pairing=s.pairing)
        for s in scopes
    }
    adjusted = {name: _holm_by_family(rows, [c for c, _, _ in cells]) for name, rows in intervals.items()}
    return [
        Contrast(
            by, first, second, columns[c][0],
            {name: rows[i] for name, rows in intervals.items()},
            {name: float(p[i]) for name, p in adjusted.items()},
        )
        for i, (c, first, second) in enumerate(cells)
    ]  # fmt: skip


def _holm_by_family(rows: Sequence[Interval], family: Sequence[int]) -> npt.NDArray[np.float64]:
    p = np.array([np.nan if row.p is None else row.p for row in rows], dtype=np.float64)
    member = np.asarray(family)
    adjusted = np.full_like(p, np.nan)
    for one in np.unique(member):
        adjusted[member == one] = holm(p[member == one])
    return adjusted
