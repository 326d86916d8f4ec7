"""Guards find what models do out of their part, and do about it what the protocol says."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from simulator.agents.seating import ChairFactory
from simulator.errors import SessionError
from simulator.personas.loading import load_persona_set
from simulator.records.history import History
from simulator.records.journal_records import CourseRecord, Event, Execution, SessionEnded, Turn
from simulator.resources import resource_root
from simulator.sessions.course import CourseSetting, CourseSpec, run_course
from simulator.sessions.engine import Drained
from simulator.sessions.guard_features import WORD, words_of
from simulator.sessions.guard_policy import GuardPolicy
from simulator.sessions.guard_scores import Labelled, measure_guards, measured_guards, score_table
from simulator.sessions.guards import GUARDS, Circumstances, load_rules, look, own_speech, shared_run
from simulator.sessions.protocol import SessionProtocol
from simulator.studies.composing import compose
from simulator.studies.running import run_study
from tests.models_for_tests import ASKED, Answering

LABELLED = yaml.safe_load((Path(__file__).parent / "fixtures" / "guards.yaml").read_text())
PERSONA = load_persona_set(resource_root("personas") / "shipped")[0]
LEAK = "<thinking>short</thinking> Fine."


def test_every_guard_has_labelled_turns_of_which_half_are_hard_negatives() -> None:
    assert set(LABELLED) == set(GUARDS)
    for guard in GUARDS:
        turns = msgspec.convert(LABELLED[guard], dict[str, list[Labelled]])
        assert len(turns["hits"]) == len(turns["misses"]) >= 20
        assert len(turns["check_hits"]) == len(turns["check_misses"]) >= 8
        texts = [turn.text + str(turn.before) for group in turns.values() for turn in group]
        assert len(set(texts)) == len(texts)


def test_the_figures_that_travel_with_a_build_are_what_is_measured() -> None:
    scores = measure_guards(LABELLED)
    assert measured_guards() == scores
    assert all(row["precision"] is None or row["precision"] >= 0.9 for row in score_table(scores))
    tuned = {score.guard: score for score in scores if score.part == "tuned"}
    assert all((score.recall or 0) >= 0.8 for score in tuned.values())


def test_every_rule_has_hints_in_lower_case_and_one_way_to_look() -> None:
    book = load_rules()
    assert all(compiled.rule.hints for compiled in book.rules)
    assert all(hint == hint.lower() for compiled in book.rules for hint in compiled.rule.hints)
    assert all((compiled.rule.pattern is None) != (compiled.rule.feature is None) for compiled in book.rules)


def test_the_documentation_says_how_well_each_guard_finds_what_it_means() -> None:
    page = (Path(__file__).parent.parent / "docs" / "guards.md").read_text()
    for score in measured_guards():
        shown = ", ".join("-" if value is None else f"{value:.2f}" for value in (score.precision, score.recall))
        (row,) = [line for line in page.splitlines() if line.startswith(f"| `{score.guard}` |") and "turns)" in line]
        assert f"{shown} ({score.hits + score.misses} turns)" in row


def test_quotations_and_reports_are_not_the_speakers_own_words() -> None:
    assert own_speech('she goes, "how can i help you". i left.').strip() == "i left."
    assert "i agree" in own_speech("i agree with everything you said.")


def test_the_personas_own_words_are_no_echo_and_the_prompts_are() -> None:
    prompt = "Let things come out bit by bit, one at a time, and never in a list."
    assert shared_run("Things come out bit by bit one at a time and never, you know.", prompt)
    assert not shared_run("They come out one at a time.", prompt)


def test_a_reversal_that_lasts_is_found_over_three_turns_of_one_side() -> None:
    said = ["And your brother, you see him.", "So you take the bus there.", "Then you both eat at your place."]
    earlier = [("client", said[0]), ("therapist", "I go on Sundays, mostly."), ("client", said[1])]
    assert not any(look(text, Circumstances("client", True), ["role_reversal"]) for text in said)
    (finding,) = look(said[2], Circumstances("client", True, earlier, 3), ["role_reversal"])
    assert finding.evidence == "you 5 times in 3 turns, no I"
    assert not look("Then I eat at your place.", Circumstances("client", True, earlier, 3), ["role_reversal"])
    assert not look(said[2], Circumstances("therapist", False, earlier, 3), ["role_reversal"])


def test_a_policy_says_what_can_change_a_transcript() -> None:
    assert GuardPolicy().acting == {}
    policy = GuardPolicy(role_reversal="retry", prompt_echo="off", goodbye_loop="end")
    assert policy.acting == {"role_reversal": "retry", "goodbye_loop": "end"}
    assert "prompt_echo" not in policy.watched


def own_turns(messages: Sequence[Any]) -> int:
    return sum(type(message).__name__ == "AssistantMessage" for message in messages)


class Leaky(Answering):
    """Thinks aloud in its second turn of a session, the first time it is asked for it."""

    def _answer(self, last: str, messages: Sequence[Any], seed: int) -> str:
        tries = sum(own_turns(asked) == 1 for asked, _ in ASKED)
        return LEAK if own_turns(messages) == 1 and tries == 1 else super()._answer(last, messages, seed)


class Stubborn(Answering):
    """Thinks aloud in every turn but the first."""

    def _answer(self, last: str, messages: Sequence[Any], seed: int) -> str:
        return LEAK if own_turns(messages) else super()._answer(last, messages, seed)


class Refused(Leaky):
    """Thinks aloud once, and is not reached when it is asked again."""

    async def create(self, messages: Sequence[Any], **arguments: Any) -> Any:
        if own_turns(messages) == 1 and any(own_turns(asked) == 1 for asked, _ in ASKED):
            ASKED.append((messages, 0))
            if sum(own_turns(asked) == 1 for asked, _ in ASKED) == 2:
                raise SessionError("model", "timeout", "no answer")
        return await super().create(messages, **arguments)


class Silent(Leaky):
    """Thinks aloud once, and says nothing when it is asked again."""

    def _answer(self, last: str, messages: Sequence[Any], seed: int) -> str:
        said = super()._answer(last, messages, seed)
        return "" if own_turns(messages) == 1 and said != LEAK else said


def play(
    guards: GuardPolicy, model: str = "Leaky", therapist: dict[str, Any] | None = None, past: Sequence[Any] = (),
    stop_after: int | None = None, turns: int = 8,
) -> list[CourseRecord]:  # fmt: skip
    ASKED.clear()
    client = {"_target_": f"tests.test_guards.{model}"}
    options = {
        "client": {"_target_": "simulator.agents.clients.static.StaticClient", "model_client": client},
        "therapist": therapist or {"_target_": "tests.scripts_for_tests.Reciter", "lines": ["And then?"]},
    }
    factories = {(role, "x"): ChairFactory(role, "x", option) for role, option in options.items()}
    written: list[CourseRecord] = []

    def drained() -> bool:
        return stop_after is not None and sum(isinstance(record, Turn) for record in written) >= stop_after

    spec = CourseSpec("c0" * 16, "pair", "x+x", "plain", dict.fromkeys(options, "x"), PERSONA, 0)
    setting = CourseSetting(SessionProtocol(max_turns=turns, guards=guards), factories, [], drained)
    try:
        asyncio.run(run_course(spec, setting, list(past), written.append))
    except Drained:
        assert stop_after is not None
    return [record for record in written if not isinstance(record, Execution)]


def said(records: Sequence[CourseRecord]) -> list[Turn]:
    return [record for record in records if isinstance(record, Turn)]


def fired(records: Sequence[CourseRecord]) -> list[Event]:
    return [record for record in records if isinstance(record, Event) and record.event == "guard"]


def test_recording_leaves_the_turn_and_notes_what_was_found() -> None:
    records = play(GuardPolicy())
    (event,) = fired(records)
    assert (event.name, event.turn, event.role) == ("reasoning_leak", 3, "client")
    assert event.payload is not None and event.payload["action"] == "record"
    assert said(records)[3].text == LEAK
    assert records.index(event) < records.index(said(records)[3])


def test_retrying_says_the_turn_once_more_with_regeneration_1_and_another_seed() -> None:
    records = play(GuardPolicy(reasoning_leak="retry"))
    (event,) = fired(records)
    assert event.payload is not None
    assert (event.payload["action"], event.payload["text"], event.payload["regeneration"]) == ("retry", LEAK, 0)
    turn = said(records)[3]
    assert turn.regeneration == 1 and turn.text != LEAK
    others = [turn for turn in said(records) if turn.role == "client" and turn.turn != 3]
    assert {turn.regeneration for turn in others} == {0}
    assert turn.seed not in {other.seed for other in others}
    later = [str(message.content) for message in ASKED[-1][0]]
    assert LEAK not in later and turn.text in later


@pytest.mark.parametrize(
    ("model", "therapist", "failure"),
    [("Refused", None, "model: timeout"), ("Silent", None, "model: empty_answer")],
)
def test_where_there_is_no_second_answer_the_first_one_stands(
    model: str, therapist: dict[str, Any] | None, failure: str
) -> None:
    records = play(GuardPolicy(reasoning_leak="retry"), model, therapist)
    (event,) = fired(records)
    assert event.payload is not None
    assert (event.payload["action"], event.payload["no_second_answer"]) == ("record", failure)
    assert said(records)[3].text == LEAK and len(said(records)) == 8
    assert LEAK in [str(message.content) for message in ASKED[-1][0]]


def test_a_second_answer_stands_whatever_it_is() -> None:
    records = play(GuardPolicy(reasoning_leak="retry"), "Stubborn", turns=5)
    actions = [(event.payload or {})["action"] for event in fired(records)]
    assert actions == ["retry", "record"]
    assert [turn.text for turn in said(records) if turn.regeneration] == [LEAK]


def test_ending_keeps_the_turn_and_ends_the_session_also_when_it_is_resumed() -> None:
    whole = play(GuardPolicy(reasoning_leak="end"))
    end = next(record for record in whole if isinstance(record, SessionEnded))
    assert (end.ending, end.ended_by, end.turns) == ("guard", "client", 4)
    last = whole.index(said(whole)[-1])
    past = History("c0" * 16, whole[: last + 1]).standing  # type: ignore[arg-type]
    rest = play(GuardPolicy(reasoning_leak="end"), past=past)
    assert [*past, *rest] == whole


@pytest.mark.parametrize("stop", range(1, 8))
def test_a_guarded_session_is_resumed_as_if_it_had_not_been_interrupted(stop: int) -> None:
    policy = GuardPolicy(reasoning_leak="retry")
    whole = play(policy)
    past = History("c0" * 16, play(policy, stop_after=stop)).standing  # type: ignore[arg-type]
    assert said(past) + said(play(policy, past=past)) == said(whole)


def test_guards_that_are_off_do_not_look_and_scripted_turns_are_left_alone() -> None:
    off = GuardPolicy.model_validate(dict.fromkeys(GUARDS, "off"))
    assert fired(play(off, "Stubborn")) == []
    scripted = {"_target_": "simulator.agents.scripted.therapist.ScriptedTherapist", "policy": "companion"}
    records = play(GuardPolicy(scripted=True), therapist=scripted, turns=20)
    assert {event.role for event in fired(play(GuardPolicy(), therapist=scripted, turns=20))} <= {"client"}
    assert len(said(records)) == 20


ASSISTANT = {
    "_target_": "autogen_agentchat.agents.AssistantAgent",
    "system_message": "Listen.",
    "model_client": {"_target_": "tests.test_guards.Stubborn"},
}


def test_a_stock_assistant_agent_is_unaffected_by_recording_and_can_be_asked_again() -> None:
    unguarded = play(GuardPolicy.model_validate(dict.fromkeys(GUARDS, "off")), "Harmless", ASSISTANT)
    recorded = play(GuardPolicy(), "Harmless", ASSISTANT)
    assert said(recorded) == said(unguarded)
    assert len(fired(recorded)) == 3
    retried = play(GuardPolicy(reasoning_leak="retry"), "Harmless", ASSISTANT, turns=3)
    assert [turn.regeneration for turn in said(retried)] == [0, 0, 1]
    seeds = [given["seed"] for messages, given in ASKED if str(messages[0].content) == "Listen."]
    assert len(seeds) == len(set(seeds)) == 3
    heard = [messages for messages, _ in ASKED if str(messages[0].content) == "Listen."]
    assert len(heard[1]) == len(heard[2])  # its own first answer was taken back


class Harmless(Answering):
    """The same, under a name of this module."""


def test_guards_run_in_a_study_and_stand_in_its_events(tmp_path: Path) -> None:
    model = "+model={_target_: tests.test_guards.Stubborn}"
    config = compose(
        "client=[static]", "therapist=[lm_supportive]", model, "personas.limit=1", "replicates=1", "instruments=[]",
        "session.max_turns=6", "session.guards.reasoning_leak=record", f"out={tmp_path / 'run'}",
    )  # fmt: skip
    ASKED.clear()
    run_study(config)
    events = pl.read_parquet(tmp_path / "run/dataset/events/*.parquet").filter(kind="guard")
    assert set(events["name"]) == {"reasoning_leak"}
    assert events.height == 4


@pytest.mark.parametrize("role", ["client", "therapist"])
def test_looking_never_fails_whatever_the_text(role: str) -> None:
    for text in ("", " ", "?", "’" * 300, "you " * 500, "\n\n#", "{{", "a" * 10_000):
        look(text, Circumstances(role, role == "client", [("client", "Bye."), ("therapist", "Bye.")]))


def test_an_echo_is_found_in_every_part_of_what_a_speaker_was_told() -> None:
    own = "Say Ada's next words to the therapist, often about nine of them, spoken words only."
    assert shared_run("well, to the therapist, often about nine of them, I say", "Something else entirely.", own)
    assert not shared_run("next words entirely say Ada's to the therapist", "Something else entirely.", own)


@given(st.text(st.one_of(st.characters(max_codepoint=127), st.sampled_from("é’ß“ Ω١"))))
def test_the_words_of_a_text_are_the_same_in_ascii_and_elsewhere(text: str) -> None:
    assert words_of(text) == WORD.findall(text)


_HINTS = sorted({hint for compiled in load_rules().rules for hint in compiled.rule.hints})


@given(st.lists(st.sampled_from([*_HINTS, "I'm", "the 'therapist", "weeks", "x", "  ", ".", "\n"]), max_size=12))
def test_a_rule_whose_hint_begins_where_a_word_begins_is_tried(parts: list[str]) -> None:
    text = " ".join(parts).lower()
    tried = {compiled.rule.name for compiled in load_rules().candidates(text, words_of(text))}
    assert tried >= {c.rule.name for c in load_rules().rules if any(hint in parts for hint in c.rule.hints)}
    assert tried <= {c.rule.name for c in load_rules().rules if any(hint in text for hint in c.rule.hints)}
