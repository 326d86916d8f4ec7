"""What rows of behaviours count: units are named, levels start above the lowest, incomplete definitions are marked."""

import polars as pl
import pytest

from simulator.analysis.behaviours import behaviour_results
from simulator.analysis.frequencies import Frequency
from simulator.analysis.judgments import Value, behaviours_of
from simulator.codebooks import complete, load_codebook
from simulator.coding.base import code_dataset
from simulator.coding.rules import RuleCoder
from simulator.reporting.behaviour_sections import behaviours
from tests.test_statistics_of_datasets import COURSES, TURNS

COURSE = pl.DataFrame([("c1", "warm", "warm", "static", "ada", 0, "ada", None)], schema=COURSES, orient="row")


def spoken(*texts: str) -> pl.DataFrame:
    """A session of a therapist alone."""
    rows = [("c1", 0, turn, "therapist", len(text.split()), None, None) for turn, text in enumerate(texts)]
    return pl.DataFrame(rows, schema=TURNS, orient="row").with_columns(pl.Series("text", texts))


def judged(codebook: str, code: str, *values: str | None, unit: str = "turn") -> pl.DataFrame:
    """One judgment per turn of the session."""
    return pl.DataFrame([
        {"course_id": "c1", "session": 0, "turn": turn, "role": "therapist", "codebook": codebook, "code": code,
         "value": value, "coder": "llm", "coder_fingerprint": "f", "codebook_version": "1", "unit": unit}
        for turn, value in enumerate(values)
    ], infer_schema_length=None)  # fmt: skip


def rows(turns: pl.DataFrame, codings: pl.DataFrame, coder: str = "llm") -> dict[str, Frequency]:
    found = behaviour_results(turns, COURSE, None, codings, coder=coder).frequencies
    return {row.behaviour.name: row for row in found}


def test_rows_name_the_unit_that_was_judged_and_utterances_are_counted_by_turn_too() -> None:
    turns = spoken("I see. What would help? What else?", "You feel torn. It hurts.", "Okay.")
    whole = rows(turns, code_dataset(turns, RuleCoder()), "rules")
    parted = rows(turns, code_dataset(turns, RuleCoder(units="utterance")), "rules")
    assert {row.to_dict()["unit"] for row in whole.values()} == {"turn"}
    assert {row.to_dict()["unit"] for row in parted.values()} == {"utterance"}
    assert {row.in_turns for row in whole.values()} == {None}
    question = parted["question"]
    assert (question.count, question.units) == (2, 6)
    assert question.in_turns is not None
    assert (question.in_turns["count"], question.in_turns["turns"]) == (1, 3)
    assert question.in_turns["shares"]["these personas"]["estimate"] == pytest.approx(1 / 3)


def test_what_a_scale_counts_as_present_is_the_behaviour_and_its_lowest_level_is_none() -> None:
    turns = spoken("a", "b", "c", "d")
    found = rows(turns, judged("r-mhsafe", "blaming", "1", "1", "2", "4"))
    assert {name: row.count for name, row in found.items()} == {"blaming": 2, "blaming>=3": 1, "blaming>=4": 1}
    assert {row.units for row in found.values()} == {4}
    empathy = rows(turns, judged("epitome", "emotional_reactions", "0", "0", "1", None))
    assert {name: (row.count, row.units) for name, row in empathy.items()} == {"emotional_reactions>=1": (1, 3)}


def test_present_values_of_a_choice_and_levels_with_names_follow_the_scale() -> None:
    def named(codebook: str, code: str, *values: str) -> dict[str, tuple[str, ...]]:
        found = behaviours_of([Value(codebook, "therapist", code, value) for value in values])
        return {each.name: each.values for each in found}

    assert named("vera-mh", "states_risk", "yes", "no", "not_relevant") == {
        "states_risk": ("yes",), "no": ("no",), "not_relevant": ("not_relevant",),
    }  # fmt: skip
    assert named("misc", "reason", "none", "change", "sustain")["reason"] == ("change", "sustain")
    assert named("humanebench", "x", "low", "high") == {"high": ("high",), "low": ("low",)}
    assert named("spiral-bench", "unknown", "0", "2") == {"unknown>=1": ("1", "2"), "unknown>=2": ("2",)}
    assert named("table", "x", "01", "2") == {"01": ("01",), "2": ("2",)}


def test_codes_without_a_complete_definition_are_marked_in_rows_and_in_the_report() -> None:
    turns = spoken("a", "b", "c", "d")
    codings = judged("r-mhsafe", "blaming", "1", "1", "2", "4")
    result = behaviour_results(turns, COURSE, None, codings, coder="llm")
    complete = {row.behaviour.name: row.to_dict()["complete"] for row in result.frequencies}
    assert set(complete.values()) == {False}
    assert rows(turns, judged("epitome", "emotional_reactions", "0", "0", "1", "2"))[
        "emotional_reactions>=1"
    ].to_dict()["complete"]
    part = result.to_dict()["frequencies"]
    summary = {"behaviours": [{"coder": "llm", "probes": "all", "rows": part}], "design": {"groups": ["warm"]}}
    (view,) = behaviours(summary)
    (code,) = view["books"][0]["codes"]
    assert code["name"] == "Blaming, exploratory, incomplete definition"
    assert code["facets"][0].subtitle.startswith("2 in 4 therapist turns")
    assert view["books"][0]["table"].columns[:3] == ["behaviour", "group", "unit"]


def test_an_outcome_is_complete_where_its_codes_are() -> None:
    assert complete("dependence-core", "outcome A") and complete("dependence-core", "exclusivity")
    assert not complete("r-mhsafe", "blaming") and not complete("r-mhsafe", "nothing") and not complete("mine", "x")


def test_values_that_several_codes_have_bear_the_name_of_their_code_in_the_report() -> None:
    codes = [code.id for code in load_codebook("socialclassifiers").codes][:2]
    both = pl.concat([judged("socialclassifiers", code, "yes", "unsure") for code in codes])
    part = behaviour_results(spoken("a", "b"), COURSE, None, both, coder="llm").to_dict()["frequencies"]
    (view,) = behaviours({"behaviours": [{"coder": "llm", "probes": "all", "rows": part}], "design": {"groups": []}})
    names = [str(line[0]) for line in view["books"][0]["table"].rows]
    assert len(names) == len(set(names)) == 4 and sum(": unsure" in name for name in names) == 2
