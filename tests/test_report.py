"""The report: one closed file that shows everything, with every interval's clusters, and trusts no text."""

import csv
import json
import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from simulator.analysis.summary import KEYS, summarise
from simulator.errors import UserError
from simulator.reporting.lines import spread
from simulator.reporting.plots import axis_for, number, sentence, strip
from simulator.reporting.report import content_hash, render_report, script_json, write_report
from simulator.reporting.transcripts import choose, load_transcripts, sampling_note
from simulator.reporting.writing import report_run
from simulator.store.runs import open_run
from tests.report_sample import sample_run

HOSTILE = "</script><script>document.title='owned'</script><img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of every kind of content, its first turn and first persona hostile."""
    return sample_run(tmp_path_factory.mktemp("report") / "run", hostile=HOSTILE, population="adults")


@pytest.fixture(scope="module")
def summary(run: Path) -> dict[str, Any]:
    """Its summary."""
    return summarise(run)


@pytest.fixture(scope="module")
def html(run: Path) -> str:
    """Its report."""
    return report_run(run).read_text(encoding="utf-8")


def intervals_in(value: Any) -> Iterator[dict[str, Any]]:
    """Every interval anywhere in a summary."""
    if isinstance(value, dict):
        if {"estimate", "low", "high"} <= value.keys():
            yield value
        for part in value.values():
            yield from intervals_in(part)
    elif isinstance(value, list):
        for part in value:
            yield from intervals_in(part)


def test_a_summary_has_its_keys_in_order_and_is_json(summary: dict[str, Any]) -> None:
    assert tuple(summary) == KEYS
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary


def test_every_interval_of_a_summary_says_on_how_many_clusters_it_rests(summary: dict[str, Any]) -> None:
    found = list(intervals_in(summary))
    assert len(found) > 500
    assert all(each["clusters"] >= 0 and each["cluster"] == "personas" and each["method"] for each in found)


def test_counts_are_those_of_the_tables(summary: dict[str, Any]) -> None:
    assert summary["counts"]["sessions"] == 96
    assert summary["counts"]["statuses"] == {"ended": 96}
    assert sum(row["count"] for row in summary["endings"] if row["group"] is None) == 96
    assert sum(row["count"] for row in summary["endings"] if row["group"] is not None) == 96
    scores = summary["scores"]
    assert sum(row["missing"] for row in scores) == summary["counts"]["scores_missing"] > 0
    assert sum(row["flagged"] for row in scores) == summary["counts"]["flagged"] > 0


def test_states_are_means_on_their_scale_in_every_tenth(summary: dict[str, Any]) -> None:
    rows = summary["trajectories"]
    assert {row["state"] for row in rows} == {"distress", "alliance", "resistance"}
    assert {row["place"] for row in rows} == set(range(10))
    assert all(0 <= row["means"]["population"]["estimate"] <= 1 for row in rows)


def test_a_run_without_a_dataset_is_still_reported(tmp_path: Path) -> None:
    folder = sample_run(tmp_path / "run", personas=2, replicates=1, therapists=1)
    for file in folder.glob("dataset/*/*.parquet"):
        file.unlink()
    assert summarise(folder)["counts"]["sessions"] == 0
    assert "0 sessions" in report_run(folder).read_text(encoding="utf-8")


def test_one_persona_and_one_replicate_make_a_report_without_intervals(tmp_path: Path) -> None:
    folder = sample_run(tmp_path / "run", personas=1, replicates=1)
    assert "<h1>Sample</h1>" in report_run(folder).read_text(encoding="utf-8")


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a run"):
        report_run(tmp_path / "nothing")


def test_the_report_allows_only_its_own_style_and_script(html: str) -> None:
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', html)
    assert policy
    rules = dict(rule.strip().split(" ", 1) for rule in policy.group(1).split(";"))
    style, script = (re.search(f"<{tag}>(.*?)</{tag}>", html, re.S) for tag in ("style", "script"))
    assert style and script
    assert rules["default-src"] == "'none'"
    assert rules["style-src"] == f"'{content_hash(style.group(1))}'"
    assert rules["script-src"] == f"'{content_hash(script.group(1))}'"
    assert "unsafe" not in policy.group(1)


