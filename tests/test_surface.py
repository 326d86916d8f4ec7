"""The public surface, the README's study, and what importing costs."""

import os
import re
import subprocess
import sys
from pathlib import Path

import simulator

ROOT = Path(__file__).parent.parent


def test_the_public_surface_is_pinned() -> None:
    assert simulator.__all__ == [
        "DyadAgent", "Seat", "TurnMessage", "UserError", "compose", "open_run", "read_table", "report_run",
        "run_study", "summarise",
    ]  # fmt: skip
    for name in simulator.__all__:
        assert getattr(simulator, name).__doc__


def readme_study() -> str:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.S)
    assert len(blocks) == 1
    return str(blocks[0])


def test_the_readmes_study_is_short_and_runs(tmp_path: Path) -> None:
    study = readme_study()
    assert len([line for line in study.splitlines() if line.strip()]) <= 25
    script = tmp_path / "study.py"
    script.write_text(study)
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "runs/mine/report.html").stat().st_size > 10_000
    assert "report.html" in done.stdout


def test_importing_is_pure_and_light() -> None:
    code = (
        "import sys, threading, os; before = set(os.listdir('.')); import simulator;"
        "heavy = {'numpy', 'pyarrow', 'polars', 'autogen_agentchat', 'hydra', 'wandb', 'scipy'} & set(sys.modules);"
        "print(sorted(heavy), threading.active_count(), set(os.listdir('.')) - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT, timeout=300
    )
    assert done.stdout == "[] 1 set()\n"


def test_every_module_imports_without_threads_or_files(tmp_path: Path) -> None:
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in sorted((ROOT / "simulator").rglob("*.py"))
        if path.name != "__init__.py" and "_data" not in path.parts
    ]
    code = (
        "import importlib, threading, os, sys; [importlib.import_module(name) for name in sys.argv[1:]];"
        "print(threading.active_count(), os.listdir('.'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *modules], capture_output=True, text=True, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == "1 []\n"
