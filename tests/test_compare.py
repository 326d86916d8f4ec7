"""`dyad compare`: paired differences between runs that were planted apart, and none between a run and its copy."""

import json
import shutil
from pathlib import Path

import pytest

from simulator.analysis.comparison import compare
from simulator.errors import UserError
from simulator.studies.running import run_study
from tests.studies_for_tests import small
from tests.test_cli import dyad


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs that differ in their therapist, on the same eight personas."""
    folder = tmp_path_factory.mktemp("compare")
    for therapist in ("mi_consistent", "confrontational"):
        run_study(small(folder / therapist, f"therapist=[{therapist}]", "personas.limit=8"))
    return folder


def test_runs_are_compared_in_pairs_of_their_personas(runs: Path) -> None:
    found = compare([runs / "mi_consistent", runs / "confrontational"])
    assert [(run["run"], run["courses"], run["personas"]) for run in found["runs"]] == [
        ("mi_consistent", 16, 8), ("confrontational", 16, 8),
    ]  # fmt: skip
    assert "therapist" in found["runs"][1]["differs"]
    planted = next(part for part in found["contrasts"] if part["coder"] == "planted")
    reflections = next(row for row in planted["rows"] if row["behaviour"] == "reflection")
    interval = reflections["differences"]["these personas"]
    assert {reflections["first"], reflections["second"]} == {"mi_consistent", "confrontational"}
    sign = 1 if reflections["first"] == "mi_consistent" else -1
    assert sign * interval["estimate"] > 0.1
    assert interval["clusters"] == 8
    assert any(row["measure"].startswith("WAI-SR") for row in found["contrasts"][-1]["rows"])


def test_a_run_does_not_differ_from_its_copy(runs: Path) -> None:
    shutil.copytree(runs / "mi_consistent", runs / "copy")
    found = compare([runs / "mi_consistent", runs / "copy"])
    assert found["runs"][1]["differs"] is None
    estimates = [i["estimate"] for p in found["contrasts"] for row in p["rows"] for i in row["differences"].values()]
    assert estimates
    assert not any(estimates)


def test_people_who_only_have_a_number_in_common_are_no_pairs(tmp_path: Path) -> None:
    """Both seeds draw a `general-000000`, who is somebody else each time."""
    words = (
        "personas=population",
        "personas.sample=6",
        "personas.limit=6",
        "therapist=[companion]",
        "replicates=2",
        "coders=[]",
    )
    for seed in (1, 2):
        run_study(small(tmp_path / f"seed-{seed}", *words, f"seed={seed}"))
    shutil.copytree(tmp_path / "seed-1", tmp_path / "again")
    found = compare([tmp_path / "seed-1", tmp_path / "seed-2"])
    assert [(run["personas"], run["shared"]) for run in found["runs"]] == [(6, 6), (6, 0)]
    intervals = [(name, i) for p in found["contrasts"] for row in p["rows"] for name, i in row["differences"].items()]
    assert intervals
    assert {name for name, _ in intervals} == {"population"}
    assert all("of both arms" in interval["method"] for _, interval in intervals)
    assert max(interval["clusters"] for _, interval in intervals) == 12
    three = compare([tmp_path / name for name in ("seed-1", "again", "seed-2")])
    paired = [
        row["differences"]["these personas"] for part in three["contrasts"] for row in part["rows"]
        if {row["first"], row["second"]} == {"seed-1", "again"}
    ]  # fmt: skip
    assert max(interval["clusters"] for interval in paired) == 6


def test_the_command_prints_a_line_per_difference_and_json(runs: Path) -> None:
    said = dyad("compare", "mi_consistent", "confrontational", cwd=runs).stdout
    assert "mi_consistent: 16 courses, 8 personas, origin scripted" in said
    assert "adjusted p" in said
    assert len(json.loads(dyad("compare", "mi_consistent", "confrontational", "--json", cwd=runs).stdout)["runs"]) == 2


def test_what_cannot_be_compared_is_one_line(runs: Path) -> None:
    with pytest.raises(UserError, match="two runs or more"):
        compare([runs / "mi_consistent"])
    with pytest.raises(UserError, match="same folder name"):
        compare([runs / "mi_consistent", runs / "mi_consistent"])
