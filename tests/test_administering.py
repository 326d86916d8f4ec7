"""Instruments given afterwards: nothing is asked twice, interruptions leave no trace, rules of giving are kept."""

import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import polars as pl
import pytest

from simulator.cli.administer import main as administer
from simulator.errors import UserError
from simulator.studies.running import run_study
from tests.mock_for_tests import Mock, mock_server
from tests.studies_for_tests import small

DYAD = [sys.executable, "-c", "from simulator.cli.main import main; main()"]
SECONDS = 90.0
INSTRUMENTS = "instruments=[wai_sr,srs]"


@pytest.fixture(scope="module")
def rated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("administering") / "run"
    run_study(
        small(out, "therapist=[cbt]", "personas.limit=2", "instruments=[]", "replicates=1", "session.max_turns=6")
    )
    return out


def _copy(rated: Path, tmp_path: Path, name: str) -> Path:
    return Path(shutil.copytree(rated, tmp_path / name))


def _words(run: Path, server: Mock) -> list[str]:
    return [str(run), INSTRUMENTS, *server.overrides, "respondent=observer", "name=mock"]


def _tables(run: Path) -> dict[str, bytes]:
    files = sorted(run.glob("dataset/*/administered-*.parquet"))
    return {f"{path.parent.name}/{path.stem}": path.read_bytes() for path in files}


def _rows(run: Path, table: str, name: str = "mock") -> pl.DataFrame:
    return pl.read_parquet(run / "dataset" / table / f"administered-{name}-*.parquet")


def _bodies(server: Mock) -> list[str]:
    return [json.dumps(json.loads(request.body), sort_keys=True) for request in server.new_requests()]


def _lines(run: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in run.glob("administered/*/*.jsonl"))


def test_killed_in_the_middle_it_asks_nothing_twice_and_ends_with_the_same_bytes(rated: Path, tmp_path: Path) -> None:
    whole, cut = _copy(rated, tmp_path, "whole"), _copy(rated, tmp_path, "cut")
    with mock_server() as server:
        assert administer(_words(whole, server)) == 0
        everything = _bodies(server)
    with mock_server(hold_after=9) as server:
        process = subprocess.Popen([*DYAD, "administer", *_words(cut, server)], stderr=subprocess.DEVNULL)
        try:
            deadline, waiting = time.monotonic() + SECONDS, threading.Event()
            while _lines(cut) < 1 and time.monotonic() < deadline:
                waiting.wait(0.02)
            server.wait_for(10)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait(SECONDS)
        kept = _lines(cut)
        server.new_requests()
        assert 0 < kept < 2 * 16
        assert _tables(cut) == {}
        server.go_on()
        assert administer(_words(cut, server)) == 0
        again = _bodies(server)
        assert len(again) == len(set(again)) == len(everything) - kept
        assert administer(_words(cut, server)) == 0
        assert _bodies(server) == []
    parts = [f"administered-mock-observer-{words}" for words in ("SRS-steps", "WAI_SR-official")]
    assert list(_tables(cut)) == [f"{table}/{part}" for table in ("administrations", "scores") for part in parts]
    assert _tables(cut) == _tables(whole)


def test_answers_stand_beside_those_of_the_run_and_say_who_gave_them(rated: Path, tmp_path: Path) -> None:
    run = _copy(rated, tmp_path, "run")
    with mock_server() as server:
        assert administer(_words(run, server)) == 0
        sent = [json.loads(body)["messages"] for body in _bodies(server)]
    assert len({json.dumps(messages[0]) for messages in sent}) == 2  # one shared prefix per session
    rows = _rows(run, "administrations")
    assert rows.height == 2 * 16
    assert set(rows["moment"]) == {"afterwards (mock)"}
    assert set(rows["respondent"]) == {"observer"}
    answered = rows.filter(pl.col("value").is_not_null())
    assert rows.filter(pl.col("value").is_null())["missing_reason"].null_count() == 0
    assert answered["value"].is_between(0, 10).all()
    scores = _rows(run, "scores")
    assert {"Task", "Goal", "Bond", "total"} <= set(scores["scale"])


def test_what_an_instrument_does_not_provide_for_is_refused_unless_marked_adapted(rated: Path, tmp_path: Path) -> None:
    run = _copy(rated, tmp_path, "run")
    with mock_server() as server:
        words = [str(run), "instruments=[phq9]", *server.overrides, "respondent=observer"]
        with pytest.raises(UserError, match=r"PHQ-9 belongs to course_start.*set adapted=true"):
            administer(words)
        with pytest.raises(UserError, match="PHQ-9 is for client, observer, not for therapist"):
            administer([*words, "respondent=therapist"])
        assert _bodies(server) == []
        assert administer([*words, "adapted=true"]) == 0
    scores = pl.read_parquet(next(run.glob("dataset/scores/administered-*.parquet")))
    assert all("adapted" in marks for marks in scores["marks"])


def test_other_instruments_under_the_same_name_leave_those_before_in_their_place(rated: Path, tmp_path: Path) -> None:
    run = _copy(rated, tmp_path, "run")
    with mock_server() as server:
        assert administer(_words(run, server)) == 0
        before = _tables(run)
        words = [word.replace(INSTRUMENTS, "instruments=[haq_ii]") for word in _words(run, server)]
        assert administer(words) == 0
    assert before.items() < _tables(run).items()
    assert set(_rows(run, "scores")["instrument"]) == {"SRS", "WAI-SR", "HAQ-II"}


def test_a_whole_form_is_one_request_and_what_is_no_answer_of_the_scale_is_missing(rated: Path, tmp_path: Path) -> None:
    run = _copy(rated, tmp_path, "run")
    words = ["layout=form", "instruments=[wai_sr]"]
    with mock_server() as server:
        asked = [word for word in _words(run, server) if word != INSTRUMENTS]
        assert administer([*asked, *words]) == 0
        sent = _bodies(server)
        assert administer([*asked, *words]) == 0
        assert _bodies(server) == []
    assert len(sent) == 2  # one a session
    rows = _rows(run, "administrations")
    assert rows.height == 2 * 12 and rows["value"].is_between(1, 5).all() and rows["probability"].null_count() == 24
    for text, reason in (("I would rather not say.", "the reply is no JSON object"), ('{"wai1": 9}', None)):
        with mock_server(
            rules=[{"match": "fills in a questionnaire", "answer": text, "unconstrained": True}]
        ) as server:
            asked = [word for word in _words(run, server) if word not in (INSTRUMENTS, "name=mock")]
            assert administer([*asked, *words, "name=odd", f"seed={len(text)}"]) == 0
        odd = _rows(run, "administrations", "odd")
        assert odd["value"].null_count() == 24 and odd["missing_reason"].null_count() == 0
        assert reason is None or set(odd["missing_reason"]) == {reason}
        assert odd["raw_text"].null_count() == 0
