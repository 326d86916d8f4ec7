"""Agents on models between sessions: notes by schema, read back within bounds; decisions drawn from probabilities."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest

from simulator.agents.between_sessions import QUESTIONS
from simulator.agents.model_memory import KINDS, LONGEST_NOTE, MOST_NOTES, decide_between, notes_in, take_notes
from simulator.errors import SessionError
from simulator.models.messages import Completion, Message, Request
from simulator.models.openai import OpenAIServerClient
from simulator.studies.composing import compose
from simulator.studies.running import run_study
from tests.mock_for_tests import Mock, mock_server
from tests.model_server import Server, client_of, completion, distribution, serving

ATTENDANCE = tuple(QUESTIONS["attendance"])
TALKED = [Message("system", "You are Noor."), Message("user", "How was your week?")]


def ask(server: Server, question: Any, **config: Any) -> Any:
    async def main() -> Any:
        async with serving(server):
            client = client_of(server, **config)
            try:
                return await question(client)
            finally:
                await client.close()

    return asyncio.run(main())


async def notes(client: OpenAIServerClient) -> Any:
    return await take_notes(client, TALKED, "Noor", 5)


async def decision(client: OpenAIServerClient) -> Any:
    return await decide_between(client, TALKED, "Noor", ATTENDANCE, 5)


def test_notes_are_asked_for_by_schema_and_the_first_weigh_most() -> None:
    server = Server()
    server.always = completion(
        '{"notes": [{"kind": "promise", "text": " To  call\\n him."}, {"kind": "fact", "text": "x"}]}'
    )
    found = ask(server, notes)
    assert [(note.kind, note.text) for note in found] == [("promise", "To call him."), ("fact", "x")]
    assert found[0].weight > found[1].weight
    (body,) = server.bodies
    schema = body["response_format"]["json_schema"]["schema"]["properties"]["notes"]
    assert schema["maxItems"] == MOST_NOTES and schema["items"]["properties"]["kind"]["enum"] == list(KINDS)
    assert body["messages"][:2] == [{"role": m.role, "content": m.text} for m in TALKED]


def test_of_an_answer_that_was_cut_off_what_is_there_counts() -> None:
    whole = [{"kind": "odd", "text": "a" * 400}, *({"kind": "topic", "text": f"{n}}},{{\x18"} for n in range(8))]
    text = json.dumps({"notes": whole}).replace("\\u0018", "\x18")  # as models write it: braces and control letters
    assert [note.text for note in notes_in(text)][1:] == [f"{n}}},{{\x18" for n in range(MOST_NOTES - 1)]
    found = notes_in(text[: text.index('"2')])
    assert [(note.kind, len(note.text)) for note in found] == [("note", LONGEST_NOTE), ("topic", 5), ("topic", 5)]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ('{"notes":[{"kind": "fact", "text": "He \\"is\\" a cook, and', 'He "is" a cook, and'),
        ('{"notes":[{"kind": "fact", "text": "whole"', "whole"),
        ('{"notes":[{"kind": "fact", "text": "half an escape \\u26', "half an escape"),
        ('{"notes":[{"kind": "fact", "text": "half a pair \\ud83d"}]}', "half a pair ?"),
        ('[{"text": "no key around it"}]', "no key around it"),
    ],
)
def test_an_answer_that_is_no_whole_document_is_read_as_far_as_it_goes(answer: str, expected: str) -> None:
    (note,) = notes_in(answer)
    assert note.text == expected


def test_an_answer_without_a_text_holds_no_note() -> None:
    assert notes_in("well, no") == notes_in('{"kind": "fact", "text": "  "}') == notes_in('{"notes": ["x"]}') == []


def test_answers_without_a_note_are_asked_again_with_other_seeds_and_then_a_typed_failure() -> None:
    server = Server()
    server.always = completion("Nothing much.")
    with pytest.raises(SessionError) as caught:
        ask(server, notes)
    assert (caught.value.boundary, caught.value.kind) == ("model", "bad_schema")
    seeds = [body["seed"] for body in server.bodies]
    assert len(set(seeds)) == 3 and seeds[0] == 5


def test_a_decision_is_drawn_from_the_probabilities_that_stand_beside_it() -> None:
    server = Server()
    server.always = completion("A", choice=distribution(A=0.2, B=0.6, C=0.1))
    found = ask(server, decision)
    assert found.option in ATTENDANCE
    assert sorted(found.probabilities) == pytest.approx([0.1 / 0.9, 0.2 / 0.9, 0.6 / 0.9])


def test_a_model_that_names_no_option_is_held_to_them_and_its_decision_has_no_probabilities() -> None:
    server = Server()
    nothing = completion("Well", choice=distribution(Well=0.99))
    server.answers = [nothing, completion("B")]
    found = ask(server, decision, structured_choice=True)
    assert found.option in ATTENDANCE and found.probabilities is None
    assert server.bodies[1]["structured_outputs"] == {"choice": ["A", "B", "C"]}
    with pytest.raises(SessionError) as caught:  # a server that cannot be held, and a model that says something else
        server.always = nothing
        ask(server, decision, structured_choice=False)
    assert (caught.value.boundary, caught.value.kind) == ("model", "bad_choice")


class Elsewhere:
    """A client without probabilities or constraints."""

    gives_logprobs = takes_prefix = takes_choice = False

    async def complete(self, request: Request) -> Completion:
        return Completion("B. Miss it.", "stop", "elsewhere")


def test_any_client_can_decide() -> None:
    found = asyncio.run(decide_between(Elsewhere(), TALKED, "Noor", ATTENDANCE, 5))
    assert found.option in ATTENDANCE and found.probabilities is None


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> tuple[Mock, Path]:
    """Three sessions on the mock server, and waiting for them; one thing is noted of each session."""
    out = tmp_path_factory.mktemp("between") / "run"
    with mock_server(rules=RULES) as mock:
        overrides = ["client=[static,evolving]", "therapist=[lm_supportive,waitlist]", "personas.limit=2", "coders=[]"]
        overrides += ["session=course", "session.course.sessions=3", "session.max_turns=4", "replicates=1"]
        overrides += ["instruments=[phq9]", "+instruments.phq9.every_days=14"]
        overrides += ["session.course.memory.characters=60", "model.structured_choice=true"]
        run_study(compose(*overrides, *mock.overrides, f"out={out}"))
    return mock, out


RULES: list[Mapping[str, Any]] = [
    {"match": 'whose key "notes"', "answer": '{"notes": [{"kind": "homework", "text": "' + "w" * 40 + '"}]}'},
]


def table(run: Path, name: str) -> pl.DataFrame:
    return pl.read_parquet(run / f"dataset/{name}/*.parquet")


def test_notes_stand_in_the_dataset_and_are_read_back_within_the_budget(course: tuple[Mock, Path]) -> None:
    mock, out = course
    noted = table(out, "notes")
    assert set(noted["kind"]) <= {"homework", "event"}
    leads = [msgspec.json.decode(seen.body)["messages"][0]["content"] for seen in mock.server.seen]
    first = [lead for lead in leads if "have not talked before" in lead]
    later = [lead for lead in leads if "This is not the first talk" in lead]
    assert first and later and not any("w" * 40 in lead for lead in first)
    assert any("- " + "w" * 40 in lead for lead in later)
    assert all(lead.count("w" * 40) <= 1 for lead in leads)  # noted twice, remembered once: 60 letters at most


def test_probabilities_of_decisions_stand_in_the_dataset(course: tuple[Mock, Path]) -> None:
    decisions = table(course[1], "decisions")
    assert {"attendance", "between", "outside"} <= set(decisions["question"])
    for question, text in decisions.select("question", "probabilities").drop_nulls().iter_rows():
        chances = msgspec.json.decode(text)
        assert list(chances) == list(QUESTIONS[question]) and sum(chances.values()) == pytest.approx(1.0)
    assert decisions["probabilities"].null_count() < decisions.height / 4


def test_a_client_on_a_model_lives_and_is_asked_on_the_waiting_list_too(course: tuple[Mock, Path]) -> None:
    _, out = course
    courses = table(out, "courses")
    assert set(courses["status"]) == {"ended"}
    waiting = courses.filter(pl.col("therapist") == "waitlist")
    assert waiting.height == 4 and set(waiting["sessions"]) == {0}
    for name in ("turns", "notes"):
        assert (
            table(out, name)
            .filter(pl.col("kind") != "event" if name == "notes" else pl.lit(True))
            .join(waiting, on="course_id", how="semi")
            .height
            == 0
        )
    decisions = table(out, "decisions").join(waiting, on="course_id", how="semi")
    assert set(decisions["question"]) == {"outside"} and decisions.height == 4 * 3
    dates = (
        table(out, "scores").filter(pl.col("scale") == "total").group_by("course_id").agg(pl.col("day").unique().sort())
    )
    assert {tuple(days) for days in dates["day"]} == {(0.0, 14.0)}
