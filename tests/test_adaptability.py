"""The change in what a therapist does, given what the client has just said."""

import json

import numpy as np
import polars as pl
import pytest

from simulator.analysis.adaptability import adaptability, changes_from_marginal
from simulator.analysis.estimands import Scope
from simulator.errors import UserError
from tests.realism_frames import frames

PAIR = [("client", "x"), ("therapist", "y")]
POPULATION = Scope("population", "population", 0)
FIXED = Scope("these personas", "these personas", 0)


def coded(*codes: list[str | None], clusters: list[str] | None = None) -> tuple[pl.DataFrame, pl.DataFrame]:
    sessions = [[PAIR[t % 2] for t in range(len(session))] for session in codes]
    return frames(sessions, clusters, codes=codes)


def cells(table: object) -> dict[tuple[str, str], object]:
    return {(cell.before, cell.after): cell for cell in table.cells}  # type: ignore[attr-defined]


def test_counts_by_hand() -> None:
    first = ["change", "reflection", "sustain", "question", "change", "reflection", "neutral", "other"]
    turns, courses = coded(first, ["change", "question"])
    (table,) = adaptability(turns, courses)
    found = cells(table)
    assert (table.steps, table.left_out, table.clusters, table.coder) == (5, 0, 2, "planted")
    assert table.marginal == {"question": 0.4, "reflection": 0.4, "therapist_input": 0.0, "other": 0.2}
    cell = found["change", "reflection"]
    assert (cell.steps, cell.times, cell.share) == (3, 2, pytest.approx(2 / 3))  # type: ignore[attr-defined]
    change = cell.change["this collection"]  # type: ignore[attr-defined]
    assert change.estimate == pytest.approx(2 / 3 - 0.4)
    assert change.clusters == 2
    assert change.flag == "too few clusters"


def test_only_the_turn_directly_before_counts() -> None:
    turns, courses = coded(["change", "question", None, "reflection", "sustain", None])
    (table,) = adaptability(turns, courses)
    assert (table.steps, table.left_out) == (1, 2)


def test_a_probed_turn_is_no_step() -> None:
    turns, courses = coded(["change", "question", "sustain", "reflection"])
    probed = turns.with_columns(pl.when(pl.col("turn") >= 2).then(pl.lit("goodbye")).alias("probe"))
    (table,) = adaptability(probed, courses)
    assert (table.steps, table.left_out) == (1, 1)


def test_a_therapist_who_ignores_the_client_changes_nothing() -> None:
    generator = np.random.default_rng(0)
    codes = [
        [name for _ in range(30) for name in (generator.choice(["change", "neutral", "sustain"]),
                                              generator.choice(["question", "reflection", "other"], p=[0.2, 0.5, 0.3]))]
        for _ in range(40)
    ]  # fmt: skip
    turns, courses = coded(*codes)
    (table,) = adaptability(turns, courses)
    inside = [
        cell.change["this collection"].low <= 0 <= cell.change["this collection"].high
        for cell in table.cells
        if cell.after != "therapist_input"
    ]
    assert sum(inside) >= 8
    for before in ("change", "neutral", "sustain"):
        row = [cell.change["this collection"].estimate for cell in table.cells if cell.before == before]
        assert sum(row) == pytest.approx(0)


def test_a_responsive_therapist_is_seen() -> None:
    codes = [["sustain", "reflection", "change", "question"] * 10 + ["sustain", "other"] * (i % 3) for i in range(12)]
    turns, courses = coded(*codes)
    (table,) = adaptability(turns, courses)
    change = cells(table)["sustain", "reflection"].change["this collection"]  # type: ignore[attr-defined]
    assert change.low > 0.2


def test_groups_and_json() -> None:
    sessions = [[PAIR[t % 2] for t in range(4)]] * 4
    turns, courses = frames(
        sessions, ["a", "a", "b", "b"], ["mi", "cold"] * 2, codes=[["change", "question", "neutral", "other"]] * 4
    )
    tables = adaptability(turns, courses)
    assert [table.group for table in tables] == ["cold", "mi"]
    plain = json.loads(json.dumps([table.to_dict() for table in tables]))
    assert len(plain[0]["cells"]) == 12
    assert plain[0]["cells"][0]["change"]["this collection"]["clusters"] == 2


