"""How often the intervals hold: `dyad coverage`.

Small studies are repeated thousands of times. Each draws personas, and for every policy four sessions of each, with
replacement from a pool whose truth is known exactly (`coverage_pool`), and computes the very intervals that reports
print: `statistics.share_limits` and `statistics.difference_limits` on `statistics.moments`.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from simulator.analysis.coverage_pool import Pool, heterogeneity, pool_error, spreads
from simulator.statistics.contrasts import covariance_of_means
from simulator.statistics.limits import UNIT, difference_limits, t_limits
from simulator.statistics.moments import Array, Moments, over_clusters, within_clusters
from simulator.statistics.rules import Estimand, carrier, too_few_for_share
from simulator.statistics.shares import share_limits

REPLICATES = 4
"""Sessions of every persona under every policy in one study."""
NOMINAL = (0.01, 0.02, 0.05, 0.10, 0.30)
"""Shares that must be among the planted behaviours."""
BAND = (0.93, 0.97)
"""Where coverage of a 95 % interval must lie, give or take two Monte Carlo standard errors."""
ESTIMANDS: tuple[Estimand, ...] = ("population", "these personas")
CHUNK = 500

BoolArray = npt.NDArray[np.bool_]
Progress = Callable[[int, int], object]


class Tally:
    """Outcomes of one row over repetitions, added up chunk by chunk."""

    def __init__(self, kind: str, name: str, policy: str, estimand: Estimand, personas: int, level: float) -> None:
        self.head = {"kind": kind, "behaviour": name, "policy": policy, "estimand": estimand, "personas": personas}
        self.level = level
        self.sums = np.zeros(7)
        self.repetitions = 0

    def add(self, truth: Array, low: Array, high: Array, t: tuple[Array, Array], flagged: BoolArray) -> None:
        """Take in one chunk of repetitions, arrays of one shape. NaN limits count as missing the truth."""
        covered = (low <= truth) & (truth <= high)
        width = np.where(np.isfinite(high - low), high - low, 0.0)
        self.sums += [
            covered.sum(), (low > truth).sum(), (high < truth).sum(), ((t[0] <= truth) & (truth <= t[1])).sum(),
            flagged.sum(), width.sum(), np.broadcast_to(truth, low.shape).sum(),
        ]  # fmt: skip
        self.repetitions += low.size

    def row(self) -> dict[str, Any]:
        """The row that is printed. `flagged` says whether most repetitions carried "too few clusters"."""
        coverage, above, below, t, flagged, width, truth = (self.sums / self.repetitions).tolist()
        return {
            **self.head, "level": self.level, "truth": truth, "coverage": coverage,
            "monte_carlo_error": float(np.sqrt(coverage * (1 - coverage) / self.repetitions)),
            "truth_below": above, "truth_above": below, "plain_t_coverage": t, "mean_width": width,
            "flagged_share": flagged, "flagged": flagged > 0.5, "repetitions": self.repetitions,
        }  # fmt: skip


def run_coverage(
    repetitions: int = 8000,
    personas: Sequence[int] = (12, 40),
    *,
    pool: Pool | None = None,
    level: float = 0.95,
    seed: int = 20240,
    quick: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Coverage of the intervals of shares and contrasts.

    Args:
        repetitions: studies per number of personas.
        personas: sizes of the studies.
        pool: what to draw from; simulated where it is not given.
        seed: of the drawing; the pool has its own.
        quick: a form for continuous integration: fewer repetitions and a smaller pool.
        progress: called with (done, total) repetitions.

    Returns:
        `rows`, one per behaviour (under one policy, or contrasted between two), estimand and size; `worst_` and `best_`
        `population_coverage` and `fixed_coverage` over rows that are not flagged; `within_band` with the tolerance;
        `heterogeneity`, `spreads` and `pool` for what the pool is like; `recovery` for contrasts (see `recovery`).
    """
    if quick:
        repetitions = min(repetitions, 1000)
    if pool is None:
        from simulator.analysis.coverage_simulation import simulate_pool

        pool = simulate_pool(quick=quick)
    rng = np.random.default_rng(seed)
    tallies: list[Tally] = []
    done, total = 0, repetitions * len(personas)
    for n in personas:
        book: dict[tuple[str, str, str, Estimand], Tally] = {}
        for size in _chunks(repetitions):
            _repeat(pool, n, size, level, rng, book)
            done += size
            if progress is not None:
                progress(done, total)
        tallies += book.values()
    rows = [tally.row() for tally in tallies]
    from simulator.analysis.recovery import recovery

    found = spreads(pool)
    return {
        **summary(rows), "level": level, "repetitions": repetitions, "personas": list(personas),
        "replicates": REPLICATES, "heterogeneity": heterogeneity(found),
        "recovery": recovery(pool, min(repetitions, 1000), max(personas), level=level),
        "pool": pool_facts(pool), "spreads": found, "rows": rows,
    }  # fmt: skip


def _chunks(total: int) -> Iterator[int]:
    for start in range(0, total, CHUNK):
        yield min(CHUNK, total - start)


