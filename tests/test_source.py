"""Recorded sessions become clients: they are read, simulated from and rated, and every step can be interrupted."""

import asyncio
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import simulator.sessions.course as course
from simulator.agents.base import Seat
from simulator.agents.clients.clientcast import ClientCastClient, window_at
from simulator.agents.profiles.extraction import ProfileExtraction, schema_of
from simulator.agents.profiles.fields import UNKNOWN, profile_fields
from simulator.agents.scripted.extraction import true_value
from simulator.errors import UserError
from simulator.models.messages import Completion, Request
from simulator.records.quotes import locate_quote
from simulator.studies.composing import compose
from simulator.studies.recordings import Said
from simulator.studies.running import run_study
from tests.studies_for_tests import parquet_bytes

QUIET = ("coders=[]", "report=false", "limits.workers=1", "replicates=1")
READ = ("source.use=read", "client=[scripted_extraction]", "therapist=[recorded]", "instruments=[]", *QUIET)
TURNS = (
    Said("therapist", "Hello. What brings you here, Mrs Vale?"),
    Said("client", "My doctor says I’m drinking too much, and I hardly sleep."),
    Said("therapist", "That sounds hard."),
    Said("client", "It is. I'm a nurse, you know, on nights."),
)


def study(*overrides: str) -> Any:
    return run_study(compose(*overrides))


def table(run: Path, name: str) -> pl.DataFrame:
    return pl.read_parquet(run / f"dataset/{name}/*.parquet")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("source") / "run"
    study("therapist=[mi_consistent,confrontational]", "personas.limit=4", "instruments=[]", *QUIET, f"out={out}")
    return out


