"""From tables to shares, contrasts and positions: made-up datasets whose figures are known by hand."""

import json

import numpy as np
import polars as pl
import pytest

from simulator.agents.scripted.plan import ClientPlan, TherapistPlan
from simulator.analysis.behaviours import behaviour_results, coders_of, judgments_of
from simulator.analysis.contrasts import contrasts_of_measure
from simulator.analysis.estimands import Scope, scopes_of
from simulator.analysis.frequencies import frequencies, pooled_shares
from simulator.analysis.positions import by_position
from simulator.errors import UserError

TURNS = {
    "course_id": pl.String, "session": pl.Int32, "turn": pl.Int32, "role": pl.String, "words": pl.Int32,
    "probe": pl.String, "planted": pl.String,
}  # fmt: skip
COURSES = {
    "course_id": pl.String, "condition": pl.String, "therapist": pl.String, "client": pl.String,
    "persona_id": pl.String, "replicate": pl.Int32, "cluster": pl.String, "stratum": pl.String,
}  # fmt: skip
CODINGS = dict.fromkeys(("course_id", "role", "codebook", "code", "value", "missing_reason", "coder"), pl.String) | {
    "session": pl.Int32, "turn": pl.Int32,
}  # fmt: skip


def dataset(sessions):
    """`sessions`: (course, therapist, persona, stratum, plans in order); the frames of turns and courses."""
    turns, courses = [], []
    for course, therapist, persona, stratum, plans in sessions:
        courses.append((course, therapist, therapist, "static", persona, 0, persona or course, stratum))
        for turn, plan in enumerate(plans):
            role = "therapist" if isinstance(plan, TherapistPlan) else "client"
            probe = "goodbye" if "departure" in plan.live else None
            turns.append((course, 0, turn, role, plan.words, probe, json.dumps(plan.planted())))
    return (
        pl.DataFrame(turns, schema=TURNS, orient="row"),
        pl.DataFrame(courses, schema=COURSES, orient="row"),
    )


def says(behaviour, **more):
    return TherapistPlan(behaviour, 10, **more)


def answers(talk="neutral", words=5, **more):
    return ClientPlan(talk, words, **more)


@pytest.fixture
def small():
    return dataset(
        [
            ("c1", "warm", "ada", None, [says("question"), answers(), says("question"), answers("change")]),
            ("c2", "warm", "ada", None, [says("question"), answers(), says("reflection"), answers("sustain")]),
            ("c3", "warm", "ben", None, [says("other", present=("exclusivity",)), answers(words=45)]),
            ("c4", "cool", "ada", None, [says("reflection"), answers(), says("reflection"), answers()]),
            ("c5", "cool", "ben", None, [says("question", live=("departure",), present=("farewell_pressure",))]),
        ]
    )  # fmt: skip


def row(rows, group, behaviour):
    (found,) = [r for r in rows if r.group == group and r.behaviour.name == behaviour]
    return found


def test_shares_are_means_over_personas_of_session_shares_and_pooled_ones_are_not(small):
    result = behaviour_results(*small)
    question = row(result.frequencies, "warm", "question")
    assert question.shares["these personas"].estimate == pytest.approx(((1 + 0.5) / 2 + 0) / 2)
    assert question.pooled.estimate == pytest.approx(3 / 5)
    assert (question.count, question.units, question.sessions) == (3, 5, 3)
    assert question.per_client_words["these personas"].estimate == pytest.approx(1000 * (((2 / 10) + (1 / 10)) / 2) / 2)
    assert question.per_turn["these personas"].estimate == pytest.approx((((2 / 4) + (1 / 4)) / 2 + 0) / 2)


def test_conditional_codes_count_live_units_only(small):
    result = behaviour_results(*small)
    pressure = row(result.frequencies, "cool", "farewell_pressure")
    assert (pressure.count, pressure.units) == (1, 1)
    assert not [r for r in result.frequencies if r.group == "warm" and r.behaviour.name == "farewell_pressure"]
    assert row(result.frequencies, "warm", "exclusivity").units == 5


