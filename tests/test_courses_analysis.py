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


def made_up(leaves: dict[str, float], seed: int = 3, personas: int = 40) -> dict[str, pl.DataFrame]:
    """Personas with every therapist of `leaves`, whose clients leave after week 1 with that chance where their
    score will rise, and never otherwise; scores move alike with all of them."""
    draws = np.random.default_rng(seed)
    rows: dict[str, list[dict[str, Any]]] = {"courses": [], "life": [], "decisions": [], "scores": []}
    for therapist, chance in leaves.items():
        for persona in range(personas):
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


def results(
    leaves: dict[str, float], tables: dict[str, pl.DataFrame] | None = None, turns: pl.DataFrame | None = None
) -> dict[str, Any]:
    tables = tables or made_up(leaves)
    sessions = pl.DataFrame(schema={"course_id": pl.String, "session": pl.Int32, "day": pl.Float64})
    found = course_results(
        tables["courses"], sessions, tables["life"], tables["decisions"], tables["scores"], [], SCOPES, "therapist",
        turns,
    )  # fmt: skip
    assert found is not None
    return found


def test_therapists_without_effect_show_none_in_all_begun_and_may_in_survivors() -> None:
    margin = 1.0  # of the 27 points of PHQ-9
    found = results({}, made_up({"kind": 0.0, "harsh": 1.0, "waitlist": 0.0}, personas=400))
    change = {(row["who"], row["group"]): row for row in found["changes"]}
    for group in ("kind", "harsh"):
        against = change["all begun", group]["differences"]["population"]
        assert change["all begun", group]["courses"] == 400
        assert -margin < against["low"] < 0 < against["high"] < margin
    survivors = change["survivors", "harsh"]
    assert survivors["courses"] < 300
    assert survivors["differences"]["population"]["high"] < -margin  # the trap that all begun avoids


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
    sought = {row["week"]: row for row in found["decisions"] if row["code"] == "sought_other_contact"
              and row["group"] == "kind"}  # fmt: skip
    assert [(sought[week]["courses"], sought[week]["begun"]) for week in (0, 3, None)] == [(35, 40), (32, 40), (35, 40)]
    change = {row["who"]: row for row in found["changes"] if row["group"] == "kind"}
    assert (change["all begun"]["courses"], change["all begun"]["missing"]) == (40, 8)
    assert (change["survivors"]["courses"], change["survivors"]["missing"]) == (32, 0)
    days = {row["day"]: row for row in found["scores"] if row["group"] == "kind"}
    assert [(days[day]["courses"], days[day]["missing"], days[day]["stayed"]) for day in (0.0, 28.0)] == [
        (40, 5, 32), (40, 8, 32),
    ]  # fmt: skip


def of(tables: dict[str, pl.DataFrame], therapist: str) -> list[str]:
    return tables["courses"].filter(pl.col("therapist") == therapist)["course_id"].to_list()


def with_status(tables: dict[str, pl.DataFrame], courses: list[str], status: str) -> dict[str, pl.DataFrame]:
    new = pl.when(pl.col("course_id").is_in(courses)).then(pl.lit(status)).otherwise(pl.col("status"))
    return tables | {"courses": tables["courses"].with_columns(new.alias("status"))}


def without(tables: dict[str, pl.DataFrame], courses: list[str], names: tuple[str, ...]) -> dict[str, pl.DataFrame]:
    return tables | {name: tables[name].filter(~pl.col("course_id").is_in(courses)) for name in names}


def test_a_course_that_failed_after_its_last_week_was_looked_at_is_counted_as_failed() -> None:
    tables = made_up({"kind": 0.0})
    found = results({}, with_status(tables, of(tables, "kind")[:3], "failed"))
    assert {(row["broken"], row["not_ended"], row["begun"]) for row in found["standing"]} == {(0, 3, 40)}


