"""How well the raters of a sample agree, code by code."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from typing import Any

import numpy as np

from simulator.codebooks import Code, Codebook
from simulator.codebooks.schema import AGREEMENT_BAR
from simulator.coding.human.key import Key
from simulator.coding.human.reading import Rated
from simulator.statistics.agreement import Array, alpha_from_confusion, bootstrap_interval, observed_agreement


def agreement(key: Key, rated: Sequence[Rated], book: Codebook) -> dict[str, dict[str, Any]]:
    """By code: how many units two or more raters judged, share of pairs that agree, Krippendorff's alpha (ordinal for
    ordered values) with a 95 % interval clustered on sessions, and alpha with every unit weighted by
    1 / inclusion probability, which is what the whole run's would be; null where it does not exist.

    `below_bar` says that alpha is below .667 or does not exist: a code on which these raters do not agree well enough.
    """
    return {name: _of_code(book.code(name), key, rated) for name in key.codes}


def _of_code(code: Code, key: Key, rated: Sequence[Rated]) -> dict[str, Any]:
    k = len(code.values)
    place = {value: index for index, value in enumerate(code.values)}
    plain: dict[tuple[str, str, int], Array] = {}
    weighted = np.zeros((k, k))
    units = missing = 0
    total = 0.0
    for row in key.rows:
        if code.id not in row.codes:
            continue
        said = [one.values[row.row, code.id][0] for one in rated]
        values = [place[value] for value in said if value is not None]
        missing += len(said) - len(values)
        if len(values) < 2:
            continue
        units += 1
        total += 1 / row.inclusion_probability
        pairs = np.zeros((k, k))
        for one, other in permutations(values, 2):
            pairs[one, other] += 0.5 / (len(values) - 1)
        cluster = (row.run, row.course_id, row.session)
        plain[cluster] = plain.get(cluster, 0.0) + pairs
        weighted += pairs / row.inclusion_probability
    if not units:
        return {"units": 0, "missing": missing, "agreement": None, "alpha": None, "low": None, "high": None,
                "clusters": 0, "alpha_weighted": None, "below_bar": True}  # fmt: skip
    matrices = np.stack(list(plain.values()))

    def alpha(matrix: Array) -> Array:
        return alpha_from_confusion(matrix, "ordinal" if code.scale.kind == "ordinal" else "nominal")

    interval = bootstrap_interval(matrices, alpha, cluster="sessions")
    found = float(interval.estimate)
    return {
        "units": units,
        "missing": missing,
        "agreement": float(observed_agreement(matrices.sum(axis=0))),
        "alpha": found,
        "low": interval.low,
        "high": interval.high,
        "clusters": len(matrices),
        "alpha_weighted": float(alpha(weighted * (units / total))),
        "below_bar": not found >= AGREEMENT_BAR,
    }
