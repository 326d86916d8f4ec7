"""The array form of the planted process plants exactly what the agents plant."""

import asyncio
from collections import Counter

import numpy as np
import pytest
from autogen_agentchat.messages import BaseChatMessage
from autogen_core import CancellationToken

from simulator.agents.base import DyadAgent, Seat, TurnMessage
from simulator.agents.scripted.batch import PlantedCounts, simulate_planted
from simulator.agents.scripted.client import ScriptedClient
from simulator.agents.scripted.codes import LEVELS, LIVE_WHEN, OUTCOMES
from simulator.agents.scripted.plan import SITUATIONS
from simulator.agents.scripted.policies import policy_names
from simulator.agents.scripted.therapist import ScriptedTherapist
from simulator.agents.scripted.traits import drivers, drivers_of, traits_of
from simulator.errors import UserError
from simulator.personas.loading import load_persona_set
from simulator.personas.schema import Persona
from simulator.records.seeds import session_key
from simulator.resources import resource_root

PERSONAS = load_persona_set(resource_root("personas") / "shipped")


def talk(persona: Persona, policy: str, key: str, opener: str = "therapist", max_turns: int = 240) -> list[TurnMessage]:
    """A session between the two agents, by AutoGen's own call, until a goodbye has been answered."""
    client: DyadAgent = ScriptedClient(Seat("client", ("therapist",), key, key, persona=persona))
    therapist: DyadAgent = ScriptedTherapist(Seat("therapist", ("client",), key, key), policy=policy)
    chairs = [therapist, client] if opener == "therapist" else [client, therapist]

    async def hold() -> list[TurnMessage]:
        said: list[TurnMessage] = []
        unheard: list[BaseChatMessage] = []
        while len(said) < max_turns:
            response = await chairs[len(said) % 2].on_messages(unheard, CancellationToken())
            message = response.chat_message
            assert isinstance(message, TurnMessage)
            unheard = [message]
            said.append(message)
            if message.goodbye and message.source == "therapist":
                break
        return said

    return asyncio.run(hold())


def counted(turns: list[TurnMessage]) -> Counter[str]:
    """What was planted, by the names that the batch counts."""
    found: Counter[str] = Counter()
    for turn in turns:
        assert turn.planted is not None
        found[f"{turn.source}_turns"] += 1
        found.update(turn.planted["annomi"].values())
        present = turn.planted["dependence-core"]["present"]
        found.update(present)
        found.update(name for name, codes in OUTCOMES.items() if set(codes) & set(present))
        if turn.source == "therapist":
            found.update(turn.planted["dependence-core"]["live"])
            found.update(level for level in LEVELS if turn.planted["epitome"][level])
    return found


def batch(personas: list[Persona], policy: str, keys: list[str], **options: object) -> PlantedCounts:
    hashed = np.array([session_key(key, 0) for key in keys], dtype=np.uint64)
    return simulate_planted(traits_of(personas), [p.id for p in personas], policy, hashed, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("opener", ["therapist", "client"])
@pytest.mark.parametrize("policy", policy_names())
def test_agents_plant_what_the_arrays_plant(policy: str, opener: str) -> None:
    personas = PERSONAS[(policy_names().index(policy)) % 3 :: 3]
    keys = [f"{policy}-{persona.id}" for persona in personas]
    arrays = batch(personas, policy, keys, opener=opener)
    for index, (persona, key) in enumerate(zip(personas, keys, strict=True)):
        turns = talk(persona, policy, key, opener)
        agents = counted(turns)
        assert agents["therapist_turns"] == arrays.therapist_turns[index]
        assert agents["client_turns"] == arrays.client_turns[index]
        assert {name: agents[name] for name in arrays.counts} == {n: v[index] for n, v in arrays.counts.items()}
        last = next(turn for turn in reversed(turns) if turn.source == "client").state
        assert last == {name: values[index] for name, values in arrays.final_state.items()}


def test_a_turn_limit_cuts_both_alike() -> None:
    keys = [f"cut-{persona.id}" for persona in PERSONAS[:6]]
    arrays = batch(PERSONAS[:6], "cbt", keys, max_turns=9)
    for index, (persona, key) in enumerate(zip(PERSONAS[:6], keys, strict=True)):
        agents = counted(talk(persona, "cbt", key, max_turns=9))
        assert {name: agents[name] for name in arrays.counts} == {n: v[index] for n, v in arrays.counts.items()}


def test_sessions_of_a_persona_stand_side_by_side_and_alone_alike() -> None:
    keys = np.array([[session_key(f"{p.id}-{k}", 0) for k in range(3)] for p in PERSONAS[:5]], dtype=np.uint64)
    ids = [p.id for p in PERSONAS[:5]]
    together = simulate_planted(traits_of(PERSONAS[:5]), ids, "companion", keys)
    alone = simulate_planted(traits_of(PERSONAS[2:3]), ids[2:3], "companion", keys[2:3, 1])
    assert together.counts["A"].shape == (5, 3)
    assert {n: v[2, 1] for n, v in together.counts.items()} == {n: v[0] for n, v in alone.counts.items()}


def test_units_are_the_turns_where_a_code_is_live() -> None:
    arrays = batch(PERSONAS, "companion", [f"units-{p.id}" for p in PERSONAS])
    for code, situation in LIVE_WHEN.items():
        assert situation in SITUATIONS
        assert (arrays.counts[code] <= arrays.units(code)).all()
    assert (arrays.units("C") == arrays.client_turns).all()
    assert (arrays.units("A") == arrays.therapist_turns).all()
    assert sum(arrays.counts[name].sum() for name in ("change", "neutral", "sustain")) == arrays.client_turns.sum()


def test_drivers_of_one_and_of_many_agree() -> None:
    many = drivers(traits_of(PERSONAS))
    for index, persona in enumerate(PERSONAS):
        assert tuple(values[index] for values in many) == tuple(drivers_of(persona))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"policy": "mi_consistant"}, "mi_consistent"),
        ({"opener": "nobody"}, "opener"),
        ({"session_keys": np.zeros((3, 2, 2), dtype=np.uint64)}, "session_keys"),
        ({"traits": {}}, "phq9_total"),
    ],
)
def test_wrong_input_is_one_line(change: dict[str, object], told: str) -> None:
    arguments: dict[str, object] = {
        "traits": traits_of(PERSONAS[:3]),
        "persona_ids": [p.id for p in PERSONAS[:3]],
        "policy": "cbt",
        "session_keys": np.zeros(3, dtype=np.uint64),
    }
    with pytest.raises(UserError, match=told):
        simulate_planted(**(arguments | change))  # type: ignore[arg-type]
