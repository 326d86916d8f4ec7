"""Coverage and recovery: the quick form of `dyad coverage`, and that it measures what reports print."""

import json
import math

import numpy as np
import pytest

from simulator.agents.scripted.batch import simulate_planted
from simulator.analysis.coverage import ESTIMANDS, REPLICATES, Arm, contrast, run_coverage, summary
from simulator.analysis.coverage_pool import PlantedBehaviour, Pool, spreads
from simulator.analysis.coverage_simulation import population_file, simulate_pool
from simulator.analysis.coverage_text import coverage_lines
from simulator.analysis.recovery import against_truth, planted_contrasts, self_contrasts
from simulator.personas.population import load_population, sample_traits
from simulator.records.seeds import session_key
from simulator.statistics.contrasts import contrast_of_means, contrast_of_shares
from simulator.statistics.limits import UNIT
from simulator.statistics.shares import mean_of_session_shares, share_limits

PERSONA_SD, INTERACTION_SD, SESSION_SD = 0.9, 0.35, 0.6
SHARES = (0.01, 0.02, 0.05, 0.1, 0.3)


def logit_normal_pool(personas=600, sessions=60, seed=0):
    """Two policies, the second with half the odds; behaviours named after their share under the first."""
    rng = np.random.default_rng(seed)
    shape = (2, len(SHARES), personas, sessions)
    units = np.clip(np.round(np.exp(rng.normal(np.log(17), 0.75, (2, 1, personas, sessions)))), 3, 90)
    units = np.broadcast_to(units, shape).astype(np.uint16)
    counts = np.zeros(shape, dtype=np.uint16)
    for b, share in enumerate(SHARES):
        lasting = rng.normal(0, PERSONA_SD, (personas, 1))
        for p, odds in enumerate((1.0, 0.5)):
            logit = lasting + rng.normal(0, INTERACTION_SD, (personas, 1)) + rng.normal(0, SESSION_SD, shape[2:])
            centre = math.log(odds * share / (1 - share)) - 0.4
            counts[p, b] = rng.binomial(units[p, b], 1 / (1 + np.exp(-(centre + logit))))
    behaviours = tuple(PlantedBehaviour(f"share-{share}", "therapist", "annomi") for share in SHARES)
    return Pool(("first", "second"), behaviours, counts, units, 2 * units[:, 0])


@pytest.fixture(scope="module")
def made_up():
    return logit_normal_pool()


@pytest.fixture(scope="module")
def planted():
    return simulate_pool(quick=True)


@pytest.fixture(scope="module")
def measured(planted):
    return run_coverage(1000, pool=planted)


class TestMethods:
    def test_rare_and_common_behaviours_are_covered_where_plain_t_is_not(self, made_up):
        rows = run_coverage(1500, (40,), pool=made_up)["rows"]
        shares = [row for row in rows if row["kind"] == "share" and row["policy"] == "first"]
        for row in shares:
            assert not row["flagged"]
            assert 0.93 - 3 * row["monte_carlo_error"] < row["coverage"] < 0.97 + 3 * row["monte_carlo_error"]
        rarest = [row for row in shares if row["behaviour"] == "share-0.01" and row["estimand"] == "population"]
        assert rarest[0]["plain_t_coverage"] < rarest[0]["coverage"] - 0.02

    def test_one_study_gives_what_the_report_functions_give(self, made_up):
        rng = np.random.default_rng(5)
        n = 40
        drawn = rng.choice(made_up.personas, (1, n), replace=False)
        where = drawn[:, :, None] * made_up.sessions + np.array(
            [[rng.choice(made_up.sessions, REPLICATES, replace=False) for _ in range(n)]]
        )
        clusters = np.repeat(np.arange(n), REPLICATES)
        for b in range(len(SHARES)):
            arms = [Arm(made_up.shares(p, b), where, drawn) for p in (0, 1)]
            picked = [
                (made_up.counts[p, b].ravel()[where.ravel()], made_up.units[p, b].ravel()[where.ravel()])
                for p in (0, 1)
            ]
            for estimand in ESTIMANDS:
                one = mean_of_session_shares(*picked[0], clusters, estimand=estimand)
                low, high = share_limits(
                    arms[0].moments[estimand], *arms[0].seen[estimand], arms[0].independent[estimand]
                )
                assert (float(low[0]), float(high[0])) == pytest.approx((one.low, one.high), abs=1e-12)
                two = contrast_of_shares(
                    (picked[0][0], picked[1][0]), (picked[0][1], picked[1][1]), (clusters, clusters), estimand=estimand
                )
                low, high, _, flagged = contrast(*arms, estimand, n, 0.95)
                assert (float(low[0]), float(high[0])) == pytest.approx((two.low, two.high), abs=1e-12)
                assert bool(flagged[0]) == (two.flag is not None)

    def test_truth_is_the_pools_own_mean(self, made_up):
        drawn = np.array([[3, 3, 7]])
        where = drawn[:, :, None] * made_up.sessions + np.arange(REPLICATES)
        shares = made_up.shares(0, 4)
        arm = Arm(shares, where, drawn)
        assert float(arm.truth["population"]) == pytest.approx(shares.mean())
        own = shares.mean(axis=1)
        assert float(arm.truth["these personas"][0]) == pytest.approx((2 * own[3] + own[7]) / 3)

    def test_spreads_find_what_the_pool_was_made_with(self, made_up):
        between = math.hypot(PERSONA_SD, INTERACTION_SD)
        for row in spreads(made_up):
            if row["share"] > 0.02:
                assert row["between_session_sd"] == pytest.approx(math.hypot(between, SESSION_SD), rel=0.15)
                assert row["between_persona_sd"] == pytest.approx(between, rel=0.15)
                assert row["persona_policy_sd"] == pytest.approx(INTERACTION_SD, abs=0.12)

    def test_a_row_outside_the_band_is_named_unless_it_is_flagged(self):
        row = {"estimand": "population", "coverage": 0.90, "monte_carlo_error": 0.003, "flagged": False}
        fixed = {"estimand": "these personas", "coverage": 0.95, "monte_carlo_error": 0.003, "flagged": False}
        assert summary([row, fixed])["outside_band"] == [row] and not summary([row, fixed])["within_band"]
        forgiven = summary([{**row, "flagged": True}, fixed])
        assert forgiven["within_band"] and forgiven["worst_population_coverage"] is None
        assert summary([{**row, "coverage": 0.925}, fixed])["within_band"]


