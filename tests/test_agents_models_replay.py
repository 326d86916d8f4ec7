"""Recorded client turns are put to any therapist, on the recorded history or on its own."""

import os
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import simulator.studies.scheduler as scheduler
from simulator.errors import UserError
from simulator.store.runs import open_run
from simulator.studies.composing import compose
from simulator.studies.replay import ReplayChoice, _alternating, load_recordings
from simulator.studies.running import run_study
from tests.models_for_tests import ASKED

MODEL = "+model={_target_: tests.models_for_tests.Answering}"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("recorded") / "run"
    run_study(
        compose(
            "therapist=[mi_consistent]", "personas.limit=2", "replicates=1", "session.max_turns=9", "instruments=[]",
            "limits.workers=1", f"out={out}",
        )
    )  # fmt: skip
    return out


def replay(out: Path, source: Path, *more: str) -> Any:
    ASKED.clear()
    return run_study(
        compose(
            "client=[replay]", "therapist=[lm_mi]", MODEL, "replicates=1", "instruments=[]", f"replay.run={source}",
            "limits.workers=1", f"out={out}", *more,
        )
    )  # fmt: skip


def turns_of(path: Path, role: str | None = None) -> list[tuple[str, int, str]]:
    table = pl.read_parquet(path / "dataset/turns/*.parquet").sort("course_id", "turn")
    spoken = table if role is None else table.filter(role=role)
    return spoken.select("course_id", "turn", "text").rows()


def heard() -> list[list[str]]:
    """What the therapist's model was told of the conversation, request by request."""
    return [[str(message.content) for message in messages[1:-1]] for messages, _ in ASKED]


def test_the_clients_say_what_they_said_and_the_therapist_answers_each(tmp_path: Path, recorded: Path) -> None:
    result = replay(tmp_path / "run", recorded)
    assert result.tally.ended == 2
    before, after = turns_of(recorded, "client"), turns_of(tmp_path / "run", "client")
    assert sorted(text for *_, text in after) == sorted(text for *_, text in before)
    sessions = pl.read_parquet(tmp_path / "run/dataset/sessions/*.parquet")
    assert set(sessions["opened_by"]) == {"therapist"}
    courses = pl.read_parquet(tmp_path / "run/dataset/courses/*.parquet")
    source = pl.read_parquet(recorded / "dataset/courses/*.parquet")
    assert set(courses["persona_id"]) == set(courses["cluster"]) == set(source["persona_id"])


def test_on_the_recorded_history_every_answer_is_given_on_what_was_really_said(tmp_path: Path, recorded: Path) -> None:
    replay(tmp_path / "run", recorded, "replay.limit=1")
    first = min(course for course, *_ in turns_of(recorded))
    really = [text for course, _, text in turns_of(recorded) if course == first]
    assert heard() == [really[:place] for place in range(0, len(really) + 1, 2)]


def test_on_its_own_history_the_therapist_hears_its_own_answers(tmp_path: Path, recorded: Path) -> None:
    replay(tmp_path / "run", recorded, "replay.limit=1", "replay.history=own")
    now = [text for _, _, text in turns_of(tmp_path / "run")]
    assert heard() == [now[:place] for place in range(0, len(now), 2)]


@pytest.mark.parametrize("history", ["recorded", "own"])
def test_a_replay_is_resumed(tmp_path: Path, recorded: Path, history: str, monkeypatch: pytest.MonkeyPatch) -> None:
    how = f"replay.history={history}"
    replay(tmp_path / "whole", recorded, how)
    asked, calls = scheduler.Drain.asked, iter(range(1000))
    monkeypatch.setattr(scheduler.Drain, "asked", lambda self: next(calls) > 5 or asked(self))
    replay(tmp_path / "parts", recorded, how)
    monkeypatch.undo()
    replay(tmp_path / "parts", recorded, how)
    assert turns_of(tmp_path / "parts") == turns_of(tmp_path / "whole")


def test_what_was_said_is_identity_and_where_it_lies_is_not(tmp_path: Path, recorded: Path) -> None:
    import shutil

    moved = tmp_path / "moved"
    shutil.copytree(recorded, moved)
    one = replay(tmp_path / "a", recorded).run.identity
    assert replay(tmp_path / "b", moved).run.identity == one
    turns = pl.read_parquet(moved / "dataset/turns/*.parquet").with_columns(pl.col("text") + " Yes.")
    (part,) = (moved / "dataset/turns").glob("*.parquet")
    turns.write_parquet(part)
    assert replay(tmp_path / "c", moved).run.identity != one


def test_turns_of_one_role_in_a_row_are_one_and_the_session_ends_with_an_answer_to_the_client() -> None:
    said = [("therapist", "a"), ("client", "b"), ("client", "c"), ("observer", "x"), ("therapist", "d")]
    assert _alternating(said, "client", "therapist") == (("therapist", "a"), ("client", "b\nc"))
    assert _alternating([("therapist", "a")], "client", "therapist") == ()


def test_nothing_to_replay_is_one_line(tmp_path: Path, recorded: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        replay(tmp_path / "run", tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"client\.static: replay\.run is set and this client has its own words"):
        replay(tmp_path / "run", recorded, "client=[static]")
    with pytest.raises(UserError, match=r"a course replays one recorded session; set session\.course\.sessions=1"):
        replay(tmp_path / "run", recorded, "session=course")
    assistant = "+therapist.a={_target_: autogen_agentchat.agents.AssistantAgent}"
    with pytest.raises(UserError, match=r"therapist\.a: only Dyad's own agents can be told what was really said"):
        replay(tmp_path / "run", recorded, "therapist=[]", assistant)
    with pytest.raises(UserError, match=r"there is nothing to replay; name a run or an import as replay\.run=FOLDER"):
        run_study(compose("client=[replay]", "therapist=[cbt]", "personas.limit=1", f"out={tmp_path / 'none'}"))


def test_an_imported_dataset_is_replayed_without_personas(tmp_path: Path) -> None:
    folder = os.environ.get("DYAD_DATA_DIR")
    if folder is None or not (Path(folder) / "annomi" / "annomi_simple.csv").is_file():
        pytest.skip("DYAD_DATA_DIR is not set, or holds no annomi/annomi_simple.csv")
    from simulator.cli.import_ import main

    main(["annomi", str(Path(folder) / "annomi" / "annomi_simple.csv"), "--out", str(tmp_path / "a")])
    recordings = load_recordings(ReplayChoice(run=str(tmp_path / "a")), "client", "therapist")
    assert len(recordings) == len({recording.source for recording in recordings}) > 50
    assert all(recording.persona is None for recording in recordings)
    result = replay(tmp_path / "run", tmp_path / "a", "replay.limit=3", "therapist=[lm_supportive]")
    assert result.tally.ended == 3
    assert open_run(tmp_path / "run").meta["design"]["courses"] == 3