def test_an_outcome_is_present_where_any_of_its_codes_is(small):
    result = behaviour_results(*small)
    assert row(result.frequencies, "warm", "outcome A").count == 1
    assert row(result.frequencies, "cool", "outcome A").count == 1


def test_levels_become_one_behaviour_per_level_reached():
    plans = [says("other", emotional_reactions=level) for level in (0, 1, 2, 2)]
    result = behaviour_results(*dataset([("c1", "warm", "ada", None, plans)]))
    assert row(result.frequencies, "warm", "emotional_reactions>=1").pooled.estimate == pytest.approx(3 / 4)
    assert row(result.frequencies, "warm", "emotional_reactions>=2").pooled.estimate == pytest.approx(2 / 4)


def test_probed_and_unprobed_turns_are_counted_apart(small):
    turns, courses = small
    probed = behaviour_results(turns, courses, probes="probed")
    unprobed = behaviour_results(turns, courses, probes="unprobed")
    whole = behaviour_results(turns, courses)
    assert {r.group for r in probed.frequencies} == {"cool"}
    count = {name: sum(r.count for r in found.frequencies) for name, found in
             (("probed", probed), ("unprobed", unprobed), ("whole", whole))}  # fmt: skip
    assert count["probed"] + count["unprobed"] == count["whole"]


def test_a_coder_that_says_what_was_planted_gives_the_planted_figures(small):
    turns, courses = small
    codings = []
    for course, session, turn, role, planted in turns.select("course_id", "session", "turn", "role", "planted").rows():
        ((code, value),) = json.loads(planted)["annomi"].items()
        codings.append((course, role, "annomi", code, value, None, "copy", session, turn))
    codings.append(("c1", "client", "annomi", "client_talk_type", None, "not readable", "copy", 0, 1))
    frame = pl.DataFrame(codings, schema=CODINGS, orient="row").with_columns(pl.col("value").cast(pl.Categorical))
    planted = behaviour_results(turns, courses)
    copied = behaviour_results(turns, courses, None, frame, coder="copy")
    for one in copied.frequencies:
        two = row(planted.frequencies, one.group, one.behaviour.name)
        assert one.to_dict() == two.to_dict()
    assert copied.missing == {"annomi/client_talk_type": 1}
    assert coders_of(turns, frame) == ["planted", "copy"]


def test_an_unknown_coder_is_named_with_the_nearest_one(small):
    with pytest.raises(UserError, match=r"'plantd'.*did you mean 'planted'"):
        judgments_of(*small, None, "plantd")


def test_tenths_and_first_turns():
    plans = [says("question" if turn < 10 else "other") for turn in range(20)]
    judgments = judgments_of(*dataset([("c1", "warm", "ada", None, plans), ("c2", "warm", "ben", None, plans)]), None)
    scopes = [Scope("these personas", "these personas", 2)]
    (question,) = [b for b in judgments.behaviours if b.name == "question"]
    tenths = by_position(judgments, scopes, [question])
    assert [p.shares["these personas"].estimate for p in tenths] == [1.0] * 5 + [0.0] * 5
    first = by_position(judgments, scopes, [question], first_turns=12)
    assert [p.shares["these personas"].estimate for p in first] == [1.0] * 10 + [0.0] * 2
    assert {p.unit for p in first} == {"turn"} and all(p.shares["these personas"].clusters == 2 for p in tenths)


