"""Trained coders: made by one command and validated by another, stored whole, refused when a byte changed."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulator.cli.coders import main as coders
from simulator.cli.validate import main as validate_command
from simulator.coding.base import CodedTurn, Coder, coded_sessions
from simulator.coding.loaders import read_examples
from simulator.coding.trained.coder import TrainedCoder
from simulator.coding.trained.examples import Examples
from simulator.coding.trained.files import DESCRIPTION, NUMBERS, save
from simulator.coding.trained.model import fit
from simulator.coding.trained.recipes import DIALOGUE, PAIR, PARTS, Recipe, recipe_for
from simulator.coding.trained.seen import seen_in_training
from simulator.errors import UserError
from tests.coded_for_tests import annomi_rows, epitome_rows, published, write

FIGURES = ("macro_f1", "kappa", "alpha", "ece")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A coder trained on 24 made-up transcripts in the shared part's form."""
    folder = tmp_path_factory.mktemp("trained")
    data = write(folder / "a.csv", annomi_rows(24))
    assert coders(["train", "--data", str(data), "--out", str(folder / "coder")]) == 0
    return folder / "coder"


def say_nothing(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> dict[str, Any]:
    capsys.readouterr()
    assert validate_command([*arguments, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.parametrize("form", ["shared", "published"])
def test_a_coder_trained_on_one_file_is_validated_on_another_in_either_form(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    rows = annomi_rows(24, first=100)
    against = write(tmp_path / "b.csv", published(rows) if form == "published" else rows)
    found = say_nothing(capsys, [str(trained), "--against", str(against)])
    assert list(found) == ["therapist", "client"]
    for report in found.values():
        for key in FIGURES:
            assert isinstance(report[key], float), key
            interval = report["intervals"][key]
            assert interval["low"] <= report[key] <= interval["high"]
            assert (interval["cluster"], interval["clusters"]) == ("videos", 12)
        assert report["sessions_left_out"] == 0
        assert report["baselines"].keys() >= {"majority", "length_only", "rules"}
        assert report["macro_f1"] > max(each["macro_f1"] for each in report["baselines"].values())
        assert report["ece"] < 0.2
    rows_of = {row["code"]: row for row in found["therapist"]["codes"]}
    assert set(rows_of) == {"question", "reflection", "therapist_input", "other"}
    question = rows_of["question"]
    assert min(question[key] for key in ("precision", "recall", "f1", "auc")) > 0.9
    assert sum(row["base_rate"] for row in rows_of.values()) == pytest.approx(1)
    assert (found["therapist"]["ceiling"], found["therapist"]["human"]) == (0.861, 0.796)
    assert (found["therapist"]["exploratory"], found["client"]["exploratory"]) == (False, True)
    assert set(found["therapist"]["strata"]) == {"high", "low"}
    assert found["therapist"]["session_shares"]["question"]["icc"]["estimate"] > 0.8


def test_training_sessions_never_count_as_validation(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    same = write(tmp_path / "same.csv", annomi_rows(24))
    with pytest.raises(UserError, match="trained on all 24 sessions"):
        validate_command([str(trained), "--against", str(same)])
    renamed = [{**row, "transcript_id": f"9{row['transcript_id']}", "video_id": "x"} for row in published_ids(0, 4)]
    some = write(tmp_path / "some.csv", [*annomi_rows(12, first=200), *renamed])
    found = say_nothing(capsys, [str(trained), "--against", str(some)])
    assert (found["therapist"]["sessions"], found["therapist"]["sessions_left_out"]) == (12, 4)


def published_ids(first: int, count: int) -> list[dict[str, str]]:
    return annomi_rows(count, first=first)


def test_another_part_of_a_training_video_is_left_out(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other_part = [{**row, "video_id": "v3"} for row in annomi_rows(2, first=300)]
    path = write(tmp_path / "c.csv", [*annomi_rows(12, first=400), *other_part])
    assert say_nothing(capsys, [str(trained), "--against", str(path)])["client"]["sessions_left_out"] == 2


def own(rows: Sequence[dict[str, str]], group: str | None) -> list[dict[str, str]]:
    """The same sessions as a table of one's own; `group` begins the names of groups, None leaves the column out."""
    return [
        {"session": row["transcript_id"], "role": row["interlocutor"], "text": row["utterance_text"],
         "code:main": row["main_therapist_behaviour"]} | ({"group": f"{group}{row['video_id']}"} if group else {})
        for row in rows
    ]  # fmt: skip


@pytest.fixture(scope="module")
def of_own_tables(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, TrainedCoder]:
    """Coders trained on the same sessions as a table `data.csv`, with a column `group` and without."""
    found = {}
    for grouped in (True, False):
        folder = tmp_path_factory.mktemp("own")
        examples = read_examples(write(folder / "data.csv", own(annomi_rows(12), "person " if grouped else None)))
        save(folder / "coder", fit(examples, recipe_for(examples)), examples)
        found[grouped] = TrainedCoder(folder / "coder")
    return found


def left_out(coder: TrainedCoder, path: Path, rows: Sequence[dict[str, str]]) -> tuple[int, bool]:
    seen = seen_in_training(coder.training, read_examples(write(path, rows)))
    return int(seen.sessions.sum()), seen.groups_compared


def test_groups_of_own_tables_are_the_same_people_whatever_the_files_are_called(
    of_own_tables: dict[bool, TrainedCoder], tmp_path: Path
) -> None:
    others = annomi_rows(12, seed=9)
    assert left_out(of_own_tables[True], tmp_path / "B.csv", own(others, "person ")) == (12, True)
    assert left_out(of_own_tables[True], tmp_path / "B.csv", own(others, "nobody ")) == (0, True)
    empty = [{**row, "group": ""} for row in own(others, "person ")]
    assert left_out(of_own_tables[True], tmp_path / "B.csv", empty) == (0, True)


def test_numbers_of_sessions_without_a_group_say_nothing_about_another_file(
    of_own_tables: dict[bool, TrainedCoder], tmp_path: Path
) -> None:
    others = annomi_rows(12, seed=9)
    assert left_out(of_own_tables[False], tmp_path / "y" / "data.csv", own(others, None)) == (0, False)
    assert left_out(of_own_tables[True], tmp_path / "data.csv", own(others, None)) == (0, False)
    assert left_out(of_own_tables[False], tmp_path / "same.csv", own(annomi_rows(12), None)) == (12, False)


def test_videos_of_annomis_other_form_are_known_by_their_transcripts(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    coder, rows = TrainedCoder(trained), published(annomi_rows(24, seed=9))
    assert left_out(coder, tmp_path / "b.csv", rows) == (24, False)
    # transcript 1000 is new and stands in the video of transcript 0
    part = [{**row, "transcript_id": "1000" if row["transcript_id"] == "1" else row["transcript_id"]} for row in rows]
    part += published(annomi_rows(12, first=400))
    assert left_out(coder, tmp_path / "c.csv", part) == (24, False)
    assert (
        say_nothing(capsys, [str(trained), "--against", str(tmp_path / "c.csv")])["client"]["sessions_left_out"] == 24
    )
    assert validate_command([str(trained), "--against", str(tmp_path / "c.csv")]) == 0
    assert "do not name videos alike: left out by sessions and texts only" in capsys.readouterr().err


def test_a_coder_that_other_code_trained_is_used_with_a_warning(
    trained: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    TrainedCoder(trained)
    assert not caplog.records
    monkeypatch.setattr("simulator.coding.trained.files.code_version", lambda: "another")
    TrainedCoder(trained)
    assert "trained by other code than this" in caplog.text and "another here" in caplog.text


def test_a_folder_of_json_and_npz_without_pickles_or_texts(trained: Path) -> None:
    assert sorted(path.name for path in trained.iterdir()) == [DESCRIPTION, NUMBERS]
    with np.load(trained / NUMBERS, allow_pickle=False) as stored:
        assert all(stored[name].dtype.kind in "fiu" for name in stored.files)
    for path in trained.iterdir():
        assert b"weekend" not in path.read_bytes()


@pytest.mark.parametrize("name", [DESCRIPTION, NUMBERS])
def test_a_changed_byte_is_one_line(trained: Path, tmp_path: Path, name: str) -> None:
    for file in (DESCRIPTION, NUMBERS):
        (tmp_path / file).write_bytes((trained / file).read_bytes())
    sound = (trained / name).read_bytes()
    for place in np.linspace(0, len(sound) - 1, 25).astype(int):
        changed = bytearray(sound)
        changed[place] ^= 1
        (tmp_path / name).write_bytes(bytes(changed))
        with pytest.raises(UserError) as caught:
            TrainedCoder(tmp_path)
        assert "\n" not in str(caught.value)
        assert str(tmp_path / name) in str(caught.value)
    (tmp_path / name).write_bytes(sound)
    assert TrainedCoder(tmp_path).fingerprint == TrainedCoder(trained).fingerprint


def test_a_missing_coder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file; name the folder"):
        TrainedCoder(tmp_path)
    with pytest.raises(UserError, match=r"coders\.trained\.folder: names no folder"):
        TrainedCoder("")


def test_training_twice_gives_the_same_numbers(tmp_path: Path) -> None:
    examples = read_examples(write(tmp_path / "a.csv", annomi_rows(8)))
    described = [save(tmp_path / name, fit(examples, recipe_for(examples)), examples) for name in "xy"]
    assert described[0] == described[1]
    assert TrainedCoder(tmp_path / "x").fingerprint == TrainedCoder(tmp_path / "y").fingerprint


def sessions_of_turns(count: int) -> list[list[CodedTurn]]:
    rows = annomi_rows(count, first=500, turns=7)
    found: dict[str, list[CodedTurn]] = {}
    for row in rows:
        found.setdefault(row["transcript_id"], []).append(
            CodedTurn(row["transcript_id"], 0, int(row["utterance_id"]), row["interlocutor"], row["utterance_text"])
        )
    return list(found.values())


def test_many_sessions_at_once_are_coded_as_one_by_one(trained: Path) -> None:
    coder = TrainedCoder(trained)
    assert isinstance(coder, Coder)
    sessions = [*sessions_of_turns(5), []]
    together = coder.code_sessions(sessions)
    assert together == [coder.code_session(turns) for turns in sessions]
    assert [found for _, found in coded_sessions(coder, iter(sessions), batch=10)] == together
    for turns, judgments in zip(sessions, together, strict=True):
        assert [judgment.turn for judgment in judgments] == [turn.turn for turn in turns]
        assert all(0 < (judgment.probability or 0) <= 1 for judgment in judgments)
        assert all((each.start, each.end) == (0, len(turn.text)) for each, turn in zip(judgments, turns, strict=True))


def test_utterances_are_coded_where_they_stand(trained: Path) -> None:
    whole, parted = TrainedCoder(trained), TrainedCoder(trained, units="utterance")
    text = "Okay. So you feel torn about the beer. What would you like to change?"
    turns = [CodedTurn("c", 0, 4, "therapist", text), CodedTurn("c", 0, 5, "client", "I want to stop the beer.")]
    found = parted.code_session(turns)
    stretches = [text[each.start : each.end] for each in found[:3]]
    assert stretches == ["Okay.", "So you feel torn about the beer.", "What would you like to change?"]
    assert [each.value for each in found[1:3]] == ["reflection", "question"]
    assert [each.turn for each in found] == [4, 4, 4, 5]
    assert {each.unit for each in found} == {"utterance"}
    assert parted.fingerprint != whole.fingerprint
    with pytest.raises(UserError, match="units 'word'"):
        TrainedCoder(trained, units="word")


def test_a_coder_of_parts_is_not_compared_with_people_who_judged_wholes(trained: Path, tmp_path: Path) -> None:
    two = [{**row, "utterance_text": f"{row['utterance_text']} Okay."} for row in annomi_rows(8, first=600)]
    with pytest.raises(UserError, match="the texts differ, so there is no agreement to state"):
        validate_command([str(trained), "units=utterance", "--against", str(write(tmp_path / "b.csv", two))])


def test_empathy_is_learnt_with_levels_and_the_sentence_that_speaks_for_them(tmp_path: Path) -> None:
    examples = read_examples(write(tmp_path / "e.csv", epitome_rows(80)))
    assert recipe_for(examples) == PAIR
    model = fit(examples, PAIR, "isotonic")
    save(tmp_path / "coder", model, examples)
    coder = TrainedCoder(tmp_path / "coder")
    reply = "Okay. That must be frightening for you. Take a walk."
    turns = [CodedTurn("c", 0, 0, "client", "I lost my work."), CodedTurn("c", 0, 1, "therapist", reply)]
    found = {each.code: each for each in coder.code_session(turns)}
    shown = found["interpretations"]
    assert shown.value == "2"
    assert reply[shown.evidence_start : shown.evidence_end].strip() == "That must be frightening for you."
    assert found["explorations"].value == "0"
    assert found["explorations"].evidence_start is None
    probabilities = coder.predict(laid(turns))["ip"].probabilities
    assert probabilities.sum(axis=1) == pytest.approx(1)


def laid(turns: list[CodedTurn]) -> Any:
    from simulator.coding.trained.turns import lay_out

    return lay_out([turns])


def test_what_cannot_be_trained_on_is_one_line(tmp_path: Path) -> None:
    few = read_examples(write(tmp_path / "few.csv", annomi_rows(4)))
    with pytest.raises(UserError, match="2 videos are too few to train on; needs at least 4"):
        fit(few, DIALOGUE)
    rows = [{**row, "client_talk_type": row["client_talk_type"] and "neutral"} for row in annomi_rows(10)]
    flat = read_examples(write(tmp_path / "flat.csv", rows))
    with pytest.raises(UserError, match="client_talk_type: needs units of at least two values"):
        fit(flat, DIALOGUE)
    with pytest.raises(UserError, match="no task 'cliet'"):
        coders(["train", "--data", str(tmp_path / "few.csv"), "--out", str(tmp_path / "m"), "--task", "cliet"])


def test_a_coder_is_described(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert coders(["show", str(trained), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["sessions"], found["videos"], found["tasks"]["client"]["units"]) == (24, 12, 192)


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Examples, Any]]:
    """A dialogue and a pair set, with what a coder with every part says of some turns."""
    folder = tmp_path_factory.mktemp("kinds")
    found = {}
    for name, rows in (("dialogue", annomi_rows(10, turns=8)), ("pair", epitome_rows(24))):
        examples = read_examples(write(folder / f"{name}.csv", rows))
        found[name] = (examples, said_by(examples, []))
    return found


def said_by(examples: Examples, without: list[str]) -> Any:
    full = recipe_for(examples)
    fields = {name: getattr(full, name) for name in full.__struct_fields__}
    turns = laid(sessions_of_turns(1)[0])
    said = fit(examples, Recipe(**{**fields, "without": without})).predict(turns)
    return [said[task.name].probabilities for task in examples.tasks]


@pytest.mark.parametrize("part", PARTS)
def test_every_part_can_be_left_out_and_changes_what_is_said(kinds: dict[str, tuple[Examples, Any]], part: str) -> None:
    examples, whole = kinds["pair" if part == "sentences" else "dialogue"]
    assert not all(map(np.array_equal, said_by(examples, [part]), whole))
