"""The pool that coverage studies draw from: many personas, each simulated many times under several policies.

A repetition draws personas and their sessions from the pool with replacement, so the pool's own means are the truth
exactly. The pool is far larger than any study; how far it is itself from the population file's expectation is printed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from simulator.statistics.moments import Array

Counts = npt.NDArray[np.uint16]
ANNOMI_LOGIT_SD = {"therapist": (0.77, 1.03), "client": (1.04, 1.35)}
"""Between-session SD of behaviour shares on the logit scale in high-quality AnnoMI sessions, range over the behaviours
of a role. The estimates of experiments/reference_dyad/estimate.py on the development part, by the likelihood of
`logit_sd`, are .77-1.03 and 1.08-1.39."""


@dataclass(frozen=True, slots=True)
class PlantedBehaviour:
    """`role` whose turns are the units, `codebook` that the planted code belongs to."""

    name: str
    role: str
    codebook: str


@dataclass(frozen=True, slots=True)
class Pool:
    """Planted counts of every simulated session.

    Args:
        policies, behaviours: what the first two axes stand for.
        counts: occurrences, shape (policies, behaviours, personas, sessions).
        units: turns that could have shown each, same shape; at least 1 everywhere.
        turns: turns of each session, shape (policies, personas, sessions).
    """

    policies: tuple[str, ...]
    behaviours: tuple[PlantedBehaviour, ...]
    counts: Counts
    units: Counts
    turns: Counts

    @property
    def personas(self) -> int:
        """Number of personas."""
        return int(self.counts.shape[2])

    @property
    def sessions(self) -> int:
        """Sessions per persona and policy."""
        return int(self.counts.shape[3])

    def shares(self, policy: int, behaviour: int) -> Array:
        """Session shares, shape (personas, sessions)."""
        return np.asarray(self.counts[policy, behaviour] / self.units[policy, behaviour].astype(np.float64))


def logit_sd(counts: npt.ArrayLike, units: npt.ArrayLike) -> float:
    """SD over sessions of a normally distributed logit behind binomial counts, by maximum likelihood.

    The same likelihood as the AnnoMI figures (Gauss-Hermite); counts and units are (sessions,), independent sessions.
    """
    from scipy.optimize import minimize
    from scipy.special import expit, logsumexp

    nodes, weights = np.polynomial.hermite_e.hermegauss(24)
    log_weights = np.log(weights / weights.sum())
    pairs, times = np.unique(np.column_stack([np.asarray(counts), np.asarray(units)]), axis=0, return_counts=True)
    k, n = pairs[:, :1].astype(np.float64), pairs[:, 1:].astype(np.float64)

    def loss(parameters: npt.NDArray[np.float64]) -> float:
        p = np.clip(expit(parameters[0] + np.exp(parameters[1]) * nodes), 1e-12, 1 - 1e-12)
        likelihood = k * np.log(p) + (n - k) * np.log1p(-p) + log_weights
        return -float(times @ np.asarray(logsumexp(likelihood, axis=1)))

    share = float(np.clip(np.sum(counts) / np.sum(units), 1e-6, 1 - 1e-6))
    best = minimize(loss, [np.log(share / (1 - share)), np.log(0.8)], method="Nelder-Mead", options={"xatol": 1e-3})
    return float(np.exp(best.x[1]))


def spreads(pool: Pool) -> list[dict[str, Any]]:
    """How much sessions differ, on the logit scale, per policy and behaviour that occurs under it.

    Keys: `between_session_sd` (as estimated for AnnoMI), `between_persona_sd`, `persona_share` (its part of the
    variance; at least one half is asked for), `persona_policy_sd` (of the persona's own reaction to a policy, on
    average over policies; one figure per behaviour, repeated in its rows).
    """
    rows: list[dict[str, Any]] = []
    for b, behaviour in enumerate(pool.behaviours):
        present = [p for p in range(len(pool.policies)) if pool.counts[p, b].any()]
        few = slice(0, 4)
        total = np.array(
            [logit_sd(pool.counts[p, b, :, few].ravel(), pool.units[p, b, :, few].ravel()) for p in present]
        )
        between, interaction = _persona_sds(pool, b, present, total)
        for i, p in enumerate(present):
            rows.append(
                {
                    "policy": pool.policies[p], "behaviour": behaviour.name, "role": behaviour.role,
                    "codebook": behaviour.codebook, "share": float(pool.shares(p, b).mean()),
                    "between_session_sd": float(total[i]), "between_persona_sd": float(between[i]),
                    "persona_share": float(min(1.0, (between[i] / max(total[i], 1e-3)) ** 2)),
                    "persona_policy_sd": interaction,
                    "annomi_range": list(ANNOMI_LOGIT_SD[behaviour.role]) if behaviour.codebook == "annomi" else None,
                }
            )  # fmt: skip
    return rows


def heterogeneity(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The spreads in brief: range of the between-session SD of AnnoMI's behaviours by role, with AnnoMI's own beside
    it, and the medians over all rows of the personas' part and of persona x policy."""
    brief: dict[str, Any] = {}
    for role, human in ANNOMI_LOGIT_SD.items():
        own = [row["between_session_sd"] for row in rows if row["codebook"] == "annomi" and row["role"] == role]
        if own:
            brief[f"{role}_between_session_sd"] = {
                "range": [min(own), max(own)], "median": float(np.median(own)), "annomi_range": list(human),
            }  # fmt: skip
    interactions = [row["persona_policy_sd"] for row in rows if row["persona_policy_sd"] is not None]
    brief["median_persona_share"] = float(np.median([row["persona_share"] for row in rows])) if rows else None
    brief["median_persona_policy_sd"] = float(np.median(interactions)) if interactions else None
    return brief


