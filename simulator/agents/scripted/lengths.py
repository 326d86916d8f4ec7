"""Lengths: how many turns a session is meant to have, and how many words a turn.

Words per turn are drawn from quantiles of AnnoMI's high-quality sessions by code. Client turns are `CLIENT_SCALE * q **
CLIENT_POWER`: spoken clients give more one-word answers (43 % of turns have five words or fewer) than people who type
(15-33 % in ESConv), and the reference client stands between. Planned session lengths have a median of about 40 turns
and a 10-90 % range of about 12 to 90 (a design: AnnoMI's median is 50, MIBOT's 30, ESConv's 22).
"""

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from simulator.agents.scripted.tables import Row, tables

SESSION_TURNS = (6.0, 13.0, 20.0, 27.0, 34.0, 41.0, 50.0, 60.0, 73.0, 92.0, 180.0)
"""Deciles of planned session lengths, in turns."""

SHORTEST, LONGEST = 6, 220
"""Planned lengths stay within these."""

CLIENT_SCALE, CLIENT_POWER = 1.2, 0.9
THERAPIST_SCALE, THERAPIST_POWER = 0.96, 1.0

TELLING_WORDS, SHOWING_WORDS, NAMING_WORDS = 8, 5, 6
"""Shorter client turns tell no fact, show no distress, name no person."""

CLIENT_CODE_WORDS, THERAPIST_CODE_WORDS, ASKING_WORDS, EMPATHY_WORDS = 6, 8, 5, 4
"""What an expressed code, a sincere question and an emotional reaction add."""

LEAST_WORDS = (3, 4, 5, 1)
"""By main therapist behaviour."""

CLOSING_WORDS = (4, 22)
"""A goodbye has between so many words."""


def between(knots: Row, u: float) -> float:
    """The `u` quantile between evenly spaced quantiles."""
    place = u * (len(knots) - 1)
    index = int(place)
    return knots[index] + (knots[index + 1] - knots[index]) * (place - index)


def planned_turns(u: npt.NDArray[np.float64], patience: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Planned session lengths in turns (whole numbers) for uniform numbers and patience of shape (n,)."""
    length = between_arrays(np.array([SESSION_TURNS]), np.zeros(len(u), dtype=np.intp), u) * patience
    planned: npt.NDArray[np.float64] = np.floor(np.minimum(np.maximum(length, SHORTEST), LONGEST))
    return planned


def between_arrays(
    knots: npt.NDArray[np.float64], row: npt.NDArray[np.intp], u: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """`between` with the knots in row `row` of `knots`; all arrays but `knots` have shape (n,)."""
    width = knots.shape[1]
    place = u * (width - 1)
    index = place.astype(np.intp)
    at = row * width + index
    flat = knots.ravel()
    low = flat[at]
    found: npt.NDArray[np.float64] = low + (flat[at + 1] - low) * (place - index)
    return found


@lru_cache(maxsize=1)
def client_words() -> tuple[tuple[Row, ...], ...]:
    """Quantiles of client words, `[drawn][talk]`."""
    return tuple(
        tuple(tuple(CLIENT_SCALE * q**CLIENT_POWER for q in row) for row in drawn) for drawn in tables().client_words
    )


@lru_cache(maxsize=1)
def therapist_words() -> tuple[Row, ...]:
    """Quantiles of therapist words by main behaviour."""
    return tuple(tuple(THERAPIST_SCALE * q**THERAPIST_POWER for q in row) for row in tables().therapist_words)
