"""A classifier between simulated clients and people: a coin where there is nothing to tell, right where there is."""

import json

import numpy as np
import polars as pl
import pytest

from simulator.analysis.discriminator import auc_interval, discriminate
from simulator.errors import UserError
from tests.realism_frames import frames, people


def tables(seed: int, n: int = 24, dull: bool = False, mark: str = "") -> tuple[pl.DataFrame, pl.DataFrame]:
    sessions = [session[:30] for session in people(np.random.default_rng(seed), n, dull)]
    marked = [[(role, f"{text} {mark}" if mark and role == "client" else text) for role, text in s] for s in sessions]
    return frames(marked, [f"c{i // 2}" for i in range(n)])


def test_one_process_cannot_be_told_from_itself() -> None:
    found = discriminate(*tables(1, 40), *tables(2, 30))
    assert found["sessions"] == {"simulated": 30, "human": 30}
    assert found["left_out"] == {"simulated": 10, "human": 0}
    for interval in found["intervals"].values():
        assert 0.25 < interval["estimate"] < 0.75
    assert found["auc"] == found["intervals"]["words"]["estimate"]
    json.dumps(found)


def test_a_word_that_only_simulations_use_gives_them_away() -> None:
    found = discriminate(*tables(1, mark="verily"), *tables(2))
    assert found["auc"] > 0.95
    assert found["auc_function_words"] < 0.85
    assert "verily" in " ".join(found["telling"]["simulated"])


def test_length_alone_tells_a_dull_client() -> None:
    assert discriminate(*tables(1, dull=True), *tables(2))["auc_length"] > 0.8


def test_the_same_sessions_give_the_same_answer() -> None:
    simulated, human = tables(1, 30), tables(2)
    assert discriminate(*simulated, *human) == discriminate(*simulated, *human)


def test_too_little_to_compare() -> None:
    found = discriminate(*tables(1, 10), *tables(2))
    assert found["run"] is False
    assert "only 10 sessions" in found["reason"]
    turns, courses = tables(1)
    with pytest.raises(UserError, match="fewer than 5 clusters"):
        discriminate(turns, courses.with_columns(pl.lit("one").alias("cluster")), *tables(2))


def test_auc_by_hand() -> None:
    scores = np.array([3.0, 1.0, 2.0, 2.0, 0.0])
    positive = np.array([True, True, False, False, False])
    clusters = np.array(["a", "b", "c", "d", "e"])
    interval = auc_interval(scores, positive, clusters)
    assert interval.estimate == pytest.approx(4 / 6)
    assert interval.clusters == 5
    assert interval.low < 4 / 6 < interval.high
    perfect = auc_interval(np.array([2.0, 3.0, 0.0, 1.0]), np.array([True, True, False, False]), clusters[:4])
    assert perfect.estimate == 1
    assert np.isnan(perfect.low)


def test_clusters_widen_the_interval() -> None:
    generator = np.random.default_rng(0)
    person = np.repeat(generator.normal(0, 1, 40), 5)
    scores = person + generator.normal(0, 0.2, 200)
    positive = np.arange(200) < 100
    alone = auc_interval(scores, positive, np.arange(200).astype(str))
    together = auc_interval(scores, positive, np.repeat(np.arange(40), 5).astype(str))
    assert together.high - together.low > 1.5 * (alone.high - alone.low)
