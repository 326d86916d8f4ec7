"""The pool that coverage studies draw from: many personas, each simulated many times under several policies.

A repetition draws personas and their sessions from the pool with replacement, so the pool's own means are the truth
exactly. The pool is far larger than any study; how far it is itself from the population file's expectation is printed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from simulator.statistics.moments import Array

Counts = npt.NDArray[np.uint16]
ANNOMI_LOGIT_SD = {"therapist": (0.77, 1.03), "client": (1.04, 1.35)}
"""Between-session SD of behaviour shares on the logit scale, high-quality AnnoMI sessions (development part; range over
behaviours of a role), by maximum likelihood with binomial counts: experiments/reference_dyad/estimate.py."""


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
    """How much sessions differ, on the logit scale, per policy and behaviour.

    Keys: `between_session_sd` (one session per persona, as in AnnoMI), `between_persona_sd`, `persona_share` (its part
    of the variance; at least one half is asked for), `persona_policy_sd` (of the persona's own reaction to a policy, on
    average over policies; one figure per behaviour, repeated in its rows).
    """
    rows: list[dict[str, Any]] = []
    for b, behaviour in enumerate(pool.behaviours):
        total = np.array([logit_sd(pool.counts[p, b, :, 0], pool.units[p, b, :, 0]) for p in range(len(pool.policies))])
        between, interaction = _persona_sds(pool, b, total)
        for p, policy in enumerate(pool.policies):
            rows.append(
                {
                    "policy": policy, "behaviour": behaviour.name, "role": behaviour.role,
                    "share": float(pool.shares(p, b).mean()), "between_session_sd": float(total[p]),
                    "between_persona_sd": float(between[p]),
                    "persona_share": float(min(1.0, (between[p] / total[p]) ** 2)) if total[p] > 0.01 else None,
                    "persona_policy_sd": interaction,
                    "annomi_range": list(ANNOMI_LOGIT_SD[behaviour.role]) if behaviour.codebook == "annomi" else None,
                }
            )  # fmt: skip
    return rows


_RARE = 0.04
"""Below this a persona's mean share is too noisy for its logit, and logit and log agree."""


def _persona_sds(pool: Pool, b: int, total: Array) -> tuple[Array, float | None]:
    """SD over personas under each policy, and of persona x policy: the total less the covariance between policies.

    Common behaviours: covariances of the logits of persona means, freed of sampling noise and of the shrinkage that
    averaging a logit-normal share brings (factor 1 + .346 variance within persona). Rare ones: covariances on the scale
    of shares, as those of log-normal shares: log(1 + covariance / product of means).
    """
    policies = range(len(pool.policies))
    sessions = [pool.shares(p, b) for p in policies]
    means = np.array([shares.mean(axis=1) for shares in sessions])
    noise = np.array([shares.var(axis=1, ddof=1).mean() / pool.sessions for shares in sessions])
    centre = means.mean(axis=1)
    if not (centre > 0).all():
        return np.full(len(means), np.nan), None
    if centre.min() < _RARE:
        covariance = np.log1p(np.maximum((_covariance(means) - np.diag(noise)) / np.outer(centre, centre), -0.9))
    else:
        inside = np.clip(means, 1e-4, 1 - 1e-4)
        slopes = np.array([(shares.var(axis=1, ddof=1) / pool.sessions) for shares in sessions])
        raw = _covariance(np.log(inside / (1 - inside))) - np.diag((slopes / (inside * (1 - inside)) ** 2).mean(axis=1))
        within = np.zeros(len(means))
        for _ in range(20):
            stretch = np.sqrt(1 + 0.346 * within)
            within = np.maximum(total**2 - np.diag(raw) * stretch**2, 0.0)
        covariance = raw * np.outer(stretch, stretch)
    between = np.maximum(np.diag(covariance), 0.0)
    if len(means) < 2:
        return np.sqrt(between), None
    shared = covariance[~np.eye(len(means), dtype=bool)].mean()
    return np.sqrt(between), float(np.sqrt(max(between.mean() - shared, 0.0)))


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
