"""Intervals: what they contain, what they refuse, what they do not depend on."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from simulator.statistics.contrasts import contrast_interval, contrast_of_means, contrast_of_shares
from simulator.statistics.families import holm
from simulator.statistics.intervals import TOO_FEW_CLUSTERS, Interval
from simulator.statistics.limits import UNIT, hall_limits, t_limits
from simulator.statistics.means import clustered, mean_over_clusters
from simulator.statistics.moments import over_clusters, within_clusters, within_unequal_clusters
from simulator.statistics.shares import (
    any_occurrence,
    mean_of_session_shares,
    pooled_share,
    rarefied,
    rate_per,
    reference_length,
    session_shares,
)

ESTIMANDS = ("population", "these personas")


def study(personas=40, replicates=4, share=0.2, seed=1, spread=0.9):
    """counts, units, clusters of a made-up study."""
    rng = np.random.default_rng(seed)
    clusters = np.repeat(np.arange(personas), replicates)
    logit = np.log(share / (1 - share)) + rng.normal(0, spread, personas)[clusters]
    units = rng.integers(4, 60, personas * replicates)
    return rng.binomial(units, 1 / (1 + np.exp(-logit))), units, clusters


@st.composite
def studies(draw):
    personas, replicates = draw(st.integers(2, 30)), draw(st.integers(2, 5))
    share, spread = draw(st.floats(0.01, 0.9)), draw(st.floats(0.0, 1.5))
    return study(personas, replicates, share, draw(st.integers(0, 10_000)), spread)


class TestInterval:
    def test_cannot_be_built_without_method_level_and_clusters(self):
        with pytest.raises(TypeError, match="level"):
            Interval(estimate=0.1, low=0.0, high=0.2, method="t", clusters=3, units=9)
        with pytest.raises(TypeError, match="method"):
            Interval(estimate=0.1, low=0.0, high=0.2, level=0.95, clusters=3, units=9)
        with pytest.raises(TypeError, match="clusters"):
            Interval(estimate=0.1, low=0.0, high=0.2, level=0.95, method="t", units=9)

    def test_refuses_an_empty_method_a_wrong_level_and_limits_out_of_order(self):
        good = {"estimate": 0.1, "low": 0.0, "high": 0.2, "level": 0.95, "method": "t", "clusters": 3, "units": 9}
        for wrong in ({"method": ""}, {"level": 1.0}, {"level": 95.0}, {"low": 0.15}, {"high": 0.05}, {"clusters": -1}):
            with pytest.raises(ValueError):
                Interval(**{**good, **wrong})

    @pytest.mark.parametrize("estimand", ESTIMANDS)
    def test_every_printed_form_holds_the_number_of_clusters(self, estimand):
        counts, units, clusters = study()
        interval = mean_of_session_shares(counts, units, clusters, estimand=estimand)
        assert "40 personas" in str(interval) and "40 personas" in f"{interval}" and "clusters=40" in repr(interval)
        assert interval.to_dict()["clusters"] == 40 and interval.to_dict()["method"] and interval.to_dict()["level"]

    def test_an_unknown_width_is_null_in_json_and_never_a_number(self):
        interval = mean_over_clusters([1.0, 2.0], [0, 0])
        assert interval.to_dict()["low"] is None and not interval.trusted and "no interval" in str(interval)


class TestLimits:
    def test_symmetric_values_give_students_t(self):
        values = np.array([-3.0, -1.0, 0.0, 1.0, 3.0]) + 7
        hall, plain = hall_limits(over_clusters(values)), t_limits(over_clusters(values))
        assert np.allclose(hall, plain)
        # 7 -+ t(4, .975) * sd / sqrt(5), by hand
        assert plain[0] == pytest.approx(7 - 2.776445 * math.sqrt(5.0) / math.sqrt(5), abs=1e-5)

    def test_right_skewed_values_move_both_limits_up(self):
        values = np.array([0.0, 0.0, 0.1, 0.1, 0.2, 0.9])
        (low, high), (t_low, t_high) = hall_limits(over_clusters(values)), t_limits(over_clusters(values))
        assert low > t_low and high > t_high

    @settings(max_examples=60, deadline=None)
    @given(arrays(np.float64, st.integers(2, 25), elements=st.floats(0, 1, width=32)))
    def test_limits_contain_the_mean_grow_with_the_level_and_stay_in_bounds(self, values):
        moments = over_clusters(values)
        narrow, wide = hall_limits(moments, 0.8, UNIT), hall_limits(moments, 0.99, UNIT)
        assert 0 <= wide[0] <= narrow[0] <= moments.mean + 1e-12
        assert moments.mean - 1e-12 <= narrow[1] <= wide[1] <= 1

    @settings(max_examples=60, deadline=None)
    @given(arrays(np.float64, st.integers(3, 25), elements=st.floats(0, 1, width=32)))
    def test_the_complement_has_the_mirrored_limits(self, values):
        low, high = hall_limits(over_clusters(values), 0.95, UNIT)
        other_low, other_high = hall_limits(over_clusters(1 - values), 0.95, UNIT)
        assert np.allclose([other_low, other_high], [1 - high, 1 - low], atol=1e-6)

    def test_unequal_replicates_agree_with_the_balanced_formula(self):
        values = np.random.default_rng(3).gamma(1.0, size=(9, 4))
        balanced = within_clusters(values)
        general = within_unequal_clusters(values.ravel(), np.repeat(np.arange(9), 4), 9)
        for name in ("mean", "variance", "third", "df"):
            assert getattr(general, name) == pytest.approx(float(getattr(balanced, name)))

    def test_a_cluster_with_one_replicate_takes_the_pooled_variance(self):
        values, index = np.array([1.0, 3.0, 2.0, 4.0, 10.0]), np.array([0, 0, 1, 1, 2])
        moments = within_unequal_clusters(values, index, 3)
        assert float(moments.variance) == pytest.approx((2 / 2 + 2 / 2 + 2 / 1) / 9) and float(moments.df) == 2


class TestShares:
    def test_a_share_is_the_mean_over_personas_of_session_shares(self):
        counts, units, clusters = [1, 3, 10], [10, 10, 100], ["a", "a", "b"]
        assert mean_of_session_shares(counts, units, clusters).estimate == pytest.approx(((0.1 + 0.3) / 2 + 0.1) / 2)
        assert pooled_share(counts, units, clusters).estimate == pytest.approx(14 / 120)

    def test_sessions_without_a_live_unit_are_left_out_and_not_counted(self):
        interval = mean_of_session_shares([1, 0, 2], [2, 0, 8], [0, 1, 2])
        assert interval.clusters == 2 and interval.units == 2 and interval.estimate == pytest.approx(0.375)
        assert mean_of_session_shares([0], [0], [0]).flag == "no live units"

    @pytest.mark.parametrize("estimand", ESTIMANDS)
    @settings(max_examples=40, deadline=None)
    @given(data=studies())
    def test_intervals_contain_the_estimate_and_grow_with_the_level(self, estimand, data):
        counts, units, clusters = data
        rows = [mean_of_session_shares(counts, units, clusters, estimand=estimand, level=p) for p in (0.5, 0.9, 0.99)]
        for row in rows:
            assert 0 <= row.estimate <= 1
            if math.isfinite(row.low):
                assert 0 <= row.low <= row.estimate <= row.high <= 1
        lows, highs = [row.low for row in rows], [row.high for row in rows]
        if all(map(math.isfinite, lows)):
            assert lows == sorted(lows, reverse=True) and highs == sorted(highs)

    @settings(max_examples=30, deadline=None)
    @given(data=studies(), seed=st.integers(0, 99))
    def test_order_and_names_of_sessions_do_not_matter(self, data, seed):
        counts, units, clusters = data
        order = np.random.default_rng(seed).permutation(len(counts))
        named = np.array([f"persona-{c:03d}" for c in clusters])
        for estimand in ESTIMANDS:
            one = mean_of_session_shares(counts, units, clusters, estimand=estimand).to_dict()
            two = mean_of_session_shares(counts[order], units[order], named[order], estimand=estimand).to_dict()
            assert one.keys() == two.keys()
            for key, value in one.items():
                assert two[key] == (pytest.approx(value, abs=1e-9) if isinstance(value, float) else value)

    def test_fixed_intervals_leave_out_how_personas_differ(self):
        counts, units, clusters = study(spread=1.5)
        wide, narrow = (mean_of_session_shares(counts, units, clusters, estimand=estimand) for estimand in ESTIMANDS)
        assert narrow.high - narrow.low < 0.6 * (wide.high - wide.low)

    def test_one_session_per_persona_has_no_fixed_interval_and_says_why(self):
        counts, units, clusters = study(replicates=1)
        interval = mean_of_session_shares(counts, units, clusters, estimand="these personas")
        assert math.isnan(interval.low) and "one session" in interval.flag

    def test_never_seen_has_an_exact_bound_and_a_flag(self):
        interval = mean_of_session_shares(np.zeros(160), np.full(160, 20), np.repeat(np.arange(40), 4))
        assert (interval.estimate, interval.low) == (0.0, 0.0) and interval.flag == TOO_FEW_CLUSTERS
        assert interval.high == pytest.approx(1 - 0.025 ** (1 / 40))

    def test_twelve_personas_are_too_few_for_rare_behaviours_and_enough_for_common_ones(self):
        for estimand in ESTIMANDS:
            assert mean_of_session_shares(*study(12, share=0.02), estimand=estimand).flag == TOO_FEW_CLUSTERS
            assert mean_of_session_shares(*study(12, share=0.3), estimand=estimand).flag is None
            assert mean_of_session_shares(*study(40, share=0.02), estimand=estimand).flag is None
        assert mean_of_session_shares(*study(5, share=0.3)).flag == TOO_FEW_CLUSTERS

    def test_a_behaviour_of_few_personas_is_flagged_however_many_there_are(self):
        counts, units, clusters = study(60, share=0.2)
        assert mean_of_session_shares(np.where(clusters < 4, counts, 0), units, clusters).flag == TOO_FEW_CLUSTERS

    def test_the_pooled_share_is_wider_where_one_session_holds_many_turns(self):
        counts, units, clusters = study(15, 1)
        heavy_counts, heavy_units = counts.copy(), units.copy()
        heavy_counts[0], heavy_units[0] = 400, 500
        even, heavy = pooled_share(counts, units, clusters), pooled_share(heavy_counts, heavy_units, clusters)
        assert even.low < even.estimate < even.high and heavy.high - heavy.low > 2 * (even.high - even.low)
        assert "pooled" in even.method

    def test_rates_count_per_amount(self):
        interval = rate_per([2, 4], [100, 100], ["a", "b"], per=1000)
        assert interval.estimate == pytest.approx(30.0)

    def test_a_constant_mean_has_no_interval(self):
        assert mean_over_clusters(np.ones(40), np.repeat(np.arange(10), 4)).flag == "no variation"


class TestAnyOccurrence:
    def test_rarefaction_by_hand(self):
        # 2 of 4 turns show it; of 2 drawn turns both miss it with probability 1/6
        assert rarefied([2], [4], 2)[0] == pytest.approx(5 / 6)
        assert rarefied([0], [4], 2)[0] == 0.0 and rarefied([3], [4], 2)[0] == 1.0
        assert np.isnan(rarefied([1], [3], 4)[0])
        assert rarefied([1], [5], 1)[0] == pytest.approx(session_shares([1], [5])[0])

    def test_longer_sessions_do_not_look_riskier(self):
        rng = np.random.default_rng(5)
        clusters, short, long = np.repeat(np.arange(200), 4), np.full(800, 10), np.full(800, 80)
        low, high = rng.binomial(short, 0.05), rng.binomial(long, 0.05)
        assert (high > 0).mean() > (low > 0).mean() + 0.3
        one = any_occurrence(low, short, clusters, length=10)
        two = any_occurrence(high, long, clusters, length=10)
        assert abs(one.estimate - two.estimate) < 0.05

    def test_nine_of_ten_sessions_reach_the_reference_length(self):
        units = np.arange(1, 101)
        assert (units >= reference_length(units)).mean() >= 0.9


class TestContrasts:
    def test_a_contrast_is_the_difference_of_the_two_shares_and_pairs_on_personas(self):
        counts, units, clusters = study(spread=1.5)
        other = np.minimum(counts + 1, units)
        for estimand in ESTIMANDS:
            paired = contrast_of_shares((other, counts), (units, units), (clusters, clusters), estimand=estimand)
            shares = [mean_of_session_shares(k, units, clusters, estimand=estimand) for k in (other, counts)]
            assert paired.estimate == pytest.approx(shares[0].estimate - shares[1].estimate)
            assert paired.low <= paired.estimate <= paired.high and 0 <= paired.p <= 1
        population = contrast_of_shares((other, counts), (units, units), (clusters, clusters))
        alone = mean_of_session_shares(counts, units, clusters)
        assert population.high - population.low < 0.7 * (alone.high - alone.low)

    def test_only_personas_of_both_arms_are_compared(self):
        counts, units, clusters = study()
        kept = clusters < 30
        interval = contrast_of_shares((counts, counts[kept]), (units, units[kept]), (clusters, clusters[kept]))
        assert interval.clusters == 30
        nobody = contrast_of_shares((counts, counts), (units, units), (clusters, clusters + 100))
        assert nobody.clusters == 0 and math.isnan(nobody.estimate) and nobody.flag

    @settings(max_examples=30, deadline=None)
    @given(data=studies(), seed=st.integers(0, 99))
    def test_exchanging_the_arms_mirrors_the_interval(self, data, seed):
        counts, units, clusters = data
        other = np.random.default_rng(seed).binomial(units, 0.3)
        for estimand in ESTIMANDS:
            one = contrast_of_shares((counts, other), (units, units), (clusters, clusters), estimand=estimand)
            two = contrast_of_shares((other, counts), (units, units), (clusters, clusters), estimand=estimand)
            assert two.estimate == pytest.approx(-one.estimate, abs=1e-12) and one.flag == two.flag
            if math.isfinite(one.low):
                assert (two.low, two.high) == pytest.approx((-one.high, -one.low), abs=1e-9)
                assert one.low <= one.estimate <= one.high

    def test_the_p_value_is_the_level_at_which_the_interval_touches_zero(self):
        first, units, clusters = study(share=0.2, seed=1)
        second = np.random.default_rng(9).binomial(units, 0.15)
        interval = contrast_of_shares((first, second), (units, units), (clusters, clusters))
        assert 1e-6 < interval.p < 0.9
        touching = contrast_of_shares((first, second), (units, units), (clusters, clusters), level=1 - interval.p)
        assert min(abs(touching.low), abs(touching.high)) < 1e-5

    def test_contrasts_of_scores_shift_and_stretch_with_the_scale(self):
        rng = np.random.default_rng(2)
        clusters = np.repeat(np.arange(20), 3)
        a, b = rng.normal(3, 1, 60), rng.normal(2.5, 1, 60)
        one = contrast_of_means((a, b), (clusters, clusters))
        two = contrast_of_means((10 * a + 5, 10 * b + 5), (clusters, clusters))
        assert (two.low, two.high, two.p) == pytest.approx((10 * one.low, 10 * one.high, one.p))

    def test_a_pooled_pairing_of_unlike_arms_is_refused_for_a_fixed_set(self):
        from simulator.statistics.contrasts import contrast_intervals

        arm = clustered([0.1, 0.2, 0.3, 0.2], [0, 0, 1, 1])
        with pytest.raises(ValueError, match="fixed set"):
            contrast_intervals([(arm, arm)], "these personas", pairing=False)

    def test_flags_follow_the_arm_that_shows_the_behaviour(self):
        common, units, clusters = study(12, share=0.4)
        rare = np.zeros_like(common)
        shown = contrast_of_shares((common, rare), (units, units), (clusters, clusters))
        hidden = contrast_of_shares((study(12, share=0.02)[0].clip(max=units), rare), (units, units), (clusters,) * 2)
        assert shown.flag is None and shown.low > 0 and hidden.flag == TOO_FEW_CLUSTERS

    def test_nothing_against_nothing_has_no_interval(self):
        nothing = clustered(np.zeros(40), np.repeat(np.arange(10), 4))
        interval = contrast_interval(nothing, nothing, "population", shares=True)
        assert interval.flag == "no variation" and interval.p is None


class TestHolm:
    def test_the_textbook_case(self):
        assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])

    def test_untested_contrasts_do_not_count(self):
        adjusted = holm([0.01, float("nan"), 0.04])
        assert adjusted[0] == pytest.approx(0.02) and np.isnan(adjusted[1]) and adjusted[2] == pytest.approx(0.04)

    @settings(max_examples=50, deadline=None)
    @given(st.lists(st.floats(0, 1), max_size=12))
    def test_never_smaller_than_the_raw_value_and_in_the_same_order(self, values):
        adjusted = holm(values)
        assert all(a >= p - 1e-12 and a <= 1 for a, p in zip(adjusted, values, strict=True))
        assert np.all(np.diff(adjusted[np.argsort(values, kind="stable")]) >= -1e-12)
