"""What validation states: coefficients by hand, honest baselines, missing values counted, transfer named as such."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.coders import main as bench_coders
from benchmarks.units import main as bench_units
from simulator.analysis.out_of_fold import judge_fold, out_of_fold
from simulator.analysis.quality import counts_by_session, length_row, quality_table
from simulator.analysis.transfer import NOTE, transfer_table
from simulator.analysis.validity import validate
from simulator.analysis.validity_figures import Coded, figures
from simulator.cli.main import _dispatch as dispatch
from simulator.codebooks import exploratory
from simulator.coding.base import CodedTurn, Judgment
from simulator.coding.loaders import read_examples
from simulator.coding.measured import READ, UNREAD, measured
from simulator.coding.rules import RuleCoder
from simulator.coding.trained.examples import Examples, Task
from simulator.coding.trained.folds import fold_of_turns, spread
from simulator.coding.trained.model import fit
from simulator.coding.trained.recipes import DIALOGUE
from simulator.errors import UserError
from simulator.statistics.calibration import area_under_curve
from simulator.statistics.clustered_agreement import cluster_interval, discrimination, intraclass, pearson
from tests.coded_for_tests import annomi_rows, epitome_rows, published, write

SHROUT_FLEISS = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], float)
"""Six targets by four judges, Shrout & Fleiss (1979), table 2; their table 4 has ICC(2,1) .29 and ICC(3,1) .71."""


def test_intraclass_correlations_of_the_published_example() -> None:
    one = np.ones(6)
    assert float(intraclass(SHROUT_FLEISS, one)) == pytest.approx(0.29, abs=0.005)
    assert float(intraclass(SHROUT_FLEISS, one, "consistency")) == pytest.approx(0.71, abs=0.005)


@given(st.lists(st.integers(1, 4), min_size=6, max_size=6))
@settings(deadline=None)
def test_a_weight_is_a_repeated_subject(weights: list[int]) -> None:
    repeated = np.repeat(SHROUT_FLEISS, weights, axis=0)
    one = np.ones(len(repeated))
    weighted = np.array(weights, float)
    for kind in ("agreement", "consistency"):
        assert float(intraclass(SHROUT_FLEISS, weighted, kind)) == pytest.approx(float(intraclass(repeated, one, kind)))
    assert float(pearson(*SHROUT_FLEISS.T[:2], weighted)) == pytest.approx(np.corrcoef(*repeated.T[:2])[0, 1])


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=2, max_size=30))
@settings(deadline=None)
def test_discrimination_is_the_area_under_the_curve(units: list[tuple[bool, int]]) -> None:
    positive = np.array([yes for yes, _ in units])
    score = np.array([number for _, number in units], float)
    found = discrimination(positive, score, np.ones((2, len(units))))
    expected = area_under_curve(positive, score)
    assert found == pytest.approx(np.array([expected, expected]), nan_ok=True)


def test_an_interval_of_clusters_is_wider_than_one_of_units() -> None:
    values = np.repeat([0.0, 1.0], 20)[np.random.default_rng(0).permutation(40)].repeat(10)
    clusters = np.arange(40).repeat(10)

    def mean(weights: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return weights @ values / weights.sum(axis=-1)

    by_cluster = cluster_interval(mean, clusters, cluster="videos")
    by_unit = cluster_interval(mean, np.arange(400), cluster="units")
    assert (by_cluster.clusters, by_cluster.units) == (40, 400)
    assert by_cluster.high - by_cluster.low > 2 * (by_unit.high - by_unit.low)


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 3)), min_size=8, max_size=80), st.integers(0, 5))
@settings(max_examples=50, deadline=None)
def test_folds_keep_groups_whole_and_depend_on_the_seed_alone(units: list[tuple[int, int]], seed: int) -> None:
    groups, strata = np.array([group for group, _ in units]), np.array([stratum for _, stratum in units])
    folds = spread(groups, strata, 4, seed)
    assert all(len(set(folds[groups == group])) == 1 for group in set(groups.tolist()))
    assert np.array_equal(folds, spread(groups, strata, 4, seed))
    assert set(folds.tolist()) <= set(range(4))


def coded(meant: Sequence[int], given_values: Sequence[int], ordinal: bool) -> Coded:
    task = Task("t", "table", "1", "t", "client", ("0", "1", "2"), "turn", ordinal)
    count = len(meant)
    return Coded(
        task, np.array(meant), np.array(given_values), np.full((count, 1), np.nan),
        np.arange(count).astype(str), np.arange(count), np.full(count, ""),
    )  # fmt: skip


def test_ordinal_codes_get_the_coefficients_that_need_an_order() -> None:
    meant, said = [0, 0, 1, 1, 2, 2, 2, 0] * 4, [0, 1, 1, 1, 2, 1, 2, 0] * 4
    ordinal, nominal = (figures(coded(meant, said, kind), "people", 200) for kind in (True, False))
    more = {"weighted_kappa", "weighted_kappa_linear", "alpha_nominal", "alpha_interval", "icc"}
    assert set(ordinal["intervals"]) - set(nominal["intervals"]) == more
    assert ordinal["weighted_kappa"] > ordinal["kappa"]
    assert ordinal["alpha_nominal"] == pytest.approx(nominal["alpha"])
    assert np.isnan(nominal["ece"]), "a coder that states no probability has no calibration"
    assert [row["auc"] for row in nominal["codes"]] == [None] * 3


class Hesitant:
    """Says `other` of every therapist turn, and nothing of questions."""

    name, fingerprint, codebook, codebook_version = "hesitant", "f", "annomi", "1.1"

    def code_session(self, turns: Sequence[CodedTurn]) -> list[Judgment]:
        return [
            Judgment(turn.turn, "therapist", "main_therapist_behaviour", None, 0, len(turn.text), "utterance", "unsure")
            if "?" in turn.text
            else Judgment(turn.turn, "therapist", "main_therapist_behaviour", "other", 0, len(turn.text), "utterance")
            for turn in turns
            if turn.role == "therapist"
        ]


@pytest.fixture(scope="module")
def annomi(tmp_path_factory: pytest.TempPathFactory) -> Examples:
    return read_examples(write(tmp_path_factory.mktemp("annomi") / "a.csv", annomi_rows(12, turns=12)))


def test_what_a_coder_leaves_missing_is_counted_and_scored_nowhere(annomi: Examples) -> None:
    report = validate(Hesitant(), annomi, resamples=100)["therapist"]
    questions = sum(
        "?" in turn.text for session in annomi.sessions for turn in session.turns if turn.role == "therapist"
    )
    assert report["missing"] == {"unsure": questions}
    assert report["units"] == 72 - questions


def test_any_coder_can_be_validated_rules_among_them(annomi: Examples) -> None:
    report = validate(RuleCoder(), annomi, resamples=100)
    assert set(report) == {"therapist", "client"}
    assert set(report["therapist"]["baselines"]) == {"majority", "length_only"}
    assert report["therapist"]["macro_f1"] > 0.5


def test_a_coder_of_another_codebook_has_nothing_in_common(tmp_path: Path) -> None:
    pairs = read_examples(write(tmp_path / "e.csv", epitome_rows(8)))
    with pytest.raises(UserError, match="no code in common with the coder"):
        validate(RuleCoder(), pairs)


def test_codes_on_which_people_disagree_or_of_which_nobody_knows_are_exploratory() -> None:
    assert not exploratory("annomi", "main_therapist_behaviour")
    assert exploratory("annomi", "client_talk_type")
    assert exploratory("mibot-auto-misc", "therapist")
    assert exploratory("annomi", "no such code")


def test_out_of_fold_every_unit_is_judged_once_by_a_coder_that_did_not_see_its_group(
    annomi: Examples, monkeypatch: pytest.MonkeyPatch
) -> None:
    import simulator.analysis.out_of_fold as module

    trained_on: list[set[str]] = []

    def watched(examples: Examples, *rest: Any) -> Any:
        trained_on.append({session.group for session in examples.sessions})
        return fit(examples, *rest)

    monkeypatch.setattr(module, "fit", watched)
    folds = fold_of_turns(annomi, 3)
    found = out_of_fold(annomi, DIALOGUE, 3)
    for task in annomi.tasks:
        rows = np.flatnonzero(annomi.values(task) >= 0)
        assert np.array_equal(found[task.name].rows, rows)
        assert np.array_equal(found[task.name].meant, annomi.values(task)[rows])
    groups = annomi.groups()
    for fold, seen in enumerate(trained_on):
        assert seen.isdisjoint(groups[folds == fold].tolist())
    monkeypatch.undo()
    single = judge_fold(annomi, DIALOGUE, 0, folds)["therapist"]
    inside = np.isin(found["therapist"].rows, np.flatnonzero(folds == 0))
    assert np.array_equal(found["therapist"].given[inside], single.values)


def test_high_and_low_quality_by_hand() -> None:
    sessions, values = np.array([0, 0, 0, 1, 1, 2, 2, 2]), np.array([0, 1, 1, 1, 1, 0, 0, 2])
    counts = counts_by_session(sessions, values, ("question", "reflection", "therapist_input"), 3)
    counts |= {"words": np.array([10.0, 20.0, 30.0]), "other": np.zeros(3)}
    high = np.array([True, True, False])
    rows = {row["index"]: row for row in quality_table(counts, high, np.arange(3), "videos")}
    ratio = rows["reflections to questions (R:Q)"]
    assert (ratio["high"]["estimate"], ratio["low"]["estimate"]) == (4.0, 0.0)
    assert ratio["auc"]["estimate"] == 1.0
    assert rows["share of input"]["auc"]["estimate"] == 1.0, "low sessions have more of it"
    assert ratio["high"]["low"] is not None
    for one in (ratio["low"], ratio["auc"]):
        assert (one["low"], one["high"], one["flag"]) == (None, None, "too few clusters"), "one video has no width"
    assert length_row(counts, high, np.arange(3), "videos")["auc"]["estimate"] == 0.0
    assert "change among change and sustain" not in rows


MIBOT_ROWS = [
    {"session_id": f"m{number}", "utterance_index": str(place), "volley_index": str(place // 2), "speaker": speaker,
     "text": text, "auto_misc_label": label}
    for number in range(6)
    for place, (speaker, text, label) in enumerate((
        ("counsellor", "Thank you for coming.", "other"), ("counsellor", "What would you like to change?", "q"),
        ("client", "I want to stop the beer.", "c"), ("counsellor", "So you feel torn about the beer.", "r"),
        ("counsellor", "How was your week?", "q"), ("client", "It was on Monday, and then I slept", "n"),
    ), start=1)
]  # fmt: skip


def test_transfer_is_named_not_validated_and_shown_by_unit(annomi: Examples, tmp_path: Path) -> None:
    mibot = read_examples(write(tmp_path / "u.csv", MIBOT_ROWS))
    found = transfer_table(fit(annomi, DIALOGUE), mibot)
    assert found["note"] == NOTE == "not validated for this text"
    units = {name: row["units"] for name, row in found["by_unit"].items()}
    assert units == {
        "MIBOT's codes, its utterances": 24, "ours, its utterances": 24, "ours, our utterances": 24,
        "ours, whole turns": 12,
    }  # fmt: skip
    assert found["by_unit"]["MIBOT's codes, its utterances"]["R:Q"]["estimate"] == 0.5
    assert (found["turns with a question"], found["utterances that are a question"]) == (1.0, 0.5)
    assert set(found["agreement on presence in a turn"]) == set(units) - {"MIBOT's codes, its utterances"}


@pytest.fixture(scope="module")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write(folder / "annomi" / "annomi_simple.csv", annomi_rows(20, turns=8))
    write(folder / "epitome" / "epitome.csv", epitome_rows(40))
    write(folder / "mibot" / "utterances.csv", MIBOT_ROWS)
    return folder


def test_the_benchmark_prints_floor_and_ours_with_peoples_references(
    made_up: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DYAD_DATA_DIR", str(made_up))
    assert bench_coders(["--json", "--seeds", "1", "--folds", "2", "--jobs", "1"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found) == {"therapist", "client", "er", "ip", "ex"}
    for entry in found.values():
        assert 0 < entry["floor"] <= 1
        assert 0 < entry["ours"] <= 1
        assert entry["margin"] == pytest.approx(entry["ours"] - entry["floor"])
    assert (found["client"]["ceiling"], found["client"]["human"]) == (0.721, 0.645)
    for name in ("er", "ip", "ex"):
        assert (found[name]["ceiling"], found[name]["human"]) == (None, None)
        assert "kappa" in found[name]["reason"]


def test_the_parsers_agreement_is_printed(
    made_up: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DYAD_DATA_DIR", str(made_up))
    assert bench_units(["--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["therapist"]["f1"]["estimate"] == 1.0
    assert found["therapist"]["utterances_per_turn"] == {"theirs": 2.0, "ours": 2.0}


@pytest.mark.parametrize("bench", [bench_coders, bench_units])
def test_benchmarks_without_the_sets_say_what_is_missing(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DYAD_DATA_DIR", str(tmp_path))
    with pytest.raises(UserError, match="no such file; DYAD_DATA_DIR must name"):
        bench([])


@pytest.mark.parametrize("form", ["shared", "published"])
def test_sessions_in_view_of_which_the_rules_were_written_are_reported_apart_from_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    rows = annomi_rows(12, turns=12)
    path = write(tmp_path / "a.csv", published(rows) if form == "published" else rows)
    known = measured("rules", "annomi")
    assert known is not None
    unread = [number for number in known.unread if number < 12]
    assert unread == [2, 4]
    for coder in (RuleCoder(), Hesitant()):
        report = validate(coder, read_examples(path), resamples=100)["therapist"]
        parts = report["rules_read"]
        assert set(parts) == {UNREAD, READ}
        assert (parts[UNREAD]["sessions"], parts[READ]["sessions"]) == (2, 10)
        assert parts[UNREAD]["units"] + parts[READ]["units"] == report["units"]
        assert parts[UNREAD]["kappa"] != report["kappa"] or coder.name == "hesitant"
        assert ("rules" in parts[UNREAD]["baselines"]) == (coder.name == "hesitant")
    assert dispatch(["validate", "rules", "--against", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "rules' view: unread: 12 units, 2 sessions of 2 videos: macro_f1" in shown
    assert "rules' view: read, or not known to be unread: 60 units" in shown


def test_data_that_the_rules_have_nothing_to_do_with_have_no_such_parts(tmp_path: Path) -> None:
    rows = [
        {"session": row["transcript_id"], "role": row["interlocutor"], "text": row["utterance_text"],
         "code:main_therapist_behaviour": row["main_therapist_behaviour"]}
        for row in annomi_rows(12, turns=12)
    ]  # fmt: skip
    report = validate(RuleCoder(), read_examples(write(tmp_path / "own.csv", rows)), resamples=100)
    assert {each["rules_read"] for each in report.values()} == {None}
