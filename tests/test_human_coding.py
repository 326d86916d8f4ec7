"""People as coders: samples with exact inclusion probabilities, sheets that give nothing away, and the way back."""

import csv
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from simulator.analysis.summary import summarise
from simulator.cli.main import _dispatch
from simulator.codebooks.parts import Unit
from simulator.coding.datasets import code_run
from simulator.coding.human.drawing import Score, allocate, draw
from simulator.coding.human.key import human_codings, read_keys
from simulator.errors import UserError
from simulator.store.reading import read_table
from simulator.store.runs import RunFolder, open_run

Cells = dict[str, str]


def import_sessions(folder: Path, name: str, sessions: int, turns: int, origin: str = "model") -> RunFolder:
    """A run of short invented sessions; every fourth therapist turn asks."""
    lines = []
    for number in range(sessions):
        messages = []
        for turn in range(turns):
            client = turn % 2 == 0
            said = (
                f"My week {name} {number} was long, part {turn}."
                if client
                else f"You kept going in {number}. Part {turn}."
            )
            if turn % 8 == 1:
                said = f"=What made week {number} so long? I wonder, in {turn}."
            messages.append({"role": "user" if client else "assistant", "content": said})
        lines.append(json.dumps({"messages": messages}))
    file = folder / f"{name}.jsonl"
    file.write_text("\n".join(lines) + "\n")
    out = folder / name
    words = ["import", "chat", str(file), "--origin", origin, "--roles", "user=client,assistant=therapist"]
    assert _dispatch([*words, "--out", str(out), "--json"]) == 0
    return open_run(out)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, RunFolder]:
    folder = tmp_path_factory.mktemp("runs")
    return import_sessions(folder, "one", 12, 16), import_sessions(folder, "two", 6, 16, "human")


@pytest.fixture
def fresh(tmp_path: Path) -> RunFolder:
    return import_sessions(tmp_path, "fresh", 8, 16)


def sample(run: RunFolder, out: Path, capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    capsys.readouterr()
    base = ["sample-for-humans", str(run.path), "--raters", "anna,ben", "--out", str(out), "--json"]
    assert _dispatch([*base, *words]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def read(file: Path | str) -> list[Cells]:
    with Path(file).open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream))


def write(file: Path | str, rows: list[Cells]) -> None:
    with Path(file).open("w", encoding="utf-8-sig", newline="") as stream:
        out = csv.DictWriter(stream, list(rows[0]))
        out.writeheader()
        out.writerows(rows)


def fill(file: Path | str, value: Callable[[Cells, str], str]) -> None:
    """Write a value into every cell that is asked."""
    rows = read(file)
    for row in rows:
        for code in list(row)[6:-1]:
            if row[code] == "":
                row[code] = value(row, code)
    write(file, rows)


def asks(row: Cells, code: str) -> str:
    return "present" if "?" in row["text"] else "absent"


ONE_CODE = ("--codebook", "bolt", "--code", "questions_on_experiences")


def key_of(run: RunFolder, name: str) -> Any:
    return next(key for key in read_keys(run) if key.sample == name)