def test_a_talk_that_never_came_has_no_interval() -> None:
    turns, courses = coded(*[["change", "question", "neutral", "other"]] * 3)
    (table,) = adaptability(turns, courses)
    cell = cells(table)["sustain", "question"]
    assert cell.steps == 0  # type: ignore[attr-defined]
    assert cell.change["this collection"].flag == "the client never talked like this"  # type: ignore[attr-defined]
    assert cell.to_dict()["share"] is None  # type: ignore[attr-defined]


def test_codes_of_experts_and_coders_by_name() -> None:
    turns, courses = coded(["change", "question", "change", "question"])
    bare = turns.with_columns(pl.lit(None, pl.String).alias("planted"))
    assert adaptability(bare, courses) == []
    codings = pl.DataFrame([
        {"course_id": "course0000", "session": 0, "turn": t, "start": start, "codebook": "annomi", "code": code,
         "value": value, "coder": "expert"}
        for t, start, code, value in (
            # two utterances in one turn: the last one comes before, the first one comes after
            (0, 5, "client_talk_type", "sustain"), (0, 0, "client_talk_type", "change"),
            (1, 9, "main_therapist_behaviour", "question"), (1, 0, "main_therapist_behaviour", "reflection"),
        )
    ])  # fmt: skip
    (table,) = adaptability(bare, courses, codings)
    assert table.coder == "expert"
    assert cells(table)["sustain", "reflection"].times == 1  # type: ignore[attr-defined]
    (chosen,) = adaptability(turns, courses, codings, coder="planted")
    assert chosen.steps == 2
    with pytest.raises(UserError, match="did you mean 'expert'"):
        adaptability(turns, courses, codings, coder="experts")


def drawn(generator: np.random.Generator, personas: int, courses: int) -> np.ndarray:
    """Step counts of a therapist who adapts to the first kind of talk, personas differing: (courses, 2, 3)."""
    base = generator.normal(0, 0.5, (personas, 1, 1, 3))
    session = generator.normal(0, 0.3, (personas, courses, 1, 3))
    weights = np.exp(base + session + np.array([[0.4, 0.0, -0.2], [0.0, 0.0, 0.0]]))
    weights = (weights / weights.sum(axis=-1, keepdims=True)).reshape(-1, 3)
    counts = generator.multinomial(generator.integers(5, 25, len(weights)), weights)
    return counts.reshape(personas * courses, 2, 3).astype(np.float64)


def test_intervals_cover_and_name_their_units() -> None:
    generator = np.random.default_rng(3)
    whole = drawn(generator, 3000, 2).sum(axis=0)
    truth = whole[0, 0] / whole[0].sum() - whole[:, 0].sum() / whole.sum()
    hits = 0
    for _ in range(200):
        counts = drawn(generator, 15, 2)
        interval = changes_from_marginal(counts, np.repeat(np.arange(15), 2), POPULATION)[0][0]
        hits += interval.low <= truth <= interval.high
    assert interval.clusters == 15
    assert 178 <= hits <= 200


def test_fixed_personas_leave_their_differences_out() -> None:
    generator = np.random.default_rng(4)
    # whether the therapist adapts depends on the persona, and hardly varies from course to course
    adapts = np.array([[[20.0, 0.0], [0.0, 20.0]], [[0.0, 20.0], [20.0, 0.0]]])
    counts = np.repeat(adapts[[0] * 12 + [1] * 8], 4, axis=0) + generator.poisson(2.0, (80, 2, 2))
    clusters = np.repeat(np.arange(20), 4)
    wide = changes_from_marginal(counts, clusters, POPULATION)[0][0]
    narrow = changes_from_marginal(counts, clusters, FIXED)[0][0]
    assert wide.estimate == narrow.estimate
    assert narrow.high - narrow.low < (wide.high - wide.low) / 2
    assert "courses within personas" in narrow.method
    single = changes_from_marginal(counts[::4], np.arange(20), FIXED)[0][0]
    assert np.isnan(single.low)
    assert single.flag
