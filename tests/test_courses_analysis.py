"""What is reported of courses: every course begun stands in decisions and questionnaires, come or not."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from simulator.analysis.courses import course_results
from simulator.analysis.estimands import Scope
from simulator.analysis.summary import read_table, summarise
from simulator.reporting.course_section import courses as section
from simulator.store.runs import open_run
from simulator.studies.running import run_study
from tests.studies_for_tests import small

SCOPES = [Scope("population", "population", 40, "personas", "made up")]
WEEKS = 4


def made_up(leaves: dict[str, float], seed: int = 3) -> dict[str, pl.DataFrame]:
    """Forty personas with every therapist of `leaves`, whose clients leave after week 1 with that chance where their
    score will rise, and never otherwise; scores move alike with all of them."""
    draws = np.random.default_rng(seed)
    rows: dict[str, list[dict[str, Any]]] = {"courses": [], "life": [], "decisions": [], "scores": []}
    for therapist, chance in leaves.items():
        for persona in range(40):
            course, change = f"{therapist}{persona:02d}", float(draws.normal(0, 3))
            left = bool(change > 0 and draws.uniform() < chance)
            waiting = therapist == "waitlist"
            place = {"course_id": course}
            rows["courses"].append(place | {
                "therapist": therapist, "condition": therapist, "client": "x", "persona_id": f"p{persona}",
                "replicate": 0, "cluster": f"p{persona}", "stratum": None, "status": "ended",
            })  # fmt: skip
            for day, score in ((0.0, 10.0), (28.0, 10.0 + change)):
                rows["scores"].append(place | {
                    "moment": "course_start" if day == 0 else "day 28", "day": day, "instrument": "PHQ-9",
                    "scale": "total", "respondent": "client", "score": score,
                })  # fmt: skip
            for week in range(WEEKS):
                status = "waitlist" if waiting else "left" if left and week > 1 else "in_course"
                rows["life"].append(place | {"week": week, "day": 7.0 * week + 3, "status": status})
                asked = {"outside": "seek_contact" if week == 0 else "as_before"}
                if not waiting and week:
                    came = status == "in_course"
                    asked["attendance" if came else "leaving"] = "return" if came else "stay_away"
                for question, option in asked.items():
                    chances = {"seek_contact": 0.1, "as_before": 0.9} if question == "outside" else {option: 1.0}
                    rows["decisions"].append(place | {
                        "week": week, "question": question, "option": option, "probability": chances[option],
                        "probabilities": json.dumps(chances),
                    })  # fmt: skip
    return {name: pl.DataFrame(found, infer_schema_length=None) for name, found in rows.items()}


def results(leaves: dict[str, float], tables: dict[str, pl.DataFrame] | None = None) -> dict[str, Any]:
    tables = tables or made_up(leaves)
    sessions = pl.DataFrame(schema={"course_id": pl.String, "session": pl.Int32, "day": pl.Float64})
    found = course_results(
        tables["courses"], sessions, tables["life"], tables["decisions"], tables["scores"], [], SCOPES, "therapist"
    )
    assert found is not None
    return found


def test_therapists_without_effect_show_none_in_all_begun_and_may_in_survivors() -> None:
    found = results({"kind": 0.0, "harsh": 1.0, "waitlist": 0.0})
    change = {(row["who"], row["group"]): row for row in found["changes"]}
    for group in ("kind", "harsh"):
        against = change["all begun", group]["differences"]["population"]
        assert change["all begun", group]["courses"] == 40
        assert against["low"] < 0 < against["high"]
    survivors = change["survivors", "harsh"]
    assert survivors["courses"] < 30
    assert survivors["differences"]["population"]["high"] < 0  # the trap that all begun avoids


def test_who_left_is_counted_every_week() -> None:
    found = results({"kind": 0.0, "harsh": 1.0, "waitlist": 0.0})
    stands = {(row["group"], row["week"]): row for row in found["standing"]}
    left = stands["harsh", 3]["left"]
    assert left > 10
    assert [stands["harsh", week]["in_course"] for week in range(WEEKS)] == [40, 40, 40 - left, 40 - left]
    missed = {(row["group"], row["week"]): row for row in found["decisions"] if row["code"] == "missed_session"}
    assert (missed["harsh", 3]["count"], missed["harsh", 3]["units"]) == (left, 40)
    assert ("waitlist", 3) not in missed
    sought = {(row["group"], row["week"]): row for row in found["decisions"] if row["code"] == "sought_other_contact"}
    for group in ("kind", "harsh", "waitlist"):
        assert (sought[group, None]["count"], sought[group, None]["units"]) == (40, 160)
        assert sought[group, 0]["shares"]["population"]["estimate"] == 1.0


def test_base_rates_are_over_all_askings_whatever_was_taken() -> None:
    rows = {(row["persona_id"], row["option"]): row for row in results({"kind": 0.0})["personas"]}
    sought, stayed = rows["p7", "seek_contact"], rows["p7", "as_before"]
    assert (sought["taken"], sought["asked"], stayed["taken"], stayed["asked"]) == (1, 4, 3, 4)
    assert sought["probability"] == pytest.approx(0.1) and stayed["probability"] == pytest.approx(0.9)


def test_an_option_that_nobody_took_has_a_row() -> None:
    tables = made_up({"kind": 0.0})
    tables["decisions"] = tables["decisions"].filter(pl.col("week") > 0)  # nobody sought contact later
    rows = {row["option"]: row for row in results({}, tables)["personas"] if row["persona_id"] == "p7"}
    assert (rows["seek_contact"]["taken"], rows["seek_contact"]["asked"]) == (0, 3)
    assert rows["seek_contact"]["probability"] == pytest.approx(0.1)


def test_a_course_that_failed_is_begun_and_its_values_are_missing() -> None:
    tables = made_up({"kind": 0.0, "waitlist": 0.0})
    ids = tables["courses"].filter(pl.col("therapist") == "kind")["course_id"].to_list()
    early, late = ids[:5], ids[5:8]  # in the first session, and in the third week
    failed = pl.when(pl.col("course_id").is_in(early + late)).then(pl.lit("failed")).otherwise(pl.col("status"))
    tables["courses"] = tables["courses"].with_columns(failed.alias("status"))
    for name, moment in (("life", pl.col("week") * 7), ("decisions", pl.col("week") * 7), ("scores", pl.col("day"))):
        gone = pl.col("course_id").is_in(early) | (pl.col("course_id").is_in(late) & (moment >= 14))
        tables[name] = tables[name].filter(~gone)
    found = results({}, tables)
    stands = {row["week"]: row for row in found["standing"] if row["group"] == "kind"}
    assert [stands[week]["begun"] for week in range(WEEKS)] == [40] * WEEKS
    assert [stands[week]["broken"] for week in range(WEEKS)] == [5, 5, 8, 8]
    change = {row["who"]: row for row in found["changes"] if row["group"] == "kind"}
    assert (change["all begun"]["courses"], change["all begun"]["missing"]) == (40, 8)
    assert (change["survivors"]["courses"], change["survivors"]["missing"]) == (32, 0)
    days = {row["day"]: row for row in found["scores"] if row["group"] == "kind"}
    assert [(days[day]["courses"], days[day]["missing"], days[day]["stayed"]) for day in (0.0, 28.0)] == [
        (40, 5, 32), (40, 8, 32),
    ]  # fmt: skip


def test_two_administrations_on_one_day_are_one_course() -> None:
    tables = made_up({"kind": 0.0, "waitlist": 0.0})
    again = tables["scores"].filter(pl.col("day") == 28).with_columns(
        pl.lit("course_end").alias("moment"), (pl.col("score") + 1).alias("score")
    )  # fmt: skip
    once = results({}, tables)["changes"][0]["means"]["population"]["estimate"]
    tables["scores"] = pl.concat([tables["scores"], again])
    row = results({}, tables)["changes"][0]
    assert row["courses"] == 40
    assert row["means"]["population"]["estimate"] == pytest.approx(once + 1)  # the end of the course counts


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short course of two therapists and the waiting list."""
    out = tmp_path_factory.mktemp("analysis") / "run"
    run_study(small(out, "session=course", "session.course.sessions=3", "session.max_turns=20", "coders=[]",
                    "therapist=[companion,boundary_keeping,waitlist]", "+instruments.phq9.every_days=14"))  # fmt: skip
    return out


