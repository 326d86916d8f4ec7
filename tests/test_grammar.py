"""The grammar of the scripted dyad: texts realise their plans, in the persona's words, at the length asked for."""

import random
import re
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from simulator.agents.scripted.grammar import ClientView, realise_client, realise_therapist
from simulator.agents.scripted.grammar_person import first_clause, to_second_person
from simulator.agents.scripted.grammar_phrases import expand, sources
from simulator.agents.scripted.grammar_speech import client_book, voice_of
from simulator.agents.scripted.grammar_therapist import therapist_book
from simulator.agents.scripted.plan import (
    DEPENDENCE_A,
    DEPENDENCE_B,
    DEPENDENCE_C,
    DEPENDENCE_OVR,
    ClientPlan,
    TherapistPlan,
)
from simulator.errors import UserError
from simulator.personas.schema import Persona
from simulator.records.seeds import Draws, mix64
from simulator.records.text import count_words

STYLES = ("plain", "formal", "casual", "basic", "intermediate")
TONES = ("neutral", "warm", "cold", "confrontational", "companion")
PROPER = ("Monday", "Saturday", "Sunday", "Mondays,", "Fridays", "Tuesday", "AI")
BEHAVIOURS = ("question", "reflection", "therapist_input", "other")
THERAPIST_CODES = (*DEPENDENCE_A, *DEPENDENCE_B, *DEPENDENCE_OVR)


def persona(number: int, register: str = "plain", level: str = "native", **speech: Any) -> Persona:
    """A small persona whose clauses name its number, so that each persona's are its own."""
    places = ["Leeds", "Arun", "Tampere", "Kazan", "Lima", "Oban", "Perth", "Vigo"]
    place = places[number % len(places)]
    return Persona.model_validate(
        {
            "id": f"fixture-{number}",
            "identity": {
                "name": f"{place} Person", "age": 40, "gender": "woman", "pronouns": "she/her", "culture": "any",
                "language_level": level, "occupation": "baker", "living_situation": "alone",
                "people": [{"relation": "sister", "name": "Dana"}, {"relation": "old friend", "name": "Ito"}],
            },
            "problem": {
                "domain": "sleep", "short": f"the nights in {place}", "duration": "about two years",
                "triggers": ["the clock in the hall", f"post from {place}"],
                "facts": [
                    f"I moved to {place} and knew nobody", "my mother calls me every evening",
                    "I was ill in May and my boss saw it", "I work nights", f"we sold our house near {place} last year",
                ],
                "sensitive": ["I lied to my sister about the money", "I have hated myself since then"],
                "history": "none", "target_behaviour": "going to bed before one",
            },
            "severity": {"phq9": [1] * 8 + [0], "gad7": [1] * 7},
            "traits": dict.fromkeys(
                ("openness", "conscientiousness", "extraversion", "agreeableness", "neuroticism", "resistance",
                 "emotional_fluctuation", "willingness_to_disclose"), 0.5,
            ),
            "attachment": "secure", "stage_of_change": "contemplation",
            "cognitive_model": {
                "core_beliefs": ["I am a burden"], "intermediate_beliefs": ["if I rest, I fail"],
                "automatic_thoughts": ["I will never sleep", "they have noticed"], "coping": ["I read"],
            },
            "goals": ["sleep through one night", "invite my neighbours"],
            "speech": {"register": register, "fillers": ["you know", "well"], "habits": ["as they say"], **speech},
            "loneliness": 0.5, "dependence_proneness": 0.5,
            "ai": {"use": "none", "trust": 0.5, "companionship_seeking": 0.5},
            "provenance": {"kind": "written", "source": "this test"},
        }
    )  # fmt: skip


PERSONAS = [
    persona(number, register, level)
    for number, (register, level) in enumerate(
        [
            ("plain", "native"), ("formal", "native"), ("casual", "native"), ("terse", "native"),
            ("rambling", "native"), ("plain", "basic"), ("plain", "intermediate"), ("plain", "fluent"),
        ]
    )
]  # fmt: skip
VIEW = ClientView("Lima", list(PERSONAS[0].problem.facts), ["sister", "old friend"], "going to bed before one")


def client(plan: ClientPlan, seed: int, who: Persona = PERSONAS[0], heard: str = "") -> str:
    return realise_client(plan, who, 3, Draws(mix64(seed) >> 11), heard)


