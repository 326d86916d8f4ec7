"""Any design: every planned course exactly once, no seed twice unless it was asked for, neighbours left as they are."""

import asyncio
from collections.abc import Sequence
from functools import cache
from typing import Any
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.personas.schema import Persona
from simulator.records.journal_records import CourseRecord, Turn
from simulator.records.seeds import session_key, turn_seed
from simulator.sessions.course import CourseSpec, run_course
from simulator.studies.composing import compose
from simulator.studies.config import StudyConfig
from simulator.studies.plan import Plan, load_personas, make_plan
from simulator.studies.running import _setting, shards_for

THERAPISTS = ("mi_consistent", "companion", "over_cold", "cbt", "confrontational")
PROBE = {"role": "client", "turn": 2, "text": "Are you a person?"}


@cache
def whole_study() -> StudyConfig:
    return compose(f"therapist=[{','.join(THERAPISTS)}]", "instruments=[]", "session.max_turns=4")


@cache
def everybody() -> list[Persona]:
    return load_personas(whole_study().personas, 0)[0]


def planned(design: dict[str, Any], therapists: Sequence[str], arms: Sequence[str]) -> Plan:
    """The plan of a design, from the same configuration that the command line makes."""
    whole = whole_study().model_dump(mode="json")
    session = whole["session"] | {
        "interventions": {"probe": PROBE},
        "arms": {arm: ["probe"] if arm == "probed" else [] for arm in arms},
    }
    content = {
        "therapist": {name: whole["therapist"][name] for name in therapists}, "session": session,
        "replicates": design["replicates"], "seed": design["seed"], "pairing": design["pairing"],
    }  # fmt: skip
    personas = everybody()[: design["personas"]]
    with patch("simulator.studies.plan.load_personas", return_value=(personas, len(personas))):
        return make_plan(StudyConfig.model_validate(whole | content))


DESIGNS = st.fixed_dictionaries(
    {
        "personas": st.integers(1, 6),
        "replicates": st.integers(1, 5),
        "seed": st.integers(0, 2**32),
        "pairing": st.sampled_from(["course", "persona"]),
    }
)
SOME_THERAPISTS = st.lists(st.sampled_from(THERAPISTS), min_size=1, max_size=4, unique=True)
SOME_ARMS = st.sampled_from([("plain",), ("plain", "probed"), ("probed",)])


@given(DESIGNS, SOME_THERAPISTS, SOME_ARMS, st.sampled_from([1, 2, 8, 64]))
@settings(max_examples=40, deadline=None)
def test_every_course_is_planned_once_and_lies_in_one_shard_and_one_range(
    design: dict[str, Any], therapists: list[str], arms: tuple[str, ...], parts: int
) -> None:
    plan = planned(design, therapists, arms)
    cells = [(spec.persona.id, spec.replicate, spec.condition) for spec in plan.courses() if spec.persona]
    assert len(set(cells)) == len(cells) == plan.size
    assert plan.size == design["personas"] * design["replicates"] * len(therapists) * len(arms)
    ids = sorted(spec.course for spec in plan.courses())
    index = plan.index()
    for number in {parts, shards_for(plan.size)}:
        assert [spec.course for part in range(number) for spec in index.within(part, number)] == ids
    assert len(set(ids)) == plan.size


@given(DESIGNS, SOME_THERAPISTS, SOME_ARMS)
@settings(max_examples=40, deadline=None)
def test_no_two_share_a_seed_unless_the_design_pairs_them(
    design: dict[str, Any], therapists: list[str], arms: tuple[str, ...]
) -> None:
    plan = planned(design, therapists, arms)
    seeds: dict[int, set[tuple[str | None, int] | str]] = {}
    places = 0
    for spec in plan.courses():
        owner = (spec.persona.id if spec.persona else None, spec.replicate) if paired(design) else spec.course
        for session in range(2):
            key = session_key(spec.pairing_key, session)
            for role in ("client", "therapist"):
                for turn in range(3):
                    places += 1
                    seeds.setdefault(turn_seed(key, turn, role, "turn"), set()).add(owner)
    assert all(len(owners) == 1 for owners in seeds.values())
    shared = len(therapists) * len(arms) if paired(design) else 1
    assert len(seeds) * shared == places


def paired(design: dict[str, Any]) -> bool:
    return bool(design["pairing"] == "persona")


@given(DESIGNS, SOME_THERAPISTS, st.sampled_from(THERAPISTS), st.booleans())
@settings(max_examples=12, deadline=None)
def test_adding_a_condition_leaves_the_others_as_they_are(
    design: dict[str, Any], therapists: list[str], another: str, probed: bool
) -> None:
    before = planned(design, therapists, ["plain"])
    more = [another, *therapists] if another not in therapists else therapists
    after = planned(
        design | {"replicates": design["replicates"] + 1}, more, ["plain", "probed"] if probed else ["plain"]
    )
    later = {spec.course: spec for spec in after.courses()}
    earlier = list(before.courses())
    assert all(later[spec.course] == spec for spec in earlier)
    one = earlier[design["seed"] % len(earlier)]
    assert transcript(before, one) == transcript(after, later[one.course])


def transcript(plan: Plan, spec: CourseSpec) -> list[Turn]:
    """What is said in a course of a plan."""
    records: list[CourseRecord] = []
    asyncio.run(run_course(spec, _setting(plan.config), [], records.append))
    said = [record for record in records if isinstance(record, Turn)]
    assert len(said) == 4
    return said
