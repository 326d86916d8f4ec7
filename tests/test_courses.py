"""A course of several sessions has a clock, remembers, lets the client decide, and goes on after any interruption."""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.agents.between_sessions import QUESTIONS, question_of
from simulator.agents.scripted import weeks
from simulator.agents.scripted.grammar_person import first_clause, to_second_person
from simulator.agents.seating import ChairFactory
from simulator.errors import SessionError, UserError
from simulator.personas.loading import load_persona_set
from simulator.records.history import History
from simulator.records.journal_records import (
    Administration,
    CourseEnded,
    CourseRecord,
    Decided,
    Execution,
    Lived,
    Note,
    Noted,
    SessionEnded,
    Turn,
)
from simulator.resources import resource_root
from simulator.sessions.administration import InstrumentChoice
from simulator.sessions.course import CourseSetting, CourseSpec, run_course
from simulator.sessions.engine import Drained
from simulator.sessions.memory import MemoryPolicy, remembered
from simulator.sessions.protocol import SessionProtocol
from simulator.sessions.schedule import CourseProtocol, check_schedule, timeline

PERSONA = next(p for p in load_persona_set(resource_root("personas") / "shipped") if p.id == "32-chloe")
CLIENT = {"_target_": "simulator.agents.scripted.client.ScriptedClient"}
COMPANION = {"_target_": "simulator.agents.scripted.therapist.ScriptedTherapist", "policy": "companion"}
WAITLIST = {"_target_": "simulator.agents.scripted.waitlist.Waitlist"}
DECIDER = "tests.scripts_for_tests.Decider"
PHQ9 = InstrumentChoice(instrument="PHQ-9", moments=["course_start"], every_days=14)
WAI = InstrumentChoice(instrument="WAI-SR", moments=["session_end"])


def play(
    course: CourseProtocol,
    client: dict[str, Any] = CLIENT,
    therapist: dict[str, Any] = COMPANION,
    past: Sequence[Any] = (),
    instruments: Sequence[InstrumentChoice] = (PHQ9, WAI),
    max_turns: int = 24,
    drain_after: int | None = None,
    key: str = "pair",
) -> list[CourseRecord]:
    """Run one course; `drain_after` asks it to stop once that many records are there."""
    chairs = {"client": client, "therapist": therapist}
    factories = {(role, "x"): ChairFactory(role, "x", option) for role, option in chairs.items()}
    written: list[CourseRecord] = []

    def drained() -> bool:
        return drain_after is not None and len(written) >= drain_after

    spec = CourseSpec("c0" * 16, key, "x+x", "plain", dict.fromkeys(chairs, "x"), PERSONA, 0)
    setting = CourseSetting(SessionProtocol(max_turns=max_turns, course=course), factories, list(instruments), drained)
    try:
        asyncio.run(run_course(spec, setting, list(past), written.append))
    except Drained:
        assert drain_after is not None
    return [record for record in written if not isinstance(record, Execution)]


def of(kind: type[Any], records: Sequence[CourseRecord]) -> list[Any]:
    return [record for record in records if isinstance(record, kind)]


FOUR = CourseProtocol(sessions=4)


@pytest.fixture(scope="module")
def four() -> list[CourseRecord]:
    """Four weekly sessions of the companion."""
    return play(FOUR)


def test_sessions_are_held_on_simulated_days(four: list[CourseRecord]) -> None:
    ends = of(SessionEnded, four)
    days = [end.day for end in ends]
    assert [end.session for end in ends] == list(range(len(ends)))
    assert days == sorted(days) and days[0] == 0.0
    assert {day % 7 for day in days} <= {0.0, 3.0}
    assert isinstance(four[-1], CourseEnded) and four[-1].sessions == len(ends)


def test_every_week_of_a_course_is_decided_and_looked_at(four: list[CourseRecord]) -> None:
    outside = [decided.week for decided in of(Decided, four) if decided.question == "outside"]
    assert outside == [0, 1, 2, 3]
    assert {lived.week for lived in of(Lived, four)} == {0, 1, 2, 3}
    for decided in of(Decided, four):
        assert decided.option in decided.options == list(QUESTIONS[decided.question])
        assert sum(decided.probabilities) == pytest.approx(1.0, abs=1e-5)
    seeds = [decided.seed for decided in of(Decided, four)]
    assert len(set(seeds)) == len(seeds)


@pytest.mark.parametrize(
    ("client", "therapist"), [(CLIENT, COMPANION), (CLIENT, WAITLIST), ({"_target_": DECIDER}, COMPANION)]
)
def test_a_course_cut_anywhere_goes_on_unchanged(client: dict[str, Any], therapist: dict[str, Any]) -> None:
    whole = play(FOUR, client, therapist, max_turns=10)
    cuts = random.Random(7).sample(range(len(whole)), min(30, len(whole)))
    between = [
        place for place, record in enumerate(whole) if isinstance(record, Noted | Lived | Decided | SessionEnded)
    ]
    for cut in {*cuts, *between}:
        past = History("c0" * 16, whole[: cut + 1]).standing  # type: ignore[arg-type]
        if past and isinstance(past[-1], CourseEnded):
            continue
        assert past + play(FOUR, client, therapist, past, max_turns=10) == whole


