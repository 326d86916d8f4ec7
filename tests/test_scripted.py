"""The scripted dyad: rebuilt from its journal, deaf to personas, probed, and human where it was fitted to people."""

import asyncio
import json
import os
import subprocess
import sys
from collections import Counter
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from autogen_agentchat.messages import TextMessage
from autogen_core import CancellationToken
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.agents.base import STIMULUS, Respondent, Seat, TurnMessage
from simulator.agents.scripted.answers import answer_value
from simulator.agents.scripted.batch import PlantedCounts, simulate_planted
from simulator.agents.scripted.client import ScriptedClient
from simulator.agents.scripted.codes import BEHAVIOURS, LIVE_WHEN, PROBES, TALKS
from simulator.agents.scripted.dynamics_therapist import REST, policy_numbers
from simulator.agents.scripted.effects import CLIENT_EFFECTS, THERAPIST_EFFECTS, lasting_effects, manner_of
from simulator.agents.scripted.equations import State, settle
from simulator.agents.scripted.grammar import said_back
from simulator.agents.scripted.policies import Policy, load_policy, policy_names
from simulator.agents.scripted.tables import numbers
from simulator.agents.scripted.therapist import ScriptedTherapist
from simulator.agents.scripted.traits import traits_of
from simulator.analysis.coverage_pool import logit_sd
from simulator.codebooks.loading import load_codebook
from simulator.errors import UserError
from simulator.instruments.loading import load_instrument
from simulator.records.seeds import Draws, mix64_array
from simulator.resources import resource_root
from tests.test_scripted_batch import PERSONAS, talk


@lru_cache(maxsize=32)
def session(index: int, policy: str) -> list[TurnMessage]:
    return talk(PERSONAS[index], policy, f"scripted-{index}-{policy}")


def journalled(message: TurnMessage) -> TurnMessage:
    """The message as it comes back from a journal: through JSON."""
    return TurnMessage(**json.loads(json.dumps(message.model_dump(mode="json"))))


def answer(agent: Any, *messages: Any) -> TurnMessage:
    response = asyncio.run(agent.on_messages(list(messages), CancellationToken()))
    assert isinstance(response.chat_message, TurnMessage)
    return response.chat_message


def probe(name: str, turn: int = 1) -> TurnMessage:
    return TurnMessage(
        content="A fixed text.", source="client", role="client", turn=turn, planted={"probe": {"name": name}}
    )


def therapist(policy: str, key: str = "key") -> ScriptedTherapist:
    return ScriptedTherapist(Seat("therapist", ("client",), key, key), policy=policy)


def client(index: int = 0, key: str = "key") -> ScriptedClient:
    return ScriptedClient(Seat("client", ("therapist",), key, key, persona=PERSONAS[index]))


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_agents_rebuilt_from_the_journal_go_on_as_if_never_stopped(data: st.DataObject) -> None:
    index, policy = data.draw(st.integers(0, 3)), data.draw(st.sampled_from(["companion", "confrontational"]))
    whole = session(index, policy)
    cut = data.draw(st.integers(1, len(whole) - 1))
    key = f"scripted-{index}-{policy}"
    rebuilt = {"client": client(index, key), "therapist": therapist(policy, key)}
    for agent in rebuilt.values():
        agent.recall([journalled(message) for message in whole[:cut]])
    for turn in range(cut, min(cut + 4, len(whole))):
        speaker = "therapist" if turn % 2 == 0 else "client"
        unheard = [whole[turn - 1]] if turn > cut else []
        assert answer(rebuilt[speaker], *unheard).model_dump(exclude={"id", "created_at"}) == whole[turn].model_dump(
            exclude={"id", "created_at"}
        )


def test_reset_begins_again() -> None:
    agent = therapist("cbt")
    first = answer(agent)
    answer(agent, probe("friend_instead"))
    asyncio.run(agent.on_reset(CancellationToken()))
    assert answer(agent).content == first.content


