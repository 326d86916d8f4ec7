"""Studies of courses: all begun are followed to the end; a therapist's name changes nothing."""

from pathlib import Path

import polars as pl
import pytest

from simulator.errors import UserError
from simulator.studies.composing import compose
from simulator.studies.running import run_study
from tests.studies_for_tests import small

COURSE = ("session=course", "session.course.sessions=4", "session.max_turns=10", "therapist=[companion,waitlist]")
NULL = "+therapist.again={_target_: simulator.agents.scripted.therapist.ScriptedTherapist, policy: mi_consistent}"


def table(run: Path, name: str) -> pl.DataFrame:
    return pl.read_parquet(run / f"dataset/{name}/*.parquet")


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted run of twelve courses, half of them on the waiting list."""
    out = tmp_path_factory.mktemp("courses") / "reference"
    result = run_study(small(out, *COURSE, "+instruments.phq9.every_days=14"))
    assert (result.tally.ended, result.tally.failed) == (12, 0)
    return out


def test_the_waiting_list_stands_in_decisions_and_instruments_alone(reference: Path) -> None:
    courses = table(reference, "courses")
    waiting = courses.filter(pl.col("therapist") == "waitlist")
    assert waiting["sessions"].to_list() == [0] * 6
    assert set(courses["origin"]) == {"scripted"}
    for name, expected in (("turns", 0), ("sessions", 0), ("notes", 0), ("decisions", 24), ("life", 42)):
        assert table(reference, name).join(waiting, on="course_id", how="semi").height == expected
    dates = table(reference, "scores").filter(pl.col("instrument") == "PHQ-9").group_by("course_id").agg("day")
    assert {tuple(days) for days in dates["day"]} == {(0.0, 14.0, 28.0)}


def test_every_course_begun_has_every_week(reference: Path) -> None:
    outside = table(reference, "decisions").filter(pl.col("question") == "outside")
    assert {tuple(found) for found in outside.group_by("course_id").agg("week")["week"]} == {(0, 1, 2, 3)}


def test_a_second_name_for_a_therapist_changes_nothing_where_seeds_are_paired(tmp_path: Path) -> None:
    run_study(small(tmp_path / "p", *COURSE[:3], "therapist=[mi_consistent]", NULL, "pairing=persona"))
    courses = table(tmp_path / "p", "courses").sort("persona_id", "replicate", "therapist")
    for name in ("life", "decisions", "scores", "turns"):
        joined = table(tmp_path / "p", name).join(courses, on="course_id")
        own, other = (
            joined.filter(pl.col("therapist") == arm).drop("course_id", "therapist", "condition").sort(
                "persona_id", "replicate", maintain_order=True
            )
            for arm in ("mi_consistent", "again")
        )  # fmt: skip
        assert own.height and own.equals(other)


def test_a_waiting_list_without_a_course_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"therapist\.waitlist: a waiting list needs a course"):
        run_study(small(tmp_path / "w", "therapist=[waitlist]"))


def test_every_setting_of_a_course_arrives() -> None:
    settings = {
        "sessions": 3, "days_between": 10.0, "decisions": False, "extra_sessions": False, "life_events": False,
        "memory": {"notes": 5, "characters": 600, "half_life_days": 9.0},
    }  # fmt: skip
    flat = [f"session.course.{key}={value}" for key, value in settings.items() if key != "memory"]
    flat += [f"session.course.memory.{key}={value}" for key, value in dict(settings["memory"]).items()]  # type: ignore[call-overload]
    config = compose("session=course", *flat)
    assert config.session.course.model_dump() == settings
    with pytest.raises(UserError, match=r"unknown key 'session\.course\.sesions'.*sessions"):
        compose("session=course", "+session.course.sesions=2")