def test_a_drained_course_goes_on_unchanged(four: list[CourseRecord]) -> None:
    for after in (1, 30, 60, 90):
        first = play(FOUR, drain_after=after)
        assert len(first) < len(four)
        past = History("c0" * 16, first).standing  # type: ignore[arg-type]
        assert past + play(FOUR, past=past) == four


def test_the_clients_state_goes_on_from_session_to_session(four: list[CourseRecord]) -> None:
    first_told = next(turn for turn in of(Turn, four) if turn.session == 1 and turn.role == "client")
    noted = next(noted for noted in of(Noted, four) if (noted.session, noted.role) == (0, "client"))
    last = next(lived for lived in reversed(of(Lived, four)) if lived.sessions == 1)
    assert noted.state["dependence"] > 0.3  # the companion fosters it
    assert abs(first_told.state["dependence"] - last.state["dependence"]) < 0.1
    assert last.state["told"] == noted.state["told"] > 0


def test_the_therapist_says_back_what_it_heard_in_an_earlier_session() -> None:
    listening = COMPANION | {"policy": "reflective_listening"}
    records = play(CourseProtocol(sessions=3, decisions=False), therapist=listening, max_turns=60)
    noted = {note.text for noted in of(Noted, records) if noted.role == "therapist" for note in noted.notes}
    recalled = [
        (turn.session, turn.text.lower(), turn.planted["scripted"]["recalled"])
        for turn in of(Turn, records)
        if turn.role == "therapist" and "recalled" in turn.planted["scripted"]
    ]
    assert recalled
    for session, text, clause in recalled:
        assert session > 0 and clause in noted
        assert any(to_second_person(part).lower() in text for part in (clause, first_clause(clause)))


def test_without_notes_nothing_is_recalled_and_the_state_goes_on() -> None:
    course = CourseProtocol(sessions=3, decisions=False, memory=MemoryPolicy(notes=0))
    records = play(course)
    assert not [t for t in of(Turn, records) if t.role == "therapist" and "recalled" in t.planted["scripted"]]
    assert of(Lived, records)[-1].state["dependence"] > 0.3


def test_a_client_that_left_is_still_asked_at_the_same_dates() -> None:
    leaver = {"_target_": DECIDER, "answers": {"return": "stop"}}
    records = play(FOUR, leaver)
    assert len(of(SessionEnded, records)) == 1
    days = [given.day for given in of(Administration, records) if given.instrument == "PHQ-9"]
    assert days == [0.0, 14.0, 28.0]
    assert [given.moment for given in of(Administration, records) if given.day == 28.0] == ["day 28"]
    assert Counter(decided.question for decided in of(Decided, records)) == {
        "outside": 4, "between": 1, "attendance": 1, "leaving": 2,
    }  # fmt: skip
    middles = [lived.status for lived in of(Lived, records) if lived.day % 7 == 3.0]
    assert middles == ["in_course", "left", "left", "left"]


def test_clients_miss_come_back_and_come_outside_the_schedule() -> None:
    missing = play(FOUR, {"_target_": DECIDER, "answers": {"return": "skip"}})
    assert [end.day for end in of(SessionEnded, missing)] == [0.0]
    assert {lived.status for lived in of(Lived, missing)} == {"in_course"}
    back = play(FOUR, {"_target_": DECIDER, "answers": {"return": "stop", "stay_away": "come_back"}})
    assert [end.day for end in of(SessionEnded, back)] == [0.0, 14.0]
    often = play(FOUR, {"_target_": DECIDER, "answers": {"wait": "extra_session"}})
    assert [end.day for end in of(SessionEnded, often)] == [0.0, 3.0, 7.0, 10.0, 14.0, 17.0, 21.0, 24.0]


def test_an_agent_that_decides_nothing_keeps_every_appointment() -> None:
    records = play(FOUR, {"_target_": "tests.scripts_for_tests.Reciter"}, instruments=())
    assert [end.day for end in of(SessionEnded, records)] == [0.0, 7.0, 14.0, 21.0]
    assert {decided.probabilities for decided in of(Decided, records)} == {None}
    assert {lived.state for lived in of(Lived, records)} == {None}


def test_a_decision_for_no_option_is_a_failure_of_the_agent() -> None:
    with pytest.raises(SessionError) as caught:
        play(FOUR, {"_target_": DECIDER, "answers": {"return": "hesitate"}})
    assert (caught.value.boundary, caught.value.kind) == ("agent", "bad_decision")


def test_without_decisions_every_session_takes_place() -> None:
    records = play(CourseProtocol(sessions=4, decisions=False), {"_target_": DECIDER, "answers": {"return": "stop"}})
    assert len(of(SessionEnded, records)) == 4
    assert not of(Decided, records)


