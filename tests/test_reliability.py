"""Reliability coefficients equal those of independent public packages, and say None where there is none."""

import numpy as np
import pandas as pd
import pingouin
import pytest
from sklearn.decomposition import FactorAnalysis

from simulator.errors import UserError
from simulator.statistics.reliability import cronbach_alpha, intraclass_correlation, omega_total


def _answers(n: int = 80, items: int = 6, seed: int = 3) -> np.ndarray:
    draws = np.random.default_rng(seed)
    factor = draws.normal(size=(n, 1))
    return factor * draws.uniform(0.4, 1.2, items) + draws.normal(size=(n, items)) + draws.normal(size=items)


@pytest.mark.parametrize("seed", range(4))
def test_alpha_equals_pingouins(seed: int) -> None:
    answers = np.round(_answers(seed=seed))
    expected, _ = pingouin.cronbach_alpha(data=pd.DataFrame(answers))
    assert cronbach_alpha(answers) == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("seed", range(4))
def test_omega_equals_that_of_scikit_learns_factor_analysis(seed: int) -> None:
    answers = _answers(seed=seed)
    standardised = (answers - answers.mean(axis=0)) / answers.std(axis=0)
    fitted = FactorAnalysis(n_components=1, tol=1e-12, max_iter=20_000, svd_method="lapack").fit(standardised)
    common = abs(float(fitted.components_.sum())) ** 2
    expected = common / (common + float(fitted.noise_variance_.sum()))
    assert omega_total(answers) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_intraclass_correlations_equal_pingouins(seed: int) -> None:
    ratings = _answers(n=25, items=4, seed=seed)
    n, k = ratings.shape
    long = pd.DataFrame(
        {"object": np.repeat(np.arange(n), k), "rater": np.tile(np.arange(k), n), "rating": ratings.ravel()}
    )
    expected = list(pingouin.intraclass_corr(long, targets="object", raters="rater", ratings="rating")["ICC"])
    forms = [("1", False), ("agreement", False), ("consistency", False), ("1", True), ("agreement", True)]
    ours = [
        intraclass_correlation(ratings, form, mean_of_raters=mean) for form, mean in [*forms, ("consistency", True)]
    ]  # type: ignore[arg-type]
    assert ours == pytest.approx(expected, abs=1e-8)


def test_nothing_is_made_up() -> None:
    flat = np.ones((5, 3))
    assert cronbach_alpha(flat) is None
    assert omega_total(flat) is None
    assert intraclass_correlation(flat, "agreement") is None
    with pytest.raises(UserError, match="a value is missing"):
        cronbach_alpha([[1.0, float("nan")], [2.0, 3.0]])
    with pytest.raises(UserError, match="two rows and two columns"):
        omega_total([[1.0], [2.0]])