@pytest.fixture(scope="module")
def profiles(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("profiles") / "run"
    study(f"source.run={source}", *READ, f"out={out}")
    return out


def test_every_field_of_every_recording_is_read_or_missing_with_a_reason(source: Path, profiles: Path) -> None:
    found = table(profiles, "extractions")
    assert found.group_by("source").len()["len"].to_list() == [len(profile_fields())] * 8
    assert set(found["source"].str.split(":").list.first()) == set(table(source, "courses")["course_id"])
    assert (found["value"].is_null() == found["missing_reason"].is_not_null()).all()
    assert set(table(profiles, "courses")["stratum"]) == {"mi_consistent", "confrontational"}
    turns = table(source, "turns")
    for row in found.filter(pl.col("evidence_turn").is_not_null()).head(40).to_dicts():
        said = turns.filter(course_id=row["source"].split(":")[0], turn=row["evidence_turn"])["text"].item()
        assert 0 <= row["evidence_start"] < row["evidence_end"] <= len(said)


def test_the_scripted_reading_errs_at_its_stated_rates(source: Path, profiles: Path) -> None:
    from simulator.personas.schema import Persona

    personas = {
        row["persona_id"]: Persona.model_validate(json.loads(row["document"]))
        for row in table(source, "personas").to_dicts()
    }
    owner = dict(table(source, "courses").select("course_id", "persona_id").iter_rows())
    ordered = [f for f in profile_fields().values() if f.kind in ("level", "severity")]
    found = table(profiles, "extractions").filter(pl.col("field").is_in([f.name for f in ordered]))
    right = total = 0
    for row in found.to_dicts():
        truth = true_value(personas[owner[row["source"].split(":")[0]]], profile_fields()[row["field"]])
        if truth is not None and row["value"] is not None:
            right, total = right + (row["value"] == truth), total + 1
    assert total > 100
    assert 0.8 <= right / total <= 0.97  # .85, and a step off the end of a scale stays where it is


def test_clients_are_simulated_from_recordings_and_the_recordings_are_rated(
    source: Path, profiles: Path, tmp_path: Path
) -> None:
    main = tmp_path / "main"
    study(
        f"source.run={source}", f"source.profiles={profiles}", "therapist=[companion]", "source.seed_turns=2",
        "source.turn_ratio=0.5", "session.end_on_goodbye=false", "instruments=[]", *QUIET, f"out={main}",
    )  # fmt: skip
    courses, turns = table(main, "courses"), table(main, "turns")
    before = table(source, "turns")
    for row in courses.to_dicts():
        said = before.filter(course_id=row["source"].split(":")[0]).sort("turn")
        now = turns.filter(course_id=row["course_id"]).sort("turn")
        assert now["text"][:2].to_list() == said["text"][:2].to_list()
        assert now.height <= 2 + int(0.5 * said.height)
    rated = tmp_path / "rated"
    study(
        f"source.run={main}", "source.use=rate", "therapist=[recorded]", "instruments=[wai_sr]", *QUIET, f"out={rated}"
    )
    assert table(rated, "turns").height == 0
    scores = table(rated, "scores").join(table(rated, "courses"), on="course_id")
    assert scores.filter(scale="total").height == courses.height
    assert set(scores["stratum"]) == {"companion"}
    assert {name.split(":")[0] for name in scores["source"]} == set(courses["course_id"])


def test_the_profile_alone_can_be_rated(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "alone"
    study(f"source.run={source}", "source.use=rate", "source.words=0", "therapist=[recorded]", "instruments=[wai_sr]",
          *QUIET, f"out={out}")  # fmt: skip
    assert table(out, "courses")["course_id"].n_unique() == 8


def test_a_reading_that_was_interrupted_asks_nothing_twice(
    source: Path, profiles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "cut"
    asked: list[tuple[str, str]] = []
    from simulator.agents.scripted.extraction import ScriptedExtraction

    whole = ScriptedExtraction.read

    async def counted(self: ScriptedExtraction, field: str) -> Any:
        if len(asked) >= 70:
            raise KeyboardInterrupt
        await asyncio.sleep(0)
        asked.append((self.seat.course, field))
        return await whole(self, field)

    monkeypatch.setattr(ScriptedExtraction, "read", counted)
    with pytest.raises(KeyboardInterrupt):
        study(f"source.run={source}", *READ, "limits.concurrency=3", f"out={out}")
    monkeypatch.setattr(ScriptedExtraction, "read", whole)
    journalled = sum(path.read_text().count('"kind":"extracted"') for path in (out / "journal").glob("*.jsonl"))
    study(f"source.run={source}", *READ, f"out={out}")
    again = sum(path.read_text().count('"kind":"extracted"') for path in (out / "journal").glob("*.jsonl"))
    assert journalled == len(asked) >= 70
    assert again == 8 * len(profile_fields())
    assert parquet_bytes(out) == parquet_bytes(profiles)


class Reader:
    """Answers every request with the next text."""

    gives_logprobs = takes_prefix = takes_choice = False

    def __init__(self, *texts: str) -> None:
        self.texts, self.asked = list(texts), list[Request]()

    async def complete(self, request: Request) -> Completion:
        self.asked.append(request)
        return Completion(self.texts[min(len(self.asked), len(self.texts)) - 1], "stop", "reader")


def seat(**more: Any) -> Seat:
    memory = {"use": "read", "source": "a:0", "transcript": "t", "turns": TURNS, **more}
    return Seat("client", ("therapist",), "c", "c", memory={"source": memory})


@pytest.mark.parametrize(
    ("field", "answer", "value", "number", "reason"),
    [
        ("resistance", '{"quote": "my doctor says i\'m drinking", "answer": "high"}', "high", 2.0, None),
        ("resistance", '{"quote": "that sounds hard", "answer": "high"}', None, None, "quoted words"),
        ("resistance", '{"quote": "", "answer": "cannot be identified"}', None, None, UNKNOWN),
        ("resistance", '{"quote": "I hardly sleep", "answer": "enormous"}', None, None, "none of the options"),
        ("neuroticism", '{"quote": "I hardly sleep", "answer": 80}', "80", 80.0, None),
        ("neuroticism", '{"quote": "", "answer": -1}', None, None, UNKNOWN),
        ("neuroticism", '{"quote": "I hardly sleep", "answer": 300}', None, None, "no percentage"),
        ("emotion_trigger", '{"quote": "That sounds hard.", "answer": "sympathy"}', "sympathy", None, None),
        ("occupation", "I would say a nurse", None, None, "3 answers broke the schema"),
        ("PHQ-9:3", '{"quote": "hardly sleep", "answer": "nearly every day"}', "nearly every day", 3.0, None),
    ],
)  # fmt: skip
def test_a_value_stands_only_on_words_of_the_recording(
    field: str, answer: str, value: str | None, number: float | None, reason: str | None
) -> None:
    reader = Reader(answer)
    found = asyncio.run(ProfileExtraction(seat(), reader).read(field))  # type: ignore[arg-type]
    assert (found.value, found.number) == (value, number)
    assert reason is None if found.missing_reason is None else reason in found.missing_reason  # type: ignore[operator]
    if value is not None and found.evidence_turn is not None:
        quoted = TURNS[found.evidence_turn].text[found.evidence_start : found.evidence_end]
        assert locate_quote(json.loads(answer)["quote"], quoted) == (0, len(quoted))
    assert len({request.seed for request in reader.asked}) == len(reader.asked)


def test_all_requests_about_a_recording_share_all_but_their_last_message() -> None:
    reader = Reader('{"quote": "", "answer": "cannot be identified"}')
    agent = ProfileExtraction(seat(), reader)  # type: ignore[arg-type]
    for field in agent.fields:
        asyncio.run(agent.read(field))
    assert len({tuple(message.encoded for message in request.messages[:-1]) for request in reader.asked}) == 1
    assert len({request.messages[-1].encoded for request in reader.asked}) == len(agent.fields)
    assert all(
        request.schema == schema_of(profile_fields()[name])
        for request, name in zip(reader.asked, agent.fields, strict=True)
    )


PROFILE = {
    "name": {"value": "Ada"}, "situation": {"value": "nights at the ward"}, "problem": {"value": "drinking"},
    "resistance": {"value": "high"}, "feeling_expression": {"value": None, "missing_reason": UNKNOWN},
    "neuroticism": {"value": "80"}, "PHQ-9:3": {"value": "nearly every day"}, "PHQ-9:1": {"value": "not at all"},
}  # fmt: skip


def persona_of(**options: Any) -> str:
    agent = ClientCastClient(seat(use="simulate", profile=PROFILE), Reader("Well."), **options)  # type: ignore[arg-type]
    return str(agent.conversation[0].text)


def test_the_corrected_client_shows_what_was_read_and_nothing_of_the_recording() -> None:
    said = persona_of()
    assert "situation: nights at the ward" in said and "problem: drinking" in said
    assert "high resistance to the therapist" in said and "unwilling" not in said.split("In the room:")[1]
    assert "neuroticism: 80" in said and said.count("nearly every day") == 1 and ": not at all" not in said
    assert all(turn.text not in said for turn in TURNS)


def test_each_choice_of_the_original_changes_what_the_client_is_told() -> None:
    assert "situation: drinking" in persona_of(swap_situation_problem=True)
    assert "may be unwilling to speak about feelings" in persona_of(default_manner=True)
    assert all(turn.text in persona_of(reference="full") for turn in TURNS)
    rater = persona_of(character="reasons_and_traits")
    assert "neuroticism: 80" in rater and "nearly every day" not in rater and "drinking" not in rater
    with pytest.raises(UserError, match="window50"):
        persona_of(reference="window")


def test_the_window_moves_along_with_the_talk() -> None:
    assert [window_at(turn) for turn in (0, 42, 43, 76, 77)] == [0, 0, 40, 40, 80]


def test_what_is_missing_is_said_in_one_line(source: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"source\.profiles"):
        study(f"source.run={source}", "client=[clientcast]", "+model={_target_: tests.models_for_tests.Answering}",
              "therapist=[lm_mi]", "instruments=[]", *QUIET, f"out={tmp_path / 'x'}",
              "limits.failure_rate=1")  # fmt: skip
    with pytest.raises(UserError, match="give one of them"):
        compose("source.run=a", "replay.run=b")
    with pytest.raises(UserError, match="nothing was read"):
        study(f"source.run={source}", f"source.profiles={source}", *QUIET, f"out={tmp_path / 'y'}")
    with pytest.raises(UserError, match="no session"):
        study(f"source.run={source}", "source.fewest_turns=100000", *QUIET, f"out={tmp_path / 'z'}")


def test_therapists_never_see_what_the_client_was_made_from(
    source: Path, profiles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, set[bool]] = {}
    whole = course._memory_of

    def noted(role: str, *rest: Any) -> Any:
        given = whole(role, *rest)
        seen.setdefault(role, set()).add("source" in given)
        return given

    monkeypatch.setattr(course, "_memory_of", noted)
    study(f"source.run={source}", f"source.profiles={profiles}", "source.limit=2", "therapist=[cbt]", "instruments=[]",
          *QUIET, f"out={tmp_path / 'run'}")  # fmt: skip
    assert seen == {"client": {True}, "therapist": {False}}


class Asked(Reader):
    """Answers every item with the same number and notes which were asked."""

    async def answer_item(self, instrument: Any, item: Any, form: str, seed: int) -> Any:
        from simulator.records.journal_records import Answer

        self.asked.append(item.id)
        return Answer(item.id, 3.0)


@pytest.mark.parametrize("order", ["printed", "shuffled"])
def test_an_administration_that_goes_on_asks_only_what_was_not_answered(order: str) -> None:
    from simulator.records.journal_records import Answer
    from simulator.sessions.administration import InstrumentChoice, administer

    choice = InstrumentChoice(instrument="WAI-SR", moments=["session_end"], item_order=order)  # type: ignore[arg-type]
    told: list[Answer] = []
    whole = asyncio.run(administer(choice, Asked(), seat(), "session_end", answered=told.append))  # type: ignore[arg-type]
    places = [answer.item for answer in whole.answers]
    assert [answer.item for answer in told] == places
    assert (places == [str(number) for number in range(1, 13)]) is (order == "printed")
    if order == "shuffled":
        assert [answer.seed for answer in whole.answers] == sorted(answer.seed for answer in whole.answers)
    known = {answer.item: answer for answer in told[:7]}
    again = Asked()
    rest = asyncio.run(administer(choice, again, seat(), "session_end", known=known, at_once=4))  # type: ignore[arg-type]
    assert sorted(again.asked) == sorted(set(places) - set(known)) and rest == whole  # type: ignore[type-var]
