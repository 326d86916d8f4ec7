"""Which interval covers? The comparison that decided, on made-up logit-normal behaviours whose truth is known.

    python benchmarks/coverage_methods.py [repetitions]

Prints, per method, the coverage of 95 % intervals at 12 and 40 personas with 4 replicates for shares of .5 to 30 %, and
the ratio of its worst miss (distance of coverage from .95) to plain t's: below 1 is better, and the limit of what can
be told apart is the Monte Carlo error printed beside it. Last, pooled shares of single sessions of very unequal length.
"""

import math
import sys
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from simulator.statistics.contrasts import covariance_of_means
from simulator.statistics.limits import UNIT, difference_limits, hall_limits, logit_limits, t_limits
from simulator.statistics.moments import Moments, over_clusters, within_clusters
from simulator.statistics.shares import pooled_share

Array = npt.NDArray[np.float64]
Limits = tuple[Array, Array]
SHARES = (0.005, 0.01, 0.02, 0.05, 0.10, 0.30)
PERSONAS, SESSIONS, REPLICATES = 2000, 100, 4
SPREADS = ((0.75, 0.30, 0.65), (0.95, 0.40, 0.85))
"""SD of persona, persona x policy and session effects on the logit: the lower and the upper end of AnnoMI's range."""


def johnson_limits(moments: Moments) -> Limits:
    """Johnson's modified t (JASA 73, 1978): the t interval shifted by skewness."""
    error = np.sqrt(moments.variance)
    shift = np.divide(moments.third, 6 * moments.variance, out=np.zeros_like(error), where=error > 0)
    half = stdtrit(moments.df, 0.975) * error
    return moments.mean + shift - half, moments.mean + shift + half


SINGLE: dict[str, Callable[[Moments], Limits]] = {
    "plain t": t_limits,
    "Johnson": johnson_limits,
    "logit t": logit_limits,
    "Hall": lambda moments: hall_limits(moments, 0.95, UNIT),
}


def sessions_of(rng: np.random.Generator, share: float, spread: tuple[float, float, float], lasting: Array) -> Array:
    """Session shares (personas, sessions) of one behaviour under one policy."""
    between, policy, within = spread
    effects = (
        between * lasting + policy * rng.normal(size=(PERSONAS, 1)) + within * rng.normal(size=(PERSONAS, SESSIONS))
    )
    low, high = -16.0, 4.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if (1 / (1 + np.exp(-(middle + effects)))).mean() < share else (low, middle)
    units = np.clip(np.round(np.exp(rng.normal(math.log(20), 0.8, effects.shape))), 3, 90).astype(int)
    return np.asarray(rng.binomial(units, 1 / (1 + np.exp(-(low + effects)))) / units)


def covered(limits: Limits, truth: Array | float) -> float:
    """Share of repetitions in which the truth lies inside."""
    return float(((limits[0] <= truth) & (truth <= limits[1])).mean())


def pooled(rng: np.random.Generator, repetitions: int) -> None:
    """Coverage of the pooled share of n single sessions: plain linearised t, and `pooled_share`."""
    print(f"\n{'share':>6}{'n':>4}  {'pooled share':<15}{'plain t':>10}{'jackknife logit':>17}")
    for share in (0.02, 0.1, 0.3):
        for n in (15, 40, 88):
            logit = math.log(share / (1 - share)) + rng.normal(0, 1.0, (repetitions, n))
            units = np.clip(np.round(np.exp(rng.normal(math.log(20), 0.9, logit.shape))), 3, 300)
            counts = rng.binomial(units.astype(int), 1 / (1 + np.exp(-logit)))
            effects = math.log(share / (1 - share)) + rng.normal(0, 1.0, 1_000_000)
            truth = float((1 / (1 + np.exp(-effects))).mean())
            ratio = counts.sum(axis=1) / units.sum(axis=1)
            influence = (counts - ratio[:, None] * units) / units.mean(axis=1)[:, None]
            half = stdtrit(n - 1, 0.975) * influence.std(axis=1, ddof=1) / math.sqrt(n)
            names = np.arange(n)
            found = [pooled_share(counts[i], units[i], names) for i in range(repetitions)]
            low, high = np.array([x.low for x in found]), np.array([x.high for x in found])
            plain, ours = covered((ratio - half, ratio + half), truth), covered((low, high), truth)
            print(f"{share:>6.2f}{n:>4}  {'':<15}{plain:>10.3f}{ours:>17.3f}")


def main() -> int:
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 4000
    worst: dict[str, float] = {}
    rng = np.random.default_rng(1)
    for spread in SPREADS:
        print(f"\nlogit SD: persona {spread[0]}, persona x policy {spread[1]}, session {spread[2]}")
        print(
            f"{'share':>6}{'n':>4}  {'estimand':<15}"
            + "".join(f"{name:>10}" for name in (*SINGLE, "diff t", "diff S&A"))
        )
        for share in SHARES:
            lasting = rng.normal(size=(PERSONAS, 1))
            first, second = (sessions_of(rng, value, spread, lasting) for value in (share, share / 2))
            for n in (12, 40):
                row(rng, share, n, repetitions, first, second, worst)
    error = math.sqrt(0.95 * 0.05 / repetitions)
    print(f"\nworst miss at 40 personas, as a ratio to plain t's (Monte Carlo error of a coverage: {error:.4f})")
    for name, miss in worst.items():
        base = worst["diff t"] if name.startswith("diff") else worst["plain t"]
        print(f"{name:>10}: {miss:.3f}  ratio {miss / base:.2f}")
    pooled(rng, min(repetitions, 4000))
    return 0


def row(
    rng: np.random.Generator,
    share: float,
    n: int,
    repetitions: int,
    first: Array,
    second: Array,
    worst: dict[str, float],
) -> None:
    """Both estimands of one share and of its contrast with a policy that shows it half as often."""
    drawn = rng.integers(0, PERSONAS, (repetitions, n))
    a, b = (arm[drawn[:, :, None], rng.integers(0, SESSIONS, (repetitions, n, REPLICATES))] for arm in (first, second))
    own = [arm.mean(axis=1) for arm in (first, second)]
    for estimand in ("population", "these personas"):
        population = estimand == "population"
        one, two = (over_clusters(x.mean(axis=2)) if population else within_clusters(x) for x in (a, b))
        truths = [o.mean() if population else o[drawn].mean(axis=1) for o in own]
        covariance = covariance_of_means(a.mean(axis=2), b.mean(axis=2)) if population else np.zeros(repetitions)
        plain = Moments(
            one.mean - two.mean, np.maximum(one.variance + two.variance - 2 * covariance, 0), one.third, one.df
        )
        found = {name: covered(method(one), truths[0]) for name, method in SINGLE.items()}
        found["diff t"] = covered(t_limits(plain), truths[0] - truths[1])
        found["diff S&A"] = covered(difference_limits(one, two, covariance, 0.95, UNIT), truths[0] - truths[1])
        print(f"{share:>6.3f}{n:>4}  {estimand:<15}" + "".join(f"{value:>10.3f}" for value in found.values()))
        if n == 40 and share >= 0.01:
            for name, value in found.items():
                worst[name] = max(worst.get(name, 0.0), abs(value - 0.95))


if __name__ == "__main__":
    raise SystemExit(main())