def test_the_report_refers_to_nothing_outside_itself(html: str) -> None:
    assert not re.findall(r'(?:src|href|action)="(?!#)[^"]*"', html)
    assert not re.findall(r"url\(|@import|fetch\(|XMLHttpRequest|https?://", html)
    assert ' style="' not in html


def test_hostile_text_never_becomes_markup(html: str) -> None:
    assert HOSTILE not in html
    assert "<img" not in html
    assert html.count("<script") == 2


def test_json_in_a_script_can_end_neither_the_script_nor_the_line() -> None:
    text = script_json({"turn": "</script>&<!--\u2028\u2029"})
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text)["turn"] == "</script>&<!--\u2028\u2029"


@pytest.mark.parametrize(
    "section",
    ["overview", "endings", "failures", "design", "estimands", "behaviours", "contrasts", "scores", "item-9",
     "positions", "trajectories", "adaptability", "realism", "agreement", "transcripts", "sampling"],
)  # fmt: skip
def test_each_section_is_there(html: str, section: str) -> None:
    assert f'id="{section}"' in html


def test_what_is_scripted_says_so(html: str) -> None:
    assert "scripted reference dyad: no language model, no evidence about people" in html
    assert "construction check" in html
    assert "The figure that counts" in html


def test_both_estimands_are_explained_and_the_population_is_named(html: str) -> None:
    assert "population &#39;adults&#39;" in html
    assert "These personas: intervals speak about the 8 personas" in html


def test_every_strip_with_an_interval_says_its_clusters(html: str) -> None:
    titles = re.findall(r"<title>([^<]*)</title>", html)
    found = [title for title in titles if "interval" in title]
    assert len(found) > 100
    assert all(re.search(r"\(\d+ personas", title) for title in found)


def test_every_table_with_limits_has_a_column_of_clusters(html: str) -> None:
    heads = [head for head in re.findall(r"<thead>.*?</thead>", html, re.S) if ">low<" in head]
    assert heads and all(">clusters<" in head for head in heads)


def test_responsible_use_stands_in_the_report(html: str) -> None:
    assert "Responsible use" in html and "docs/responsible-use.md" in html


def test_the_same_run_gives_the_same_bytes(run: Path, html: str) -> None:
    assert report_run(run).read_text(encoding="utf-8") == html


def test_a_report_that_cannot_be_written_is_one_line_and_leaves_nothing(
    run: Path, summary: dict[str, Any], tmp_path: Path
) -> None:
    transcripts = load_transcripts(open_run(run), "therapist", 4)
    with pytest.raises(UserError, match="cannot write"):
        write_report(summary, transcripts, tmp_path / "absent" / "report.html")
    assert not list(tmp_path.iterdir())


def test_a_sample_is_stratified_the_same_every_time_and_says_how_it_was_drawn(
    run: Path, summary: dict[str, Any]
) -> None:
    transcripts = load_transcripts(open_run(run), "therapist", 12)
    groups = [session["group"] for session in transcripts.data["sessions"]]
    assert transcripts.shown == 12 and transcripts.total == 96
    assert {name: groups.count(name) for name in set(groups)} == dict.fromkeys(
        ("MI-consistent", "Advice-giving", "Companion", "Confrontational"), 3
    )
    assert load_transcripts(open_run(run), "therapist", 12).data == transcripts.data
    assert "12 of 96 sessions are here" in render_report(summary, transcripts)


def test_what_agents_tell_each_other_is_no_code(run: Path) -> None:
    transcripts = load_transcripts(open_run(run), "therapist")
    assert {code[1] for code in transcripts.data["codes"]} == {"annomi", "epitome", "dependence-core"}
    assert "whispered" not in json.dumps(transcripts.data["codes"])


