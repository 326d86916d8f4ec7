"""Exports: what each format holds, that it is written whole or not at all, and that the tools it is for read it."""

import csv
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from simulator.errors import UserError
from simulator.store.compaction import write_rows
from simulator.store.exporters import exporting, parts
from simulator.store.exporters.exporting import WRITERS, Exported, export_run
from simulator.store.exporters.options import ExportOptions, Tick
from simulator.store.runs import RunFolder
from simulator.store.tables import TABLES
from tests.exports_for_tests import TALKS, course, make_sample
from tests.test_cli import dyad


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return make_sample(tmp_path_factory.mktemp("runs") / "sample")


def _chat(exported: Exported) -> dict[tuple[str, int], dict[str, Any]]:
    lines = (exported.path / "chat.jsonl").read_bytes().split(b"\n")
    assert lines.pop() == b""
    found = [json.loads(line) for line in lines]
    return {(line["metadata"]["course"], line["metadata"]["session"]): line for line in found}


# -- chat ---------------------------------------------------------------------------------------------------------


def test_chat_is_one_line_per_session_with_the_therapist_as_assistant(sample: RunFolder, tmp_path: Path) -> None:
    exported = export_run(sample.path, "chat", tmp_path / "out")
    lines = _chat(exported)
    assert exported.counts == {"sessions": 6, "messages": 16, "withheld": 0}
    assert len(lines) == 6
    plain = lines[course("plain"), 1]
    assert plain["messages"] == [
        {"role": "assistant", "content": "What brings you?"}, {"role": "user", "content": TALKS["plain"][1][1]},
        {"role": "assistant", "content": ""},
    ]  # fmt: skip
    assert plain["metadata"] == {
        "course": course("plain"), "session": 1, "condition": "static+cbt", "client": "static", "therapist": "cbt",
        "persona": "a-open", "replicate": 0, "pairing_key": course("plain"), "cluster": "a-open", "stratum": None,
        "origin": "model", "status": "ended", "opened_by": "therapist", "ending": "goodbye", "ended_by": "client",
        "day": 7.0, "topic": None, "roles": {"assistant": "therapist", "user": "client"},
    }  # fmt: skip


def test_a_session_that_did_not_end_has_no_ending(sample: RunFolder, tmp_path: Path) -> None:
    metadata = _chat(export_run(sample.path, "chat", tmp_path / "out"))[course("failed"), 0]["metadata"]
    assert (metadata["status"], metadata["ending"], metadata["day"]) == ("failed", None, None)


def test_any_chair_can_be_the_assistant(sample: RunFolder, tmp_path: Path) -> None:
    options = ExportOptions(assistant="client")
    line = _chat(export_run(sample.path, "chat", tmp_path / "out", options))[course("plain"), 0]
    assert [message["role"] for message in line["messages"]] == ["user", "assistant", "user"]
    assert line["metadata"]["roles"] == {"assistant": "client", "user": "therapist"}


def test_where_several_chairs_are_user_each_message_says_which(sample: RunFolder, tmp_path: Path) -> None:
    line = _chat(export_run(sample.path, "chat", tmp_path / "out"))[course("three"), 0]
    assert [message.get("name") for message in line["messages"]] == [None, "client", "partner"]
    assert line["metadata"]["roles"] == {"assistant": "therapist"}


# -- CSV ----------------------------------------------------------------------------------------------------------


def test_csv_is_one_file_per_table_and_tells_missing_from_empty(sample: RunFolder, tmp_path: Path) -> None:
    exported = export_run(sample.path, "csv", tmp_path / "out")
    assert {path.stem for path in exported.path.iterdir()} == set(TABLES)
    for table in TABLES:
        with (exported.path / f"{table}.csv").open(newline="", encoding="utf-8") as stream:
            rows = list(csv.reader(stream))
        assert rows[0] == TABLES[table].names
        assert len(rows) - 1 == exported.counts[table]
    turns = (exported.path / "turns.csv").read_text(encoding="utf-8")
    assert '"therapist","a therapist","",1,"stop","tiny",4503599627370498,0,,,' in turns


def test_texts_that_look_like_formulas_are_kept_counted_and_guarded_on_request(
    sample: RunFolder, tmp_path: Path
) -> None:
    kept = export_run(sample.path, "csv", tmp_path / "kept")
    guarded = export_run(sample.path, "csv", tmp_path / "guarded", ExportOptions(spreadsheet=True))
    assert kept.counts == guarded.counts
    assert kept.counts["formula_like"] == 3
    for exported, marks in ((kept, ("", "")), (guarded, ("'", "'"))):
        with (exported.path / "turns.csv").open(newline="", encoding="utf-8") as stream:
            texts = {row["text"] for row in csv.DictReader(stream)}
        assert {marks[0] + TALKS["plain"][1][1], marks[1] + "-no"} <= texts


# -- Hugging Face -------------------------------------------------------------------------------------------------


