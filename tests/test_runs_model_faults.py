"""Whole studies on a server that fails: the same transcripts, every retry accounted for, every failure typed."""

import re
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from simulator.analysis.summary import summarise
from simulator.errors import UserError
from simulator.reporting.writing import report_run
from simulator.serving.commands import free_ports
from simulator.studies.composing import compose
from simulator.studies.config import StudyConfig
from simulator.studies.running import run_study
from tests.mock_for_tests import Mock, mock_server
from tests.studies_for_tests import parquet_bytes

SESSIONS, TURNS = 500, 6
FAULTS = {"500": 0.1, "hang": 0.05, "truncated": 0.02}
pytestmark = pytest.mark.timeout(240)


def study(out: Path, *overrides: str) -> StudyConfig:
    return compose(
        "client=[static]", "therapist=[lm_supportive]", f"session.max_turns={TURNS}", "session.end_on_goodbye=false",
        "session.goodbye_loop=100", "instruments=[]", "coders=[]", "limits.workers=1", f"out={out}", *overrides,
    )  # fmt: skip


def on(mock: Mock, out: Path, *overrides: str) -> StudyConfig:
    return study(out, *mock.overrides, *overrides)


def table(run: Path, name: str) -> pl.DataFrame:
    return pl.read_parquet(run / "dataset" / name / "*.parquet")


def test_500_sessions_under_faults_say_what_they_say_without_and_every_retry_is_accounted_for(tmp_path: Path) -> None:
    size = ("personas=population", "personas.sample=250", "replicates=2", "model.pool.deadline=2")
    with mock_server() as quiet:
        plain = run_study(on(quiet, tmp_path / "plain", *size))
    with mock_server(faults=FAULTS) as mock:
        faulty = run_study(on(mock, tmp_path / "faulty", *size))
        counters = mock.server.counters
    assert plain.run.identity == faulty.run.identity
    assert (faulty.tally.ended, faulty.tally.failed) == (SESSIONS, 0)
    assert parquet_bytes(tmp_path / "faulty") == parquet_bytes(tmp_path / "plain")
    assert len(table(tmp_path / "faulty", "turns")) == SESSIONS * TURNS

    calls = table(tmp_path / "faulty", "executions").filter(scope="call")
    assert len(calls) == counters.served == SESSIONS * TURNS
    assert calls["retries"].sum() == counters.requests - counters.served > 0.1 * SESSIONS * TURNS
    told = Counter(part.partition("@")[0] for error in calls["error"].drop_nulls() for part in error.split("; "))
    assert told["http_500"] == counters.faults["500"] > 250
    assert told["truncated"] == counters.faults["truncated"] > 40
    assert told["timeout"] >= counters.faults["hang"] > 120
    assert told.keys() == {"http_500", "truncated", "timeout"} and told.total() == calls["retries"].sum()


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["model.name=mokc"], r"model.name: 'mokc' is not served at http\S+ \(did you mean 'mock'\?\)"),
        (["model.url=http://127.0.0.1:{port}/v1"], r"no model server answers \(.*refused\).*check model.url"),
        (["model.url={root}/nothing/v1"], r"no model server answers \(.*status 404\).*check model.url"),
    ],
)
def test_a_wrong_endpoint_and_a_wrong_name_are_one_line(tmp_path: Path, overrides: list[str], line: str) -> None:
    with mock_server() as mock:
        root, port = mock.server.base_url.removesuffix("/v1"), free_ports("127.0.0.1", 1)[0]
        filled = [word.format(root=root, port=port) for word in overrides]
        with pytest.raises(UserError, match=line) as caught:
            run_study(on(mock, tmp_path / "run", "personas.limit=2", *filled))
    assert "\n" not in str(caught.value)


def test_a_model_that_goes_away_during_a_run_is_a_typed_failure_and_the_others_go_on(tmp_path: Path) -> None:
    two = ("client=[static]", "therapist=[lm_supportive,lm_mi]", "personas.limit=2", "replicates=1")
    with mock_server() as mock, mock_server(models=["other"], rules=[{"match": "", "status": 404}]) as other:
        own = f"+therapist.lm_mi.model={{name: other, url: '{other.server.base_url}'}}"
        result = run_study(on(mock, tmp_path / "run", *two, own, "limits.failure_rate=1"))
    assert (result.tally.ended, result.tally.failed) == (2, 2)
    failures = table(tmp_path / "run", "failures")
    assert set(failures.select("boundary", "kind").rows()) <= {("model", "wrong_model"), ("model", "wrong_endpoint")}
    assert all("\n" not in message for message in failures["message"])


