"""A run is the same in every folder and process, survives kill -9, and refuses to be mistaken for another."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from simulator.errors import DamageError, UserError
from simulator.store.runs import RunFolder, create_run
from simulator.studies.composing import compose
from simulator.studies.plan import make_plan
from simulator.studies.running import open_or_create, run_study, shards_for
from tests.studies_for_tests import parquet_bytes, small

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted run of the small study."""
    out = tmp_path_factory.mktemp("runs") / "reference"
    result = run_study(small(out))
    assert result.tally.ended == 12
    assert result.tally.failed == 0
    return out


def test_every_session_ends_and_is_in_the_tables(reference: Path) -> None:
    courses = pl.read_parquet(reference / "dataset/courses/*.parquet")
    sessions = pl.read_parquet(reference / "dataset/sessions/*.parquet")
    turns = pl.read_parquet(reference / "dataset/turns/*.parquet")
    assert courses["status"].unique().to_list() == ["ended"]
    assert sessions.height == 12
    assert turns.group_by("course_id").len().height == 12
    assert turns["planted"].null_count() == 0
    assert set(turns["model"].unique()) == {"scripted"}


def test_instruments_are_given_when_they_make_sense(reference: Path) -> None:
    given = pl.read_parquet(reference / "dataset/administrations/*.parquet")
    moments = dict(given.select("instrument", "moment").unique().iter_rows())
    assert moments == {"PHQ-9": "course_start", "SEQ": "session_end", "WAI-SR": "session_end"}
    per_course = given.group_by("course_id", "instrument").len().group_by("instrument").agg(pl.col("len").unique())
    assert dict(per_course.iter_rows()) == {"PHQ-9": [9], "SEQ": [21], "WAI-SR": [12]}


def test_two_runs_are_byte_identical_under_any_hash_seed(reference: Path, tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from tests.studies_for_tests import small;" + (
        "from simulator.studies.running import run_study; run_study(small(Path(sys.argv[1]), *sys.argv[2:]))"
    )
    for number, seed in enumerate(("1", "12345")):
        out = tmp_path / f"again{number}"
        subprocess.run(
            [sys.executable, "-c", code, str(out), "limits.concurrency=3", f"shards={2 ** (number * 3)}"],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=ROOT,
            check=True,
            timeout=300,
        )
        assert parquet_bytes(out) == parquet_bytes(reference)


def test_running_again_changes_nothing(reference: Path) -> None:
    before = parquet_bytes(reference)
    result = run_study(small(reference))
    assert (result.tally.ended, result.tally.skipped) == (0, 12)
    assert parquet_bytes(reference) == before


def test_adding_a_condition_leaves_the_other_courses_as_they_are(reference: Path, tmp_path: Path) -> None:
    run_study(small(tmp_path / "more", "therapist=[confrontational,mi_consistent,companion]"))
    more = pl.read_parquet(tmp_path / "more/dataset/turns/*.parquet")
    fewer = pl.read_parquet(reference / "dataset/turns/*.parquet")
    assert more.filter(pl.col("course_id").is_in(fewer["course_id"].unique().implode())).equals(fewer)
    assert more["course_id"].n_unique() == 18


def test_no_two_courses_share_a_seed_unless_the_design_pairs_them(reference: Path, tmp_path: Path) -> None:
    turns = pl.read_parquet(reference / "dataset/turns/*.parquet")
    assert turns["seed"].n_unique() == turns.height
    paired = make_plan(small(tmp_path, "pairing=persona"))
    keys = [spec.pairing_key for spec in paired.courses()]
    assert len(set(keys)) == len(keys) // 2
    assert len({spec.course for spec in paired.courses()}) == len(keys)


