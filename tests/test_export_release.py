"""A release holds nothing that may not be passed on, and its data card says what was left out."""

import zipfile
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from simulator.errors import UserError
from simulator.store.compaction import write_rows
from simulator.store.exporters.exporting import WRITERS, export_run
from simulator.store.exporters.options import ExportOptions
from simulator.store.reading import read_table
from simulator.store.runs import create_run
from simulator.store.tables import TABLES
from tests.exports_for_tests import HUMAN, MARKS, TALKS, course, make_sample

RELEASE = ExportOptions(release=True)


def _texts(folder: Path) -> str:
    """Everything that can be read in a folder, Parquet and ZIP unpacked."""
    found = []
    for path in sorted(folder.rglob("*")):
        if path.suffix == ".parquet":
            found.append(str(pq.read_table(path).to_pylist()))
        elif path.suffix == ".eval":
            with zipfile.ZipFile(path) as archive:
                found += [archive.read(name).decode() for name in archive.namelist()]
        elif path.is_file():
            found.append(path.read_text(encoding="utf-8"))
    return "\n".join(found)


def test_the_marks_are_in_a_whole_export(tmp_path: Path) -> None:
    run = make_sample(tmp_path / "run")
    texts = _texts(export_run(run.path, "csv").path)
    assert all(mark in texts for mark in MARKS)


@pytest.mark.parametrize("name", sorted(WRITERS))
def test_nothing_withheld_is_in_any_file_of_any_format(tmp_path: Path, name: str) -> None:
    run = make_sample(tmp_path / "run")
    released = export_run(run.path, name, options=RELEASE).path
    texts = _texts(released)
    assert [mark for mark in MARKS if mark in texts] == []
    assert "Go on." in texts  # what the other chair answered to a replayed client stays
    assert (released / "DATA_CARD.md").is_file()


def test_a_release_has_the_same_tables_but_for_executions(tmp_path: Path) -> None:
    run = make_sample(tmp_path / "run")
    folder = export_run(run.path, "huggingface", options=RELEASE).path / "data"
    assert {path.name for path in folder.iterdir()} == set(TABLES) - {"executions"}
    turns = pl.read_parquet(folder / "turns/*.parquet")
    assert set(turns["course_id"]) == {course(name) for name in TALKS if name != "human"}
    replayed = turns.filter(course_id=course("replayed"))
    assert replayed["text"].to_list() == [None, "Go on.", None]
    assert replayed["words"].null_count() == 0
    assert replayed["planted"].to_list() == [None, None, None]
    kept = turns.filter(course_id=course("plain"))
    assert kept.equals(read_table(run, "turns").filter(course_id=course("plain")))
    answers = pl.read_parquet(folder / "administrations/*.parquet").filter(course_id=course("plain"), session=0)
    assert dict(answers.select("wording", "raw_text").iter_rows()) == {"paraphrase": "four", "licensed": None}
    assert answers["value"].null_count() == 0
    read = pl.read_parquet(folder / "extractions/*.parquet")
    assert read["value"].null_count() == read["raw_text"].null_count() == read.height > 0
    personas = pl.read_parquet(folder / "personas/*.parquet")
    assert dict(personas.select("persona_id", "name").iter_rows()) == {"a-open": "Ann", "b-own": None, "c-person": None}


def test_withheld_turns_are_empty_and_named_in_chat(tmp_path: Path) -> None:
    run = make_sample(tmp_path / "run")
    exported = export_run(run.path, "chat", options=RELEASE)
    text = (exported.path / "chat.jsonl").read_text(encoding="utf-8")
    (line,) = [line for line in text.split("\n") if course("replayed") in line]
    assert '"content":""' in line
    assert '"withheld":[0,2]' in line
    assert exported.counts == {"sessions": 5, "messages": 14, "withheld": 2}


def test_a_turn_marked_as_recorded_in_a_simulated_course_is_withheld(tmp_path: Path) -> None:
    run = make_sample(tmp_path / "run")
    turns = read_table(run, "turns").to_dicts()
    for turn in turns:
        if turn["course_id"] == course("failed") and turn["role"] == "client":
            turn["finish_reason"] = "recorded"
    write_rows(run.dataset, "turns", turns)
    text = (export_run(run.path, "chat", options=RELEASE).path / "chat.jsonl").read_text()
    (line,) = [line for line in text.split("\n") if course("failed") in line]
    assert "Hello." in line
    assert "-no" not in line


@pytest.mark.parametrize(
    ("licence", "kept"),
    [
        ("CC-BY-4.0", True),
        ("CC0-1.0", True),
        ("CC-BY-ND-4.0", False),
        ("public domain, we think", False),
        (None, False),
    ],
)
def test_transcripts_of_people_pass_only_under_a_licence_that_says_so(
    tmp_path: Path, licence: str | None, kept: bool
) -> None:
    run = make_sample(tmp_path / "run", licence)
    exported = export_run(run.path, "chat", options=RELEASE)
    assert (HUMAN in _texts(exported.path)) is kept
    card = (exported.path / "DATA_CARD.md").read_text()
    assert f"- {0 if kept else 1} courses whose transcripts are of people" in card


def test_a_run_of_people_only_is_not_released_without_leave(tmp_path: Path) -> None:
    run = create_run(tmp_path / "run", {"kind": "import", "experiment": "x", "identity": "y", "licence": "ask us"})
    for table in TABLES:
        write_rows(run.dataset, table, [{"course_id": "00" * 16, "origin": "human"}] if table == "courses" else [])
    with pytest.raises(UserError, match=r"transcripts of people only, and its licence \(ask us\)"):
        export_run(run.path, "csv", options=RELEASE)
    assert not (run.path / "exports").exists()


def test_the_card_says_who_what_and_what_not(tmp_path: Path) -> None:
    run = make_sample(tmp_path / "run")
    options = ExportOptions(release=True, licence="CC-BY-4.0")
    card = (export_run(run.path, "csv", options=options).path / "DATA_CARD.md").read_text()
    for part in (
        run.identity, "| code version | cafe |", "| client | tiny |", "| written | mine alone | 1 |",
        "| extracted | Apache-2.0 | 1 |", "| SEQ | 1 | licensed | 6 |", "Nothing simulated is evidence about people",
        "docs/responsible-use.md", "Transcripts of people", "to 6 items asked in licensed wording",
        "names and documents of 2 personas", "in 1 courses; what the other chair answered is kept",
        "This export: CC-BY-4.0.", "| courses failed | 1 |",
    ):  # fmt: skip
        assert part in card
    assert "| rules | annomi | 6 |" in card
