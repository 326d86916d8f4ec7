"""What manuals derive: indices and verdicts per session, by hand; nothing is made of what was not judged."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from simulator.analysis.behaviours import judgments_of
from simulator.analysis.derived import derived, session_verdicts
from simulator.analysis.estimands import Scope
from simulator.analysis.summary import summarise
from simulator.codebooks import load_codebook
from simulator.reporting.writing import report_run
from tests.report_sample import sample_run
from tests.test_statistics_of_datasets import COURSES, TURNS

SCOPES = [Scope("these personas", "these personas", 2)]
Said = dict[str, list[str | None]]


def rows(codebook: str, unit: str, sessions: dict[str, Said]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Indices and verdicts of sessions, each with the values of its codes, unit by unit; `warm-1` is one of `warm`."""
    turns, courses, codings = [], [], []
    for course, said in sessions.items():
        therapist, _, persona = course.partition("-")
        courses.append((course, therapist, therapist, "static", persona, 0, persona, None))
        turns += [(course, 0, turn, "therapist", 4, None, None) for turn in range(6)]
        for code, values in said.items():
            codings += [
                {"course_id": course, "session": 0, "turn": None if unit == "session" else place, "role": "therapist",
                 "codebook": codebook, "code": code, "value": value, "coder": "llm", "unit": unit}
                for place, value in enumerate(values)
            ]  # fmt: skip
    frames = (pl.DataFrame(turns, TURNS, orient="row"), pl.DataFrame(courses, COURSES, orient="row"))
    found = judgments_of(*frames, pl.DataFrame(codings, infer_schema_length=None), "llm")
    return derived(found, SCOPES, "therapist")


def miti(simple: int, complex_: int, questions: int, units: int = 6, missing: int = 0) -> Said:
    """A session's judgments of six utterances; codes that are not named are absent."""
    counts = {"simple_reflection": simple, "complex_reflection": complex_, "question": questions}
    said: Said = {}
    for code in load_codebook("miti").codes:
        if code.unit == "utterance":
            present = counts.get(code.id, 0)
            said[code.id] = ["present"] * present + ["absent"] * (units - present)
    said["affirm"] = [None] * missing + said["affirm"][missing:]
    return said


def one(found: list[dict[str, Any]], index: str, group: str) -> dict[str, Any]:
    (row,) = [row for row in found if (row["index"], row["group"]) == (index, group)]
    return row


def test_reflections_to_questions_are_divided_session_by_session_and_pooled_beside() -> None:
    said = {"warm-1": miti(2, 2, 2), "warm-2": miti(1, 0, 1), "cool-1": miti(1, 0, 4)}
    found, verdicts = rows("miti", "utterance", said)
    warm, cool = (one(found, "reflections_to_questions", group) for group in ("warm", "cool"))
    assert warm["means"]["these personas"]["estimate"] == pytest.approx((4 / 2 + 1 / 1) / 2)
    assert warm["pooled"]["estimate"] == pytest.approx(5 / 3)
    assert (warm["unit"], warm["manual_unit"], warm["sessions"], warm["sessions_without_value"]) == (
        "utterance", "utterance", 2, 0,
    )  # fmt: skip
    assert [(each["threshold"], each["sessions"]) for each in warm["thresholds"]] == [("fair", 2), ("good", 1)]
    assert warm["thresholds"][1]["shares"]["these personas"]["estimate"] == 0.5
    assert [(each["threshold"], each["sessions"]) for each in cool["thresholds"]] == [("fair", 0), ("good", 0)]
    complex_ = one(found, "complex_reflections", "warm")
    assert complex_["means"]["these personas"]["estimate"] == pytest.approx((0.5 + 0) / 2)
    assert complex_["pooled"]["estimate"] == pytest.approx(2 / 5)
    assert not verdicts and not [row for row in found if row["index"] in ("technical", "relational")]


def test_nothing_to_divide_by_and_missing_judgments_give_a_session_no_value() -> None:
    found, _ = rows("miti", "utterance", {"warm-1": miti(2, 2, 0), "warm-2": miti(1, 0, 1, missing=2)})
    ratio, count = (one(found, index, "warm") for index in ("reflections_to_questions", "mi_adherent"))
    assert (ratio["sessions"], ratio["sessions_without_value"], ratio["missing_judgments"]) == (1, 1, 0)
    assert ratio["means"]["these personas"]["estimate"] == 1.0
    assert (count["sessions"], count["sessions_without_value"], count["missing_judgments"]) == (1, 1, 2)
    assert count["means"]["these personas"]["estimate"] == 0.0


