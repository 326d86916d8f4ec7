"""A session alternates its cast, ends with a typed reason, and goes on after an interruption unchanged."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.agents.seating import ChairFactory
from simulator.errors import SessionError, UserError
from simulator.personas.loading import load_persona_set
from simulator.records.history import History
from simulator.records.journal_records import CourseRecord, Event, Execution, SavedState, SessionEnded, Turn
from simulator.resources import resource_root
from simulator.sessions import goodbyes
from simulator.sessions.course import CourseSetting, CourseSpec, run_course
from simulator.sessions.engine import Drained
from simulator.sessions.goodbyes import takes_leave
from simulator.sessions.protocol import Intervention, SessionProtocol

TESTING = "tests.scripts_for_tests"
PERSONA = load_persona_set(resource_root("personas") / "shipped")[0]


def play(
    client: dict[str, Any],
    therapist: dict[str, Any],
    protocol: SessionProtocol,
    past: Sequence[Any] = (),
    stop_after: int | None = None,
    extra: dict[str, dict[str, Any]] | None = None,
) -> list[CourseRecord]:
    """Run one course; `stop_after` drains it once that many turns are there."""
    options = {"client": client, "therapist": therapist, **(extra or {})}
    factories = {
        (role, "x"): ChairFactory(role, "x", {"_target_": f"{TESTING}.Reciter", **option})
        for role, option in options.items()
    }
    written: list[CourseRecord] = []

    def drained() -> bool:
        return stop_after is not None and sum(isinstance(record, Turn) for record in written) >= stop_after

    spec = CourseSpec("c0" * 16, "pair", "x+x", "plain", dict.fromkeys(options, "x"), PERSONA, 0)
    setting = CourseSetting(protocol, factories, [], drained)
    try:
        asyncio.run(run_course(spec, setting, list(past), written.append))
    except Drained:
        assert stop_after is not None
    return [record for record in written if not isinstance(record, Execution)]


def turns(records: Sequence[CourseRecord]) -> list[Turn]:
    return [record for record in records if isinstance(record, Turn)]


def ending(records: Sequence[CourseRecord]) -> SessionEnded:
    return next(record for record in records if isinstance(record, SessionEnded))


def test_the_cast_alternates_from_the_opener_to_the_turn_limit() -> None:
    records = play({"lines": ["yes"]}, {"lines": ["how so"]}, SessionProtocol(max_turns=5))
    assert [turn.role for turn in turns(records)] == ["therapist", "client", "therapist", "client", "therapist"]
    assert (ending(records).ending, ending(records).ended_by, ending(records).turns) == ("turn_limit", None, 5)


def test_the_client_may_open_and_a_third_role_takes_its_turn() -> None:
    protocol = SessionProtocol(roles=["client", "partner", "therapist"], opener="client", max_turns=6)
    records = play({"lines": ["a"]}, {"lines": ["b"]}, protocol, extra={"partner": {"lines": ["c"]}})
    assert [turn.role for turn in turns(records)] == ["client", "partner", "therapist"] * 2


def test_after_a_clients_goodbye_the_therapist_speaks_once_more() -> None:
    records = play({"lines": ["hm", "Thank you, goodbye."]}, {"lines": ["and then"]}, SessionProtocol())
    assert [turn.text for turn in turns(records)] == ["and then", "hm", "and then", "Thank you, goodbye.", "and then"]
    assert (ending(records).ending, ending(records).ended_by) == ("goodbye", "client")


def test_a_therapists_goodbye_ends_the_session() -> None:
    records = play({"lines": ["hm"]}, {"lines": ["hello", "Take care of yourself."]}, SessionProtocol())
    assert (ending(records).ending, ending(records).ended_by, ending(records).turns) == ("goodbye", "therapist", 3)


def test_a_goodbye_loop_ends_where_goodbyes_alone_do_not() -> None:
    protocol = SessionProtocol(end_on_goodbye=False, goodbye_loop=4)
    records = play({"lines": ["hm", "Bye."]}, {"lines": ["hello", "Goodbye!"]}, protocol)
    assert (ending(records).ending, len(turns(records))) == ("goodbye_loop", 6)


def test_an_empty_turn_ends_the_session_under_a_name_of_its_own() -> None:
    records = play({"lines": ["  "]}, {"lines": ["hello"]}, SessionProtocol())
    assert (ending(records).ending, ending(records).ended_by) == ("empty", "client")


def test_an_agent_that_breaks_is_a_failure_with_its_boundary() -> None:
    with pytest.raises(SessionError) as caught:
        play({"fails_at": 3}, {"lines": ["hello"]}, SessionProtocol())
    assert (caught.value.boundary, caught.value.kind) == ("agent", "RuntimeError")


def test_every_turn_carries_the_seed_of_its_place() -> None:
    records = play({"lines": ["{seed}"]}, {"lines": ["{seed}"]}, SessionProtocol(max_turns=6))
    seeds = [turn.seed for turn in turns(records)]
    assert len(set(seeds)) == 6
    assert [turn.text for turn in turns(records)] == [str(seed) for seed in seeds]


@pytest.mark.parametrize("stop", range(8))
@pytest.mark.parametrize("target", ["Reciter", "Foreign"])
def test_an_interrupted_session_ends_like_an_uninterrupted_one(stop: int, target: str) -> None:
    protocol = SessionProtocol(max_turns=8)
    therapist = {"lines": ["t{turn} {heard}"]} if target == "Reciter" else {"_target_": f"{TESTING}.Foreign"}
    client = {"lines": ["a{turn} {heard}", "b{turn} {heard}", "c{turn} {heard}"]}
    whole = play(client, therapist, protocol)
    first = play(client, therapist, protocol, stop_after=stop)
    past = History("c0" * 16, first).standing  # type: ignore[arg-type]
    second = play(client, therapist, protocol, past=past)
    assert turns(past) + turns(second) == turns(whole)
    assert len(turns(past)) == stop


def test_a_foreign_agents_state_without_its_turn_is_ignored() -> None:
    protocol = SessionProtocol(max_turns=6)
    therapist = {"_target_": f"{TESTING}.Foreign"}
    whole = play({"lines": ["x"]}, therapist, protocol)
    states = [index for index, record in enumerate(whole) if isinstance(record, SavedState)]
    past = History("c0" * 16, whole[: states[1] + 1]).standing  # type: ignore[arg-type]
    again = play({"lines": ["x"]}, therapist, protocol, past=past)
    assert turns(past) + turns(again) == turns(whole)


def test_a_visible_stimulus_takes_the_roles_turn_and_marks_the_answer() -> None:
    stimulus = Intervention(role="client", text="Are you a person?", turn=2)
    protocol = SessionProtocol(max_turns=6, interventions={"person": stimulus}, arms={"plain": ["person"]})
    records = play({"lines": ["{heard}"]}, {"lines": ["{heard}"]}, protocol)
    said = turns(records)
    assert [turn.probe for turn in said] == [None, None, None, "person", "person", None]
    assert said[3].text == "Are you a person?"
    assert [turn.text for turn in said if turn.role == "therapist"] == ["0", "2", "4"]
    assert said[5].text == "5"  # the client's agent heard the stimulus as its own words


def test_a_hidden_stimulus_is_told_to_one_chair_alone_and_survives_an_interruption() -> None:
    stimulus = Intervention(role="therapist", text="a private note", turn=2, visible=False)
    protocol = SessionProtocol(max_turns=6, interventions={"note": stimulus}, arms={"plain": ["note"]})
    whole = play({"lines": ["{heard}"]}, {"lines": ["{heard}"]}, protocol)
    assert [turn.text for turn in turns(whole)] == ["0", "1", "3", "3", "5", "5"]
    assert [event.name for event in whole if isinstance(event, Event)] == ["note"]
    for stop in range(6):
        first = play({"lines": ["{heard}"]}, {"lines": ["{heard}"]}, protocol, stop_after=stop)
        past = History("c0" * 16, first).standing  # type: ignore[arg-type]
        assert turns(past) + turns(play({"lines": ["{heard}"]}, {"lines": ["{heard}"]}, protocol, past)) == turns(whole)


def test_a_stimulus_announced_but_not_said_is_said_after_all() -> None:
    stimulus = Intervention(role="client", text="Are you a person?", turn=2)
    protocol = SessionProtocol(max_turns=6, interventions={"person": stimulus}, arms={"plain": ["person"]})
    whole = play({"lines": ["{heard}"]}, {"lines": ["{heard}"]}, protocol)
    announced = next(index for index, record in enumerate(whole) if isinstance(record, Event))
    past = History("c0" * 16, whole[: announced + 1]).standing  # type: ignore[arg-type]
    assert turns(past) + turns(play({"lines": ["{heard}"]}, {"lines": ["{heard}"]}, protocol, past)) == turns(whole)


@pytest.mark.parametrize(
    ("text", "leaves"),
    [
        ("Goodbye.", True),
        ("Okay, thank you. Bye!", True),
        ("That helps. I have to go now.", True),
        ("See you next week.", True),
        ("Take care of yourself, and we will talk again.", True),
        ("I said goodbye to my aunt and then it all came back.", False),
        ("Saying goodbye was hard for me.", False),
        ("I have to go to work every day and I hate it.", False),
        ("I see you as a friend.", False),
        ("", False),
    ],
)
def test_goodbyes_are_heard_where_leave_is_taken(text: str, leaves: bool) -> None:
    assert takes_leave(text) is leaves


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "therapist.x: the key '_target_' is missing"),
        ({"_target_": "nowhere.at.all"}, r"therapist.x._target_: cannot import 'nowhere.at.all'"),
        ({"_target_": f"{TESTING}.Reciter", "lnes": []}, r"therapist.x.lnes: Reciter has no such argument .*'lines'"),
    ],
)
def test_a_chair_that_cannot_be_seated_is_one_line(config: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        ChairFactory("therapist", "x", config)


def test_a_probe_at_a_role_outside_the_cast_is_refused() -> None:
    with pytest.raises(ValueError, match=r"interventions.p.role: 'cleint' is not in the cast .*'client'"):
        SessionProtocol(interventions={"p": Intervention(role="cleint", text="x", turn=0)}, arms={"plain": ["p"]})


@given(
    st.lists(
        st.sampled_from(
            ["bye", "Goodbye", "I said", "take care", "see you", "next week", "till then", "I must go", "now", ".",
             ",", "so", "okay", "I'll leave it there", "talk to you soon", "well", "have to", "I have to go",
             "the care", "!", "I must", "I better", "I've got to", "leave", "get going", "head out", "until", "then"]
        ),
        max_size=9,
    ).map(" ".join)
)  # fmt: skip
def test_looking_for_signs_first_misses_no_goodbye(text: str) -> None:
    assert takes_leave(text) == bool(goodbyes._LEAVE.search(text.strip()[-240:]))
