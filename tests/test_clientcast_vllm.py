"""A study of simulated clients on real vLLM with the tiny model, over ten human transcripts: mechanics, no figure.

Skipped where there is no vLLM or no data.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from benchmarks.vllm_servers import DYAD, ON_CPU, Vllm, served

PYTHON, DATA = os.environ.get("DYAD_VLLM_PYTHON"), os.environ.get("DYAD_DATA_DIR")
pytestmark = [
    pytest.mark.skipif(not PYTHON, reason="DYAD_VLLM_PYTHON is not set (.ci/vllm-env prints one)"),
    pytest.mark.skipif(not DATA, reason="DYAD_DATA_DIR is not set: no human transcripts"),
]
LENGTH = 8192
SECONDS = 300.0


@pytest.fixture(scope="module")
def vllm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vllm]:
    """One replica of the tiny model."""
    # under a grammar that allows any white space a random model writes little else
    grammar = "structured_outputs_config: {backend: xgrammar, disable_any_whitespace: true}"
    words = [*ON_CPU, f"serving.args={{max_num_batched_tokens: {LENGTH}, {grammar}}}"]
    with served(str(PYTHON), tmp_path_factory.mktemp("vllm"), None, words, 1, LENGTH) as serving:
        yield serving


def test_ten_human_transcripts_go_through_every_stage_on_vllm(vllm: Vllm, tmp_path: Path) -> None:
    humans, out = tmp_path / "annomi", tmp_path / "study"
    file = Path(str(DATA)) / "annomi" / "annomi_simple.csv"
    subprocess.run([*DYAD, "import", "annomi", str(file), "--out", str(humans)], check=True, timeout=SECONDS)
    short = "{extraction: {answer_tokens: 12}}"
    overrides = [
        "experiment=clientcast", f"source.run={humans}", "source.limit=5", "source.strata=true", "source.words=500",
        "model=endpoint", f"model.url={vllm.entries[0]['url']}", "model.name=tiny", "model.answer_prefix=true",
        "therapist=[lm_mi]", "session.max_turns=4", "limits.workers=1", "limits.concurrency=6", f"out={out}", "--quiet",
        f"+stages.profiles.set.client={short}", f"+stages.reread.set.client={short}",
        "stages.rated_source.set.replicates=1", "stages.baseline.set.replicates=1",
    ]  # fmt: skip
    subprocess.run([*DYAD, "run", *overrides], check=True, timeout=SECONDS)
    found = json.loads((out / "figures.json").read_text())
    assert found["source"] == "human" and not found["scripted"]
    assert found["chairs"]["client"] == found["chairs"]["rater"] == found["chairs"]["reader"] == ["tiny"]
    assert any("judges itself" in line for line in found["warnings"])
    assert found["design"]["item_count"] == 108 and found["design"]["recordings"] == 10
    assert {part["statuses"].get("failed", 0) for part in found["design"]["stages"].values()} == {0}
    asked = pl.read_parquet(out / "rated/dataset/administrations/*.parquet")
    five = asked.filter(~pl.col("instrument").is_in(["LONELINESS", "LIKING"]))
    assert five.height == 10 * 2 * 108
    assert (five["value"].is_null() == five["missing_reason"].is_not_null()).all()
    scores = pl.read_parquet(out / "rated/dataset/scores/*.parquet")
    assert scores.height and (scores["score"].is_null() == scores["missing_reason"].is_not_null()).all()
    read = pl.read_parquet(out / "profiles/dataset/extractions/*.parquet")
    assert read.height == 10 * 2 * read["field"].n_unique() and read["field"].n_unique() == 72
    assert found["known_groups"]["groups"] == ["high", "low"] and len(found["comparison"]) == 4
    assert "Beside what was published" in (out / "report.html").read_text()
    calls = pl.read_parquet(out / "rated/dataset/executions/*.parquet").filter(pl.col("scope") == "call")
    assert calls["cached_tokens"].sum() > 0.5 * calls["prompt_tokens"].sum()
