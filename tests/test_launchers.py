"""Hydra's own launchers, for those who prefer them: the runs, the output and the mistakes of `dyad run -m`."""

from pathlib import Path

import pytest

from tests.studies_for_tests import parquet_bytes
from tests.test_cli import TINY, dyad

SWEEP = ("run", "-m", *TINY, "instruments=[]", "limits.workers=1", "seed=1,2", "out=sweep", "--quiet")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sweep by Hydra's basic launcher, with what was printed beside it."""
    folder = tmp_path_factory.mktemp("plain")
    (folder / "said").write_text(dyad(*SWEEP, cwd=folder).stdout)
    return folder


@pytest.mark.parametrize("launcher", ["joblib", "submitit_local"])
def test_a_launcher_that_uses_processes_makes_the_same_runs_and_says_the_same(
    launcher: str, plain: Path, tmp_path: Path
) -> None:
    done = dyad(*SWEEP, f"hydra/launcher={launcher}", cwd=tmp_path)
    assert done.stdout == (plain / "said").read_text()
    assert done.stdout.count("report: sweep/") == 2
    made = sorted(path.name for path in (tmp_path / "sweep").iterdir())
    assert made == sorted(path.name for path in (plain / "sweep").iterdir())
    for name in made:
        assert (tmp_path / "sweep" / name / "report.html").is_file()
        assert parquet_bytes(tmp_path / "sweep" / name) == parquet_bytes(plain / "sweep" / name)
    assert [path.name for path in tmp_path.iterdir()] == ["sweep"]


def test_a_mistake_in_another_process_is_one_line_here(tmp_path: Path) -> None:
    done = dyad("run", "-m", "hydra/launcher=joblib", "seed=1,2", "personas.limit=0", cwd=tmp_path, code=2)
    assert [line for line in done.stderr.splitlines() if line.startswith("dyad: ")] == [
        "dyad: configuration: 'personas.limit': input should be greater than or equal to 1, got 0"
    ]