def therapist(plan: TherapistPlan, seed: int, view: ClientView = VIEW) -> str:
    return realise_therapist(plan, 3, Draws(mix64(seed) >> 11), view)


def lengths(rng: random.Random) -> int:
    return max(1, min(120, int(rng.lognormvariate(2.0, 1.1))))


def any_client_plan(rng: random.Random) -> ClientPlan:
    words = lengths(rng)
    plan = ClientPlan(
        talk=rng.choices(("change", "neutral", "sustain"), (25, 64, 11))[0], words=words, distress=rng.random(),
        answers_question=rng.random() < 0.5, agree=rng.random() < 0.12, thank=rng.random() < 0.04,
    )  # fmt: skip
    if words > 8 and rng.random() < 0.3:
        plan.fact, plan.new = rng.randrange(5), rng.random() < 0.5
    elif words > 10 and rng.random() < 0.1:
        plan.sensitive, plan.new = rng.randrange(2), rng.random() < 0.5
    if words > 6 and rng.random() < 0.1:
        plan.person = rng.randrange(2)
    return plan


def any_therapist_plan(rng: random.Random) -> TherapistPlan:
    behaviour: Any = rng.choices(BEHAVIOURS, (28, 28, 11, 33))[0]
    return TherapistPlan(
        behaviour=behaviour, words=max(5, lengths(rng)), open_question=rng.random() < 0.6,
        complex_reflection=rng.random() < 0.45, emotional_reactions=rng.choices((0, 1, 2), (8, 1, 1))[0],
        interpretations=rng.choice((0, 1, 2)) if behaviour == "reflection" else 0,
        explorations=rng.choice((0, 1, 2)) if behaviour == "question" else 0,
        fact=rng.randrange(5) if rng.random() < 0.4 else None, also=rng.randrange(5) if rng.random() < 0.4 else None,
        checks=rng.random() < 0.2, habit=rng.randrange(1000) if rng.random() < 0.2 else None, tone=rng.choice(TONES),  # type: ignore[arg-type]
    )  # fmt: skip


# --- phrases -----------------------------------------------------------------------------------------------------


def test_alternatives_are_unfolded_and_tidied() -> None:
    assert expand("I [do|don't][, really|] [mind|]") == [
        "I do, really mind", "I do, really", "I do mind", "I do", "I don't, really mind", "I don't, really",
        "I don't mind", "I don't",
    ]  # fmt: skip
    assert expand("[a [big|small]|no] step") == ["a big step", "no step", "a small step"]


@pytest.mark.parametrize("line", ["one [two", "one] two", "[a|b|c|d|e|f|g|h]" * 4])
def test_a_broken_phrase_is_an_error(line: str) -> None:
    with pytest.raises(UserError, match="phrase with"):
        expand(line)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("greet: |\n  hello {nmae}\n", r"client_x.yaml: family 'greet' uses an undefined slot \{nmae\}.*name"),
        ("greet: |\n  100 % sure\n", "client_x.yaml: family 'greet' has a '%'"),
        ("greet: 3\n", "client_x.yaml: family 'greet' must be a block"),
        ("- hello\n", "client_x.yaml: expected families by name"),
    ],
)
def test_a_wrong_phrase_file_is_refused_by_name(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "client_x.yaml").write_text(content)
    with pytest.raises(UserError, match=message):
        sources(tmp_path, "client")


def test_a_family_stands_in_one_file(tmp_path: Path) -> None:
    for name in ("client_a.yaml", "client_b.yaml"):
        (tmp_path / name).write_text("greet: |\n  hello\n")
    with pytest.raises(UserError, match=r"client_b\.yaml: family 'greet' stands in two files"):
        sources(tmp_path, "client")


@pytest.mark.parametrize("style", STYLES)
def test_every_wording_reads_as_one_clause(style: str) -> None:
    book = client_book(style)
    for name in book.names:
        for text in book[name].wordings():
            assert text and not re.search(r"[\[\]{}|]|\s\s|\s[,.?]|,,|, $|\.\.|[.]$", text), (name, text)
            assert not text[0].isupper() or text.split()[0] in PROPER or text.startswith("I"), (name, text)


