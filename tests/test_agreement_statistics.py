"""Agreement coefficients against worked examples, against scikit-learn, and by their properties."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from simulator.statistics import agreement as stats

NAN = float("nan")

FIFTY = np.array([[20.0, 5.0], [10.0, 15.0]])
# two raters, fifty units: both yes 20, both no 15, yes and no 5, no and yes 10

matrices = hnp.arrays(np.float64, (3, 3), elements=st.integers(0, 40).map(float)).filter(lambda m: m.sum() > 1)


def test_cohen_kappa_by_hand() -> None:
    """observed .70; chance .5 * .6 + .5 * .4 = .50; (.70 - .50) / (1 - .50) = .40."""
    assert stats.observed_agreement(FIFTY) == pytest.approx(0.70)
    assert stats.cohen_kappa(FIFTY) == pytest.approx(0.40)


def test_gwet_ac1_by_hand() -> None:
    """mean share of yes (25 + 30) / 100 = .55; chance 2 * .55 * .45 = .495; (.70 - .495) / .505."""
    assert stats.gwet_ac1(FIFTY) == pytest.approx(0.205 / 0.505)


def test_ac1_withstands_a_rare_code_that_ruins_kappa() -> None:
    rare = np.array([[118.0, 5.0], [2.0, 0.0]])
    assert float(stats.cohen_kappa(rare)) < 0
    assert float(stats.gwet_ac1(rare)) > 0.93


def test_scores_baseline_and_base_rates_by_hand() -> None:
    precision, recall, f1 = stats.label_scores(FIFTY)
    assert precision == pytest.approx([20 / 30, 15 / 20])
    assert recall == pytest.approx([20 / 25, 15 / 25])
    assert f1 == pytest.approx([40 / 55, 30 / 45])
    assert stats.macro_f1(FIFTY) == pytest.approx((40 / 55 + 30 / 45) / 2)
    constant = stats.majority_baseline(np.array([[30.0, 5.0], [10.0, 15.0]]))
    assert constant.tolist() == [[35, 0], [25, 0]]
    assert stats.macro_f1(constant) == pytest.approx(35 * 2 / (60 + 35) / 2)
    meant, coded = stats.base_rates(FIFTY)
    assert meant == pytest.approx([0.5, 0.5]) and coded == pytest.approx([0.6, 0.4])


def test_krippendorffs_own_example() -> None:
    """Four observers, twelve units, gaps: Krippendorff (2011) prints .743, .815 and .849."""
    ratings = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, NAN, NAN, NAN],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NAN, 3],
        [NAN, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NAN],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NAN],
    ]
    assert stats.krippendorff_alpha(ratings) == pytest.approx(0.743, abs=0.0005)
    assert stats.krippendorff_alpha(ratings, "ordinal") == pytest.approx(0.815, abs=0.0005)
    assert stats.krippendorff_alpha(ratings, "interval") == pytest.approx(0.849, abs=0.0005)


def test_what_has_no_answer_is_nan_and_never_one() -> None:
    """One code used throughout by both leaves chance nothing to correct."""
    alone = np.array([[10.0, 0.0], [0.0, 0.0]])
    assert math.isnan(stats.cohen_kappa(alone))
    assert math.isnan(stats.alpha_from_confusion(alone))
    assert math.isnan(stats.krippendorff_alpha([[1, NAN], [NAN, 2]]))
    assert stats.macro_f1(alone) == 1.0  # over the one label that was used
    assert np.isnan(stats.label_scores(alone)[2][1])


@pytest.mark.parametrize("weights", ["none", "linear", "quadratic"])
def test_kappa_and_macro_f1_equal_scikit_learns(weights: str) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(3)
    meant = rng.integers(0, 4, 300)
    coded = np.where(rng.random(300) < 0.6, meant, rng.integers(0, 4, 300))
    matrix = stats.confusion(meant, coded, range(4))
    theirs = metrics.cohen_kappa_score(meant, coded, weights=None if weights == "none" else weights)
    assert stats.cohen_kappa(matrix, weights) == pytest.approx(theirs)  # type: ignore[arg-type]
    assert stats.macro_f1(matrix) == pytest.approx(metrics.f1_score(meant, coded, average="macro"))
    assert (matrix == metrics.confusion_matrix(meant, coded)).all()


@given(matrices, st.permutations(range(3)))
def test_nominal_coefficients_do_not_depend_on_the_order_of_labels(matrix: np.ndarray, order: list[int]) -> None:
    mixed = matrix[np.ix_(order, order)]
    for statistic in (stats.cohen_kappa, stats.gwet_ac1, stats.alpha_from_confusion, stats.macro_f1):
        assert np.isclose(statistic(matrix), statistic(mixed), equal_nan=True)


@given(matrices)
def test_kappa_and_alpha_are_symmetric_in_the_two_sides(matrix: np.ndarray) -> None:
    for weights in ("none", "linear", "quadratic"):
        there, back = stats.cohen_kappa(matrix, weights), stats.cohen_kappa(matrix.T, weights)  # type: ignore[arg-type]
        assert np.isclose(there, back, equal_nan=True)
    for metric in ("nominal", "ordinal", "interval"):
        there, back = stats.alpha_from_confusion(matrix, metric), stats.alpha_from_confusion(matrix.T, metric)  # type: ignore[arg-type]
        assert np.isclose(there, back, equal_nan=True)


@given(st.lists(st.sampled_from("abc"), min_size=2, max_size=40).filter(lambda values: len(set(values)) > 1))
def test_identical_codings_agree_perfectly(values: list[str]) -> None:
    matrix = stats.confusion(values, values, "abc")
    assert float(stats.cohen_kappa(matrix)) == pytest.approx(1)
    assert float(stats.cohen_kappa(matrix, "quadratic")) == pytest.approx(1)
    assert float(stats.gwet_ac1(matrix)) == pytest.approx(1)
    assert float(stats.alpha_from_confusion(matrix, "ordinal")) == pytest.approx(1)
    assert float(stats.macro_f1(matrix)) == pytest.approx(1)


@given(matrices)
def test_alpha_is_scotts_pi_with_a_small_sample_correction(matrix: np.ndarray) -> None:
    """alpha = 1 - (1 - pi) (2n - 1) / 2n; pi is kappa where both sides use the codes equally often."""
    n = matrix.sum()
    share = (matrix.sum(axis=0) + matrix.sum(axis=1)) / (2 * n)
    chance = (share**2).sum()
    if chance < 1:
        pi = (np.trace(matrix) / n - chance) / (1 - chance)
        assert float(stats.alpha_from_confusion(matrix)) == pytest.approx(1 - (1 - pi) * (2 * n - 1) / (2 * n))
    balanced = matrix + matrix.T
    kappa, n = stats.cohen_kappa(balanced), balanced.sum()
    expected = 1 - (1 - kappa) * (2 * n - 1) / (2 * n)
    assert np.isclose(stats.alpha_from_confusion(balanced), expected, equal_nan=True)


@given(matrices)
def test_two_raters_give_one_alpha_by_both_ways(matrix: np.ndarray) -> None:
    pairs = [(row, column) for row in range(3) for column in range(3) for _ in range(int(matrix[row, column]))]
    ratings = np.array(pairs, dtype=float).T
    used = len({value for pair in pairs for value in pair})
    for metric in ("nominal", "ordinal", "interval"):
        whole = stats.alpha_from_confusion(matrix, metric)  # type: ignore[arg-type]
        long_way = stats.krippendorff_alpha(ratings, metric)  # type: ignore[arg-type]
        assert used == 1 or np.isclose(whole, long_way)


def test_a_value_outside_the_labels_is_named() -> None:
    with pytest.raises(ValueError, match="'c' is not among the labels"):
        stats.confusion(["a", "b"], ["a", "c"], ["a", "b"])


def _clustered(count: int) -> np.ndarray:
    rng = np.random.default_rng(5)
    meant, clusters = rng.integers(0, 3, count * 20), np.repeat(np.arange(count), 20)
    skilled = rng.random(count)[clusters] < 0.7  # a cluster is coded well or badly as a whole
    coded = np.where(skilled, meant, rng.integers(0, 3, count * 20))
    return stats.cluster_confusions(meant, coded, range(3), clusters)[0]


def test_intervals_say_what_they_rest_on_and_repeat() -> None:
    matrices = _clustered(40)
    first = stats.bootstrap_interval(matrices, stats.cohen_kappa, cluster="videos", seed=1)
    again = stats.bootstrap_interval(matrices, stats.cohen_kappa, cluster="videos", seed=1)
    other = stats.bootstrap_interval(matrices, stats.cohen_kappa, cluster="videos", seed=2)
    assert first == again and first != other
    assert first.low < first.estimate < first.high
    assert (first.clusters, first.units, first.cluster, first.flag) == (40, 800, "videos", None)
    assert "bootstrap over videos" in first.method


def test_clusters_that_hang_together_widen_the_interval() -> None:
    """Resampling units as if they were independent would be far too sure."""
    matrices = _clustered(40)
    clustered = stats.bootstrap_interval(matrices, stats.cohen_kappa, cluster="videos")
    labels = [(r, c) for m in matrices for r in range(3) for c in range(3) for _ in range(int(m[r, c]))]
    meant, coded = zip(*labels, strict=True)
    apart = stats.cluster_confusions(meant, coded, range(3), np.arange(len(labels)))[0]
    naive = stats.bootstrap_interval(apart, stats.cohen_kappa, cluster="utterances", resamples=500)
    assert clustered.estimate == pytest.approx(naive.estimate)
    assert clustered.high - clustered.low > 1.5 * (naive.high - naive.low)


def test_few_clusters_are_flagged_and_one_gives_no_limits() -> None:
    few = stats.bootstrap_interval(_clustered(8), stats.cohen_kappa, cluster="videos")
    assert few.flag == "too few clusters" and few.low < few.high
    one = stats.bootstrap_interval(_clustered(1), stats.cohen_kappa, cluster="videos")
    assert math.isnan(one.low) and not one.trusted


@settings(deadline=None, max_examples=25)
@given(st.integers(2, 200))
def test_limits_for_few_clusters_are_wider_than_plain_percentiles(clusters: int) -> None:
    tail = stats.expanded_tail(clusters)
    assert 0 < tail < 0.025
    assert stats.expanded_tail(clusters + 1) > tail
