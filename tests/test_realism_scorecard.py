"""What the scorecard says of people, of a dull client and of a run that was fitted."""

import json

import numpy as np
import polars as pl
import pytest

from simulator.analysis.realism import ALL, scorecard
from simulator.analysis.realism_distance import (
    LEVELS,
    half_distances,
    halves,
    quantiles,
    transition_distance,
    wasserstein,
)
from simulator.analysis.realism_humans import HumanTables
from simulator.analysis.realism_measures import FITTED
from simulator.analysis.realism_references import SHIPPED, Reference, load_reference, reference_from
from simulator.errors import UserError
from tests.realism_frames import frames, people

SPLITS = 100


@pytest.fixture(scope="module")
def human() -> Reference:
    turns, courses = frames(people(np.random.default_rng(1), 80))
    return reference_from(turns, courses, name="test people", cluster="videos", splits=SPLITS)


def ratios(card: object, group: str = ALL) -> dict[str, float]:
    return {line.measure.name: line.ratio for line in card.of(group) if line.ratio is not None}  # type: ignore[attr-defined]


def test_people_score_about_one_against_other_people(human: Reference) -> None:
    found = []
    for seed in range(2, 8):
        turns, courses = frames(people(np.random.default_rng(seed), 40))
        found.append(ratios(scorecard(turns, courses, reference=human, others=())))
    means = {name: np.mean([row[name] for row in found]) for name in found[0]}
    assert 0.6 < np.mean(list(means.values())) < 1.5
    assert max(means.values()) < 2


def test_a_set_against_itself_has_no_distance(human: Reference) -> None:
    turns, courses = frames(people(np.random.default_rng(1), 80))
    assert max(ratios(scorecard(turns, courses, reference=human, others=())).values()) == 0


def test_a_dull_client_is_outside(human: Reference) -> None:
    turns, courses = frames(people(np.random.default_rng(9), 40, dull=True), origin="model")
    card = scorecard(turns, courses, reference=human, others=())
    outside = card.summary(ALL)["outside"]
    assert {"client_short_share", "client_words_variation", "client_words_median"} <= set(outside)
    assert "question_rate" not in outside


def test_fitted_lines_are_construction_checks_of_scripted_runs_alone(human: Reference) -> None:
    sessions = people(np.random.default_rng(3), 30)
    for origin, fitted in (("scripted", FITTED), ("model", frozenset()), ("human", frozenset())):
        turns, courses = frames(sessions, origin=origin)
        card = scorecard(turns, courses, reference=human, others=())
        assert {line.measure.name for line in card.lines if line.heading == "construction check"} == fitted
    summary = card.summary(ALL)
    assert summary["lines"] == summary["within"] + len(summary["outside"])
    turns, courses = frames(sessions, origin="scripted")
    assert not FITTED & set(scorecard(turns, courses, reference=human, others=()).summary(ALL)["outside"])


def test_each_therapist_and_all_of_them(human: Reference) -> None:
    sessions = people(np.random.default_rng(4), 40)
    turns, courses = frames(sessions, [f"p{i % 10}" for i in range(40)], ["a", "b"] * 20)
    card = scorecard(turns, courses, reference=human, others=())
    assert card.groups == (ALL, "a", "b")
    alone = courses.filter(pl.col("therapist") == "b")
    only = scorecard(turns.join(alone, on="course_id", how="semi"), alone, reference=human, others=())
    assert ratios(card, "b") == ratios(only)
    interval = card.of("b")[0].value["this collection"]
    assert (interval.clusters, interval.units) == (5, 20)
    assert json.loads(json.dumps(card.to_dict()))["groups"] == [ALL, "a", "b"]


def test_transitions_need_codes_and_compare_with_annomi() -> None:
    session = [("client", "x"), ("therapist", "y")] * 20
    codes = [["change", "reflection"] * 20 for _ in range(10)]
    turns, courses = frames([session] * 10, codes=codes)
    line = scorecard(turns, courses).of(ALL)[-1]
    assert line.measure.name == "transitions"
    assert line.ratio is not None and line.ratio > 2
    bare = scorecard(turns.with_columns(pl.lit(None, pl.String).alias("planted")), courses)
    assert bare.coder is None
    assert bare.of(ALL)[-1].ratio is None
    assert bare.of(ALL)[-1].note == "no session of the run has it"