def test_the_huggingface_folder_has_its_documented_layout(sample: RunFolder, tmp_path: Path) -> None:
    exported = export_run(sample.path, "huggingface", tmp_path / "out", ExportOptions(licence="CC-BY-4.0"))
    _, header, body = (exported.path / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    card = yaml.safe_load(header)
    assert card["license"] == "cc-by-4.0"
    assert [entry["config_name"] for entry in card["configs"] if entry.get("default")] == ["turns"]
    assert {entry["config_name"] for entry in card["configs"]} == set(TABLES)
    for entry in card["configs"]:
        (files,) = entry["data_files"]
        found = sorted(exported.path.glob(files["path"]))
        table = pq.read_table(found)
        assert files["split"] == "train"
        assert table.schema.names == TABLES[entry["config_name"]].names
        assert table.num_rows == exported.counts[entry["config_name"]]
    assert body.startswith("# Data card: sample")


def test_a_table_without_rows_has_no_configuration(tmp_path: Path) -> None:
    run = make_sample(tmp_path / "run")
    write_rows(run.dataset, "events", [])
    exported = export_run(run.path, "huggingface")
    assert "events" not in exported.counts
    assert not (exported.path / "data/events").exists()
    assert "config_name: events" not in (exported.path / "README.md").read_text(encoding="utf-8")


def _python_with(package: str, variable: str) -> str:
    """An interpreter that has a package: this one, or the one that an environment variable names; skips without."""
    if importlib.util.find_spec(package):
        return sys.executable
    named = os.environ.get(variable)
    if not named:
        pytest.skip(f"{package} is not installed here, and {variable} names no interpreter that has it")
    return named


def _asked(python: str, script: str, *arguments: str) -> Any:
    done = subprocess.run(
        [python, "-c", script, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_the_datasets_package_loads_every_table(sample: RunFolder, tmp_path: Path) -> None:
    python = _python_with("datasets", "DYAD_DATASETS_PYTHON")
    exported = export_run(sample.path, "huggingface", tmp_path / "out")
    script = (
        "import sys, json, datasets as d; p, cache = sys.argv[1:];"
        "names = d.get_dataset_config_names(p);"
        "rows = {c: d.load_dataset(p, c, split='train', cache_dir=cache).num_rows for c in names};"
        "first = d.load_dataset(p, cache_dir=cache)['train'][0]; print(json.dumps([rows, first['text']]))"
    )
    rows, text = _asked(python, script, str(exported.path), str(tmp_path / "cache"))
    assert rows == exported.counts
    assert text in {text for talk in TALKS.values() for _, text in talk}


# -- Inspect ------------------------------------------------------------------------------------------------------


def test_inspect_logs_hold_a_sample_per_session(sample: RunFolder, tmp_path: Path) -> None:
    exported = export_run(sample.path, "inspect", tmp_path / "out")
    assert exported.counts == {"logs": 2, "samples": 6}
    logs = sorted(exported.path.iterdir())
    assert all(re.fullmatch(r"2023-11-14T22-13-20\+00-00_[A-Za-z0-9-]+_[0-9a-f]{22}\.eval", log.name) for log in logs)
    found = {}
    for log in logs:
        with zipfile.ZipFile(log) as archive:
            header = json.loads(archive.read("header.json"))
            names = [name for name in archive.namelist() if name.startswith("samples/")]
            assert len(names) == header["results"]["total_samples"] == len(json.loads(archive.read("summaries.json")))
            found[header["eval"]["task"]] = header
            for name in names:
                entry = json.loads(archive.read(name))
                assert name == f"samples/{entry['id']}_epoch_1.json"
    assert set(found) == {"static+cbt", "group"}
    (score,) = found["static+cbt"]["results"]["scores"]
    assert (score["name"], score["metrics"]["mean"]["value"]) == ("SEQ Depth, client, session_end", 4.5)
    assert (score["scored_samples"], score["unscored_samples"]) == (4, 1)


def test_the_inspect_package_reads_what_we_wrote(sample: RunFolder, tmp_path: Path) -> None:
    python = _python_with("inspect_ai", "DYAD_INSPECT_PYTHON")
    exported = export_run(sample.path, "inspect", tmp_path / "out")
    script = (
        "import sys, json; from inspect_ai.log import *; found = {}\n"
        "for info in list_eval_logs(sys.argv[1]):\n"
        "    log = read_eval_log(info.name); header = read_eval_log(info.name, header_only=True)\n"
        "    summaries = read_eval_log_sample_summaries(info.name)\n"
        "    found[log.eval.task] = {'status': header.status, 'model': header.eval.model,\n"
        "        'summaries': len(summaries),\n"
        "        'texts': {s.id: [[m.role, m.text] for m in s.messages] for s in log.samples},\n"
        "        'values': {s.id: [v.value for v in (s.scores or {}).values()] for s in log.samples},\n"
        "        'errors': [s.error.message for s in log.samples if s.error]}\n"
        "print(json.dumps(found))"
    )
    found = _asked(python, script, str(exported.path))
    assert {task: log["summaries"] for task, log in found.items()} == {"static+cbt": 5, "group": 1}
    log = found["static+cbt"]
    assert (log["status"], log["model"]) == ("success", "tiny")
    assert log["texts"][f"{course('plain')}.0"][1] == ["user", TALKS["plain"][1][1]]
    assert log["values"][f"{course('plain')}.0"] == [4.5]
    assert log["values"][f"{course('plain')}.1"] == []
    assert log["errors"] == ["model: timeout: MARK-failure"]
    assert found["group"]["texts"][f"{course('three')}.0"][2] == ["user", "[partner] I am, too."]


# -- whole or not at all ------------------------------------------------------------------------------------------


def _content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("name", sorted(WRITERS))
def test_two_exports_of_one_run_are_the_same_bytes(sample: RunFolder, tmp_path: Path, name: str) -> None:
    one, other = (export_run(sample.path, name, tmp_path / place) for place in ("one", "other"))
    assert _content(one.path) == _content(other.path)
    assert one.counts == other.counts


@pytest.mark.parametrize("name", sorted(WRITERS))
def test_the_batches_it_is_read_in_change_nothing(
    sample: RunFolder, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = export_run(sample.path, name, tmp_path / "one")
    monkeypatch.setattr(parts, "ROWS_PER_BATCH", 2)
    other = export_run(sample.path, name, tmp_path / "other")
    assert one.counts == other.counts
    if name in ("chat", "csv", "inspect"):
        assert _content(one.path) == _content(other.path)


def test_progress_counts_every_row_that_was_announced(sample: RunFolder, tmp_path: Path) -> None:
    announced: list[int] = []
    read: list[int] = []

    def progress(rows: int) -> Tick:
        announced.append(rows)
        return read.append

    for name in WRITERS:
        read.clear()
        export_run(sample.path, name, tmp_path / name, None, progress)
        assert sum(read) >= announced[-1] > 0


def test_an_export_lies_in_the_run_unless_told_otherwise(tmp_path: Path) -> None:
    run = make_sample(tmp_path / "run")
    assert export_run(run.path, "chat").path == run.path / "exports/chat"
    assert export_run(run.path, "chat", options=ExportOptions(release=True)).path == run.path / "exports/chat-release"


def test_what_is_there_already_is_never_overwritten(sample: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    export_run(sample.path, "chat", tmp_path / "empty")
    before = _content(tmp_path / "empty")
    with pytest.raises(UserError, match="empty is not empty; name another folder as --out"):
        export_run(sample.path, "csv", tmp_path / "empty")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match="file is in the way"):
        export_run(sample.path, "csv", tmp_path / "file")
    assert _content(tmp_path / "empty") == before
    assert (tmp_path / "file").read_text() == "mine"


def test_an_export_that_breaks_leaves_nothing(
    sample: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(source: Any, folder: Path, options: ExportOptions) -> dict[str, int]:
        (folder / "half").write_text("x")
        raise OSError(28, "No space left on device")

    monkeypatch.setitem(exporting.WRITERS, "chat", breaks)
    with pytest.raises(UserError, match=r"cannot be written \(No space left on device\)"):
        export_run(sample.path, "chat", tmp_path / "deep/er/out")
    assert list(tmp_path.iterdir()) == []


MISTAKES = [
    (["export", "nowhere", "chat"], "nowhere is not a run"),
    (["export", "RUN", "chatt"], "invalid choice: 'chatt'"),
    (["export", "RUN", "chat", "--assistant", "therapst"], "no role 'therapst'"),
    (["export", "RUN", "csv", "--assistant", "client"], "--assistant belongs to chat and inspect"),
    (["export", "RUN", "chat", "--spreadsheet"], "--spreadsheet belongs to csv"),
    (["export", "RUN", "csv", "--licence", "MIT"], "--licence is for a data card"),
    (["export", "RUN", "csv", "--out", "/proc/nowhere/out"], "/proc/nowhere/out cannot be written"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES, ids=[" ".join(words) for words, _ in MISTAKES])
def test_a_mistake_is_one_line(sample: RunFolder, tmp_path: Path, arguments: list[str], message: str) -> None:
    done = dyad(*(str(sample.path) if word == "RUN" else word for word in arguments), cwd=tmp_path, code=2)
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert (done.stdout, list(tmp_path.iterdir())) == ("", [])


def test_the_command_prints_counts(sample: RunFolder, tmp_path: Path) -> None:
    done = dyad("export", str(sample.path), "csv", "--out", "tables", "--json", cwd=tmp_path)
    result = json.loads(done.stdout)
    assert (result["out"], result["turns"], result["release"]) == ("tables", 16, False)
    assert "3 texts begin as formulas do and are kept so" in done.stderr


def test_a_run_without_tables_or_with_a_broken_one_is_one_line(tmp_path: Path) -> None:
    run = make_sample(tmp_path / "run")
    (run.dataset / "turns/part-x.parquet").write_text("no Parquet")
    with pytest.raises(UserError, match=r"part-x.parquet: cannot be read \(.*\)") as caught:
        export_run(run.path, "chat")
    assert "\n" not in str(caught.value)
    shutil.rmtree(run.dataset)
    with pytest.raises(UserError, match="has no tables yet"):
        export_run(run.path, "csv")
    assert not (run.path / "exports").exists()