def test_every_session_is_shown_where_they_fit() -> None:
    sessions = [(f"c{k}", 0, "a") for k in range(5)]
    assert choose(sessions, 5) == sessions
    assert sampling_note(5, 5, 1) == "All 5 sessions are here."


def test_a_condition_with_few_sessions_leaves_its_places_to_others() -> None:
    sessions = [(f"a{k}", 0, "a") for k in range(50)] + [("b0", 0, "b")]
    chosen = choose(sessions, 10)
    assert len(chosen) == 10 and ("b0", 0, "b") in chosen


def test_axes_hold_their_values_and_shares_stay_below_one() -> None:
    axis = axis_for([0.42, 0.97], zero=True, top=1.0)
    assert axis.low == 0 and axis.ticks[-1] <= 1.0 and axis.high >= 0.97
    assert 0 < axis.at(0.42) < axis.at(0.97) < 100
    for values in ([0.0], [3.0], [0.0, 1e-4], [-5.0, 12.0], [11.98, 12.02]):
        held = axis_for(values)
        assert held.low <= min(values) and held.high >= max(values) and len(held.ticks) <= 8


def test_labels_keep_their_distance_and_their_order() -> None:
    places = spread([50.0, 50.0, 52.0, 10.0], 14.0, 0.0, 100.0)
    ordered = sorted(places)
    assert all(after - before >= 14.0 - 1e-9 for before, after in pairwise(ordered))
    assert min(places) == places[3] >= 0 and max(places) <= 100


def test_an_interval_without_limits_is_drawn_as_a_hollow_dot_and_says_so() -> None:
    interval = {
        "estimate": 0.5, "low": None, "high": None, "level": 0.95, "clusters": 1, "cluster": "personas", "units": 1,
        "flag": "too few clusters", "method": "t", "p": None,
    }  # fmt: skip
    picture = strip("x", {"population": interval}, axis_for([0.0, 1.0]), "blue")
    assert "hollow" in picture and 'class="ci' not in picture
    assert sentence("x", interval, 1) == "x: 0.5, no interval (1 personas; too few clusters)"


def test_figures_have_a_true_minus_and_no_negative_zero() -> None:
    assert number(-0.123, 1, percent=True) == "−12.3"
    assert number(-0.0001, 1, percent=True, sign=True) == "0.0"


def test_an_import_shows_high_and_low_quality_with_shares_of_its_own_labels(tmp_path: Path, data_dir: Path) -> None:
    from simulator.coding.datasets import code_run
    from simulator.store.importers.annomi import read_annomi
    from simulator.store.importers.storing import store_import

    file = data_dir / "annomi" / "annomi_simple.csv"
    folder = store_import(read_annomi(file), tmp_path / "run").path
    code_run(folder, "rules", {"_target_": "simulator.coding.rules.RuleCoder", "patterns": "annomi"})
    summary = summarise(folder)
    counts: dict[str, Counter[str]] = {"high": Counter(), "low": Counter()}
    with file.open(newline="", encoding="utf-8") as rows:
        for row in csv.DictReader(rows):
            if row["interlocutor"] == "therapist":
                counts[row["mi_quality"]][row["main_therapist_behaviour"]] += 1
    for quality, labels in counts.items():
        for label, count in labels.items():
            assert summary["shares"][quality][label] == pytest.approx(count / labels.total(), abs=1e-9)
    assert {each["cluster"] for each in intervals_in(summary["agreement"])} == {"videos"}
    assert summary["realism"]["discriminator"]["run"] is False
    beside = sample_run(tmp_path / "simulated", personas=8)
    found = summarise(beside, humans=folder)["realism"]["discriminator"]
    assert found["run"] and 0 <= found["auc"] <= 1
    assert "A discriminator between simulated clients and people" in report_run(beside, folder).read_text("utf-8")
    html = report_run(folder).read_text(encoding="utf-8")
    assert 'id="strata"' in html and "agreement with experts" in html and "construction check</p>" not in html