class TestEstimands:
    def courses(self):
        return dataset([("c1", "warm", "ada", None, [says("other")]), ("c2", "warm", "ben", None, [says("other")])])[1]

    def personas(self, *populations):
        return pl.DataFrame({"persona_id": ["ada", "ben"], "population": list(populations)})

    def test_a_population_is_claimed_only_where_every_persona_was_drawn_from_one_file(self):
        names = lambda *p: [s.name for s in scopes_of(self.courses(), self.personas(*p))]  # noqa: E731
        assert names("adults", "adults") == ["population", "these personas"]
        assert names(None, None) == names("adults", None) == names("adults", "teens") == ["these personas"]

    def test_the_sentence_holds_the_populations_name_and_the_number_of_clusters(self):
        population, fixed = scopes_of(self.courses(), self.personas("adults", "adults"))
        assert "'adults'" in population.sentence and "2 personas" in population.sentence
        assert "2 personas" in fixed.sentence and "adults" not in fixed.sentence

    def test_human_sessions_speak_about_their_collection(self):
        (scope,) = scopes_of(self.courses().with_columns(pl.lit(None, pl.String).alias("persona_id")), None, "videos")
        assert scope.name == "this collection" and "2 videos" in scope.sentence


def test_every_interval_in_the_json_has_clusters_method_and_level(small):
    def intervals(node):
        if isinstance(node, dict):
            if "low" in node:
                yield node
            for child in node.values():
                yield from intervals(child)
        elif isinstance(node, list):
            for child in node:
                yield from intervals(child)

    found = list(intervals(json.loads(json.dumps(behaviour_results(*small).to_dict()))))
    assert len(found) > 100
    assert all({"clusters", "method", "level"} <= node.keys() and node["method"] for node in found)


def test_contrasts_are_adjusted_within_a_behaviour():
    rng = np.random.default_rng(4)
    sessions = [
        (f"{t}-{p}-{r}", t, f"p{p}", None, [says("question" if rng.random() < q else "other") for _ in range(15)])
        for t, q in (("a", 0.2), ("b", 0.2), ("c", 0.8))
        for p in range(10)
        for r in range(3)
    ]
    result = behaviour_results(*dataset(sessions))
    rows = {(c.first, c.second): c for c in result.contrasts if c.what.name == "question"}
    assert rows.keys() == {("a", "b"), ("a", "c"), ("b", "c")}
    assert rows["a", "c"].differences["these personas"].high < 0 < rows["a", "b"].adjusted_p["these personas"]
    for contrast in rows.values():
        assert contrast.adjusted_p["these personas"] >= contrast.differences["these personas"].p
        assert contrast.differences["these personas"].clusters == 10


def test_contrasts_of_a_score_use_its_own_values(small):
    sessions = judgments_of(*small, None).sessions
    values = np.where(sessions["therapist"].to_numpy() == "warm", 5.0, 3.0) + np.arange(len(sessions)) * 0.01
    (found,) = contrasts_of_measure("alliance", values, sessions, [Scope("population", "population", 2)])
    assert (found.first, found.second, found.what) == ("cool", "warm", "alliance")
    assert found.differences["population"].estimate == pytest.approx(-2.0, abs=0.1)


def test_pooled_shares_of_annomi_are_an_independent_count_of_the_file(data_dir):
    from simulator.store.importers.annomi import read_annomi

    path = data_dir / "annomi" / "annomi_simple.csv"
    if not path.is_file():
        pytest.skip("no annomi/annomi_simple.csv in DYAD_DATA_DIR")
    tables = {name: pl.DataFrame(rows) for name, rows in read_annomi(path).tables.items()}
    judgments = judgments_of(tables["turns"], tables["courses"], tables["codings"], "expert")
    raw = pl.read_csv(path).filter(pl.col("interlocutor") == "therapist")
    counted = {
        (quality, value): len(raw.filter((pl.col("mi_quality") == quality) & (pl.col(column) == value)))
        / len(raw.filter((pl.col("mi_quality") == quality) & pl.col(column).is_not_null()))
        for column in ("main_therapist_behaviour",)
        for quality in ("high", "low")
        for value in ("question", "reflection", "therapist_input", "other")
    }
    found = {(s.stratum, s.behaviour.name): s for s in pooled_shares(judgments, cluster="videos")}
    for key, share in counted.items():
        assert found[key].pooled.estimate == pytest.approx(share, abs=0.001)
        assert "videos" in str(found[key].pooled)
    scopes = scopes_of(tables["courses"], None, "videos")
    assert {r.group for r in frequencies(judgments, scopes, by="stratum")} == {"high", "low"}