def test_a_model_that_only_thinks_fails_its_courses_and_the_line_says_what_to_do(tmp_path: Path) -> None:
    with mock_server(rules=[{"match": "", "answer": "<think>" + "on and on " * 400}]) as mock:
        result = run_study(on(mock, tmp_path / "run", "personas.limit=2", "replicates=1", "limits.failure_rate=1"))
    assert (result.tally.ended, result.tally.failed) == (0, 2)
    failures = table(tmp_path / "run", "failures")
    assert failures.select("boundary", "kind").rows() == [("model", "empty_answer")] * 2
    for message in failures["message"]:
        assert re.search(r"without a word \(finish_reason length, 400 tokens\).*max_tokens.*enable_thinking", message)
    assert len(table(tmp_path / "run", "turns")) == 0
    calls = table(tmp_path / "run", "executions").filter(scope="call")
    assert calls.group_by("purpose").len().sort("purpose").rows() == [
        ("turn", 2),
        ("turn:empty:2", 2),
        ("turn:empty:3", 2),
    ]
    summary = summarise(tmp_path / "run")
    assert [(row["turns"], row["empty"]) for row in summary["usage"]["turns"]] == [(0, 6)]
    assert any("6 answers of the" in line and "no word" in line for line in summary["warnings"])
    assert "answers without a word" in report_run(tmp_path / "run").read_text()


@pytest.mark.parametrize("agent", ["", "AssistantAgent"])
def test_an_answer_without_a_word_is_asked_for_again_or_fails_and_never_stands(tmp_path: Path, agent: str) -> None:
    model = "{_target_: tests.models_for_tests.Answering, odd: ' '}"
    own = [f"+client.static.model_client={model}", f"+therapist.lm_supportive.model_client={model}"]
    if agent:
        chair = f"{{_target_: autogen_agentchat.agents.{agent}, model_client: {model}}}"
        plain = "+therapist.lm_supportive.model_client={_target_: tests.models_for_tests.Answering}"
        own = [own[0], plain, f"+therapist.theirs={chair}"]
    result = run_study(study(tmp_path / "run", *own, "personas.limit=8", "replicates=1", "limits.failure_rate=1"))
    turns, failures = table(tmp_path / "run", "turns"), table(tmp_path / "run", "failures")
    assert 0 < result.tally.failed == len(failures) and set(failures["kind"]) == {"empty_answer"}
    assert len(turns) and all(text.strip() for text in turns["text"])
    calls = table(tmp_path / "run", "executions").filter(scope="call")
    again = calls.filter(pl.col("purpose").str.starts_with("turn:empty:"))
    assert len(again) and ("therapist" in set(again["role"])) == (not agent)  # others' agents are not asked again
    counted = summarise(tmp_path / "run")["usage"]["turns"]
    assert sum(row["empty"] for row in counted) == len(again) + len(failures)


def test_turns_cut_at_the_longest_answer_are_counted(tmp_path: Path) -> None:
    with mock_server(answer_tokens=[20, 20]) as mock:
        run_study(on(mock, tmp_path / "run", "personas.limit=2", "replicates=1", "model.sampling.max_tokens=5"))
    summary = summarise(tmp_path / "run")
    half = TURNS  # of two sessions
    assert [(row["turns"], row["cut"], row["empty"]) for row in summary["usage"]["turns"]] == [(half, half, 0)] * 2
    assert f"{half} of {half} turns of the client were cut at the longest answer." in summary["warnings"]


def test_a_full_context_ends_the_session_and_the_run_goes_on(tmp_path: Path) -> None:
    with mock_server(max_model_len=2_200, answer_tokens=[200, 200]) as mock:
        more = ("personas.limit=4", "replicates=1", "session.max_turns=40", "model.sampling.max_tokens=220")
        result = run_study(on(mock, tmp_path / "run", *more))
    assert (result.tally.ended, result.tally.failed) == (4, 0)
    sessions = table(tmp_path / "run", "sessions")
    assert sessions["ending"].to_list() == ["context"] * 4
    assert sessions["turns"].min() > 0 and sessions["turns"].max() < 40  # type: ignore[operator]
    assert set(sessions["ended_by"]) <= {"client", "therapist"}


def test_a_context_too_small_for_the_first_turn_is_a_typed_failure(tmp_path: Path) -> None:
    with mock_server(max_model_len=300) as mock:
        result = run_study(on(mock, tmp_path / "run", "personas.limit=2", "replicates=1", "limits.failure_rate=1"))
    assert (result.tally.ended, result.tally.failed) == (0, 2)
    failures = table(tmp_path / "run", "failures")
    assert set(failures.select("boundary", "kind").rows()) == {("model", "context_overflow")}


def test_an_answer_that_breaks_its_schema_three_times_is_a_typed_failure_and_the_run_goes_on(tmp_path: Path) -> None:
    with mock_server(broken_schema=1.0) as mock:
        more = ("client=[static,evolving]", "personas.limit=3", "replicates=1", "limits.failure_rate=1")
        result = run_study(on(mock, tmp_path / "run", *more))
        asked = [body for request in mock.server.seen if (body := request.body) and b"response_format" in body]
    assert (result.tally.ended, result.tally.failed) == (3, 3)
    assert result.tally.failures == {"model: bad_schema": 3}
    failures = table(tmp_path / "run", "failures").join(table(tmp_path / "run", "courses"), on="course_id")
    assert set(failures["client"]) == {"evolving"} and all("\n" not in message for message in failures["message"])
    assert len(asked) == 3 * 3 and len({seed(body) for body in asked}) == 9  # each time with a seed of its own


def seed(body: bytes) -> Any:
    found = re.search(rb'"seed":(\d+)', body)
    assert found
    return found[1]
