"""Shares of behaviours. Three quantities, three names.

* `mean_of_session_shares`, the default: mean over clusters of the mean of their session shares. Long sessions and
  talkative personas weigh no more than short ones.
* `pooled_share`, second and always called pooled: all occurrences over all units.
* `any_occurrence`: how probable it is that a session of a stated length shows the behaviour at all. Sessions differ in
  length, and "did it ever happen" grows with length; every session is therefore rarefied to the same number of units.
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln

from simulator.statistics.intervals import TOO_FEW_CLUSTERS, Interval
from simulator.statistics.limits import UNIT, hall_limits, logit_limits
from simulator.statistics.means import NAN, Clustered, clustered, from_moments, mean_over_clusters, no_interval
from simulator.statistics.moments import Array, Moments
from simulator.statistics.rules import MIN_SEEN, Estimand, too_few_for_share


def session_shares(counts: npt.ArrayLike, units: npt.ArrayLike) -> Array:
    """count / units per session; NaN where a session has no unit that could have shown the behaviour."""
    total = np.asarray(units, dtype=np.float64)
    return np.divide(np.asarray(counts, dtype=np.float64), total, out=np.full_like(total, NAN), where=total > 0)


def mean_of_session_shares(
    counts: npt.ArrayLike,
    units: npt.ArrayLike,
    clusters: npt.ArrayLike,
    *,
    estimand: Estimand = "population",
    level: float = 0.95,
    cluster: str = "personas",
) -> Interval:
    """The share of a behaviour as the mean over clusters of session shares.

    Args:
        counts, units: per session (n,): how often the behaviour was present and in how many units it could have been.
            Sessions without such a unit are left out and not counted in the interval's `units`.
        clusters: per session (n,): whose session it is.
        estimand: `population` or `these personas`.
    """
    return share_interval(clustered(session_shares(counts, units), clusters), estimand, level, cluster)


def share_interval(data: Clustered, estimand: Estimand, level: float = 0.95, cluster: str = "personas") -> Interval:
    """`mean_of_session_shares` of session shares that are already grouped."""
    n, sessions = len(data.names), len(data.values)
    if not n:
        return no_interval(NAN, estimand, level, 0, 0, cluster, "no live units")
    moments = data.moments(estimand)
    independent = data.means if estimand == "population" else data.values
    seen, missed = (independent > 0).sum(), (independent < 1).sum()
    if seen and missed:
        flagged = bool(too_few_for_share(estimand, moments.mean, seen, missed, n, moments.df))
        return from_moments(moments, estimand, level, UNIT, n, sessions, cluster, flagged)
    low, high = share_limits(moments, seen, missed, len(independent), level)
    return Interval(
        estimate=float(moments.mean), low=float(low), high=float(high), level=level,
        method=f"exact bound over {cluster}", clusters=n, units=sessions, cluster=cluster, flag=TOO_FEW_CLUSTERS,
    )  # fmt: skip


def share_limits(
    moments: Moments, seen: npt.ArrayLike, missed: npt.ArrayLike, independent: int, level: float = 0.95
) -> tuple[Array, Array]:
    """Limits of shares, of any shape: Hall's, or an exact bound where a behaviour was never (or always) seen.

    The bound: a mean share is at most the probability that an independent unit (cluster or, for a fixed set, session)
    shows the behaviour at all; of `independent` units none did. It is conservative for units of unequal probability.
    """
    low, high = hall_limits(moments, level, UNIT)
    bound = 1 - ((1 - level) / 2) ** (1 / independent)
    never, always = np.asarray(seen) == 0, np.asarray(missed) == 0
    low, high = np.where(never, 0.0, low), np.where(always, 1.0, high)
    return np.where(always, 1.0 - bound, low), np.where(never, bound, high)


def pooled_share(
    counts: npt.ArrayLike, units: npt.ArrayLike, clusters: npt.ArrayLike, *, level: float = 0.95,
    cluster: str = "personas",
) -> Interval:  # fmt: skip
    """All occurrences over all units: a ratio of two sums over clusters, which are taken as drawn from a population.

    The variance is that of the influence values, each divided by 1 - the cluster's part of all units: a cluster that
    holds many of the units pulls the ratio towards itself and would otherwise look closer to it than it is (the
    jackknife's correction). Limits are on the logit scale. Arguments as in `mean_of_session_shares`.
    """
    names, index = np.unique(np.asarray(clusters), return_inverse=True)
    total = np.bincount(index, weights=np.asarray(units, dtype=np.float64), minlength=len(names))
    count = np.bincount(index, weights=np.asarray(counts, dtype=np.float64), minlength=len(names))[total > 0]
    total = total[total > 0]
    n, everything = len(total), total.sum()
    seen, missed = int((count > 0).sum()), int((count < total).sum())
    share = float(count.sum() / everything) if n else NAN
    low, high = NAN, NAN
    flag: str | None = TOO_FEW_CLUSTERS if n else "no live units"
    if n > 1 and seen and missed:
        influence = (count - share * total) / (everything / n) / (1 - total / everything)
        variance = np.asarray((influence**2).sum() / ((n - 1) * n))
        moments = Moments(np.asarray(share), variance, np.zeros(()), np.asarray(float(n - 1)))
        low, high = (float(limit) for limit in logit_limits(moments, level))
        flag = TOO_FEW_CLUSTERS if too_few_for_share("population", share, seen, missed, n, n - 1) else None
    return Interval(
        estimate=share, low=low, high=high, level=level, method=f"pooled ratio, jackknife logit-t over {cluster}",
        clusters=n, units=int(everything), cluster=cluster, flag=flag,
    )  # fmt: skip


def rarefied(counts: npt.ArrayLike, units: npt.ArrayLike, length: int) -> Array:
    """Probability that `length` units, chosen at random without replacement, show the behaviour, per session (n,).

    1 - C(units - count, length) / C(units, length) (rarefaction; Hurlbert, Ecology 52, 1971): unbiased at the reference
    length, without assuming that turns are independent. NaN for sessions with fewer than `length` units.
    """
    n = np.asarray(units, dtype=np.float64)
    k = np.asarray(counts, dtype=np.float64)
    enough = n >= length
    rest = n - k
    possible = enough & (rest >= length)
    a, b = np.where(possible, rest, length), np.where(possible, n, length)
    ratio = np.exp(gammaln(a + 1) - gammaln(a - length + 1) - gammaln(b + 1) + gammaln(b - length + 1))
    shown = np.where(k > 0, np.where(possible, 1 - ratio, 1.0), 0.0)
    return np.where(enough, shown, NAN)


def reference_length(units: npt.ArrayLike) -> int:
    """A length that nine of ten sessions reach: the tenth percentile of their units, at least 1."""
    present = np.asarray(units)
    present = present[present > 0]
    return max(1, int(np.percentile(present, 10))) if present.size else 1


def any_occurrence(
    counts: npt.ArrayLike,
    units: npt.ArrayLike,
    clusters: npt.ArrayLike,
    *,
    length: int,
    estimand: Estimand = "population",
    level: float = 0.95,
    cluster: str = "personas",
) -> Interval:
    """Mean over clusters of the probability that `length` units of a session show the behaviour at least once.

    Sessions with fewer than `length` units are left out: compare the interval's `units` with the number of sessions.
    """
    return share_interval(clustered(rarefied(counts, units, length), clusters), estimand, level, cluster)


def rate_per(
    counts: npt.ArrayLike,
    amounts: npt.ArrayLike,
    clusters: npt.ArrayLike,
    *,
    per: float = 1.0,
    estimand: Estimand = "population",
    level: float = 0.95,
    cluster: str = "personas",
) -> Interval:
    """Mean over clusters of session rates: count / amount x `per`, for instance per 1,000 client words.

    Sessions whose amount is 0 are left out. Rates seen in fewer than `rules.MIN_SEEN` clusters carry the flag.
    """
    rates = session_shares(counts, amounts) * per
    interval = mean_over_clusters(
        rates, clusters, estimand=estimand, level=level, bounds=(0.0, np.inf), cluster=cluster
    )
    data = clustered(rates, clusters)
    independent = data.means if estimand == "population" else data.values
    scarce = int((independent > 0).sum()) < MIN_SEEN
    return replace(interval, flag=TOO_FEW_CLUSTERS) if scarce and interval.trusted else interval