def test_a_group_without_any_value_on_a_day_has_its_row_and_one_that_is_never_asked_has_none() -> None:
    tables = made_up({"kind": 0.0, "frail": 0.0, "gone": 0.0, "waitlist": 0.0})
    frail, gone = of(tables, "frail"), of(tables, "gone")
    tables = with_status(tables, frail + gone, "failed")
    tables["scores"] = tables["scores"].filter(~(pl.col("course_id").is_in(frail) & (pl.col("day") > 0)))
    tables = without(tables, gone, ("life", "decisions", "scores"))  # failed before all
    tables = without(tables, of(tables, "waitlist"), ("scores",))  # ended, never asked
    found = results({}, tables)
    rows = {(row["group"], row["day"]): (row["courses"], row["missing"]) for row in found["scores"]}
    assert rows == {
        ("frail", 0.0): (40, 0), ("frail", 28.0): (40, 40), ("gone", 0.0): (40, 40), ("gone", 28.0): (40, 40),
        ("kind", 0.0): (40, 0), ("kind", 28.0): (40, 0),
    }  # fmt: skip
    empty = next(row for row in found["scores"] if (row["group"], row["day"]) == ("frail", 28.0))
    assert empty["means"]["population"]["low"] is None
    changes = {row["group"]: (row["courses"], row["missing"]) for row in found["changes"] if row["who"] == "all begun"}
    assert changes == {"kind": (40, 0), "frail": (40, 40), "gone": (40, 40)}


def test_a_course_that_is_not_over_began_where_it_left_a_trace() -> None:
    tables = made_up({"kind": 0.0})
    never, spoke, *_ = of(tables, "kind")
    tables = without(with_status(tables, [never, spoke], "unfinished"), [never, spoke], ("life", "decisions", "scores"))
    turns = pl.DataFrame({"course_id": [spoke]})
    assert {row["begun"] for row in results({}, tables, turns)["standing"]} == {39}


@pytest.mark.parametrize("rising", [False, True])
def test_of_several_waiting_lists_each_group_is_compared_with_that_of_its_client(rising: bool) -> None:
    first, second = ({"x": "kind", "y": "waitlist"}, {"x": "late", "y": "list"})
    tables = made_up({"kind": 0.0, "waitlist": 0.0, "late": 0.0, "list": 0.0})
    waits = of(tables, "list")
    waiting = pl.when(pl.col("course_id").is_in(waits)).then(pl.lit("waitlist")).otherwise(pl.col("status"))
    tables["life"] = tables["life"].with_columns(waiting.alias("status")).sort("course_id", descending=rising)
    own = pl.when(pl.col("therapist").is_in(list(first.values()))).then(pl.lit("calm")).otherwise(pl.lit("shy"))
    tables["courses"] = tables["courses"].with_columns(own.alias("client")).sort("course_id", descending=rising)
    found = results({}, tables)
    assert found["waitlists"] == ["list", "waitlist"]
    assert found["against"] == {first["x"]: first["y"], second["x"]: second["y"]}
    pairs = {(row["first"], row["second"]) for row in found["decision_contrasts"]}
    assert pairs == {("kind", "waitlist"), ("late", "list")}
    assert {row["group"]: row["waitlist"] for row in found["changes"] if row["differences"]} == found["against"]


def test_a_group_whose_clients_are_on_no_single_waiting_list_is_compared_with_none() -> None:
    tables = made_up({"kind": 0.0, "waitlist": 0.0, "list": 0.0})
    waiting = pl.when(pl.col("course_id").is_in(of(tables, "list"))).then(pl.lit("waitlist"))
    tables["life"] = tables["life"].with_columns(waiting.otherwise(pl.col("status")).alias("status"))
    found = results({}, tables)
    assert found["against"] == {"kind": None} and not found["decision_contrasts"]
    assert all(row["differences"] is None for row in found["changes"])


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
    assert view is not None and view["uncompared"] is None
    assert view["against"] and all("minus waitlist" in facet.subtitle for facet in view["against"])
    assert next(name for name, _, _ in view["outcomes"]) == "Outcome A: fosters dependence"
    assert view["running"].rows[-1][1] == "waiting"


def test_single_sessions_have_no_section(tmp_path: Path) -> None:
    run_study(small(tmp_path / "one", "personas.limit=2", "replicates=1", "coders=[]"))
    summary = summarise(tmp_path / "one")
    assert summary["courses"] is None and section(summary) is None
