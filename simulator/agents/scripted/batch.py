"""The planted process for many sessions at once: the array twin of `dynamics` and `dynamics_therapist`.

It makes no words and keeps no turns, only what studies of statistics need: counts per session. For the same personas,
policy and session keys it plants exactly what the agents plant (a test compares them turn for turn and in sum).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simulator.agents.scripted import slots
from simulator.agents.scripted.batch_turns import ChunkOfSessions, FloatArray
from simulator.agents.scripted.codes import (
    BEHAVIOURS,
    CLIENT_CODES,
    LEVELS,
    LIVE_WHEN,
    OUTCOMES,
    TALKS,
    THERAPIST_CODES,
)
from simulator.agents.scripted.dynamics_therapist import policy_numbers
from simulator.agents.scripted.effects import lasting_effect_arrays, manner_of
from simulator.agents.scripted.equations import STATES, Drivers
from simulator.agents.scripted.lengths import planned_turns
from simulator.agents.scripted.plan import SITUATIONS
from simulator.agents.scripted.traits import drivers
from simulator.errors import UserError
from simulator.records.seeds import UInt64Array, turn_seed_array, uniforms

CHUNK = 8192
"""Sessions computed together: few enough to stay in the processor's cache."""

COUNTED = (*BEHAVIOURS, *TALKS, *LEVELS, *THERAPIST_CODES, *CLIENT_CODES, *OUTCOMES, *SITUATIONS)
"""Names of the counted things. EPITOME mechanisms count at level 1 or 2; outcomes count turns with any of their codes;
situations count the therapist turns in which they hold."""

_CLIENT_SIDE = frozenset((*TALKS, *CLIENT_CODES, "C"))

Counts = npt.NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class PlantedCounts:
    """What was planted in each session; every array has the shape of the session keys.

    `counts` by the names in `COUNTED`; `mean_state` is over the client's turns, `final_state` that of the last one;
    words are planned ones, which texts follow within a quarter.
    """

    policy: str
    therapist_turns: Counts
    client_turns: Counts
    counts: dict[str, Counts]
    mean_state: dict[str, FloatArray]
    final_state: dict[str, FloatArray]
    therapist_words: FloatArray
    client_words: FloatArray
    short_client_turns: Counts
    """Client turns of five words or fewer."""

    def units(self, name: str) -> Counts:
        """Live units of a counted code or outcome: the turns in which it could have occurred."""
        if name in LIVE_WHEN:
            return self.counts[LIVE_WHEN[name]]
        return self.client_turns if name in _CLIENT_SIDE else self.therapist_turns


def simulate_planted(
    traits: Mapping[str, npt.NDArray[np.generic]],
    persona_ids: Sequence[str],
    policy: str,
    session_keys: UInt64Array,
    *,
    opener: str = "therapist",
    max_turns: int = 240,
) -> PlantedCounts:
    """Simulate the planted process of unprobed sessions between scripted clients and one scripted policy.

    Args:
        traits: arrays of shape (personas,), see `traits.TRAITS`.
        persona_ids: the personas' ids, from which their effects are hashed.
        policy: name of a shipped policy.
        session_keys: `records.seeds.session_key` of every session, shape (personas,) or (personas, sessions).
        opener: `therapist` or `client`.
        max_turns: turn limit of the protocol.

    Raises:
        UserError: unknown policy or opener, a missing trait, or shapes that do not agree.
    """
    if opener not in ("therapist", "client"):
        raise UserError(f"opener: '{opener}' is neither 'therapist' nor 'client'")
    if session_keys.ndim not in (1, 2) or session_keys.shape[0] != len(persona_ids):
        raise UserError(
            f"session_keys: shape {session_keys.shape} does not start with the number of personas, {len(persona_ids)}"
        )
    policy_numbers(policy)  # a wrong name is told before anything is computed
    shape = session_keys.shape
    keys = np.ascontiguousarray(session_keys, dtype=np.uint64).ravel()
    persona_of = np.repeat(np.arange(len(persona_ids)), keys.size // max(1, len(persona_ids)))
    manners = np.array([manner_of(persona_id) for persona_id in persona_ids], dtype=np.uint64)
    personas = Drivers(*(np.asarray(values, dtype=np.float64) for values in drivers(traits)))
    lasting = {role: lasting_effect_arrays(role, manners, policy) for role in ("client", "therapist")}
    alone = lasting_effect_arrays("client", manners, "")

    client_seeds = turn_seed_array(keys, -1, "client", slots.SESSION)
    planned = planned_turns(uniforms(client_seeds, slots.PLANNED_LENGTH), personas.patience[persona_of])
    tally = np.zeros((len(COUNTED) + 3, keys.size), dtype=np.uint16)
    sums = np.zeros((2 * len(STATES) + 2, keys.size))
    order = np.argsort(planned, kind="stable")
    for start in range(0, keys.size, CHUNK):
        rows = order[start : start + CHUNK]
        who = persona_of[rows]
        chunk = ChunkOfSessions(
            keys=keys[rows],
            drivers=Drivers(*(values[who] for values in personas)),
            lasting={role: effects[:, who] for role, effects in lasting.items()},
            client_alone=alone[:, who],
            planned=planned[rows],
            policy=policy,
        )
        chunk.run(rows, opener, max_turns, tally, sums)

    client_turns = np.maximum(tally[-2], 1)
    named = {name: tally[index].reshape(shape) for index, name in enumerate(COUNTED)}
    return PlantedCounts(
        policy=policy,
        therapist_turns=tally[-3].reshape(shape),
        client_turns=tally[-2].reshape(shape),
        counts=named,
        mean_state={name: (sums[index] / client_turns).reshape(shape) for index, name in enumerate(STATES)},
        final_state={name: sums[len(STATES) + index].reshape(shape) for index, name in enumerate(STATES)},
        therapist_words=sums[-2].reshape(shape),
        client_words=sums[-1].reshape(shape),
        short_client_turns=tally[-1].reshape(shape),
    )