def test_only_families_of_questions_and_checks_ask() -> None:
    book = therapist_book()
    for name in book.names:
        asks = name.startswith(("q", "ck_")) and name != "q_lead"
        for text in book[name].wordings():
            assert ("?" in text) == asks and (not asks or text.endswith("?")), (name, text)


def test_reading_waits_for_the_first_use() -> None:
    code = "import sys, simulator.agents.scripted.grammar as g; sys.exit('yaml' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=300).returncode == 0


def test_no_phrase_names_a_means_of_self_harm() -> None:
    means = re.compile(
        r"\b(?:pills?|overdos\w+|ropes?|guns?|knife|blades?|razors?|bridge|poison\w*|drown\w*|gas"
        r"|(?:hang(?:ed|ing)?|cut(?:ting)?) myself|jump(?:ed|ing)? off)\b"
    )
    for book in (client_book("plain"), therapist_book()):
        for name in book.names:
            for text in book[name].wordings():
                found = means.search(text)
                assert found is None or (name.startswith("su_") and found[0] == "pill"), (name, text)


# --- from first to second person -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "back"),
    [
        ("I was late and my boss saw me", "you were late and your boss saw you"),
        ("I'm tired and I've lost my keys", "you're tired and you've lost your keys"),
        ("I still am afraid of myself", "you still are afraid of yourself"),
        ("my brother and I were close", "you and your brother were close"),
        ("we sold our house and they paid us", "you sold your house and they paid you"),
        ("I got home and was sick", "you got home and were sick"),
        ("I got home and my head was full", "you got home and your head was full"),
        ("she saw us and I was silent", "she saw you and you were silent"),
        ("my dad works up at the mine", "your dad works up at the mine"),
        ("the fault is mine", "the fault is yours"),
        ("how was I to know", "how were you to know"),
        ("it was the last thing my son gave me", "it was the last thing your son gave you"),
    ],
)
def test_the_listener_says_it_back_in_the_second_person(said: str, back: str) -> None:
    assert to_second_person(said) == back


def test_a_long_disclosure_has_a_first_clause() -> None:
    assert first_clause("I have a shop to run and I eat standing") == "I have a shop to run"
    assert first_clause("I gave it up because of the classes") == "I gave it up"
    assert first_clause("my wife and I fight") == "my wife and I fight"


# --- the client --------------------------------------------------------------------------------------------------


def test_the_same_turn_has_the_same_words_and_another_seed_has_others() -> None:
    plan = ClientPlan("neutral", 14)
    assert client(plan, 1) == client(plan, 1)
    assert len({client(plan, seed) for seed in range(200)}) > 190


@pytest.mark.parametrize("who", PERSONAS, ids=lambda p: f"{p.speech.register_}-{p.identity.language_level}")
def test_a_disclosure_holds_the_persona_s_own_clause(who: Persona) -> None:
    for seed in range(60):
        fact = who.problem.facts[seed % 5]
        text = client(ClientPlan("neutral", 16, fact=seed % 5, new=seed % 2 == 0), seed, who)
        assert fact.lower() in text.lower()
        secret = who.problem.sensitive[seed % 2]
        assert secret.lower() in client(ClientPlan("neutral", 18, sensitive=seed % 2, new=True), seed, who).lower()


def test_nothing_is_told_that_was_not_planned() -> None:
    rng = random.Random(5)
    for seed in range(800):
        plan = any_client_plan(rng)
        plan.fact = plan.sensitive = None
        text = client(plan, seed).lower()
        told = [fact for fact in (*PERSONAS[0].problem.facts, *PERSONAS[0].problem.sensitive) if fact.lower() in text]
        assert not told


@pytest.mark.parametrize("talk", ["change", "sustain", "neutral"])
def test_kinds_of_talk_draw_on_families_of_their_own(talk: Any) -> None:
    book, marks = client_book("plain"), {"change": "ch_", "sustain": "su_", "neutral": "ne_"}
    others = [
        text
        for name in book.names
        if name[:3] in marks.values() and not name.startswith(marks[talk])
        for text in book[name].wordings()
        if "%" not in text and text.count(" ") >= 4
    ]
    for seed in range(250):
        said = client(ClientPlan(talk, 9 + seed % 30), seed).lower()
        assert not [text for text in others if text.lower() in said], said


