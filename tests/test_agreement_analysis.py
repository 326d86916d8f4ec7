"""Agreement tables: experts are a reference, planted codes a construction check, other texts are refused."""

import json

import polars as pl
import pytest

from simulator.analysis.agreement import AgreementTable, agreement
from simulator.coding.base import code_dataset
from simulator.coding.rules import RuleCoder
from simulator.errors import UserError

SAID = [
    ("therapist", "What would help?", "question"),
    ("client", "I want to stop.", "change"),
    ("therapist", "You feel torn about it.", "reflection"),
    ("client", "I can't do it.", "neutral"),  # the rules say sustain
    ("therapist", "Okay.", "other"),
    ("client", "Yeah.", "neutral"),
]
CODE = {"therapist": "main_therapist_behaviour", "client": "client_talk_type"}


def turns(courses: int = 3) -> pl.DataFrame:
    return pl.DataFrame(
        [
            {
                "course_id": f"c{course}", "session": 0, "turn": turn, "role": role, "text": text,
                "planted": json.dumps({"annomi": {CODE[role]: value}, "dependence-core": {"live": [], "present": []}}),
            }
            for course in range(courses)
            for turn, (role, text, value) in enumerate(SAID)
        ]
    )  # fmt: skip


def courses(count: int = 3, origin: str = "scripted") -> pl.DataFrame:
    return pl.DataFrame(
        {
            "course_id": [f"c{k}" for k in range(count)],
            "cluster": [f"p{k}" for k in range(count)],
            "origin": [origin] * count,
        }
    )


def codings() -> pl.DataFrame:
    return code_dataset(turns(), RuleCoder())


def with_experts(coded: pl.DataFrame) -> pl.DataFrame:
    """The same rows again, valued by an expert as in SAID."""
    values = [value for _ in range(3) for _, _, value in SAID]
    expert = coded.with_columns(pl.lit("expert").alias("coder"), pl.lit("e").alias("coder_fingerprint"))
    return pl.concat([coded, expert.with_columns(pl.Series("value", values))])


def planted_tables() -> dict[str, AgreementTable]:
    tables = agreement(codings(), turns(), "planted", coder="rules", courses=courses())
    return {table.code: table for table in tables}


def test_a_construction_check_says_so_and_shows_the_figure_that_counts() -> None:
    table = planted_tables()["client_talk_type"]
    assert table.heading == "construction check"
    assert "no validity" in table.note
    held_out = [figure for figure in table.expert_figures if figure["part"] == "held out"]
    assert held_out[0]["code"] == "client_talk_type" and 0.45 < held_out[0]["macro_f1"] < 1
    assert table.expert_data is not None and "AnnoMI" in table.expert_data


def test_figures_by_hand() -> None:
    """Client: three of nine each of change (right), neutral coded sustain, neutral (right)."""
    tables = planted_tables()
    assert list(tables) == ["main_therapist_behaviour", "client_talk_type"]  # the codebook's order
    perfect, table = tables["main_therapist_behaviour"], tables["client_talk_type"]
    assert perfect.kappa.estimate == 1 and perfect.n == 9
    assert [row.label for row in table.rows] == ["change", "neutral", "sustain"]
    assert table.confusion == [[3, 0, 0], [0, 3, 3], [0, 0, 0]]
    assert table.accuracy.estimate == pytest.approx(6 / 9)
    assert table.macro_f1.estimate == pytest.approx((1 + 2 / 3 + 0) / 3)
    assert (table.majority_label, table.majority_accuracy) == ("neutral", pytest.approx(6 / 9))
    neutral = table.rows[1]
    assert (neutral.n, neutral.precision, neutral.recall) == (6, 1, 0.5)
    assert neutral.base_rate_reference == pytest.approx(2 / 3) and neutral.base_rate_coder == pytest.approx(1 / 3)
    assert table.kappa.clusters == 3 and table.kappa.cluster == "personas" and table.kappa.flag


def test_experts_are_a_reference_with_peoples_own_agreement_beside_it() -> None:
    table = agreement(
        with_experts(codings()), turns(), "expert", coder="rules", courses=courses(origin="human")
    )[-1]  # fmt: skip
    assert table.heading == "agreement with experts"
    assert table.confusion == [[3, 0, 0], [0, 3, 3], [0, 0, 0]]
    assert table.macro_f1.cluster == "videos" and "videos" in table.note
    assert {figure["between"] for figure in table.people} == {"people"}
    assert table.expert_figures == []


def test_json_has_plain_values_only() -> None:
    document = [table.to_dict() for table in planted_tables().values()]
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert document[1]["labels"][2]["recall"] is None  # nothing was planted as sustain talk


def test_missing_judgments_are_counted_and_leave_the_rest_alone() -> None:
    coded = codings().with_columns(
        pl.when(pl.int_range(pl.len()) == 1).then(None).otherwise(pl.col("value")).alias("value")
    )
    coded = coded.filter(pl.int_range(pl.len()) != 3)  # one unit has no row at all
    table = agreement(coded, turns(), "planted", coder="rules", courses=courses())[1]
    assert (table.n, table.missing_coder, table.missing_reference) == (7, 2, 0)


def test_other_texts_are_refused() -> None:
    changed = turns().with_columns(pl.col("text").str.replace("Yeah", "No"))
    with pytest.raises(UserError, match="'rules' coded other texts than these in 3 session") as caught:
        agreement(codings(), changed, "planted", coder="rules", courses=courses())
    assert "\n" not in str(caught.value)
    coded = with_experts(codings())
    stale = coded.with_columns(
        pl.when(pl.col("coder") == "expert").then(pl.lit("old")).otherwise(pl.col("transcript")).alias("transcript")
    )
    with pytest.raises(UserError, match="'expert' coded other texts"):
        agreement(stale, turns(), "expert", coder="rules", courses=courses())


def test_what_cannot_be_compared_is_one_line() -> None:
    coded = codings()
    with pytest.raises(UserError, match="did you mean 'rules'"):
        agreement(coded, turns(), "planted", coder="rulse", courses=courses())
    with pytest.raises(UserError, match="no expert codes"):
        agreement(coded, turns(), "expert", coder="rules", courses=courses())
    with pytest.raises(UserError, match="no turn carries planted codes"):
        bare = turns().with_columns(pl.lit(None, dtype=pl.String).alias("planted"))
        agreement(coded, bare, "planted", coder="rules", courses=courses())
    twice = pl.concat([coded, coded.with_columns(pl.lit("another").alias("coder_fingerprint"))])
    with pytest.raises(UserError, match="2 versions of the coder 'rules'"):
        agreement(twice, turns(), "planted", coder="rules", courses=courses())