_RARE = 0.04
"""Below this a persona's mean share is too noisy for its logit, and logit and log agree."""


def _persona_sds(pool: Pool, b: int, present: Sequence[int], total: Array) -> tuple[Array, float | None]:
    """SD over personas under each policy, and of persona x policy: the mean variance less the mean covariance.

    The variance of persona means, freed of sampling noise, is matched by a normal logit, whose SD is freed of the
    shrinkage that averaging a logit-normal share within a persona brings (1 + .346 variance within persona).
    """
    sessions = [pool.shares(p, b) for p in present]
    alike = _persona_correlations(sessions)
    seen = np.array([_sd_of_means(shares) for shares in sessions])
    within = np.zeros(len(present))
    for _ in range(20):
        between = seen * np.sqrt(1 + 0.346 * within)
        within = np.maximum(total**2 - between**2, 0.0)
    if len(present) < 2:
        return between, None
    shared = (alike * np.outer(between, between))[~np.eye(len(present), dtype=bool)].mean()
    return between, float(np.sqrt(max(float((between**2).mean()) - shared, 0.0)))


def _sd_of_means(shares: Array) -> float:
    """SD of the normal logit whose mean and variance are those of persona means; `shares` is (personas, sessions)."""
    from scipy.special import expit

    means = shares.mean(axis=1)
    target = means.var(ddof=1) - float((shares.var(axis=1, ddof=1) / shares.shape[1]).mean())
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    weights = weights / weights.sum()
    low, high = 0.0, 4.0
    for _ in range(40):
        sd = (low + high) / 2
        centre = np.array([-25.0, 10.0])
        for _ in range(50):
            middle = centre.mean()
            centre[int(float(weights @ expit(middle + sd * nodes)) > means.mean())] = middle
        variance = float(weights @ (expit(centre.mean() + sd * nodes) - means.mean()) ** 2)
        low, high = (sd, high) if variance < target else (low, sd)
    return (low + high) / 2


def _persona_correlations(sessions: Sequence[Array]) -> Array:
    """Correlations between policies of persona effects, from the covariances of persona means freed of sampling noise.

    Means of common behaviours on the logit scale; of rare ones divided by their mean and taken for log-normal, where a
    covariance v is log(1 + v) on the log scale.
    """
    means, noise, rare = [], [], []
    for shares in sessions:
        mean, error = shares.mean(axis=1), shares.var(axis=1, ddof=1) / shares.shape[1]
        rare.append(bool(mean.mean() < _RARE))
        inside = np.clip(mean, 1e-4, 1 - 1e-4)
        means.append(mean / mean.mean() if rare[-1] else np.log(inside / (1 - inside)))
        scale = 1 / mean.mean() if rare[-1] else 1 / (inside * (1 - inside))
        noise.append(float((error * scale**2).mean()))
    covariance = _covariance(np.array(means)) - np.diag(noise)
    covariance = np.where(np.outer(rare, rare), np.log1p(np.maximum(covariance, -0.9)), covariance)
    spread = np.sqrt(np.maximum(np.diag(covariance), 1e-6))
    return np.clip(covariance / np.outer(spread, spread), -1.0, 1.0)


def _covariance(rows: Array) -> Array:
    return np.asarray(np.atleast_2d(np.cov(rows)), dtype=np.float64)


def pool_error(pool: Pool) -> Mapping[str, float]:
    """Standard error of the pool's means as estimates of the population's, largest over policies, by behaviour."""
    return {
        behaviour.name: max(
            float(pool.shares(p, b).mean(axis=1).std(ddof=1) / np.sqrt(pool.personas))
            for p in range(len(pool.policies))
        )
        for b, behaviour in enumerate(pool.behaviours)
    }