def test_a_random_sample_has_its_inclusion_probability(
    runs: tuple[RunFolder, RunFolder], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = sample(runs[0], tmp_path / "s", capsys, *ONE_CODE, "--size", "24")
    key = key_of(runs[0], found["sample"])
    assert found["units"] == 24 and len({(row.course_id, row.turn) for row in key.rows}) == 24
    assert {row.inclusion_probability for row in key.rows} == {24 / 96}  # 12 sessions of 8 therapist turns
    assert {row.role for row in key.rows} == {"therapist"}


def test_every_unit_is_drawn_as_often_as_its_probability_says(
    runs: tuple[RunFolder, RunFolder], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn: Counter[tuple[str, int]] = Counter()
    for seed in range(40):
        found = sample(runs[0], tmp_path / str(seed), capsys, *ONE_CODE, "--size", "24", "--seed", str(seed))
        drawn.update((row.course_id, row.turn) for row in key_of(runs[0], found["sample"]).rows)
    assert len(drawn) == 96  # each was drawn at least once; missing one in 40 draws has probability .75 ** 40
    assert max(drawn.values()) <= 23  # mean 10, standard deviation 2.7


def test_a_sample_stratified_by_score_draws_rare_values_more_often_and_says_so(
    runs: tuple[RunFolder, RunFolder], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--design", "stratified", "--score", "rules:main_therapist_behaviour", "--size", "20")
    found = sample(runs[0], tmp_path / "s", capsys, *ONE_CODE, *words)
    key = key_of(runs[0], found["sample"])
    assert len(found["strata"]) >= 2
    assert sum(stratum["population"] for stratum in found["strata"].values()) == 96
    values = read_table(runs[0], "codings").filter(pl.col("code").cast(pl.String) == "main_therapist_behaviour")
    value = {(c, t): str(v) for c, t, v in values.select("course_id", "turn", "value").iter_rows()}
    for row in key.rows:
        sizes = found["strata"][row.stratum]
        assert row.inclusion_probability == sizes["drawn"] / sizes["population"]
        assert row.stratum.split(":")[1] == value[row.course_id, row.turn]
    assert sum(1 / row.inclusion_probability for row in key.rows) == pytest.approx(96)


def test_a_unit_has_the_stratum_of_what_was_judged_and_never_that_of_its_first_part(fresh: RunFolder) -> None:
    def strata(unit: Unit) -> dict[str, int]:
        score = Score("rules", "main_therapist_behaviour")
        _, found = draw([fresh], unit, ["therapist"], design="stratified", size=40, seed=0, score=score)
        return {name.split(":")[1]: sizes["population"] for name, sizes in found.items()}

    whole = sorted((fresh.dataset / "codings").glob("*.parquet"))
    turns = strata("turn")
    assert strata("utterance") == {name: 2 * count for name, count in turns.items()}, "each turn has two utterances"
    code_run(fresh.path, "rules", {"_target_": "simulator.coding.rules.RuleCoder", "units": "utterance"})
    for file in whole:
        file.unlink()
    assert sum(strata("utterance").values()) == 2 * sum(turns.values()) and "missing" not in strata("utterance")
    with pytest.raises(UserError, match="by utterance, which says nothing about a whole turn; draw --unit utterance"):
        strata("turn")


def test_small_strata_give_all_they_have_and_the_others_the_rest() -> None:
    assert allocate([2, 100, 100], 40) == [2, 19, 19]
    assert allocate([1, 1], 40) == [1, 1]
    assert allocate([50, 50, 50], 2) == [1, 1, 1]  # no stratum has probability zero


def test_whole_sessions_of_two_runs_are_mixed_and_nothing_in_a_sheet_tells_them_apart(
    runs: tuple[RunFolder, RunFolder], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--codebook", "bolt", "--design", "sessions", "--size", "8", "--mix", str(runs[1].path))
    found = sample(runs[0], tmp_path / "s", capsys, *words)
    key = key_of(runs[0], found["sample"])
    assert key == key_of(runs[1], found["sample"])
    assert Counter(row.run for row in key.rows) == {run.identity: 4 * 16 for run in runs}
    assert {row.inclusion_probability for row in key.rows if row.run == runs[0].identity} == {4 / 12}
    assert {row.inclusion_probability for row in key.rows if row.run == runs[1].identity} == {4 / 6}
    anna, ben = (read(file) for file in found["sheets"])
    told = "".join(",".join(v for k, v in row.items() if k != "text") for row in anna)
    for secret in (
        *(run.identity[:8] for run in runs),
        *(row.course_id for row in key.rows),
        "human",
        "model",
        "fifth",
    ):
        assert secret not in told
    of_row = {row.row: row.run for row in key.rows}
    order = [of_row[row["row"]] for row in anna if row["row"].endswith("-001")]
    assert order != sorted(order) and order != sorted(order, reverse=True)
    assert [row["row"] for row in anna] != [row["row"] for row in ben]  # each rater has an order of their own
    client = next(row for row in anna if row["speaker"] == "client")
    assert client["questions_on_experiences"] == "-" and "" in client.values()
    assert "questions_on_experiences" in Path(found["guide"]).read_text()


def test_units_of_every_size_have_sheets(
    runs: tuple[RunFolder, RunFolder], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spans = sample(runs[0], tmp_path / "u", capsys, "--codebook", "misc", "--size", "20")
    whole = []
    for row in key_of(runs[0], spans["sample"]).rows:
        text = read_table(runs[0], "turns").filter(course_id=row.course_id, turn=row.turn)["text"][0]
        line = next(one for one in read(spans["sheets"][0]) if one["row"] == row.row)
        assert line["text"].lstrip("'") == text[row.start : row.end]
        whole.append(line["text"].lstrip("'") == text)
    assert not all(whole)  # some turns hold several
    turns = sample(runs[0], tmp_path / "t", capsys, "--codebook", "misc", "--unit", "turn", "--size", "5")
    assert {row.start for row in key_of(runs[0], turns["sample"]).rows} == {0}
    sessions = sample(runs[0], tmp_path / "c", capsys, "--codebook", "cts-r", "--size", "3")
    lines = read(sessions["sheets"][0])
    assert len(lines) == 3 * 17 and sum(row[list(row)[6]] == "" for row in lines) == 3
    assert [row.turn for row in key_of(runs[0], sessions["sample"]).rows] == [None] * 3
    exchanges = sample(runs[0], tmp_path / "e", capsys, "--codebook", "epitome", "--size", "6", "--context", "1")
    assert len(read(exchanges["sheets"][0])) == 12


def test_codes_come_back_with_agreement_and_inclusion_probabilities(
    fresh: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--design", "stratified", "--score", "rules:main_therapist_behaviour", "--size", "30")
    found = sample(fresh, tmp_path / "s", capsys, *ONE_CODE, *words)
    before = read_table(fresh, "turns")
    rates = summarise(fresh.path)["behaviours"]
    asked = [row.row for row in key_of(fresh, found["sample"]).rows]
    fill(found["sheets"][0], asks)
    odd = {asked[0]: "?", asked[1]: ""}
    fill(found["sheets"][1], lambda row, code: odd.get(row["row"], asks(row, code).upper()))
    assert _dispatch(["import", "codes", *found["sheets"], "--into", str(fresh.path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    report = told["agreement"]["questions_on_experiences"]
    assert (report["units"], report["missing"], report["alpha"], report["agreement"]) == (28, 2, 1.0, 1.0)
    assert report["alpha_weighted"] == pytest.approx(1.0) and not report["below_bar"]
    codings = human_codings(fresh)
    assert Counter(codings["coder"].cast(pl.String)) == {"human-anna": 30, "human-ben": 30}
    share = {row.place.key: row.inclusion_probability for row in key_of(fresh, found["sample"]).rows}
    for course, session, turn, start, probability in codings.select(
        "course_id", "session", "turn", "start", "inclusion_probability"
    ).iter_rows():
        assert share[f"{course}:{session}:{turn}:{start}"] == probability
    reasons = codings.filter(pl.col("value").is_null())["missing_reason"].cast(pl.String).to_list()
    assert sorted(reasons) == ["the rater cannot tell", "the rater left it empty"]
    assert read_table(fresh, "turns").equals(before)
    assert summarise(fresh.path)["behaviours"] == rates  # a sample's unweighted rates are in no report
    assert _dispatch(["import", "codes", *found["sheets"], "--into", str(fresh.path)]) == 0  # once more changes nothing
    assert human_codings(fresh).equals(codings)
    assert "alpha 1.000" in capsys.readouterr().out


def test_raters_who_disagree_are_marked(fresh: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = sample(fresh, tmp_path / "s", capsys, *ONE_CODE, "--size", "40")
    fill(found["sheets"][0], asks)
    fill(found["sheets"][1], lambda row, code: "absent" if "Part 3" in row["text"] else "present")
    assert _dispatch(["import", "codes", *found["sheets"], "--into", str(fresh.path)]) == 0
    assert "below .667: exploratory" in capsys.readouterr().out


def _refused(run: RunFolder, files: list[str], *words: str) -> str:
    with pytest.raises(UserError) as caught:
        _dispatch(["import", "codes", *files, "--into", str(run.path), *words])
    assert "\n" not in str(caught.value)
    assert not list(run.dataset.glob("codings/human-*"))
    return str(caught.value)


def test_sheets_that_are_wrong_are_one_line_and_nothing_is_stored(
    fresh: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = sample(fresh, tmp_path / "s", capsys, *ONE_CODE, "--size", "10")
    sheets = found["sheets"]
    for file in sheets:
        fill(file, asks)
    good = read(sheets[1])

    def with_change(change: Callable[[list[Cells]], list[Cells]]) -> str:
        write(sheets[1], change([dict(row) for row in good]))
        return _refused(fresh, sheets)

    def renamed(rows: list[Cells]) -> list[Cells]:
        return [
            {("question_on_experience" if k.startswith("questions_on") else k): v for k, v in r.items()} for r in rows
        ]

    def first_asked(**cells: str) -> Callable[[list[Cells]], list[Cells]]:
        def change(rows: list[Cells]) -> list[Cells]:
            next(row for row in rows if row["questions_on_experiences"] != "-").update(cells)
            return rows

        return change

    said = with_change(renamed)
    assert "no code 'question_on_experience' in bolt (did you mean 'questions_on_experiences'?)" in said
    assert "is not the one that the other rater had" in with_change(first_asked(text="Something else."))
    assert "'maybe' is no value of" in with_change(first_asked(questions_on_experiences="maybe"))
    assert "'n/a' is no value of" in with_change(first_asked(questions_on_experiences="n/a"))  # the code is not gated
    assert "no row 'x' in the sample" in with_change(first_asked(row="x"))
    assert "rows of the sample are missing" in with_change(
        lambda rows: [row for row in rows if row["questions_on_experiences"] == "-"]
    )
    assert "stands in row" in with_change(lambda rows: [*rows, rows[0]])
    write(sheets[1], good)
    assert "one rater" in _refused(fresh, sheets[:1])
    assert "a second sheet by 'anna'" in _refused(fresh, [sheets[0], sheets[0]])
    other = [dict(row, text="Changed alike.") if row is good[0] else row for row in good]
    both = {row["row"]: row["text"] for row in other}
    for file in sheets:
        write(file, [dict(row, text=both[row["row"]]) for row in read(file)])
    assert "is not the one that was drawn" in _refused(fresh, sheets)


def test_a_corrected_sheet_replaces_only_when_told_to(
    fresh: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = sample(fresh, tmp_path / "s", capsys, *ONE_CODE, "--size", "10")
    for file in found["sheets"]:
        fill(file, asks)
    words = ["import", "codes", *found["sheets"], "--into", str(fresh.path)]
    assert _dispatch(words) == 0
    rows = read(found["sheets"][1])
    next(row for row in rows if row["questions_on_experiences"] == "absent")["questions_on_experiences"] = "present"
    write(found["sheets"][1], rows)
    with pytest.raises(UserError, match="ben: 1 of 10 judgments differ"):
        _dispatch(words)
    assert _dispatch([*words, "--replace"]) == 0
    assert len(human_codings(fresh)) == 20


def test_filled_sheets_are_not_overwritten_and_mistakes_in_the_command_are_one_line(
    fresh: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sample(fresh, tmp_path / "s", capsys, *ONE_CODE)
    base = ["sample-for-humans", str(fresh.path), "--out", str(tmp_path / "s")]
    for words, said in (
        (["--raters", "anna,ben", *ONE_CODE], "is there already"),
        (["--raters", "anna", *ONE_CODE], "two or more raters"),
        (["--raters", "anna,ben/", *ONE_CODE], "no name for a rater"),
        (["--raters", "a,b", "--codebook", "bolt", "--code", "questions_on_experience"], "did you mean"),
        (["--raters", "a,b", "--codebook", "miti"], "name --unit"),
        (["--raters", "a,b", *ONE_CODE, "--design", "stratified"], "go together"),
        (["--raters", "a,b", *ONE_CODE, "--design", "stratified", "--score", "rule:x"], "did you mean 'rules'"),
        (["--raters", "a,b", *ONE_CODE, "--mix", str(fresh.path)], "one run stands twice"),
    ):
        with pytest.raises(UserError, match=said):
            _dispatch([*base, *words])