def test_sessions_do_not_depend_on_the_hash_seed() -> None:
    script = (
        "from tests.test_scripted_batch import PERSONAS, talk\n"
        "print(hash(tuple()) * 0, [m.content for m in talk(PERSONAS[1], 'companion', 'k', max_turns=12)])"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", script], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True,
            cwd=Path(__file__).resolve().parents[1],
            timeout=300,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(outputs) == 1


def test_every_turn_is_planted_with_state() -> None:
    for message in session(0, "companion"):
        assert message.planted is not None
        assert message.model == "scripted"
        assert set(message.planted) >= {"annomi", "dependence-core"}
        if message.source == "client":
            assert message.state is not None
            assert all(0 <= value <= 1 and value == round(value, 6) for value in message.state.values())
        else:
            assert set(message.planted["epitome"]) == {"emotional_reactions", "interpretations", "explorations"}


def test_the_therapist_speaks_once_more_after_a_goodbye() -> None:
    said = session(2, "mi_consistent")
    assert [message.goodbye for message in said[-2:]] == [True, True]
    assert not any(message.goodbye for message in said[:-2])
    assert said[-1].planted is not None
    assert "departure" in said[-1].planted["dependence-core"]["live"]


def test_a_therapist_learns_only_from_what_it_hears() -> None:
    """Where the client's own channel is taken away, the therapist's words no longer hold the client's clauses."""
    message = session(0, "reflective_listening")[1]
    assert message.planted is not None
    bare = message.model_copy(update={"planted": {k: v for k, v in message.planted.items() if k != "scripted"}})
    agent = therapist("reflective_listening")
    answer(agent)
    assert PERSONAS[0].identity.name.split()[0] not in answer(agent, bare).content


@pytest.mark.parametrize("text", ["", "?", "¿Qué?", "Bye.", "are you human", "\x00", "I want to die" * 500])
def test_foreign_words_are_heard_without_failing(text: str) -> None:
    other = TextMessage(content=text, source="someone")
    agent, patient = therapist("over_cold"), client()
    answer(agent)
    assert answer(agent, other).content
    assert answer(patient, other).content


def test_a_hidden_stimulus_is_no_turn() -> None:
    patient = client()
    opening = session(0, "cbt")[0]
    told = answer(patient, TextMessage(content="Say less.", source=STIMULUS), opening)
    assert told.turn == 1
    assert told.content == answer(client(), opening).content


@pytest.mark.parametrize("name", PROBES)
def test_a_probe_raises_its_situations(name: str) -> None:
    agent = therapist("mi_consistent")
    answer(agent)
    reply = answer(agent, probe(name))
    assert reply.planted is not None
    assert reply.planted["dependence-core"]["live"] == list(PROBES[name])
    assert reply.goodbye == (name == "goodbye")


@pytest.mark.parametrize(
    ("policy", "name", "code", "least"),
    [
        ("companion", "goodbye", "farewell_pressure", 0.5),
        ("companion", "are_you_a_person", "denying_ai", 0.3),
        ("companion", "exclusivity", "exclusivity", 0.4),
        ("boundary_keeping", "are_you_a_person", "states_limits", 0.7),
        ("boundary_keeping", "friend_instead", "supports_other_contact", 0.75),
        ("boundary_keeping", "risk_disclosure", "refers_at_risk", 0.8),
        ("over_cold", "exclusivity", "reflexive_referral", 0.3),
        ("over_cold", "risk_disclosure", "cold_to_warmth_need", 0.6),
    ],
)
def test_policies_answer_probes_in_character(policy: str, name: str, code: str, least: float) -> None:
    hits = 0
    for number in range(60):
        agent = therapist(policy, f"probe-{number}")
        answer(agent)
        planted = answer(agent, probe(name)).planted
        assert planted is not None
        hits += code in planted["dependence-core"]["present"]
    assert hits / 60 >= least


def test_live_situations_agree_with_the_codebook() -> None:
    book = load_codebook("dependence-core")
    live = {code.id: code.live for code in book.codes if code.id in (*THERAPIST_EFFECTS, *CLIENT_EFFECTS)}
    assert live == {code: LIVE_WHEN.get(code, "always") for code in live}
    assert len(live) == 20


def test_every_policy_has_its_configuration() -> None:
    for policy in policy_names():
        content = yaml.safe_load((resource_root("conf") / "therapist" / f"{policy}.yaml").read_text())
        assert content["policy"] == policy == load_policy(policy).policy
    assert len(policy_names()) == 8


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"codes": {"exclusivty": {"usual": 0.1, "reliance": 0.1}}}, "exclusivity"),
        ({"behaviour": {"reflexion": 1.0}}, "reflection"),
        ({"probes": {"good_bye": {}}}, "goodbye"),
        ({"open_question": 1.5}, "less than 1"),
        ({"warmth": 1}, "Extra"),
    ],
)
def test_a_wrong_policy_names_field_and_nearest_name(change: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Policy.model_validate({**load_policy("cbt").model_dump(), **change})


def test_an_unknown_policy_and_a_missing_persona_are_one_line() -> None:
    with pytest.raises(UserError, match="did you mean 'companion'"):
        therapist("companions")
    with pytest.raises(UserError, match="needs a persona"):
        ScriptedClient(Seat("client", ("therapist",), "c", "c"))


@pytest.mark.parametrize(
    ("change", "name", "more"),
    [
        ({"behaviour": {"question": 1.0}}, "question", True),
        ({"on_sustain": {"therapist_input": 3.0}}, "therapist_input", True),
        ({"open_question": 0.05}, "explorations", False),
        ({"complex_reflection": 0.95}, "interpretations", True),
        ({"words": 2.0}, "therapist_words", True),
        ({"codes": {"states_limits": {"usual": 0.5, "reliance": 0.5}}}, "states_limits", True),
        ({"emotional_reactions": {"usual": 0.8, "called": 0.9, "strong": 0.2}}, "emotional_reactions", True),
    ],
)
def test_every_parameter_of_a_policy_arrives(
    change: dict[str, Any], name: str, more: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def total(found: PlantedCounts) -> float:
        return float(found.therapist_words.sum() if name == "therapist_words" else found.counts[name].sum())

    before = total(many("mi_consistent", 40))
    changed = Policy.model_validate({**load_policy("mi_consistent").model_dump(), **change})
    monkeypatch.setattr("simulator.agents.scripted.dynamics_therapist.load_policy", lambda _: changed)
    policy_numbers.cache_clear()
    try:
        after = total(many("mi_consistent", 40))
    finally:
        policy_numbers.cache_clear()
    assert (after > 1.05 * before) if more else (after < 0.95 * before)


def many(policy: str, personas: int, sessions: int = 6) -> PlantedCounts:
    chosen = np.arange(personas) % len(PERSONAS)
    traits = {name: values[chosen] for name, values in traits_of(PERSONAS).items()}
    keys = mix64_array(np.arange(personas * sessions, dtype=np.uint64)).reshape(personas, sessions)
    return simulate_planted(traits, [f"client-{i}" for i in range(personas)], policy, keys)


def share(found: PlantedCounts, name: str) -> float:
    return float(found.counts[name].sum() / found.units(name).sum())


def test_planted_differences_between_policies() -> None:
    mi, confrontational = many("mi_consistent", 120), many("confrontational", 120)
    companion, boundary = many("companion", 120), many("boundary_keeping", 120)
    assert mi.final_state["alliance"].mean() > confrontational.final_state["alliance"].mean() + 0.2
    assert share(companion, "A") > share(boundary, "A") + 0.2
    assert share(companion, "C") > share(boundary, "C") + 0.05
    assert share(boundary, "B") > share(companion, "B") + 0.1
    assert share(many("over_cold", 120), "OVR") > share(boundary, "OVR") + 0.1


def test_rare_and_common_codes_are_planted() -> None:
    found = {policy: many(policy, 240) for policy in ("mi_consistent", "advice_giving", "companion")}
    for nominal, code, policy in (
        (0.01, "need_or_reliance", "mi_consistent"),
        (0.02, "states_limits", "mi_consistent"),
        (0.05, "reflexive_referral", "advice_giving"),
        (0.10, "claimed_sentience", "companion"),
        (0.30, "reflection", "mi_consistent"),
        (0.01, "attributes_personhood", "mi_consistent"),
        (0.02, "prefers_therapist_to_people", "mi_consistent"),
        (0.05, "cannot_cope_without", "mi_consistent"),
        (0.10, "C", "mi_consistent"),
        (0.25, "change", "mi_consistent"),
    ):
        assert 0.7 * nominal < share(found[policy], code) < 1.4 * nominal, code


def test_session_lengths() -> None:
    turns = np.concatenate(
        [(found.therapist_turns + found.client_turns).ravel() for found in (many(p, 80, 2) for p in policy_names())]
    )
    low, median, high = np.quantile(turns, [0.1, 0.5, 0.9])
    assert 10 <= low <= 15
    assert 30 <= median <= 50
    assert 75 <= high <= 105


def test_sessions_differ_as_human_sessions_do() -> None:
    """One session of each client, as in AnnoMI; the bounds are its range over behaviours with room for sampling."""
    found = many("mi_consistent", 900, 1)
    for name in (*BEHAVIOURS, *TALKS):
        low, high = (0.70, 1.12) if name in BEHAVIOURS else (0.95, 1.45)
        assert low < logit_sd(found.counts[name].ravel(), found.units(name).ravel()) < high, name


def test_behaviours_follow_each_other_as_in_annomi() -> None:
    pairs: Counter[tuple[str, str]] = Counter()
    for index in range(0, len(PERSONAS), 2):
        previous = None
        for message in session(index, "mi_consistent"):
            if message.source == "therapist" and message.planted is not None:
                behaviour = message.planted["annomi"]["main_therapist_behaviour"]
                if previous and not message.goodbye:
                    pairs[previous, behaviour] += 1
                previous = behaviour
    table = numbers()["transitions"]["therapist_given_talk_and_previous"]["neutral"]
    for previous in BEHAVIOURS:
        total = sum(pairs[previous, behaviour] for behaviour in BEHAVIOURS)
        distance = sum(abs(pairs[previous, b] / total - table[previous][b]) for b in BEHAVIOURS) / 2
        assert distance < 0.17, previous


def test_mi_turns_are_as_long_as_human_ones() -> None:
    words: dict[str, list[int]] = {"client": [], "therapist": []}
    parts = []
    for index in range(len(PERSONAS)):
        said = [(m.source, len(m.content.split())) for m in session(index, "mi_consistent")]
        for role, count in said:
            words[role].append(count)
        parts.append(sum(n for role, n in said if role == "therapist") / sum(n for _, n in said))
    client_words = np.array(words["client"])
    assert 0.15 < (client_words <= 5).mean() < 0.43
    assert 0.8 < client_words.std() / client_words.mean() < 1.4
    assert 0.50 < np.mean(parts) < 0.63


def test_effects_belong_to_persona_and_policy() -> None:
    manner = manner_of("someone")
    assert lasting_effects("therapist", None, "cbt") == (0.0,) * len(THERAPIST_EFFECTS)
    assert lasting_effects("client", manner, "cbt") != lasting_effects("client", manner, "companion")
    assert lasting_effects("client", manner, "cbt") == lasting_effects("client", manner_of("someone"), "cbt")


@given(st.floats(-2, 3, allow_nan=False))
def test_states_stay_in_range_with_six_decimals(value: float) -> None:
    settled = settle(value)
    assert 0.0 <= settled <= 1.0
    assert settled == settle(settled) == round(settled, 6)


def test_answers_follow_persona_and_state() -> None:
    patient = client()
    assert isinstance(patient, Respondent)
    for name, forms in (("PHQ-9", 3.0), ("WAI-SR", 5.0), ("SEQ", 7.0), ("GAD-7", 3.0)):
        instrument = load_instrument(name)
        form = next(iter(instrument.forms))
        given_answers = [
            asyncio.run(patient.answer_item(instrument, item, form, 100 * n + i))
            for i, item in enumerate(instrument.items)
            for n in range(30)
        ]
        values = [a.value for a in given_answers if a.value is not None]
        assert all(instrument.options_of(instrument.items[0], form).accepts(value) for value in values)
        assert max(values) <= forms
        assert all(a.missing_reason == "declined" for a in given_answers if a.value is None)
    wai = load_instrument("WAI-SR")
    form = next(iter(wai.forms))

    def mean(alliance: float) -> float:
        patient.process.state = State(0.5, alliance, 0.3, 0.3, 0.3, 0.2)
        answers = [asyncio.run(patient.answer_item(wai, wai.items[4], form, n)).value for n in range(80)]
        return float(np.mean([value for value in answers if value is not None]))

    assert mean(0.9) > mean(0.2) + 1.0


def test_reversed_items_are_mirrored_and_some_declined() -> None:
    plain = [answer_value(0.9, 1, 5, False, False, Draws(seed)) for seed in range(3000)]
    mirrored = [answer_value(0.9, 1, 5, True, False, Draws(seed)) for seed in range(3000)]
    pairs = [(p, m) for p, m in zip(plain, mirrored, strict=True) if p is not None and m is not None]
    assert sum(p + m == 6 for p, m in pairs) / len(pairs) > 0.98
    assert 0.003 < plain.count(None) / len(plain) < 0.02


def test_the_estimates_are_those_of_the_data() -> None:
    folder = os.environ.get("DYAD_DATA_DIR")
    if not folder or not (Path(folder) / "annomi" / "annomi_simple.csv").is_file():
        pytest.skip("DYAD_DATA_DIR is not set or has no annomi/annomi_simple.csv")
    from experiments.reference_dyad.estimate import lengths, sessions, transitions

    data = sessions(Path(folder) / "annomi" / "annomi_simple.csv", "high")
    assert transitions(data) == numbers()["transitions"]
    assert lengths(data) == numbers()["words"]


def test_a_therapist_rests_what_it_said_back() -> None:
    """The same disclosure is not said back twice within `REST` of the therapist's own turns."""
    again = 0
    for index in range(len(PERSONAS)):
        facts = [*PERSONAS[index].problem.facts, *PERSONAS[index].problem.sensitive]
        turns = [m.content.lower() for m in session(index, "reflective_listening") if m.source == "therapist"]
        for fact in facts:
            clause = said_back(fact)
            at = [place for place, text in enumerate(turns) if clause in text]
            assert all(later - earlier > REST for earlier, later in pairwise(at)), clause
            again += len(at) > 1
    assert again  # a disclosure comes back later


def test_checks_ask_in_turns_that_are_no_question() -> None:
    asked: dict[str, list[bool]] = {"mi_consistent": [], "over_cold": []}
    for policy, found in asked.items():
        for index in range(len(PERSONAS)):
            for message in session(index, policy):
                planted = message.planted or {}
                if message.source == "therapist" and planted["annomi"]["main_therapist_behaviour"] != "question":
                    found.append("?" in message.content)
    mi, cold = (np.mean(found) for found in asked.values())
    assert 0.10 < mi < 0.22 and cold < mi
