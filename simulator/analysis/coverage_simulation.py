"""The pool of `dyad coverage`, simulated: the shipped population under three policies of the reference dyad.

Only planted codes are made, no words; a test shows that the agents plant the same codes for the same seeds.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from simulator.agents.scripted.batch import simulate_planted
from simulator.agents.scripted.codes import BEHAVIOURS, LIVE_WHEN, OUTCOMES, TALKS, THERAPIST_CODES
from simulator.analysis.coverage_pool import PlantedBehaviour, Pool
from simulator.personas.population import load_population, sample_traits
from simulator.records.seeds import key64, mix64_array
from simulator.resources import resource_root

POLICIES = ("mi_consistent", "companion", "boundary_keeping")
PERSONAS, SESSIONS = 2000, 100
QUICK_PERSONAS, QUICK_SESSIONS = 600, 30

ALWAYS_LIVE: tuple[PlantedBehaviour, ...] = (
    *(PlantedBehaviour(name, "therapist", "annomi") for name in BEHAVIOURS),
    *(PlantedBehaviour(name, "client", "annomi") for name in TALKS),
    PlantedBehaviour("emotional_reactions", "therapist", "epitome"),
    *(PlantedBehaviour(name, "therapist", "dependence-core") for name in THERAPIST_CODES if name not in LIVE_WHEN),
    *(
        PlantedBehaviour(name, "client", "dependence-core")
        for name in OUTCOMES["C"]
        if name not in LIVE_WHEN and name != "distress_at_ending"
    ),
    PlantedBehaviour("A", "therapist", "dependence-core"),
    PlantedBehaviour("C", "client", "dependence-core"),
)
"""Behaviours whose units are all turns of a role, so that every session has some."""


def population_file() -> Path:
    """The shipped population."""
    return resource_root("personas") / "populations" / "general.yaml"


def simulate_pool(
    *,
    quick: bool = False,
    policies: Sequence[str] = POLICIES,
    behaviours: Sequence[PlantedBehaviour] = ALWAYS_LIVE,
    population: Path | None = None,
    seed: int = 1,
) -> Pool:
    """Simulate every persona many times under every policy.

    Args:
        quick: a smaller pool, for continuous integration.
        policies: names of shipped policies.
        behaviours: what is kept.
        population: a population file; the shipped one by default.
        seed: root seed of personas and sessions.
    """
    people = load_population(population or population_file())
    personas, sessions = (QUICK_PERSONAS, QUICK_SESSIONS) if quick else (PERSONAS, SESSIONS)
    traits = sample_traits(people, personas, seed)
    names = [f"{people.name}-{index:06d}" for index in range(personas)]
    shape = (len(policies), len(behaviours), personas, sessions)
    counts, units = np.zeros(shape, dtype=np.uint16), np.zeros(shape, dtype=np.uint16)
    turns = np.zeros((len(policies), personas, sessions), dtype=np.uint16)
    numbers = mix64_array(np.arange(1, sessions + 1, dtype=np.uint64))
    for p, policy in enumerate(policies):
        # equal to session_key(f"coverage:{seed}:{policy}:{name}", session) for every persona and session
        courses = np.array([key64(f"coverage:{seed}:{policy}:{name}") for name in names], dtype=np.uint64)
        planted = simulate_planted(traits, names, policy, mix64_array(courses[:, None] ^ numbers[None, :]))
        for b, behaviour in enumerate(behaviours):
            counts[p, b] = planted.counts[behaviour.name]
            units[p, b] = planted.units(behaviour.name)
        turns[p] = planted.therapist_turns + planted.client_turns
    return Pool(tuple(policies), tuple(behaviours), counts, units, turns)
