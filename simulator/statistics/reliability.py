"""Reliability coefficients of a scale: Cronbach's alpha, McDonald's omega of one factor, and intraclass correlations.

All take complete data, objects (rows) by items or raters (columns), keyed in one direction: nothing is filled in, and
rows with missing answers are the caller's to leave out and to count.
"""

from typing import Literal

import numpy as np
import numpy.typing as npt

from simulator.errors import UserError

Array = npt.NDArray[np.float64]
IntraclassForm = Literal["1", "agreement", "consistency"]


def cronbach_alpha(values: npt.ArrayLike) -> float | None:
    """Cronbach's alpha of answers (objects, items); None where the totals do not vary.

    Raises:
        UserError: fewer than two rows or items, or a missing value.
    """
    answers = _complete(values)
    k = answers.shape[1]
    total = float(answers.sum(axis=1).var(ddof=1))
    if total <= 0.0:
        return None
    alpha: float = k / (k - 1) * (1.0 - float(answers.var(axis=0, ddof=1).sum()) / total)
    return alpha


def omega_total(values: npt.ArrayLike) -> float | None:
    """McDonald's omega of one common factor, fitted to the correlations by maximum likelihood; items are standardised.

    `(sum of loadings)^2 / ((sum of loadings)^2 + sum of uniquenesses)`. None where an item does not vary, the
    correlations are singular, there are fewer than three items, or the fit does not converge.

    Raises:
        UserError: fewer than two rows or items, or a missing value.
    """
    from scipy.optimize import minimize

    answers = _complete(values)
    if answers.shape[1] < 3 or bool((answers.std(axis=0) <= 0.0).any()):
        return None
    correlations: Array = np.asarray(np.corrcoef(answers, rowvar=False), dtype=np.float64)
    if float(np.linalg.eigvalsh(correlations)[0]) < 1e-8:
        return None
    start = 0.5 / np.diag(np.linalg.inv(correlations))
    fit = minimize(_misfit, start, args=(correlations,), method="L-BFGS-B", bounds=[(0.005, 1.0)] * len(start))
    if not fit.success:
        return None
    loadings = _loadings(fit.x, correlations)
    common = float(loadings.sum()) ** 2
    return common / (common + float(fit.x.sum()))


def intraclass_correlation(
    values: npt.ArrayLike, form: IntraclassForm, *, mean_of_raters: bool = False
) -> float | None:
    """An intraclass correlation of ratings (objects, raters), after Shrout & Fleiss 1979.

    Args:
        values: ratings.
        form: `1` for raters that differ between objects (ICC1), `agreement` for random raters (ICC2),
            `consistency` for fixed raters (ICC3).
        mean_of_raters: of the raters' mean instead of a single rating.

    Returns:
        The coefficient, which can be negative; None where nothing varies.

    Raises:
        UserError: fewer than two rows or columns, or a missing value.
    """
    ratings = _complete(values)
    n, k = ratings.shape
    mean = ratings.mean()
    between = k * float(((ratings.mean(axis=1) - mean) ** 2).sum()) / (n - 1)
    raters = n * float(((ratings.mean(axis=0) - mean) ** 2).sum())
    within = float(((ratings - ratings.mean(axis=1, keepdims=True)) ** 2).sum())
    residual = (within - raters) / ((n - 1) * (k - 1))
    if form == "1":
        error, spread = within / (n * (k - 1)), 0.0
    else:
        error, spread = residual, (raters / (k - 1) - residual) / n if form == "agreement" else 0.0
    whole = between + spread if mean_of_raters else between + (k - 1) * error + k * spread
    return None if whole <= 0.0 else (between - error) / whole


def _misfit(uniqueness: Array, correlations: Array) -> float:
    """Half the discrepancy of a one-factor model, profiled over the loadings (Lawley & Maxwell)."""
    scale = 1.0 / np.sqrt(uniqueness)
    values = np.linalg.eigvalsh(scale[:, None] * correlations * scale)[:-1]
    return float((values - np.log(values) - 1.0).sum())


def _loadings(uniqueness: Array, correlations: Array) -> Array:
    root = np.sqrt(uniqueness)
    values, vectors = np.linalg.eigh(correlations / np.outer(root, root))
    loadings: Array = root * vectors[:, -1] * np.sqrt(max(float(values[-1]) - 1.0, 0.0))
    return loadings if loadings.sum() >= 0.0 else -loadings


def _complete(values: npt.ArrayLike) -> Array:
    answers: Array = np.asarray(values, dtype=np.float64)
    if answers.ndim != 2 or min(answers.shape) < 2:
        raise UserError(f"reliability: shape {answers.shape}; two rows and two columns are needed at least")
    if not np.isfinite(answers).all():
        raise UserError("reliability: a value is missing; leave incomplete rows out and count them")
    return answers
