"""Behaviour by position in the session: the first turns one by one, or tenths of the session."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from simulator.analysis.estimands import Scope
from simulator.analysis.frequencies import behaviour_dict, cluster_numbers, groups_of
from simulator.analysis.judgments import Behaviour, Judgments
from simulator.statistics.intervals import Interval
from simulator.statistics.shares import mean_of_session_shares


@dataclass(frozen=True, slots=True)
class Position:
    """The share of a behaviour at one place: `place` counts from 0, `places` says of how many; `unit` is `tenth` for
    tenths of a session and `turn` for single turns."""

    by: str
    group: str
    behaviour: Behaviour
    unit: str
    place: int
    places: int
    shares: dict[str, Interval]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "by": self.by, "group": self.group, **behaviour_dict(self.behaviour), "places_of": self.unit,
            "place": self.place, "places": self.places,
            "shares": {name: interval.to_dict() for name, interval in self.shares.items()},
        }  # fmt: skip


def by_position(
    judgments: Judgments,
    scopes: Sequence[Scope],
    behaviours: Sequence[Behaviour],
    *,
    by: str = "therapist",
    first_turns: int | None = None,
    level: float = 0.95,
) -> list[Position]:
    """Shares of `behaviours` in tenths of the session, or at each of the first `first_turns` turns where that is given.

    A session that has no unit in a tenth says nothing about it. Judgments of whole sessions have no position.
    """
    places = first_turns or 10
    sessions = len(judgments.sessions)
    turns = judgments.sessions["turns"].to_numpy().astype(np.int64)
    place = judgments.turn if first_turns else judgments.turn * 10 // np.maximum(turns[judgments.session], 1)
    inside = (judgments.turn >= 0) & (place < places)
    group = np.where(inside, judgments.session * places + place, sessions * places)
    counts, units = judgments.count(group, sessions * places + 1)
    shape = (sessions, places, len(judgments.behaviours))
    counts, units = counts[:-1].reshape(shape), units[:-1].reshape(shape)
    clusters = cluster_numbers(judgments.sessions)
    wanted = [judgments.behaviours.index(behaviour) for behaviour in behaviours]
    rows: list[Position] = []
    for name, members in groups_of(judgments.sessions, by):
        who = clusters[members]
        for b in wanted:
            for at in range(places):
                k, n = counts[members, at, b], units[members, at, b]
                if n.any():
                    shares: dict[str, Interval] = {
                        s.name: mean_of_session_shares(k, n, who, estimand=s.estimand, level=level, cluster=s.cluster)
                        for s in scopes
                    }
                    unit = "turn" if first_turns else "tenth"
                    rows.append(Position(by, name, judgments.behaviours[b], unit, at, places, shares))
    return rows