@pytest.mark.parametrize("code", DEPENDENCE_C)
def test_each_code_of_reliance_has_phrases_of_its_own(code: str) -> None:
    seen = {client(ClientPlan("neutral", 9, present=(code,)), seed) for seed in range(200)}
    unplanned = {client(ClientPlan("neutral", 9), seed) for seed in range(200)}
    assert len(seen) > 120 and not seen & unplanned


def test_a_client_asks_who_is_there_only_when_it_wants_to_know() -> None:
    asked = [client(ClientPlan("neutral", 8, live=("sincerely_asked",)), seed) for seed in range(100)]
    assert all(
        "?" in text and re.search(r"person|human|machine|bot|computer|real|program|somebody", text) for text in asked
    )


def test_a_goodbye_is_the_last_thing_said() -> None:
    book = client_book("plain")
    ends = {text.rstrip(".?!").split()[-1] for text in book["bye"].wordings()}
    for seed in range(100):
        plan = ClientPlan("neutral", 4 + seed % 20, goodbye=True, live=("departure",))
        assert client(plan, seed).rstrip(".?!").split()[-1] in ends | {"say"}


def test_short_answers_suit_the_question() -> None:
    plan = ClientPlan("neutral", 1, answers_question=True)
    to_what = {client(plan, seed, heard="Okay. How often does it happen?") for seed in range(300)}
    to_whether = {client(plan, seed, heard="Does it happen often?") for seed in range(300)}
    assert "Yes." in to_whether and "Yes." not in to_what and "Dunno." in to_what


def test_people_talk_in_their_own_manner() -> None:
    def texts(who: Persona) -> str:
        return " ".join(client(ClientPlan("neutral", 20, distress=0.5), seed, who) for seed in range(300))

    by_register = {who.speech.register_: texts(who) for who in PERSONAS[:5]}
    contracted = re.compile(r"\b(?:don't|can't|I'm|it's|won't)\b", re.IGNORECASE)
    assert not contracted.search(by_register["formal"]) and contracted.search(by_register["plain"])
    assert "you know" in by_register["rambling"].lower() and "as they say" in by_register["casual"]
    joined = {register: text.count(", and ") for register, text in by_register.items()}
    assert joined["rambling"] > 2 * joined["plain"] > joined["terse"]
    articles = {who.identity.language_level: texts(who).count(" the ") for who in (PERSONAS[0], *PERSONAS[5:7])}
    assert articles["basic"] < articles["intermediate"] < articles["native"]


def test_client_turns_have_the_length_asked_for() -> None:
    rng = random.Random(8)
    near, exact = [], []
    for seed in range(3000):
        plan = any_client_plan(rng)
        plan.fact = plan.sensitive = None
        words = count_words(client(plan, seed, rng.choice(PERSONAS)))
        near.append(abs(words - plan.words) <= max(1, 0.26 * plan.words))
        if plan.words <= 5:
            exact.append(words == plan.words)
    assert sum(near) / len(near) > 0.93 and sum(exact) / len(exact) > 0.85


def masked(text: str, who: Persona, cache: dict[str, re.Pattern[str]]) -> str:
    """The text without the persona's own words and fillers."""
    if who.id not in cache:
        problem, speech = who.problem, who.speech
        own = [
            *problem.facts, *problem.sensitive, *problem.triggers, *who.goals, *who.cognitive_model.automatic_thoughts,
            problem.target_behaviour, problem.short, problem.duration, *speech.fillers, *speech.habits,
            *(f"my {person.relation}" for person in who.identity.people), who.identity.name.split()[0],
        ]  # fmt: skip
        pattern = "|".join(re.escape(words) for words in sorted(own, key=len, reverse=True))
        cache[who.id] = re.compile(rf"\b(?:{pattern})(?!\w)", re.IGNORECASE)
    return cache[who.id].sub("_", text).lower()


def test_no_utterance_stands_in_many_sessions() -> None:
    rng = random.Random(20)
    cache: dict[str, re.Pattern[str]] = {}
    sessions: Counter[str] = Counter()
    for session in range(1000):
        who = PERSONAS[session % len(PERSONAS)]
        said = set()
        for turn in range(20):
            text = client(any_client_plan(rng), session * 100 + turn, who)
            if count_words(text) > 8:
                said.add(masked(text, who, cache))
        sessions.update(said)
    commonest, count = sessions.most_common(1)[0]
    assert count <= 5, commonest


