"""Versions of one coder judge the same texts: they are named apart, and nothing sums two of them."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from simulator.analysis.agreement import agreement
from simulator.analysis.behaviours import coders_of, judgments_of
from simulator.analysis.comparison import compare
from simulator.analysis.realism_codes import coded_turns
from simulator.analysis.sources import told_apart
from simulator.analysis.summary import read_table, summarise
from simulator.coding.base import code_dataset
from simulator.coding.datasets import code_run
from simulator.coding.rules import RuleCoder
from simulator.errors import UserError
from simulator.reporting.transcripts import load_transcripts
from simulator.store.runs import open_run
from tests.report_sample import sample_run
from tests.test_agreement_analysis import courses as agreed_courses
from tests.test_agreement_analysis import turns as agreed_turns

RULES = {"_target_": "simulator.coding.rules.RuleCoder", "patterns": "annomi"}


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that the rules coded by turns (those of the sample) and by utterances."""
    run = sample_run(tmp_path_factory.mktemp("sources") / "run", personas=3, replicates=1, therapists=2)
    code_run(run, "rules", RULES | {"units": "utterance"})
    return run


def names(run: Path) -> list[str]:
    return coders_of(read_table(open_run(run), "turns"), read_table(open_run(run), "codings"))


def test_two_versions_of_a_coder_are_two_sources(twice: Path) -> None:
    whole, parted = "rules@ffffffff", f"rules@{RuleCoder(units='utterance').fingerprint[:8]}"
    assert names(twice) == ["planted", *sorted([whole, parted])]
    tables = {name: read_table(open_run(twice), name) for name in ("turns", "courses", "codings")}
    judgments = judgments_of(tables["turns"], tables["courses"], tables["codings"], whole)
    _, units = judgments.per_session()
    (question,) = [b for b, behaviour in enumerate(judgments.behaviours) if behaviour.name == "question"]
    spoken = tables["turns"].filter(pl.col("role") == "therapist").group_by("course_id", "session").len()
    assert units[:, question].tolist() == spoken.sort("course_id", "session")["len"].to_list()


def test_a_name_that_stands_for_two_versions_is_refused_with_both(twice: Path) -> None:
    tables = {name: read_table(open_run(twice), name) for name in ("turns", "courses", "codings")}
    with pytest.raises(UserError, match=r"'rules' judged this dataset in 2 versions; name one: rules@.*, rules@"):
        judgments_of(tables["turns"], tables["courses"], tables["codings"], "rules")
    coded = coded_turns(tables["turns"].with_columns(pl.lit(None, pl.String).alias("planted")), tables["codings"])
    assert coded is not None and coded.source.startswith("rules@")


def test_a_summary_counts_versions_apart_and_says_so(twice: Path) -> None:
    found: dict[str, Any] = summarise(twice)
    coders = {part["coder"] for part in found["behaviours"]}
    assert coders == set(names(twice)) and set(found["counts"]["judgments"]) == coders - {"planted"}
    assert any("Versions of one coder" in line and "rules@ffffffff" in line for line in found["warnings"])
    assert {table["coder"] for table in found["agreement"]} == coders - {"planted"}
    assert all(table["expert_figures"] for table in found["agreement"])
    assert set(load_transcripts(open_run(twice), "therapist").data["sources"]) == coders


def test_one_version_keeps_its_name_and_people_are_no_versions() -> None:
    frame = pl.DataFrame({
        "coder": ["rules", "llm", "llm", "expert", "expert", "human-a", "human-a"],
        "coder_fingerprint": ["a" * 9, "b" * 9, "c" * 9, "d", "e", "f", "g"],
        "codebook": ["annomi", "annomi", "epitome", *["annomi"] * 4], "codebook_version": ["1"] * 7,
    })  # fmt: skip
    assert told_apart(frame)["coder"].to_list() == frame["coder"].to_list()
    other = pl.concat([frame, frame.with_columns(pl.lit("2").alias("codebook_version")).head(1)])
    renamed = told_apart(other.with_columns(pl.col("coder").cast(pl.Categorical)))["coder"].cast(pl.String).to_list()
    assert renamed == ["rules@aaaaaaaa v1", *frame["coder"].to_list()[1:], "rules@aaaaaaaa v2"]
    assert told_apart(told_apart(other))["coder"].to_list() == told_apart(other)["coder"].to_list()


def test_parts_of_turns_have_no_agreement_with_whole_ones() -> None:
    spoken = agreed_turns().with_columns(pl.lit("I see. What would help?").alias("text"))
    coded = code_dataset(spoken, RuleCoder(units="utterance"))
    with pytest.raises(UserError, match="judged parts of turns and the reference 'planted' whole ones"):
        agreement(coded, spoken, "planted", coder="rules", courses=agreed_courses())


def test_runs_that_different_versions_coded_are_not_compared_and_the_reader_is_told(tmp_path: Path) -> None:
    one, two = (sample_run(tmp_path / name, personas=2, replicates=1, therapists=1) for name in ("one", "two:2"))
    for codings in (two / "dataset" / "codings").glob("*.parquet"):
        codings.unlink()
    code_run(two, "rules", RULES | {"units": "utterance"})
    found = compare([one, two])
    assert {part["coder"] for part in found["contrasts"] if part["rows"]} <= {"planted", None}
    assert [line.split(";")[0] for line in found["warnings"]] == [
        f"'{name}' judged {run} only" for name, run in sorted(
            [("rules@ffffffff", "one"), (f"rules@{RuleCoder(units='utterance').fingerprint[:8]}", "two:2")]
        )
    ]  # fmt: skip
