"""docs/data.md says what the tables hold: every column, in order, with its type, and snippets that run."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from simulator.store.tables import TABLES
from tests.exports_for_tests import make_sample

PAGE = (Path(__file__).parent.parent / "docs/data.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"```python\n(.*?)```", PAGE, flags=re.S)


def _kind(kind: pa.DataType) -> str:
    plain = kind.value_type if pa.types.is_dictionary(kind) else kind
    if pa.types.is_string(plain):
        return "text"
    if pa.types.is_boolean(plain):
        return "yes/no"
    return "number" if pa.types.is_floating(plain) else "integer"


@pytest.mark.parametrize("table", sorted(TABLES))
def test_every_column_is_described_in_order(table: str) -> None:
    _, _, section = PAGE.partition(f"\n### {table}\n")
    rows = re.findall(r"^\| `(\w+)` \| ([\w/]+) \| (.+) \|$", re.split(r"\n###? ", section)[0], flags=re.M)
    assert [(name, kind) for name, kind, _ in rows] == [(entry.name, _kind(entry.type)) for entry in TABLES[table]]


@pytest.mark.parametrize("snippet", SNIPPETS, ids=["duckdb", "polars", "pandas"])
def test_a_snippet_runs(tmp_path: Path, snippet: str) -> None:
    run = make_sample(tmp_path / "run")
    code = snippet.replace("RUN/", f"{run.path}/")
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "200"},
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert ("cbt" if "duckdb" in snippet else "What brings you?" if "polars" in snippet else "change") in done.stdout