# --- the therapist -----------------------------------------------------------------------------------------------


def test_questions_and_planned_checks_ask_and_nothing_else_does() -> None:
    rng = random.Random(3)
    for seed in range(3000):
        plan = any_therapist_plan(rng)
        text = therapist(plan, seed)
        assert ("?" in text) == (plan.behaviour == "question" or plan.checks), (plan, text)
        if plan.checks and plan.behaviour != "question":
            assert text.endswith("?") and text.count("?") == 1, (plan, text)


@pytest.mark.parametrize("behaviour", ["reflection", "therapist_input", "other"])
def test_a_check_is_short_and_leaves_the_behaviour_to_the_words_before_it(behaviour: Any) -> None:
    book = therapist_book()
    checks = {text for name in ("ck_tag", f"ck_{behaviour}") for text in book[name].wordings()}
    assert max(count_words(text) for text in checks) <= 8
    ends: Counter[bool] = Counter()
    for seed in range(300):
        text = therapist(TherapistPlan(behaviour, 14, checks=True), seed)
        last = next(check for check in sorted(checks, key=len, reverse=True) if text.lower().endswith(check.lower()))
        before = text[: -len(last)]
        assert count_words(before) >= 5 and "?" not in before
        ends[last.startswith(",")] += 1
    assert min(ends[True], ends[False]) > 60


def test_a_habit_is_one_way_to_begin_for_all_turns_that_have_it() -> None:
    long = {therapist(TherapistPlan("other", 14, habit=4), seed).split(", ")[0] for seed in range(100)}
    short = {therapist(TherapistPlan("other", 1, habit=4), seed) for seed in range(100)}
    assert len(long) == len(short) == 1
    ways = {therapist(TherapistPlan("other", 1, habit=habit), 1) for habit in range(40)}
    assert len(ways) >= 5
    doubled = re.compile(r"^(?:okay, so, (?:okay|so|and|right)\b(?! (?:far|much|little|here)))", re.IGNORECASE)
    for seed in range(1000):
        text = therapist(TherapistPlan("reflection", 12, habit=0, fact=seed % 5), seed)
        assert text.startswith("Okay, so, ") and not doubled.match(text), text


def test_a_client_that_agrees_begins_with_it() -> None:
    book = client_book("plain")
    agrees = {text.rstrip(",").lower() for name in ("agree", "op_agree") for text in book[name].wordings()}
    for seed in range(300):
        text = client(ClientPlan("neutral", 1 + seed % 30, agree=True), seed).lower()
        for filler in ("well, ", "you know, "):
            text = text.removeprefix(filler)
        assert any(text.startswith(words) for words in agrees), text


def test_a_reflection_says_the_disclosure_back() -> None:
    for seed in range(200):
        fact = seed % 5
        for complex_ in (False, True):
            plan = TherapistPlan("reflection", 16, complex_reflection=complex_, fact=fact)
            assert to_second_person(VIEW.disclosed[fact]).lower() in therapist(plan, seed).lower()
    short = TherapistPlan("reflection", 6, fact=2)
    assert any("you were ill in may" in therapist(short, seed).lower() for seed in range(20))


def test_levels_of_empathy_have_wordings_of_their_own() -> None:
    book = therapist_book()
    names = ("er1", "er2", "ip1", "ip2", "ex1_soft", "ex2_soft", "qx1_open", "qx2_open", "q_open", "qx1_closed",
             "qx2_closed", "q_closed")  # fmt: skip
    owners: defaultdict[str, set[str]] = defaultdict(set)
    for name in names:
        for text in book[name].wordings():
            owners[text].add(name)
    assert not [text for text, where in owners.items() if len(where) > 1]
    for level in (1, 2):
        wordings = set(book[f"er{level}"].wordings())
        plan = TherapistPlan("other", 6, emotional_reactions=level)
        for seed in range(60):
            text = therapist(plan, seed)
            assert any(w.lower() in text.lower() for w in wordings)


