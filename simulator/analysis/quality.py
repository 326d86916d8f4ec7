"""Sessions of high against low quality by what is done in them: derived indices per session, beside length alone.

An index is computed per session from one coder's codes of its units, so the tables of experts, a rule-based and a
trained coder differ in nothing but the codes. What tells good sessions from bad is compared with what the mere number
of words tells: an index that does not beat it says nothing about quality that length does not.

The unit is AnnoMI's utterance, which is a turn there. `reflections to questions` is summed over the sessions of a group
(R:Q); per session it is r / (r + q), which orders sessions alike and exists where no question was asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from simulator.statistics.clustered_agreement import cluster_interval, discrimination
from simulator.statistics.intervals import TOO_FEW_CLUSTERS

Array = npt.NDArray[np.float64]
Counts = Mapping[str, Array]
"""By value: how many units of each session have it."""


@dataclass(frozen=True, slots=True)
class Index:
    """`pooled` parts of a ratio summed over sessions; `higher` says which group is expected to have more of it."""

    name: str
    top: tuple[str, ...]
    bottom: tuple[str, ...]
    higher: str = "high"

    def of_sessions(self, counts: Counts) -> Array:
        """Per session, as a share of top and bottom together; .5 where a session has neither."""
        top = sum((counts[value] for value in self.top), np.zeros_like(counts["words"]))
        below = [value for value in self.bottom if value not in self.top]
        rest = sum((counts[value] for value in below), np.zeros_like(top))
        both = top + rest
        return np.where(both > 0, top / np.where(both > 0, both, 1.0), 0.5)

    def pooled(self, counts: Counts, chosen: npt.NDArray[np.bool_]) -> Callable[[Array], Array]:
        """The ratio of the sums over the chosen sessions, as a function of the sessions' weights."""
        top = sum((counts[value] for value in self.top), np.zeros_like(counts["words"])) * chosen
        bottom = sum((counts[value] for value in self.bottom), np.zeros_like(top)) * chosen

        def ratio(weights: Array) -> Array:
            below = weights @ bottom
            return np.where(below > 0, (weights @ top) / np.where(below > 0, below, 1.0), np.nan)

        return ratio


_THERAPIST = ("question", "reflection", "therapist_input", "other")
INDICES = (
    Index("reflections to questions (R:Q)", ("reflection",), ("question",)),
    Index("share of reflections", ("reflection",), _THERAPIST),
    Index("share of questions", ("question",), _THERAPIST),
    Index("share of input", ("therapist_input",), _THERAPIST, "low"),
    Index("reflections to input", ("reflection",), ("therapist_input",)),
    Index("change among change and sustain", ("change",), ("change", "sustain")),
)
"""What main behaviour and client talk allow. Shares of complex reflections, of open questions and of MI-consistent
behaviour need codes that these do not hold."""


def quality_table(
    counts: Counts, high: npt.NDArray[np.bool_], clusters: npt.NDArray[Any], cluster: str
) -> list[dict[str, Any]]:
    """One row per index: pooled ratio of either group, and how well the session's index tells the groups apart.

    Args:
        counts: by value, per session; `words` are the therapist's.
        high: whether a session is of high quality.
        clusters, cluster: what sessions belong to, and what these are called, in the plural.
    """
    rows = []
    for index in INDICES:
        if any(value not in counts for value in (*index.top, *index.bottom)):
            continue
        sessions = index.of_sessions(counts)
        rows.append({
            "index": index.name,
            **{
                name: group_interval(index.pooled(counts, chosen), clusters, cluster, chosen)
                for name, chosen in (("high", high), ("low", ~high))
            },
            "auc": _auc(high, sessions if index.higher == "high" else -sessions, clusters, cluster),
            "expected_higher": index.higher,
        })  # fmt: skip
    return rows


def length_row(counts: Counts, high: npt.NDArray[np.bool_], clusters: npt.NDArray[Any], cluster: str) -> dict[str, Any]:
    """The baseline: the number of the therapist's words, mean of either group and AUC."""

    def mean(chosen: npt.NDArray[np.bool_]) -> Callable[[Array], Array]:
        return lambda weights: (weights @ (counts["words"] * chosen)) / np.maximum(weights @ chosen.astype(float), 1e-9)

    return {
        "index": "therapist's words (length alone)",
        **{
            name: group_interval(mean(chosen), clusters, cluster, chosen)
            for name, chosen in (("high", high), ("low", ~high))
        },
        "auc": _auc(high, counts["words"], clusters, cluster),
        "expected_higher": "high",
    }


def counts_by_session(
    sessions: npt.NDArray[np.int64], values: npt.NDArray[np.int64], names: tuple[str, ...], total: int
) -> dict[str, Array]:
    """How many units of each of `total` sessions have each value."""
    return {
        name: np.bincount(sessions[values == place], minlength=total).astype(np.float64)
        for place, name in enumerate(names)
    }


def _auc(high: npt.NDArray[np.bool_], score: Array, clusters: npt.NDArray[Any], cluster: str) -> dict[str, Any]:
    return group_interval(lambda weights: discrimination(high, score, weights), clusters, cluster, high, ~high)


def group_interval(
    statistic: Callable[[Array], Array], clusters: npt.NDArray[Any], cluster: str, *groups: npt.NDArray[np.bool_]
) -> dict[str, Any]:
    """A bootstrap interval over clusters, without limits where a group of sessions that it rests on is one cluster:
    drawing one again and again varies nothing."""
    found = cluster_interval(statistic, clusters, cluster=cluster)
    if min(len(np.unique(clusters[group])) for group in groups) < 2:
        found = replace(found, low=np.nan, high=np.nan, flag=TOO_FEW_CLUSTERS)
    return found.to_dict()
