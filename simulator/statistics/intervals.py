"""An interval that cannot be printed without saying where it comes from.

`Interval` carries its method, its level and the number of clusters it rests on; none of the three has a default, and
every printed form contains the number of clusters. An interval that the data cannot support is still returned, with a
`flag` and no claim: readers decide what to do with it, nothing drops it in silence.
"""

import math
from dataclasses import dataclass
from typing import Any

TOO_FEW_CLUSTERS = "too few clusters"
"""The flag of an interval whose coverage is not known to hold (see docs/statistics.md for the rule)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """An estimate with an interval.

    Args:
        estimate, low, high: on one scale; NaN in all three where there is nothing to estimate, NaN in `low` and `high`
            where one cluster or no variation leaves the width unknown.
        level: nominal coverage in (0, 1), for instance .95.
        method: a short name that docs/statistics.md explains, for instance `logit-t over personas`.
        clusters: how many independent clusters the variance was estimated from.
        units: how many sessions (or other units) stand behind the estimate.
        cluster: what the clusters are, in the plural; `videos` for imported AnnoMI.
        flag: None, or a reason not to trust the width, for instance `TOO_FEW_CLUSTERS`.
        p: two-sided p-value against no difference where the interval is one of a contrast, else None.

    Raises:
        ValueError: on a level outside (0, 1), an empty method, negative counts or limits in the wrong order.
    """

    estimate: float
    low: float
    high: float
    level: float
    method: str
    clusters: int
    units: int
    cluster: str = "personas"
    flag: str | None = None
    p: float | None = None

    def __post_init__(self) -> None:
        if not 0.0 < self.level < 1.0:
            raise ValueError(f"level must lie between 0 and 1, not {self.level}")
        if not self.method:
            raise ValueError("an interval names its method")
        if self.clusters < 0 or self.units < 0:
            raise ValueError("clusters and units are counts")
        if self.low > self.estimate or self.estimate > self.high:
            raise ValueError(f"limits out of order: {self.low}, {self.estimate}, {self.high}")

    @property
    def trusted(self) -> bool:
        """Whether the interval carries no flag and has limits."""
        return self.flag is None and math.isfinite(self.low) and math.isfinite(self.high)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; NaN becomes None."""
        return {
            "estimate": _number(self.estimate),
            "low": _number(self.low),
            "high": _number(self.high),
            "level": self.level,
            "method": self.method,
            "clusters": self.clusters,
            "cluster": self.cluster,
            "units": self.units,
            "flag": self.flag,
            "p": None if self.p is None else _number(self.p),
        }

    def text(self, digits: int = 3) -> str:
        """One line for people, the number of clusters always in it."""
        level = f"{100 * self.level:g} %"
        limits = f"[{self.low:.{digits}f}, {self.high:.{digits}f}]" if math.isfinite(self.low) else "[no interval]"
        note = f"; {self.flag}" if self.flag else ""
        return f"{self.estimate:.{digits}f} {limits} ({level}, {self.clusters} {self.cluster}{note})"

    def __str__(self) -> str:
        return self.text()


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
