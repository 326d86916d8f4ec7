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
    return {path.parent.name: path.read_bytes() for path in sorted(run.glob("dataset/*/administered-*.parquet"))}


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
    assert set(_tables(cut)) == {"administrations", "scores"}
    assert _tables(cut) == _tables(whole)


def test_answers_stand_beside_those_of_the_run_and_say_who_gave_them(rated: Path, tmp_path: Path) -> None:
    run = _copy(rated, tmp_path, "run")
    with mock_server() as server:
        assert administer(_words(run, server)) == 0
        sent = [json.loads(body)["messages"] for body in _bodies(server)]
    assert len({json.dumps(messages[0]) for messages in sent}) == 2  # one shared prefix per session
    rows = pl.read_parquet(run / "dataset" / "administrations" / "administered-mock.parquet")
    assert rows.height == 2 * 16
    assert set(rows["moment"]) == {"afterwards (mock)"}
    assert set(rows["respondent"]) == {"observer"}
    answered = rows.filter(pl.col("value").is_not_null())
    assert rows.filter(pl.col("value").is_null())["missing_reason"].null_count() == 0
    assert answered["value"].is_between(0, 10).all()
    scores = pl.read_parquet(run / "dataset" / "scores" / "administered-mock.parquet")
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