class TestReferenceDyad:
    def test_intervals_cover_what_the_reference_dyad_plants(self, measured):
        assert measured["within_band"], measured["outside_band"]
        for name in ("population", "fixed"):
            assert 0.91 < measured[f"worst_{name}_coverage"] <= measured[f"best_{name}_coverage"] < 0.99

    def test_rare_behaviours_are_flagged_at_twelve_personas_and_not_at_forty(self, measured):
        shares = [row for row in measured["rows"] if row["kind"] == "share"]
        assert all(row["flagged"] for row in shares if row["personas"] == 12 and row["truth"] < 0.05)
        assert not any(row["flagged"] for row in shares if row["personas"] == 12 and 0.1 <= row["truth"] <= 0.9)
        assert not any(row["flagged"] for row in shares if row["personas"] == 40 and row["truth"] > 0.009)

    def test_planted_shares_reach_from_one_to_thirty_percent(self, measured):
        for asked, found in measured["pool"]["nearest_to_nominal"].items():
            assert found["share"] == pytest.approx(float(asked), rel=0.25)

    def test_sessions_differ_as_people_do(self, measured):
        brief = measured["heterogeneity"]
        for role in ("therapist", "client"):
            low, high = brief[f"{role}_between_session_sd"]["annomi_range"]
            assert low <= brief[f"{role}_between_session_sd"]["median"] <= high
        assert brief["median_persona_share"] >= 0.5 and brief["median_persona_policy_sd"] >= 0.3

    def test_the_result_is_json_and_every_line_of_figures_names_its_personas(self, measured):
        assert json.loads(json.dumps(measured))["rows"]
        lines = coverage_lines(measured)
        assert "AnnoMI" in "\n".join(lines) and "12 and 40 personas" in lines[-1]

    def test_the_same_seed_gives_the_same_figures(self, made_up):
        one, two = (run_coverage(100, (12,), pool=made_up, seed=3)["rows"] for _ in range(2))
        assert one == two


class TestRecovery:
    def test_a_policy_against_itself_is_significant_in_three_to_seven_percent(self, planted):
        found = self_contrasts(planted, 1000)
        for estimand in ESTIMANDS:
            assert 0.03 <= found["significant"][estimand] <= 0.07

    def test_companion_against_boundary_keeping_is_recovered_in_outcomes_a_and_c(self, planted):
        rows = planted_contrasts(planted, 300, pairs=[("companion", "boundary_keeping")])
        for row in rows:
            if row["behaviour"] in ("A", "C"):
                assert row["truth"] > 0 and row["sign"] > 0.99 and row["significant"] > 0.9
                assert row["ratio"] == pytest.approx(1.0, abs=0.1) and row["coverage"] > 0.9

    def test_alliance_under_mi_consistent_and_confrontational_policies_is_recovered(self):
        people = load_population(population_file())

        def alliance(policy, personas, sessions, seed):
            names = [f"{people.name}-{index:06d}" for index in range(personas)]
            keys = [[session_key(f"{seed}/{policy}/{name}", k) for k in range(sessions)] for name in names]
            planted = simulate_planted(
                sample_traits(people, personas, 1), names, policy, np.array(keys, dtype=np.uint64)
            )
            return planted.mean_state["alliance"]

        truth = alliance("mi_consistent", 400, 20, 0).mean() - alliance("confrontational", 400, 20, 0).mean()
        values = [alliance(policy, 40, 4, 1).ravel() for policy in ("mi_consistent", "confrontational")]
        clusters = np.repeat(np.arange(40), 4)
        found = contrast_of_means((values[0], values[1]), (clusters, clusters), bounds=UNIT)
        verdict = against_truth(found, float(truth))
        assert truth > 0.1 and verdict["sign"] and verdict["size"] and verdict["significant"] and found.clusters == 40