def test_outcomes_count_live_units_and_courses_running(run: Path) -> None:
    summary = summarise(run)
    found = summary["courses"]
    assert list(json.loads(json.dumps(found))) == list(found)
    outcomes = [row for row in found["outcomes"] if row["group"] == "companion" and row["outcome"] == "outcome A"]
    assert [row["week"] for row in outcomes] == sorted({row["week"] for row in outcomes})
    turns = read_table(open_run(run), "turns")
    companion = read_table(open_run(run), "courses").filter(pl.col("therapist") == "companion")
    said = turns.join(companion, on="course_id", how="semi").filter(pl.col("role") == "therapist")
    assert sum(row["live"] for row in outcomes) == len(said)
    stands = {(row["group"], row["week"]): row["in_course"] for row in found["standing"]}
    assert all(row["running"] == stands["companion", row["week"]] for row in outcomes)
    assert not [row for row in found["outcomes"] if row["group"] == "waitlist"]
    view = section(summary)
    assert view is not None and view["waitlist"] == "Waitlist"
    assert next(name for name, _, _ in view["outcomes"]) == "Outcome A: fosters dependence"
    assert view["running"].rows[-1][1] == "waiting"


def test_single_sessions_have_no_section(tmp_path: Path) -> None:
    run_study(small(tmp_path / "one", "personas.limit=2", "replicates=1", "coders=[]"))
    summary = summarise(tmp_path / "one")
    assert summary["courses"] is None and section(summary) is None
