"""A line of the realism scorecard: one measure of one group of sessions beside one human reference."""

from dataclasses import dataclass
from typing import Any

from simulator.analysis.realism_distance import BEYOND
from simulator.analysis.realism_measures import Measure
from simulator.statistics.intervals import Interval

SHOWN = (10, 50, 90)
"""Percentiles that are printed."""


@dataclass(frozen=True, slots=True)
class OtherSet:
    """Another human set on one line.

    Args:
        mean: its mean over sessions; `pooled` over all turns; None where not known.
        distance: to the reference, in the line's unit, None where only means are known; `ratio` on the line's scale.
    """

    name: str
    mean: float | None
    pooled: float | None
    distance: float | None
    ratio: float | None

    @property
    def beyond(self) -> bool | None:
        """Whether it is further from the reference than twice the human-against-human distance."""
        return None if self.ratio is None else self.ratio > BEYOND

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "name": self.name, "mean": self.mean, "pooled": self.pooled, "distance": self.distance,
            "ratio": self.ratio, "beyond": self.beyond,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Line:
    """One measure of one group of sessions beside the reference.

    Args:
        group: a therapist (or other group), or `ALL`.
        value: mean over clusters of session values, by estimand; empty for the matrix of transitions.
        shown: the run's percentiles `SHOWN`; `reference_shown` the reference's; None where not known.
        pooled, reference_pooled: over all turns, as published tables have it; None where it cannot be pooled.
        sessions, left_out: sessions with the measure, and without it (too short, or nothing coded).
        distance: to the reference, in the line's unit; None where there is none, with the reason in `note`
            (which also warns of few sessions).
        human_distance: the median distance between halves of the reference; `false_alarm` the share of halves that are
            further apart than twice that.
        ratio: distance / human_distance.
        others: other human sets on this line, those of which only means are known among them.
        fitted: the run was fitted to this line: a construction check.
    """

    measure: Measure
    group: str
    fitted: bool
    value: dict[str, Interval]
    shown: tuple[float, ...] | None
    pooled: float | None
    sessions: int
    left_out: int
    reference_mean: float | None
    reference_shown: tuple[float, ...] | None
    reference_pooled: float | None
    distance: float | None
    human_distance: float | None
    false_alarm: float | None
    ratio: float | None
    others: tuple[OtherSet, ...]
    note: str | None

    @property
    def within(self) -> bool | None:
        """Whether the distance is at most twice the human-against-human distance; None where there is no distance."""
        return None if self.ratio is None else self.ratio <= BEYOND

    @property
    def heading(self) -> str:
        """`construction check` or `realism`."""
        return "construction check" if self.fitted else "realism"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "measure": self.measure.name,
            "title": self.measure.title,
            "kind": self.measure.kind,
            "group": self.group,
            "heading": self.heading,
            "fitted": self.fitted,
            "value": {name: interval.to_dict() for name, interval in self.value.items()},
            "percentiles": _percentiles(self.shown),
            "pooled": self.pooled,
            "sessions": self.sessions,
            "left_out": self.left_out,
            "reference_mean": self.reference_mean,
            "reference_percentiles": _percentiles(self.reference_shown),
            "reference_pooled": self.reference_pooled,
            "distance": self.distance,
            "human_distance": self.human_distance,
            "false_alarm": self.false_alarm,
            "ratio": self.ratio,
            "within": self.within,
            "others": [other.to_dict() for other in self.others],
            "note": self.note,
        }


def _percentiles(shown: tuple[float, ...] | None) -> dict[str, float] | None:
    return None if shown is None else {f"p{place}": value for place, value in zip(SHOWN, shown, strict=True)}
