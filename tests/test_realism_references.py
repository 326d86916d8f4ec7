"""The shipped references equal what the script computes from the human data."""

import importlib.util
import json
import re
from pathlib import Path

import numpy as np
import pytest

from simulator.analysis.realism import ALL, scorecard
from simulator.analysis.realism_humans import human_tables
from simulator.errors import UserError

ROOT = Path(__file__).resolve().parents[1]


def numbers(value: object, where: str = "") -> dict[str, float]:
    if isinstance(value, dict):
        return {key: number for name, part in value.items() for key, number in numbers(part, f"{where}.{name}").items()}
    if isinstance(value, list):
        return {key: number for i, part in enumerate(value) for key, number in numbers(part, f"{where}.{i}").items()}
    return {where: float(value)} if isinstance(value, int | float) else {}


def test_shipped_references_equal_the_scripts_output(data_dir: Path) -> None:
    path = ROOT / "experiments/realism/reference.py"
    spec = importlib.util.spec_from_file_location("realism_reference", path)
    assert spec and spec.loader
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    for reference in script.references(data_dir):
        shipped = json.loads((ROOT / f"simulator/analysis/references/{reference.name}.json").read_text("utf-8"))
        computed = json.loads(script.text_of(reference))
        ours, theirs = numbers(computed), numbers(shipped)
        assert ours.keys() == theirs.keys()
        np.testing.assert_allclose(list(ours.values()), list(theirs.values()), rtol=1e-4, atol=1e-9)
        assert {key: value for key, value in computed.items() if isinstance(value, str)} == {
            key: value for key, value in shipped.items() if isinstance(value, str)
        }


def test_high_quality_annomi_is_its_own_reference_and_low_quality_is_not(data_dir: Path) -> None:
    human = human_tables(data_dir)
    card = scorecard(human.turns, human.courses, human.codings, by="stratum", cluster="videos")
    assert card.groups == (ALL, "high", "low")
    assert card.coder == "expert"
    assert not card.summary("high")["outside"]
    assert "transitions" in card.summary("low")["outside"]


def test_no_text_in_the_references() -> None:
    for file in (ROOT / "simulator/analysis/references").glob("*.json"):
        data = json.loads(file.read_text("utf-8"))
        for part in (data["measures"], data["pooled"], data["transitions"] or {}):
            words = set(re.findall(r'"([^"]*)"', json.dumps(part)))
            assert all(re.fullmatch(r"[a-z_0-9]+", word) for word in words)


def test_human_texts_come_from_files_and_imports_alone(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file or folder"):
        human_tables(tmp_path / "nothing")
    with pytest.raises(UserError):
        human_tables(tmp_path)
