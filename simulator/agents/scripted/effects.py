"""How clients differ from each other, and sessions from each other: normal effects on the logit, drawn by hashing.

An effect on a code is the sum of three parts: one of the persona (the same with every therapist), one of the persona
with this policy, one of the session. Each part is a hash of what it belongs to, so nothing is stored and one persona's
effects do not depend on who else is in the study. A part is twice the centred sum of three uniform numbers: mean 0,
variance 1, within 3, and made of additions alone, so that floats and arrays agree.

The therapist does not know the persona. A client's turns carry its *manner*, 53 bits hashed from the persona's id, and
that is all a scripted therapist responds to: how this client draws questions, advice or warmth out of this policy.
"""

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from simulator.agents.scripted.codes import BEHAVIOURS, CLIENT_CODES, LEVELS, TALKS, THERAPIST_CODES
from simulator.records.seeds import Draws, UInt64Array, key64, mix64, mix64_array, uniforms

THERAPIST_EFFECTS = (*BEHAVIOURS, *LEVELS, "words", *THERAPIST_CODES)
CLIENT_EFFECTS = (*TALKS, "words", "disclosure", *CLIENT_CODES)
"""What effects act on, by role, in the order of every list of factors."""

SPREAD: dict[str, tuple[float, float, float]] = {
    "question": (0.64, 0.33, 0.42),
    "reflection": (0.50, 0.30, 0.36),
    "therapist_input": (0.36, 0.30, 0.24),
    "other": (0.60, 0.32, 0.44),
    "emotional_reactions": (0.66, 0.34, 0.42),
    "interpretations": (0.90, 0.34, 0.30),
    "explorations": (0.66, 0.34, 0.42),
    **dict.fromkeys(THERAPIST_CODES, (0.68, 0.40, 0.40)),
    "change": (0.72, 0.36, 0.58),
    "neutral": (0.56, 0.26, 0.44),
    "sustain": (0.72, 0.36, 0.62),
    **dict.fromkeys(CLIENT_CODES, (0.84, 0.40, 0.50)),
    "disclosure": (0.40, 0.20, 0.30),
}
"""SD of the three parts (persona, persona x policy, session) per effect, on the logit."""

WORDS_SPREAD = {"client": (0.28, 0.10, 0.24), "therapist": (0.18, 0.08, 0.18)}
"""The same for the log of turn lengths."""

SESSION_SLOT = 8
"""Slots of the session's seed from which its effects are drawn, three for each."""

FloatArray = npt.NDArray[np.float64]


def manner_of(persona_id: str) -> int:
    """What a client's turns carry of who it is, in [0, 2**53)."""
    return key64(persona_id) >> 11


def _names(role: str) -> tuple[str, ...]:
    return CLIENT_EFFECTS if role == "client" else THERAPIST_EFFECTS


def _spread(role: str, name: str) -> tuple[float, float, float]:
    return WORDS_SPREAD[role] if name == "words" else SPREAD[name]


def _standard(seed: int, slot: int) -> float:
    draws = Draws(seed)
    return 2.0 * (draws.at(slot) + draws.at(slot + 1) + draws.at(slot + 2) - 1.5)


@lru_cache(maxsize=16384)
def lasting_effects(role: str, manner: int | None, policy: str) -> tuple[float, ...]:
    """The persona's parts, summed, per effect of `role` (`client` or `therapist`). Zero where the manner is unknown;
    without the policy's part where the policy is unknown (empty)."""
    if manner is None:
        return (0.0,) * len(_names(role))
    found = []
    for name in _names(role):
        persona, interaction, _ = _spread(role, name)
        effect = persona * _standard(mix64(manner ^ key64(name)) >> 11, 0)
        if policy:
            effect = effect + interaction * _standard(mix64(manner ^ key64(f"{policy}/{name}")) >> 11, 0)
        found.append(effect)
    return tuple(found)


def session_factors(role: str, manner: int | None, policy: str, seed: int) -> list[float]:
    """Factors on the odds (on lengths for `words`) in one session, in the order of the role's effects."""
    lasting = lasting_effects(role, manner, policy)
    return [
        math.exp(effect + _spread(role, name)[2] * _standard(seed, SESSION_SLOT + 3 * index))
        for index, (name, effect) in enumerate(zip(_names(role), lasting, strict=True))
    ]


def _standard_array(seeds: UInt64Array, slot: int) -> FloatArray:
    total: FloatArray = uniforms(seeds, slot) + uniforms(seeds, slot + 1) + uniforms(seeds, slot + 2)
    return 2.0 * (total - 1.5)


def lasting_effect_arrays(role: str, manners: UInt64Array, policy: str) -> FloatArray:
    """`lasting_effects` for known manners of shape (n,); shape (effects, n)."""
    found = []
    for name in _names(role):
        persona, interaction, _ = _spread(role, name)
        effect = persona * _standard_array(mix64_array(manners ^ np.uint64(key64(name))) >> np.uint64(11), 0)
        if policy:
            hashed = mix64_array(manners ^ np.uint64(key64(f"{policy}/{name}"))) >> np.uint64(11)
            effect = effect + interaction * _standard_array(hashed, 0)
        found.append(effect)
    return np.array(found)


def session_factor_arrays(role: str, lasting: FloatArray, seeds: UInt64Array) -> FloatArray:
    """`session_factors` for sessions with persona parts `lasting` of shape (effects, n) and seeds of shape (n,)."""
    return np.array(
        [
            np.exp(lasting[index] + _spread(role, name)[2] * _standard_array(seeds, SESSION_SLOT + 3 * index))
            for index, name in enumerate(_names(role))
        ]
    )
