"""The command line: Hydra as its users expect it, and every mistake one line with the way out."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def dyad(*arguments: str, cwd: Path, code: int | None = 0) -> subprocess.CompletedProcess[str]:
    """Run the command in a folder; `code` is the exit status it must have (None: any)."""
    program = "import sys; from simulator.cli.main import main; main(sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    if code is not None:
        assert done.returncode == code, done.stdout + done.stderr
    return done


TINY = ("therapist=[mi_consistent]", "personas.limit=1", "replicates=1")


def test_a_run_prints_where_its_report_is_and_finds_itself_again(tmp_path: Path) -> None:
    first = dyad("run", *TINY, cwd=tmp_path)
    folder = next((tmp_path / "runs").iterdir())
    assert f"report: runs/{folder.name}/report.html" in first.stdout
    assert folder.name.startswith("reference_dyad-")
    again = dyad("run", *TINY, "--json", cwd=tmp_path)
    result = json.loads(again.stdout)
    assert (result["run"], result["ended"], result["stopped_by"]) == (f"runs/{folder.name}", 1, None)
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


def test_hydras_own_flags_work(tmp_path: Path) -> None:
    shown = dyad("run", "--cfg", "job", "replicates=7", cwd=tmp_path)
    assert "replicates: 7" in shown.stdout
    assert list(tmp_path.iterdir()) == []
    dyad("run", "-m", *TINY, "seed=1,2", "out=sweep", "--quiet", cwd=tmp_path)
    folders = sorted((tmp_path / "sweep").iterdir())
    assert len(folders) == 2
    assert all((folder / "report.html").is_file() for folder in folders)
    assert [path.name for path in tmp_path.iterdir()] == ["sweep"]


MISTAKES = [
    (["run", "--jsn"], "dyad run: unrecognized arguments: --jsn; see `dyad run --help`"),
    (["run", "--cfg", "jobb"], "invalid choice: 'jobb'"),
    (["run", "replicate=3"], "unknown key 'replicate' (did you mean 'replicates'?)"),
    (["run", "session.max_turn=3"], "unknown key 'session.max_turn' (did you mean 'max_turns'?)"),
    (["run", "therapist=[mi_consistant]"], "therapist: no option 'mi_consistant' (did you mean 'mi_consistent'?)"),
    (["run", "experiment=prbes"], "experiment: no option 'prbes' (did you mean 'probes'?)"),
    (["run", "replicates=many"], "'replicates': input should be a valid integer"),
    (["run", "personas.ids=[nobody]"], "personas.ids: no persona 'nobody'"),
    (["run", "personas.set=nowhere"], "nowhere"),
    (["run", "out=/proc/nowhere/run"], "cannot write /proc/nowhere/run"),
    (["run", "session.opener=partner"], "opener: 'partner' is not in the cast"),
    (["run", "instruments.phq9.moments=[session_end]"], "PHQ-9 belongs to course_start"),
    (["status", "."], "is not a run: it has no run.json"),
    (["report", "nowhere"], "is not a run: it does not exist"),
    (["import", "annomi", "nowhere.csv"], "nowhere.csv: no such file"),
    (["import", "anomi"], "invalid choice: 'anomi'"),
    (["instruments", "score", "PHQ9x", "f.csv"], "no instrument 'PHQ9x'"),
    (["rnu"], "no command 'rnu' (did you mean 'run'?)"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES, ids=[" ".join(words) for words, _ in MISTAKES])
def test_a_mistake_is_one_line_and_leaves_nothing(tmp_path: Path, arguments: list[str], message: str) -> None:
    done = dyad(*arguments, cwd=tmp_path, code=2)
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stderr.startswith("dyad: ")
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_a_persona_file_with_a_wrong_type_names_file_and_field(tmp_path: Path) -> None:
    shipped = sorted((ROOT / "personas/shipped").glob("*.yaml"))[0]
    text = shipped.read_text().replace("resistance:", "resistence:")
    (tmp_path / "mine.yaml").write_text(text)
    done = dyad("run", "personas=file", "personas.set=mine.yaml", "out=run", cwd=tmp_path, code=2)
    assert "mine.yaml" in done.stderr
    assert "traits.resistence" in done.stderr
    assert "resistance" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_another_identity_in_out_prints_the_difference_and_stops(tmp_path: Path) -> None:
    dyad("run", *TINY, "out=run", cwd=tmp_path)
    before = sorted(path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*"))
    done = dyad("run", *TINY, "seed=9", "out=run", cwd=tmp_path, code=2)
    assert "design.seed: 0 there, 9 here" in done.stderr
    assert sorted(path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")) == before


def test_a_damaged_journal_is_one_line_until_it_is_repaired(tmp_path: Path) -> None:
    dyad("run", *TINY, "out=run", cwd=tmp_path)
    victim = max((tmp_path / "run/journal").glob("*.jsonl"), key=lambda path: path.stat().st_size)
    lines = victim.read_bytes().splitlines(keepends=True)
    lines[len(lines) // 2] = b'{"valid": "json"}\n'
    victim.write_bytes(b"".join(lines))
    for command in (["run", *TINY, "out=run"], ["status", "run"]):
        done = dyad(*command, cwd=tmp_path, code=2)
        assert "dyad status RUN --repair" in done.stderr.replace(str(tmp_path / "run"), "RUN")
        assert len([line for line in done.stderr.strip().splitlines() if line.startswith("dyad:")]) == 1
    assert "kept in" in dyad("status", "run", "--repair", cwd=tmp_path).stdout
    dyad("run", *TINY, "out=run", cwd=tmp_path)


def test_status_counts_in_words_and_json(tmp_path: Path) -> None:
    dyad("run", *TINY, "out=run", cwd=tmp_path)
    status = json.loads(dyad("status", "run", "--json", cwd=tmp_path).stdout)
    assert (status["planned"], status["ended"], status["not_begun"], status["failed"]) == (1, 1, 0, 0)
    assert "1 of 1 courses ended" in dyad("status", "run", cwd=tmp_path).stdout


def test_human_answers_are_scored_with_the_same_code(tmp_path: Path) -> None:
    header = ",".join(["who", *(str(item) for item in range(1, 10))])
    (tmp_path / "answers.csv").write_text(f"{header}\nana,1,1,1,1,1,1,1,1,1\nben,3,3,3,3,,3,3,3,0\n")
    result = json.loads(dyad("instruments", "score", "PHQ-9", "answers.csv", "--json", cwd=tmp_path).stdout)
    assert [(row["who"], row["score"], row["missing_items"]) for row in result["scores"]] == [
        ("ana", 9, 0),
        ("ben", None, 1),
    ]
    (tmp_path / "answers.csv").write_text(header.replace(",9", "") + "\n")
    assert "no column for item 9" in dyad("instruments", "score", "PHQ-9", "answers.csv", cwd=tmp_path, code=2).stderr