def test_a_drained_run_goes_on(reference: Path, tmp_path: Path) -> None:
    out = tmp_path / "drained"
    code = "import sys; from pathlib import Path; from tests.studies_for_tests import small;" + (
        "from simulator.studies.running import run_study;"
        "wait = lambda tally, plan: (print(tally.ended, flush=True), sys.stdin.readline());"
        "r = run_study(small(Path(sys.argv[1])), progress=wait);"
        "print(r.tally.stopped_by)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(out)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "1\n"
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate("\n" * 20, timeout=60)
    assert output.splitlines()[-1] == "SIGTERM was received"
    assert not (out / "dataset").exists()
    run_study(small(out, "accept_code_change=true"))
    assert parquet_bytes(out) == parquet_bytes(reference)


def test_another_identity_is_refused_with_the_difference(reference: Path) -> None:
    before = parquet_bytes(reference)
    with pytest.raises(UserError, match=r"design\.replicates: 2 there, 3 here") as caught:
        run_study(small(reference, "replicates=3"))
    assert "\n" not in str(caught.value)
    assert parquet_bytes(reference) == before


def test_a_run_can_be_extended_by_cells_and_by_nothing_else(reference: Path, tmp_path: Path) -> None:
    out = tmp_path / "grown"
    run_study(small(out))
    with pytest.raises(UserError, match="6 of its 12 courses are not in the new design"):
        run_study(small(out, "therapist=[mi_consistent]", "extend=true"))
    with pytest.raises(UserError, match="cannot change instruments"):
        run_study(small(out, "replicates=3", "instruments=[phq9]", "extend=true"))
    result = run_study(small(out, "replicates=3", "extend=true"))
    assert (result.tally.ended, result.tally.skipped) == (6, 12)
    fresh = tmp_path / "fresh"
    run_study(small(fresh, "replicates=3"))
    assert parquet_bytes(out) == parquet_bytes(fresh)
    with pytest.raises(UserError, match="is none"):
        run_study(small(tmp_path / "nothing", "extend=true"))


def test_a_run_that_was_copied_elsewhere_goes_on(reference: Path, tmp_path: Path) -> None:
    shutil.copytree(reference, tmp_path / "copy")
    assert run_study(small(tmp_path / "copy")).tally.skipped == 12
    assert parquet_bytes(tmp_path / "copy") == parquet_bytes(reference)


def test_what_cannot_change_a_result_is_not_identity(reference: Path) -> None:
    result = run_study(small(reference, "limits.concurrency=1", "coders=[]", "shards=2"))
    assert result.tally.skipped == 12


def test_other_code_needs_a_word_of_consent(tmp_path: Path) -> None:
    run_study(small(tmp_path / "old", "personas.limit=1"))
    meta = json.loads((tmp_path / "old/run.json").read_text())
    (tmp_path / "old/run.json").write_text(json.dumps({**meta, "code_version": "0ld"}))
    with pytest.raises(UserError, match="accept_code_change=true"):
        run_study(small(tmp_path / "old", "personas.limit=1"))
    assert run_study(small(tmp_path / "old", "personas.limit=1", "accept_code_change=true")).tally.skipped == 4
    more = ("personas.limit=1", "replicates=3", "extend=true")
    with pytest.raises(UserError, match=r"0ld there.*accept_code_change=true"):
        run_study(small(tmp_path / "old", *more))
    assert json.loads((tmp_path / "old/run.json").read_text())["code_version"] == "0ld"
    assert run_study(small(tmp_path / "old", *more, "accept_code_change=true")).tally.skipped == 4
    extended = json.loads((tmp_path / "old/run.json").read_text())
    assert extended["extended_from"] == [{"identity": meta["identity"], "code_version": "0ld"}]
    assert extended["code_version"] == meta["code_version"]


def test_long_courses_have_more_shards_and_a_run_keeps_those_that_it_has(tmp_path: Path) -> None:
    assert [shards_for(courses) for courses in (1, 4096, 4097, 10**9)] == [8, 8, 16, 4096]
    assert (shards_for(4096, 12), shards_for(4096, 12 * 60)) == (8, 128)
    long = ("personas.limit=1", "personas=population", "personas.sample=200", "personas.limit=null", "therapist=[cbt]")
    course = ("session=course", "session.course.sessions=12")
    designs = {"one": (), "long": course, "short": (*course, "session.max_turns=6")}
    plans = {name: make_plan(small(tmp_path / name, *long, *more)) for name, more in designs.items()}
    shards = {name: open_or_create(plan).meta["shards"] for name, plan in plans.items()}
    assert shards == {"one": 8, "long": 16, "short": 8}
    run_study(small(tmp_path / "kept", "personas.limit=1", "shards=2"))
    assert run_study(small(tmp_path / "kept", "personas.limit=1")).run.meta["shards"] == 2


def test_a_damaged_journal_is_refused_until_it_is_repaired(tmp_path: Path, reference: Path) -> None:
    from simulator.cli.status import run_status

    out = tmp_path / "damaged"
    run_study(small(out))
    victim = max((out / "journal").glob("*.jsonl"), key=lambda path: path.stat().st_size)
    lines = victim.read_bytes().splitlines(keepends=True)
    lines[len(lines) // 2] = b'{"other": "valid JSON"}\n'
    victim.write_bytes(b"".join(lines))
    before = {path: path.read_bytes() for path in (out / "journal").iterdir()}
    with pytest.raises(DamageError, match="--repair"):
        run_study(small(out))
    with pytest.raises(DamageError):
        run_status(out)
    assert {path: path.read_bytes() for path in (out / "journal").iterdir()} == before
    status = run_status(out, repair=True)
    assert len(status["notes"]) == 1
    run_study(small(out))
    assert parquet_bytes(out) == parquet_bytes(reference)


def test_a_runaway_failure_rate_drains_the_run_and_names_the_cause(tmp_path: Path) -> None:
    broken = "+therapist.broken={_target_: tests.scripts_for_tests.Reciter, fails_at: 0}"
    config = compose(
        "therapist=[]", broken, "personas.limit=30", "replicates=1", "instruments=[]", f"out={tmp_path / 'f'}"
    )
    result = run_study(config)
    assert result.tally.stopped_by is not None
    assert "agent: RuntimeError" in result.tally.stopped_by
    assert 20 <= result.tally.failed < 30


def test_failures_are_data_and_are_retried_on_request(tmp_path: Path) -> None:
    broken = "+therapist.broken={_target_: tests.scripts_for_tests.Reciter, fails_at: 3}"
    arguments = ["therapist=[mi_consistent]", broken, "personas.limit=3", "replicates=1", f"out={tmp_path / 'f'}"]
    result = run_study(compose(*arguments))
    assert (result.tally.ended, result.tally.failed) == (3, 3)
    failures = pl.read_parquet(tmp_path / "f/dataset/failures/*.parquet")
    assert set(failures.select("boundary", "kind").iter_rows()) == {("agent", "RuntimeError")}
    assert run_study(compose(*arguments)).tally.skipped == 6
    assert run_study(compose(*arguments, "retry_failed=true")).tally.failed == 3


def test_a_part_that_finds_no_run_goes_on_in_the_one_that_another_part_makes_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_plan(small(tmp_path / "run"))

    def faster(path: Path, meta: dict[str, Any]) -> RunFolder:
        (create_run(path, meta).journal).mkdir()
        return create_run(path, meta)

    monkeypatch.setattr("simulator.studies.running.create_run", faster)
    assert open_or_create(plan).path == tmp_path / "run"


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="not empty and not a run"):
        run_study(small(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_the_tables_open_without_our_code(reference: Path) -> None:
    import duckdb
    import pandas as pd

    pattern = str(reference / "dataset/turns/*.parquet")
    rows = duckdb.sql(f"select count(*), count(distinct course_id) from '{pattern}'").limit(1).fetchall()[0]
    assert rows == (pd.read_parquet(reference / "dataset/turns").shape[0], 12)
    assert pl.scan_parquet(pattern).select(pl.len()).collect().item() == rows[0]


def test_an_instrument_is_given_once_however_the_study_spells_it_and_wherever_it_was_cut(tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = (
        "therapist=[cbt]", "personas.limit=2", "replicates=1", "session.max_turns=4", "instruments=[]", "coders=[]",
        "+instruments.own={instrument: phq9, moments: [course_start]}", "shards=1", "limits.workers=1",
    )  # fmt: skip
    run_study(small(out, *words))
    (journal,) = (out / "journal").glob("*.jsonl")
    lines = journal.read_bytes().splitlines(keepends=True)
    first_turn = next(place for place, line in enumerate(lines) if b'"kind":"turn"' in line)
    journal.write_bytes(b"".join(lines[: first_turn + 1]))
    shutil.rmtree(out / "dataset")
    assert run_study(small(out, *words)).tally.ended == 2
    given = pl.read_parquet(out / "dataset" / "administrations" / "*.parquet").group_by("course_id", "item").len()
    assert given.height == 2 * 9 and given["len"].max() == 1