def _repeat(
    pool: Pool, n: int, size: int, level: float, rng: np.random.Generator,
    book: dict[tuple[str, str, str, Estimand], Tally],
) -> None:  # fmt: skip
    """`size` studies of `n` personas: every behaviour under every policy, and every pair of policies. A behaviour that
    a policy never shows has no row."""
    drawn = rng.integers(0, pool.personas, (size, n))
    sessions = rng.integers(0, pool.sessions, (len(pool.policies), size, n, REPLICATES))
    where = drawn[None, :, :, None] * pool.sessions + sessions
    for b, behaviour in enumerate(pool.behaviours):
        arms = [Arm(pool.shares(p, b), where[p], drawn) for p in range(len(pool.policies))]
        for arm, policy in zip(arms, pool.policies, strict=True):
            if not arm.occurs:
                continue
            for estimand in ESTIMANDS:
                key = ("share", behaviour.name, policy, estimand)
                tally = book.setdefault(key, Tally(*key, n, level))
                moments, (seen, missed) = arm.moments[estimand], arm.seen[estimand]
                low, high = share_limits(moments, seen, missed, arm.independent[estimand], level)
                flagged = too_few_for_share(estimand, moments.mean, seen, missed, n, moments.df)
                tally.add(arm.truth[estimand], low, high, t_limits(moments, level), flagged)
        for (one, first), (two, second) in combinations(zip(arms, pool.policies, strict=True), 2):
            if not (one.occurs or two.occurs):
                continue
            for estimand in ESTIMANDS:
                key = ("contrast", behaviour.name, f"{first} - {second}", estimand)
                tally = book.setdefault(key, Tally(*key, n, level))
                low, high, t, flagged = contrast(one, two, estimand, n, level)
                tally.add(one.truth[estimand] - two.truth[estimand], low, high, t, flagged)


class Arm:
    """One behaviour under one policy in a chunk of studies: moments, truths and what the flag needs, by estimand."""

    def __init__(self, shares: Array, where: npt.NDArray[np.int64], drawn: npt.NDArray[np.int64]) -> None:
        values = shares.ravel()[where]
        n, r = values.shape[-2:]
        own = shares.mean(axis=1)
        self.occurs = bool(own.any())
        self.means = values.mean(axis=-1)
        self.moments: dict[Estimand, Moments] = {
            "population": over_clusters(self.means), "these personas": within_clusters(values),
        }  # fmt: skip
        self.truth: dict[Estimand, Array] = {
            "population": np.asarray(own.mean()), "these personas": own[drawn].mean(axis=1),
        }  # fmt: skip
        self.seen = {
            "population": ((self.means > 0).sum(axis=-1), (self.means < 1).sum(axis=-1)),
            "these personas": ((values > 0).sum(axis=(-2, -1)), (values < 1).sum(axis=(-2, -1))),
        }
        self.independent = {"population": n, "these personas": n * r}


def contrast(
    one: Arm, two: Arm, estimand: Estimand, n: int, level: float
) -> tuple[Array, Array, tuple[Array, Array], BoolArray]:
    """Limits of one - two, those of plain t on the paired differences, and the flag."""
    first, second = one.moments[estimand], two.moments[estimand]
    covariance: Array | float = covariance_of_means(one.means, two.means) if estimand == "population" else 0.0
    low, high = difference_limits(first, second, covariance, level, UNIT)
    variance = first.variance + second.variance
    nothing = variance <= 1e-24
    difference = Moments(
        first.mean - second.mean, np.maximum(variance - 2 * covariance, 0.0), np.zeros_like(variance),
        first.df if estimand == "population" else first.df + second.df,
    )  # fmt: skip
    seen, missed = (np.maximum(a, b) for a, b in zip(one.seen[estimand], two.seen[estimand], strict=True))
    flagged = too_few_for_share(estimand, carrier(first.mean, second.mean), seen, missed, n, first.df)
    return np.where(nothing, np.nan, low), np.where(nothing, np.nan, high), t_limits(difference, level), flagged


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Worst and best coverage over unflagged rows, and whether all of these lie in the band."""
    found: dict[str, Any] = {}
    trusted = [row for row in rows if not row["flagged"]]
    for name, estimand in (("population", "population"), ("fixed", "these personas")):
        own = [row["coverage"] for row in trusted if row["estimand"] == estimand]
        found[f"worst_{name}_coverage"] = min(own, default=None)
        found[f"best_{name}_coverage"] = max(own, default=None)
    found["band"] = list(BAND)
    found["outside_band"] = [
        row for row in trusted
        if not BAND[0] - 2 * row["monte_carlo_error"] <= row["coverage"] <= BAND[1] + 2 * row["monte_carlo_error"]
    ]  # fmt: skip
    found["within_band"] = not found["outside_band"]
    found["monte_carlo_error"] = max((row["monte_carlo_error"] for row in trusted), default=None)
    found["unflagged_rows"], found["flagged_rows"] = len(trusted), len(rows) - len(trusted)
    return found


def pool_facts(pool: Pool) -> dict[str, Any]:
    """What the pool is: sizes, lengths, shares near the nominal ones, and its own error as a stand-in for the file."""
    shares = {
        f"{behaviour.name} / {policy}": float(pool.shares(p, b).mean())
        for b, behaviour in enumerate(pool.behaviours)
        for p, policy in enumerate(pool.policies)
    }
    nearest = {
        f"{nominal:.2f}": min(shares.items(), key=lambda item: abs(np.log(max(item[1], 1e-9) / nominal)))
        for nominal in NOMINAL
    }
    return {
        "personas": pool.personas, "sessions_per_persona": pool.sessions, "policies": list(pool.policies),
        "behaviours": [behaviour.name for behaviour in pool.behaviours],
        "median_turns": float(np.median(pool.turns)),
        "turns_10_90": [float(q) for q in np.percentile(pool.turns, [10, 90])],
        "nearest_to_nominal": {key: {"row": name, "share": share} for key, (name, share) in nearest.items()},
        "standard_error_of_truth": dict(pool_error(pool)),
    }  # fmt: skip