def test_other_units_than_the_manuals_are_named_and_get_none_of_its_thresholds() -> None:
    found, _ = rows("miti", "turn", {"warm-1": miti(2, 2, 2), "warm-2": miti(2, 2, 2)})
    row = one(found, "reflections_to_questions", "warm")
    assert (row["unit"], row["manual_unit"], row["thresholds"]) == ("turn", "utterance", [])
    assert row["means"]["these personas"]["estimate"] == 2.0


def test_a_total_of_ratings_needs_all_of_them_and_each_above_its_own_bar() -> None:
    items = [code.id for code in load_codebook("cts-r").codes]
    full: Said = {code: ["4"] for code in items}
    uneven: Said = full | {items[0]: ["1"]}
    gap: Said = full | {items[0]: [None]}
    found, _ = rows("cts-r", "session", {"warm-1": full, "warm-2": uneven, "warm-3": gap})
    row = one(found, "total", "warm")
    assert row["means"]["these personas"]["estimate"] == pytest.approx((48 + 45) / 2)
    assert (row["sessions"], row["sessions_without_value"]) == (2, 1)
    assert [each["sessions"] for each in row["thresholds"]] == [1], "an item below 2 is not competent"
    assert not row["complete"]


def test_a_kind_of_question_that_could_not_be_asked_counts_as_none_only_if_that_was_judged() -> None:
    book = load_codebook("annomi")
    (gate,) = book.code("question_subtype").depends_on
    asked: Said = {gate: ["present", "present"], "question_subtype": ["open", "closed"]}
    found, _ = rows("annomi", "utterance", {"warm-1": asked, "warm-2": {gate: ["absent", "absent"]}, "warm-3": {}})
    row = one(found, "open_questions", "warm")
    assert (row["sessions"], row["sessions_without_value"]) == (1, 2)
    assert row["pooled"]["estimate"] == 0.5 and row["pooled"]["units"] == 2


def test_verdicts_are_the_worst_grade_of_a_sessions_answers_and_a_gap_gives_none() -> None:
    book = load_codebook("vera-mh")
    assert book.flow is not None
    good: Said = {step.code: ["no"] for step in book.flow.steps}
    good |= {"states_risk": ["yes"], "risk_level": ["possible"]}
    bad: Said = good | {"no_crisis_resource": ["yes"]}
    gap: Said = good | {"fails_to_probe": [None]}
    _, found = rows("vera-mh", "session", {"warm-1": good, "warm-2": bad, "warm-3": gap})
    resources = next(row for row in found if row["dimension"] == "resources")
    assert {each["grade"]: each["sessions"] for each in resources["grades"]} == {
        "harm": 1, "suboptimal": 0, "best_practice": 1,
    }  # fmt: skip
    assert (resources["sessions"], resources["sessions_without_verdict"]) == (2, 1)
    assert resources["grades"][0]["shares"]["these personas"]["estimate"] == 0.5


def test_yes_and_no_alone_are_the_questions_answers_too() -> None:
    turns = pl.DataFrame([("c", 0, 0, "therapist", 4, None, None)], TURNS, orient="row")
    courses = pl.DataFrame([("c", "warm", "warm", "static", "p", 0, "p", None)], COURSES, orient="row")
    codings = pl.DataFrame([
        {"course_id": "c", "session": 0, "turn": None, "role": "therapist", "codebook": "vera-mh", "code": code,
         "value": value, "coder": "llm", "unit": "session"}
        for code, value in (("states_risk", "no"), ("false_alarm_without_risk", "no"))
    ])  # fmt: skip
    found = session_verdicts(judgments_of(turns, courses, codings, "llm"), load_codebook("vera-mh"))
    assert found[0]["detects"] == "best_practice"


def test_a_run_shows_its_indices_in_summary_and_report(tmp_path: Path) -> None:
    run = sample_run(tmp_path / "run", personas=4, replicates=2)
    parts = {part["coder"]: part for part in summarise(run)["indices"]}
    assert set(parts) == {"planted", "rules"}
    by_group = {row["group"]: row for row in parts["planted"]["rows"] if row["index"] == "reflections_to_questions"}
    assert len(by_group) == 4 and {row["unit"] for row in by_group.values()} == {"turn"}
    assert by_group["mi_consistent"]["pooled"]["estimate"] > by_group["advice_giving"]["pooled"]["estimate"]
    assert json.loads(json.dumps(parts))["rules"]["rows"]
    html = report_run(run).read_text(encoding="utf-8")
    assert "Indices" in html and "by turn; the manual counts by utterance" in html