def test_esconv_stands_beside_without_a_distance() -> None:
    turns, courses = frames(people(np.random.default_rng(5), 20))
    card = scorecard(turns, courses, reference="esconv")
    assert all(line.distance is None for line in card.lines)
    beside = [other for line in scorecard(turns, courses).lines for other in line.others if other.name == "esconv"]
    assert beside
    assert all(other.distance is None and (other.mean or other.pooled) for other in beside)


def test_shipped_references_say_where_they_come_from() -> None:
    for name in SHIPPED:
        reference = load_reference(name)
        assert reference.name == name
        assert reference.source and reference.licence and reference.modality
        for line in reference.lines.values():
            if line.quantiles is not None:
                assert line.quantiles.shape == LEVELS.shape
                assert np.all(np.diff(line.quantiles) >= 0)
                assert line.halves is not None and line.sessions + line.left_out == reference.sessions
    assert "CC BY-SA 4.0" in load_reference("mibot").licence


def test_mistakes_are_one_line() -> None:
    turns, courses = frames([[("client", "x")]])
    with pytest.raises(UserError, match="no human reference 'anomi'"):
        scorecard(turns, courses, reference="anomi")
    with pytest.raises(UserError, match="did you mean 'question_rate'"):
        scorecard(turns, courses, fitted=["question_rates"])
    with pytest.raises(UserError, match="no 'annomi' codes by 'expert'"):
        scorecard(turns, courses, coder="expert")
    with pytest.raises(UserError, match="no turns"):
        reference_from(turns.head(0), courses, name="empty")


def test_the_discriminator_needs_human_texts() -> None:
    simulated = frames(people(np.random.default_rng(6), 10), origin="model")
    assert scorecard(*simulated).discriminator["reason"] == "no human texts were given"
    turns, courses = frames(people(np.random.default_rng(7), 10))
    assert "of people" in scorecard(turns, courses).discriminator["reason"]
    humans = HumanTables("those", turns, courses, turns.head(0))
    assert "only 10 sessions" in scorecard(*simulated, humans=humans).to_dict()["discriminator"]["reason"]


def test_an_empty_run_has_no_lines() -> None:
    turns, courses = frames([[("client", "x")]])
    assert scorecard(turns.head(0), courses).lines == ()


def test_few_sessions_are_said_to_be_few(human: Reference) -> None:
    for n, few in ((8, True), (25, False)):
        turns, courses = frames(people(np.random.default_rng(8), n))
        line = scorecard(turns, courses, reference=human, others=()).of(ALL)[0]
        assert ("by chance" in (line.note or "")) is few


def test_wasserstein_of_a_shift_is_the_shift() -> None:
    first = quantiles(np.arange(50.0))
    assert first is not None
    assert wasserstein(first, first + 3) == pytest.approx(3)
    assert quantiles([np.nan]) is None


def test_transition_distance_by_hand() -> None:
    reference = np.array([[5.0, 5.0], [0.0, 10.0]])
    assert transition_distance(reference * 3, reference) == 0
    assert transition_distance(np.array([[10.0, 0.0], [0.0, 1.0]]), reference) == pytest.approx(0.25)
    # a state that is never shown agrees in nothing
    assert transition_distance(np.array([[1.0, 1.0], [0.0, 0.0]]), reference) == pytest.approx(0.5)


def test_halves_keep_clusters_whole_and_repeat() -> None:
    clusters = np.repeat([f"v{i}" for i in range(11)], 3)
    masks = halves(clusters, "name", 20)
    for mask in masks:
        assert mask.sum() == 15
        assert all(len(set(mask[clusters == name])) == 1 for name in clusters)
    assert all((a == b).all() for a, b in zip(masks, halves(clusters, "name", 20), strict=True))
    assert len({mask.tobytes() for mask in masks}) > 15
    assert half_distances(np.full(33, np.nan), masks) is None
