"""What a stranger gets: a wheel that runs in an empty folder, and dependencies that resolve for everyone."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def uv() -> str:
    path = shutil.which("uv")
    if path is None:
        pytest.skip("uv is not installed; `pip install uv`")
    return path


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tracked and new files of the project, without anything that was built or installed here."""
    target = tmp_path_factory.mktemp("clone") / "dyad"
    names = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True,
        timeout=300,
    )  # fmt: skip
    if names.returncode != 0:
        pytest.skip("not a git checkout")
    for name in names.stdout.splitlines():
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    return target


def test_the_lock_resolves_in_an_empty_clone_with_vllm_beside_autogen(clone: Path, uv: str) -> None:
    done = subprocess.run([uv, "lock"], cwd=clone, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    packages = tomllib.loads((clone / "uv.lock").read_text())["package"]
    names = {package["name"] for package in packages}
    assert {"vllm", "pyautogen", "wandb"} <= names
    autogen = {package["version"] for package in packages if package["name"] == "pyautogen"}
    assert all(version.startswith("0.10") for version in autogen)


def test_no_registry_address_is_recorded() -> None:
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, timeout=300
    ).stdout.splitlines()
    assert "uv.lock" not in tracked
    text = (ROOT / "pyproject.toml").read_text()
    assert not re.search(r"index-url|\[\[tool\.uv\.index|://", text)


def test_a_wheel_runs_the_main_command_in_an_empty_folder(clone: Path, uv: str, tmp_path: Path) -> None:
    subprocess.run(
        [uv, "build", "--quiet", "--wheel", "--out-dir", str(tmp_path / "dist")], cwd=clone, check=True, timeout=300
    )
    wheel = next((tmp_path / "dist").glob("*.whl"))
    subprocess.run([uv, "venv", "--quiet", str(tmp_path / "venv")], check=True, timeout=300)
    python = tmp_path / "venv/bin/python"
    constraints = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["uv"]["constraint-dependencies"]
    (tmp_path / "constraints.txt").write_text("\n".join(constraints))
    subprocess.run(
        [uv, "pip", "install", "--quiet", "-p", str(python), "-c", str(tmp_path / "constraints.txt"), str(wheel)],
        check=True,
        timeout=300,
    )
    empty = tmp_path / "empty"
    empty.mkdir()
    command = [str(tmp_path / "venv/bin/dyad"), "run", "personas.limit=2", "replicates=1", "therapist=[mi_consistent]"]
    done = subprocess.run(command, cwd=empty, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert len(list(empty.glob("runs/reference_dyad-*/report.html"))) == 1
    assert [path.name for path in empty.iterdir()] == ["runs"]


def test_a_clone_and_a_wheel_have_the_same_code_version(clone: Path, tmp_path: Path) -> None:
    code = "from simulator.studies.identity import code_version; print(code_version())"
    import sys

    versions = {
        subprocess.run(
            [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True, timeout=300
        ).stdout
        for folder in (ROOT, clone)
    }
    assert len(versions) == 1
