"""Families of comparisons: many contrasts in one table find something by chance."""

import numpy as np
import numpy.typing as npt

from simulator.statistics.moments import Array


def holm(p_values: npt.ArrayLike) -> Array:
    """Holm's step-down adjusted p-values (Scandinavian Journal of Statistics 6, 1979) of one family, in [0, 1].

    NaN (no test was possible) stays NaN and does not count towards the family's size. Rejecting where the result is at
    most alpha keeps the chance of any false rejection in the family at alpha, whatever the dependence.
    """
    p = np.asarray(p_values, dtype=np.float64)
    adjusted = np.full(p.shape, np.nan)
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    steps = p[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0) if len(order) else steps
    return adjusted
