"""Do contrasts find what was planted, and nothing where nothing was planted?

`self_contrasts` compares a policy with itself under a second name; `planted_contrasts` compares two policies whose true
difference is known; `against_truth` holds one contrast of a report against a true difference.
"""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np

from simulator.analysis.coverage import CHUNK, ESTIMANDS, REPLICATES, Arm, contrast
from simulator.analysis.coverage_pool import Pool
from simulator.statistics.intervals import Interval

SIGNIFICANT_BAND = (0.03, 0.07)
"""Where the share of significant self-contrasts must lie at level .95."""


def recovery(pool: Pool, repetitions: int = 1000, personas: int = 40, *, level: float = 0.95) -> dict[str, Any]:
    """`self_contrasts` in brief, with the rows of `planted_contrasts` that are not flagged."""
    alone = self_contrasts(pool, repetitions, personas, level=level)
    planted = planted_contrasts(pool, repetitions, personas, level=level)
    return {
        "self_contrasts": {key: alone[key] for key in ("significant", "band", "repetitions", "personas", "level")},
        "planted_contrasts": [row for row in planted if not row["flagged"]],
    }


def self_contrasts(
    pool: Pool, repetitions: int = 1000, personas: int = 40, *, level: float = 0.95, seed: int = 7
) -> dict[str, Any]:
    """Every policy against itself: the same personas, other sessions of the same policy.

    Returns:
        `significant`, by estimand: the share of significant contrasts over all rows that are not flagged; `rows` by
        policy, behaviour and estimand with their own share, its Monte Carlo error, and whether the row is flagged.
    """
    rows = [
        {"policy": policy, **row}
        for p, policy in enumerate(pool.policies)
        for row in _repeated(pool, p, p, repetitions, personas, level, seed + p)
    ]
    overall = {
        estimand: _mean([row["significant"] for row in rows if row["estimand"] == estimand and not row["flagged"]])
        for estimand in ESTIMANDS
    }
    return {
        "significant": overall, "band": list(SIGNIFICANT_BAND), "repetitions": repetitions, "personas": personas,
        "level": level, "rows": rows,
    }  # fmt: skip


def planted_contrasts(
    pool: Pool,
    repetitions: int = 1000,
    personas: int = 40,
    *,
    pairs: Sequence[tuple[str, str]] | None = None,
    level: float = 0.95,
    seed: int = 11,
) -> list[dict[str, Any]]:
    """Differences between policies: rows with `truth`, mean `estimate`, `ratio` of the two, `sign` (how often the
    estimate had the sign of the truth), `significant` and `coverage`, by pair, behaviour and estimand."""
    rows: list[dict[str, Any]] = []
    for i, (first, second) in enumerate(combinations(pool.policies, 2) if pairs is None else pairs):
        p, q = pool.policies.index(first), pool.policies.index(second)
        found = _repeated(pool, p, q, repetitions, personas, level, seed + i)
        rows += [{"first": first, "second": second, **row} for row in found]
    return rows


def _repeated(
    pool: Pool, p: int, q: int, repetitions: int, personas: int, level: float, seed: int
) -> list[dict[str, Any]]:
    """One pair of policies over all behaviours. `sums`: significant, sign, covered, estimate, truth, flagged."""
    rng = np.random.default_rng(seed)
    sums = np.zeros((len(pool.behaviours), len(ESTIMANDS), 6))
    occurring = [b for b in range(len(pool.behaviours)) if pool.counts[p, b].any() or pool.counts[q, b].any()]
    for start in range(0, repetitions, CHUNK):
        size = min(CHUNK, repetitions - start)
        drawn = rng.integers(0, pool.personas, (size, personas))
        sessions = rng.integers(0, pool.sessions, (2, size, personas, REPLICATES))
        where = drawn[None, :, :, None] * pool.sessions + sessions
        for b in occurring:
            one, two = (Arm(pool.shares(policy, b), where[k], drawn) for k, policy in enumerate((p, q)))
            for e, estimand in enumerate(ESTIMANDS):
                low, high, _, flagged = contrast(one, two, estimand, personas, level)
                estimate = one.moments[estimand].mean - two.moments[estimand].mean
                truth = np.broadcast_to(one.truth[estimand] - two.truth[estimand], estimate.shape)
                columns = [
                    (low > 0) | (high < 0), np.sign(estimate) == np.sign(truth), (low <= truth) & (truth <= high),
                    estimate, truth, flagged,
                ]  # fmt: skip
                sums[b, e] += [column.sum() for column in columns]
    rows: list[dict[str, Any]] = []
    for b in occurring:
        for e, estimand in enumerate(ESTIMANDS):
            significant, sign, covered, estimate_, truth_, flagged_ = (sums[b, e] / repetitions).tolist()
            rows.append(
                {
                    "behaviour": pool.behaviours[b].name, "estimand": estimand, "truth": truth_, "estimate": estimate_,
                    "ratio": estimate_ / truth_ if abs(truth_) > 1e-9 else None, "sign": sign,
                    "significant": significant,
                    "monte_carlo_error": float(np.sqrt(significant * (1 - significant) / repetitions)),
                    "coverage": covered, "flagged": flagged_ > 0.5, "repetitions": repetitions,
                }
            )  # fmt: skip
    return rows


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def against_truth(difference: Interval, truth: float) -> dict[str, Any]:
    """One contrast of a report beside the true difference: recovered in `sign` and in `size` (inside the interval)."""
    return {
        "truth": truth, "estimate": difference.estimate, "clusters": difference.clusters, "method": difference.method,
        "level": difference.level, "low": difference.low, "high": difference.high,
        "sign": bool(np.sign(difference.estimate) == np.sign(truth)),
        "size": bool(difference.low <= truth <= difference.high),
        "significant": bool(difference.low > 0 or difference.high < 0),
    }  # fmt: skip
