"""Figures of studies of simulated clients against planted truths."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from scipy import stats

from simulator.agents.profiles.fields import profile_fields
from simulator.agents.scripted.answers import answer_value, expected_level
from simulator.agents.scripted.batch import simulate_planted
from simulator.agents.scripted.equations import STATES, State
from simulator.analysis.clientcast.chairs import warnings_about
from simulator.analysis.clientcast.faithfulness import likeness
from simulator.analysis.clientcast.reliability import LEVELS, generalizability, internal_consistency
from simulator.analysis.clientcast.response_style import response_styles
from simulator.analysis.clientcast.words import containment, runs_of
from simulator.instruments.loading import load_instrument
from simulator.personas.loading import load_persona_set
from simulator.personas.population import load_population, sample_traits
from simulator.records.seeds import Draws, key64, mix64_array
from simulator.resources import resource_root
from simulator.statistics.mixed import MIXED, ROBUST, adjusted_difference, paired_difference

Array = npt.NDArray[np.float64]
PERSONAS, SESSIONS, STUDIES = 240, 8, 400


@pytest.fixture(scope="module")
def pool() -> Array:
    """WAI-SR scores (0-1) of many sessions of the reference dyad: (therapist, persona, session)."""
    people = load_population(resource_root("personas") / "populations" / "general.yaml")
    traits = sample_traits(people, PERSONAS, 5)
    names = [f"{people.name}-{index:06d}" for index in range(PERSONAS)]
    numbers = mix64_array(np.arange(1, SESSIONS + 1, dtype=np.uint64))
    persona = load_persona_set(resource_root("personas") / "shipped")[0]
    items = [(item, scale) for scale in load_instrument("WAI-SR").scales[:3] for item in scale.items]
    found = np.empty((2, PERSONAS, SESSIONS))
    for place, policy in enumerate(("mi_consistent", "advice_giving")):
        keys = np.array([key64(f"alliance:{policy}:{name}") for name in names], dtype=np.uint64)
        final = simulate_planted(traits, names, policy, mix64_array(keys[:, None] ^ numbers[None, :])).final_state
        for p, s in np.ndindex(PERSONAS, SESSIONS):
            state = State(*(final[name][p, s] for name in STATES))
            given = []
            for item, scale in items:
                level = expected_level(persona, state, "WAI-SR", 0, scale.name, "better")
                value = answer_value(level, 1.0, 5.0, False, False, Draws(key64(f"{policy}:{p}:{s}:{item}") >> 11))
                given.append(np.nan if value is None else (value - 1.0) / 4.0)
            found[place, p, s] = np.nanmean(given)
    return found


def test_differences_between_therapists_cover_the_planted_truth_at_their_nominal_rate(pool: Array) -> None:
    truth = float(pool[0].mean() - pool[1].mean())
    assert truth > 0.05
    generator = np.random.default_rng(11)
    covered = found = 0
    for _ in range(STUDIES):
        who = generator.integers(PERSONAS, size=14)
        drawn = [pool[place][np.repeat(who, 2), generator.integers(SESSIONS, size=28)] for place in (0, 1)]
        clients = np.tile(np.repeat(np.arange(14), 2), 2)
        interval = paired_difference(np.concatenate(drawn), np.repeat([False, True], 28), clients)
        covered += interval.low <= truth <= interval.high
        found += interval.low > 0
    assert 0.92 <= covered / STUDIES <= 0.98, covered / STUDIES
    assert found / STUDIES > 0.5


def test_the_paired_mixed_model_is_the_paired_t_test_on_complete_data() -> None:
    generator = np.random.default_rng(2)
    own = generator.normal(0.0, 1.0, 12)
    first, second = own + 0.4 + generator.normal(0, 0.3, 12), own + generator.normal(0, 0.3, 12)
    interval = paired_difference(
        np.concatenate([first, second]), np.repeat([False, True], 12), np.tile(np.arange(12), 2)
    )
    test = stats.ttest_rel(first, second)
    limits = test.confidence_interval()
    assert interval.method == MIXED.format(one="client") and interval.clusters == 12
    np.testing.assert_allclose([interval.low, interval.high], [limits.low, limits.high], rtol=1e-3)
    assert interval.p == pytest.approx(test.pvalue, rel=1e-2)


def test_missing_values_and_clients_who_met_one_therapist_are_no_obstacle_and_too_few_are_flagged() -> None:
    values = [0.5, 0.6, np.nan, 0.2, 0.4, 0.3, 0.9]
    interval = paired_difference(values, [0, 0, 0, 1, 1, 1, 0], ["a", "b", "c", "a", "b", "c", "d"])
    assert interval.estimate > 0 and interval.clusters == 2 and interval.flag == "too few clusters"
    nothing = paired_difference([0.5, 0.6], [0, 0], ["a", "b"])
    assert np.isnan(nothing.estimate) and nothing.flag == "nothing to compare"


def test_a_difference_that_length_explains_goes_away_at_equal_length() -> None:
    generator = np.random.default_rng(3)
    second = np.repeat([False, True], 60)
    length = generator.normal(0, 1, 120) - 1.5 * second
    values = 0.5 + 0.1 * length + generator.normal(0, 0.05, 120)
    clusters = np.arange(120)
    plain = adjusted_difference(values, second, [], clusters)
    equal = adjusted_difference(values, second, [length], clusters)
    assert plain.low > 0.1 and plain.method == ROBUST.format(many="clients")
    assert equal.low < 0 < equal.high


def answers(levels: Array, noise: float, seed: int = 0) -> pl.DataFrame:
    """Answers of (client, therapist) levels on six items, two sessions and two askings, with item noise."""
    generator = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    for client, therapist, session, asking in np.ndindex(*levels.shape, 2, 2):
        for item in range(6):
            value = float(levels[client, therapist] + noise * generator.normal())
            rows.append(
                {
                    "client": f"c{client}", "therapist": f"t{therapist}", "session": f"{client}-{therapist}-{session}",
                    "asking": asking, "rating": f"{client}-{therapist}-{session}-{asking}", "instrument": "LONELINESS",
                    "form": "official", "item": str(item + 1), "reversed": item in (1, 4), "position": item, "seed": 0,
                    "steps": 5,
                    "raw": value, "sampled": value, "most probable": None, "expected": None,
                }
            )  # fmt: skip
    kinds = {"most probable": pl.Float64, "expected": pl.Float64}
    return pl.DataFrame(rows, schema_overrides=kinds)


def test_generalizability_says_whose_variance_it_is() -> None:
    generator = np.random.default_rng(4)
    of_therapists = np.tile(generator.normal(0, 0.3, 8), (10, 1))
    (row,) = generalizability(answers(of_therapists, 0.05))
    shares = {each["name"]: each["share"] for each in row["components"]}
    assert shares["therapist"] > 0.9 and row["coefficients"]["therapists"] > 0.95
    assert row["coefficients"]["clients"] is None or row["coefficients"]["clients"] < 0.5
    (row,) = generalizability(answers(of_therapists.T.copy()[:, :8], 0.05))
    shares = {each["name"]: each["share"] for each in row["components"]}
    assert shares["client"] > 0.9 and row["coefficients"]["therapists"] < 0.5


def test_alpha_depends_on_the_level_and_says_which() -> None:
    generator = np.random.default_rng(5)
    rows = internal_consistency(answers(np.tile(generator.normal(0, 0.3, 8), (10, 1)), 0.3))
    alpha = {row["level"]: row["alpha"] for row in rows}
    assert set(alpha) == set(LEVELS)
    assert alpha["between therapists"] > 0.9 > 0.3 > abs(alpha["within client and therapist"])
    assert {row["answer_type"] for row in rows} == {"sampled"}


def test_a_client_who_agrees_with_everything_and_one_who_draws_lines_are_found_out() -> None:
    frame = answers(np.full((6, 3), 0.5), 0.1)
    agreeing = frame.with_columns(raw=pl.lit(1.0), sampled=pl.when("reversed").then(0.0).otherwise(1.0))
    (row,) = response_styles(agreeing, [])
    assert row["straight_lines"]["estimate"] == 1.0 and row["acquiescence"]["estimate"] == 1.0
    assert row["ceiling"]["estimate"] == pytest.approx(4 / 6) and row["item_order"] is None
    (row,) = response_styles(frame, [])
    assert row["straight_lines"]["estimate"] == 0.0 and abs(row["acquiescence"]["estimate"]) < 0.1


def test_an_effect_of_an_items_place_is_found_where_items_were_shuffled() -> None:
    frame = answers(np.full((8, 3), 0.5), 0.05)
    order = np.random.default_rng(6)
    places = np.concatenate([order.permutation(6) for _ in range(len(frame) // 6)])
    shifted = frame.with_columns(position=pl.Series(places)).with_columns(
        sampled=pl.col("sampled") + 0.2 * pl.col("position") / 5
    )
    (row,) = response_styles(shifted, ["LONELINESS"])
    assert row["item_order"]["low"] < 0.2 < row["item_order"]["high"] and row["item_order"]["low"] > 0.1


def test_leakage_counts_runs_of_words_within_turns() -> None:
    said = runs_of(["I never sleep well at night", "and so on"])
    assert len(said) == 2
    assert containment(said, runs_of(["Well, I never sleep well at all"])) == 0.5
    assert containment(said, runs_of(["I never sleep", "well at night"])) == 0.0
    assert np.isnan(containment(runs_of(["Yes."]), said))


@pytest.mark.parametrize(
    ("field", "first", "second", "alike"),
    [("resistance", "low", "low", 1.0), ("resistance", "low", "high", 0.0), ("neuroticism", "80", "60", 0.8),
     ("problem", "drinks too much.", "drinks", 0.5), ("PHQ-9:1", "not at all", "not at all", 1.0)],
)  # fmt: skip
def test_likeness_of_two_readings(field: str, first: str, second: str, alike: float) -> None:
    assert likeness(profile_fields()[field], first, second) == pytest.approx(alike)


def test_one_model_in_two_chairs_is_warned_of() -> None:
    design = {"clients": 20, "stages": {}, "missing_answers": 0, "answers": 1}
    seats = {"reader": ["a"], "client": ["a"], "therapist": ["b", "scripted"], "rater": ["b"]}
    lines = warnings_about(
        {"scripted": False, "source": "human", "chairs": seats, "design": design, "contamination": {"run": 8}}
    )
    assert [line.split()[0] for line in lines] == ["a", "b"]
    assert "reads profiles out of sessions that it played" in lines[0] and "judges itself" in lines[1]
    apart = {"reader": ["a"], "client": ["b"], "therapist": ["c"], "rater": ["d"]}
    assert (
        warnings_about(
            {"scripted": False, "source": "human", "chairs": apart, "design": design, "contamination": {"run": 8}}
        )
        == []
    )


def test_published_claims_have_a_provenance_each() -> None:
    from simulator.analysis.clientcast.published import published

    content = published()
    marks = {"abstract", "secondary", "repository", "computed"}
    assert {row["mark"] for part in ("claims", "figures") for row in content[part]} <= marks
    assert Path(resource_root("experiments") / "clientcast" / "README.md").exists()