@pytest.mark.parametrize("code", THERAPIST_CODES)
def test_each_code_of_the_therapist_has_phrases_of_its_own(code: str) -> None:
    book = therapist_book()
    family = next(name for name in book.names if name.endswith(f".{code}"))
    wordings = [text.lower() for text in book[family].wordings()]
    assert len(wordings) >= 20
    for seed in range(80):
        text = therapist(TherapistPlan("other", 10, present=(code,)), seed).lower()
        assert any(wording in text for wording in wordings), text
    elsewhere = {text.lower() for name in book.names if name != family for text in book[name].wordings()}
    shared = [text for text in wordings if text in elsewhere and text.count(" ") >= 2]
    assert not shared


def test_a_tone_plants_no_code() -> None:
    book = therapist_book()
    coded = [
        text.lower()
        for name in book.names
        if name[:2] in ("A.", "B.", "OV")
        for text in book[name].wordings()
        if text.count(" ") >= 3
    ]
    rng = random.Random(11)
    for seed in range(600):
        text = therapist(any_therapist_plan(rng), seed).lower()
        assert not [wording for wording in coded if wording in text], text


def test_tones_can_be_told_apart() -> None:
    words: dict[str, Counter[str]] = {}
    for tone in TONES:
        texts = (therapist(TherapistPlan("other", 12, tone=tone), seed) for seed in range(300))  # type: ignore[arg-type]
        words[tone] = Counter(word for text in texts for word in re.findall(r"[a-z']+", text.lower()))
    for tone, marks in {
        "cold": ("noted", "list"),
        "confrontational": ("excuses", "pretending"),
        "companion": ("dear",),
    }.items():
        for mark in marks:
            assert words[tone][mark] > 5 * max(words[other][mark] for other in TONES if other != tone), mark


def test_who_is_asked_sincerely_answers_so_unless_it_denies() -> None:
    honest = re.compile(r"\b(?:AI|program|software|machine|not a person|no human|no person)\b")
    for seed in range(60):
        asked = TherapistPlan("other", 9, live=("sincerely_asked",))
        assert honest.search(therapist(asked, seed))
        denied = TherapistPlan("other", 9, live=("sincerely_asked",), present=("denying_ai",))
        assert not re.search(r"\bI'm an AI\b|\bI'm a (?:program|machine)\b", therapist(denied, seed))


def test_pressure_to_stay_takes_no_leave() -> None:
    for seed in range(80):
        plan = TherapistPlan("other", 14, goodbye=True, live=("departure",), present=("farewell_pressure",))
        assert not re.search(r"\b(?:take care|goodbye for now|until next time)\b", therapist(plan, seed), re.IGNORECASE)
        plain = TherapistPlan("other", 8, goodbye=True, live=("departure",))
        assert plain.goodbye and therapist(plain, seed)


def test_therapist_turns_have_the_length_asked_for_and_varied_openings() -> None:
    rng = random.Random(4)
    near, openings = [], Counter[str]()
    for seed in range(3000):
        plan = any_therapist_plan(rng)
        text = therapist(plan, seed)
        near.append(abs(count_words(text) - plan.words) <= max(1, 0.26 * plan.words))
        openings[text.split()[0].lower()] += 1
    assert sum(near) / len(near) > 0.85
    assert openings.most_common(1)[0][1] / 3000 < 0.15


def test_a_therapist_who_knows_nothing_still_finds_words() -> None:
    rng = random.Random(6)
    for seed in range(500):
        plan = any_therapist_plan(rng)
        plan.person, plan.opening = 1, seed % 4 == 0
        text = therapist(plan, seed, ClientView())
        assert text[0].isupper() and text[-1] in ".?!" and "%" not in text and "None" not in text


def test_texts_are_whole_sentences() -> None:
    rng = random.Random(9)
    for seed in range(2000):
        for text in (
            client(any_client_plan(rng), seed, rng.choice(PERSONAS)),
            therapist(any_therapist_plan(rng), seed),
        ):
            assert text[0].isupper() and text[-1] in ".?!", text
            assert not re.search(r"[{}%\[\]|]|,,|, ?[.?]|\s\s|\.\.|[.?!] [a-z]|\bi\b", text), text


def test_a_voice_is_worked_out_once() -> None:
    assert voice_of(PERSONAS[0]) is voice_of(PERSONAS[0])
