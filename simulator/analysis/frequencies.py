"""How often each behaviour happens under each therapist (or in each stratum), with intervals for every estimand."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from simulator.analysis.estimands import Scope
from simulator.analysis.judgments import Behaviour, Judgments
from simulator.codebooks import complete, exploratory
from simulator.statistics.intervals import Interval
from simulator.statistics.means import clustered
from simulator.statistics.shares import (
    any_occurrence,
    mean_of_session_shares,
    pooled_share,
    rate_per,
    reference_length,
    session_shares,
    share_interval,
)  # fmt: skip

if TYPE_CHECKING:
    import polars as pl

Array = npt.NDArray[np.float64]

CLIENT_WORDS = 1000
"""Rates per client word are printed per this many client words."""


@dataclass(frozen=True, slots=True)
class Frequency:
    """A behaviour under one therapist.

    Args:
        by, group: the grouping column (`therapist`, `condition`, `stratum`) and its value.
        shares: the mean over clusters of session shares, one interval per estimand, keyed by the estimand's name.
        pooled: all occurrences over all units (clusters taken as sampled).
        per_turn: occurrences per turn of the session (of any role), by estimand.
        per_client_words: occurrences per `CLIENT_WORDS` client words, by estimand.
        any_occurrence: probability that `reference_length` units show it at least once, by estimand.
        count, units, sessions: raw numbers behind it.
        in_turns: for behaviours of utterances, whether any utterance of a turn has it: the mean over clusters of the
            sessions' shares of such turns, by estimand, with the numbers `count` and `turns` behind it.
    """

    by: str
    group: str
    behaviour: Behaviour
    shares: dict[str, Interval]
    pooled: Interval
    per_turn: dict[str, Interval]
    per_client_words: dict[str, Interval]
    any_occurrence: dict[str, Interval]
    reference_length: int
    count: int
    units: int
    sessions: int
    in_turns: dict[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "by": self.by,
            "group": self.group,
            **behaviour_dict(self.behaviour),
            "shares": {name: interval.to_dict() for name, interval in self.shares.items()},
            "pooled": self.pooled.to_dict(),
            "per_turn": {name: interval.to_dict() for name, interval in self.per_turn.items()},
            f"per_{CLIENT_WORDS}_client_words": {
                name: interval.to_dict() for name, interval in self.per_client_words.items()
            },
            "any_occurrence": {name: interval.to_dict() for name, interval in self.any_occurrence.items()},
            "reference_length": self.reference_length,
            "count": self.count,
            "units": self.units,
            "sessions": self.sessions,
            "in_turns": self.in_turns,
        }


def behaviour_dict(behaviour: Behaviour) -> dict[str, Any]:
    """The identifying fields of a behaviour, as they stand in every row, the unit that was judged, whether its code is
    exploratory and whether its definition is complete."""
    return {
        "codebook": behaviour.codebook, "role": behaviour.role, "code": behaviour.code, "behaviour": behaviour.name,
        "unit": behaviour.unit, "exploratory": exploratory(behaviour.codebook, behaviour.code),
        "complete": complete(behaviour.codebook, behaviour.code),
    }  # fmt: skip


def groups_of(sessions: "pl.DataFrame", by: str) -> list[tuple[str, npt.NDArray[np.int64]]]:
    """The values of a column of the session table, sorted, with the indices of their sessions; nulls left out."""
    labels = sessions[by].to_list()
    names = sorted({label for label in labels if label is not None})
    column = np.array(["" if label is None else label for label in labels])
    return [(name, np.flatnonzero(column == name)) for name in names]


def cluster_numbers(sessions: "pl.DataFrame") -> npt.NDArray[np.int64]:
    """A whole number for the cluster of every session; equal clusters, equal numbers."""
    return np.unique(sessions["cluster"].to_numpy(), return_inverse=True)[1]


def frequencies(
    judgments: Judgments, scopes: Sequence[Scope], *, by: str = "therapist", level: float = 0.95
) -> list[Frequency]:
    """One row per group and behaviour that had a unit in it, groups and behaviours in sorted order."""
    counts, units = judgments.per_session()
    clusters = cluster_numbers(judgments.sessions)
    turns = judgments.sessions["turns"].to_numpy().astype(np.float64)
    words = judgments.sessions["client_words"].to_numpy().astype(np.float64) / CLIENT_WORDS
    lengths = [reference_length(units[:, b]) for b in range(len(judgments.behaviours))]
    parted = {b: judgments.turns_with(one) for b, one in enumerate(judgments.behaviours) if one.unit == "utterance"}
    rows: list[Frequency] = []
    for group, members in groups_of(judgments.sessions, by):
        who = clusters[members]
        for b, behaviour in enumerate(judgments.behaviours):
            k, n = counts[members, b], units[members, b]
            if not n.any():
                continue
            live = np.flatnonzero(n > 0)
            shared = clustered(session_shares(k, n), who)

            def each(measure: Any, k: Any = k, who: Any = who, **more: Any) -> dict[str, Interval]:
                return {
                    s.name: measure(k, clusters=who, estimand=s.estimand, level=level, cluster=s.cluster, **more)
                    for s in scopes
                }

            rows.append(
                Frequency(
                    by, group, behaviour,
                    {s.name: share_interval(shared, s.estimand, level, s.cluster) for s in scopes},
                    pooled_share(k, n, who, level=level, cluster=scopes[0].cluster),
                    each(rate_per, amounts=turns[members]),
                    each(rate_per, amounts=words[members]),
                    each(any_occurrence, units=n, length=lengths[b]),
                    lengths[b], int(k.sum()), int(n.sum()), len(live),
                    _in_turns(parted[b], members, who, scopes, level) if b in parted else None,
                )
            )  # fmt: skip
    return rows


def _in_turns(
    turns: tuple[Array, Array], members: npt.NDArray[np.int64], who: npt.NDArray[np.int64], scopes: Sequence[Scope],
    level: float,
) -> dict[str, Any]:  # fmt: skip
    k, n = (column[members] for column in turns)
    shared = clustered(session_shares(k, n), who)
    shares = {s.name: share_interval(shared, s.estimand, level, s.cluster).to_dict() for s in scopes}
    return {"shares": shares, "count": int(k.sum()), "turns": int(n.sum())}


@dataclass(frozen=True, slots=True)
class PooledShare:
    """A pooled share and its default counterpart in one stratum."""

    stratum: str
    behaviour: Behaviour
    pooled: Interval
    mean_of_sessions: Interval

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "stratum": self.stratum, **behaviour_dict(self.behaviour), "pooled": self.pooled.to_dict(),
            "mean_of_sessions": self.mean_of_sessions.to_dict(),
        }  # fmt: skip


def pooled_shares(
    judgments: Judgments, *, by: str = "stratum", level: float = 0.95, cluster: str = "clusters"
) -> list[PooledShare]:
    """Shares pooled over all units of a stratum, as published tables have them, with the mean of sessions beside."""
    counts, units = judgments.per_session()
    clusters = cluster_numbers(judgments.sessions)
    rows: list[PooledShare] = []
    for group, members in groups_of(judgments.sessions, by):
        for b, behaviour in enumerate(judgments.behaviours):
            k, n, who = counts[members, b], units[members, b], clusters[members]
            if n.any():
                pooled = pooled_share(k, n, who, level=level, cluster=cluster)
                mean = mean_of_session_shares(k, n, who, level=level, cluster=cluster)
                rows.append(PooledShare(group, behaviour, pooled, mean))
    return rows