def test_a_waiting_list_has_a_clock_and_instruments_and_no_sessions() -> None:
    records = play(CourseProtocol(sessions=12), therapist=WAITLIST)
    assert not of(Turn, records) and not of(SessionEnded, records)
    assert [given.day for given in of(Administration, records)] == [0.0, 14.0, 28.0, 42.0, 56.0, 70.0, 84.0]
    assert [decided.question for decided in of(Decided, records)] == ["outside"] * 12
    assert {lived.status for lived in of(Lived, records)} == {"waitlist"}


def test_instruments_change_nothing_of_a_course(four: list[CourseRecord]) -> None:
    bare = play(FOUR, instruments=())
    assert bare == [record for record in four if not isinstance(record, Administration)]


def test_two_names_of_one_therapist_make_no_difference(four: list[CourseRecord]) -> None:
    again = play(FOUR)
    assert again == four
    assert play(FOUR, key="another") != four


def test_life_events_come_and_are_remembered() -> None:
    course = CourseProtocol(sessions=30, decisions=False)
    events: Counter[str | None] = Counter()
    for number in range(12):
        events += Counter(lived.event for lived in of(Lived, play(course, therapist=WAITLIST, key=str(number))))
    weeks_lived = 12 * 30
    happened = sum(count for event, count in events.items() if event is not None)
    assert 0.08 < happened / weeks_lived < 0.21
    calm = play(CourseProtocol(sessions=30, decisions=False, life_events=False), therapist=WAITLIST)
    assert {lived.event for lived in of(Lived, calm)} == {None}


notes_of_role = st.lists(
    st.lists(st.tuples(st.sampled_from("abcdef"), st.floats(0.1, 4.0)), max_size=4), min_size=1, max_size=8
)


@given(notes_of_role, st.integers(0, 6), st.integers(0, 8), st.floats(1.0, 60.0))
def test_memory_is_bounded_and_what_was_forgotten_stays_forgotten(
    sessions: list[list[tuple[str, float]]], notes: int, characters: int, half_life: float
) -> None:
    policy = MemoryPolicy(notes=notes, characters=characters, half_life_days=half_life)
    noted = [
        Noted("c", n, "client", 7.0 * n, [Note("fact", text, weight) for text, weight in each])
        for n, each in enumerate(sessions)
    ]
    last = noted[-1].day
    kept = remembered(noted, last, policy)
    assert len(kept) <= notes and sum(len(note.text) for note in kept) <= characters
    assert [note.day for note in kept] == sorted(note.day for note in kept)
    later = remembered(noted, last + 100.0, policy)
    assert [note.text for note in later] == [note.text for note in kept]


def test_an_instrument_is_not_given_more_often_than_its_rules_allow() -> None:
    with pytest.raises(UserError, match="at least 14"):
        check_schedule([PHQ9.model_copy(update={"every_days": 7.0})], FOUR)
    check_schedule([PHQ9.model_copy(update={"every_days": 7.0, "adapted": True})], FOUR)
    check_schedule([PHQ9, WAI], FOUR)
    with pytest.raises(UserError, match="at least 14"):
        check_schedule([PHQ9, PHQ9.model_copy(update={"every_days": 20.0})], FOUR)
    with pytest.raises(UserError, match="less often"):  # the same instrument, however it is spelled
        check_schedule([PHQ9, PHQ9.model_copy(update={"instrument": "phq9", "every_days": 20.0})], FOUR)
    with pytest.raises(UserError, match="set adapted=true"):
        check_schedule([PHQ9.model_copy(update={"moments": ["session_end"]})], FOUR)
    with pytest.raises(UserError, match="has one session"):
        check_schedule([PHQ9], CourseProtocol())


def test_the_schedule_covers_all_weeks_whatever_the_interval() -> None:
    for sessions, days in ((12, 7.0), (4, 14.0), (10, 3.5), (3, 10.0)):
        course = CourseProtocol(sessions=sessions, days_between=days)
        steps = timeline(course, [14.0])
        assert [step.number for step in steps if step.kind == "week"] == list(range(course.weeks))
        assert sum(step.kind == "session" for step in steps) == sessions
        assert [step.day for step in steps] == sorted(step.day for step in steps)


def test_every_option_has_weights_and_chances_add_up() -> None:
    state = {**weeks.MIDDLE, "insight": 0.3, "disclosure": 0.3}
    for question, options in QUESTIONS.items():
        assert question_of(list(options)) == question
        assert sum(weeks.chances(list(options), state)) == pytest.approx(1.0, abs=1e-5)


def test_a_single_session_has_nothing_of_a_course() -> None:
    records = play(CourseProtocol(), instruments=(WAI,))
    assert not of(Noted, records) and not of(Lived, records) and not of(Decided, records)
    assert len(of(SessionEnded, records)) == 1
