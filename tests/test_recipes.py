"""The recipes of CONTRIBUTING.md are executed as they stand there."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "CONTRIBUTING.md").read_text()


@pytest.fixture
def workshop(tmp_path: Path) -> Path:
    """A folder with every file that the recipes tell the reader to write."""
    for title, content in re.findall(r"```\w+ title=(\S+)\n(.*?)```", TEXT, flags=re.S):
        path = tmp_path / title
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return tmp_path


def commands() -> list[str]:
    return [line.strip() for line in TEXT.splitlines() if line.startswith("    dyad ")]


def test_there_is_a_recipe_for_everything_that_can_be_added() -> None:
    headings = re.findall(r"^## To add (.*)$", TEXT, flags=re.M)
    assert headings == ["a therapist policy or a client method", "an instrument", "a codebook", "a study"]
    assert len(commands()) == 4


@pytest.mark.parametrize("command", commands())
def test_a_recipes_command_works(workshop: Path, command: str) -> None:
    program = "import sys; from simulator.cli.main import main; main(sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-c", program, *shlex.split(command)[1:]],
        cwd=workshop,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{workshop}"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_every_therapist_and_client_of_conf_is_one_module_and_one_yaml() -> None:
    for path in [*(ROOT / "conf/therapist").glob("*.yaml"), *(ROOT / "conf/client").glob("*.yaml")]:
        content = yaml.safe_load(path.read_text())
        assert "_target_" in content, path
