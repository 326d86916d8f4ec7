"""Variance components equal the analysis of variance where there is one, and recover what was planted where not."""

from itertools import product

import numpy as np
import pytest

from simulator.statistics.generalizability import Components, variance_components

EFFECTS = [
    ("persona",), ("therapist",), ("item",), ("persona", "therapist"), ("persona", "item"), ("therapist", "item"),
    ("persona", "therapist", "session"), ("persona", "therapist", "item"), ("persona", "therapist", "session", "item"),
]  # fmt: skip
PLANTED = dict(
    zip(("p", "t", "i", "pt", "pi", "ti", "s", "pti", "si", "rest"),
        (1.0, 0.6, 0.3, 0.4, 0.2, 0.1, 0.3, 0.15, 0.2, 0.5), strict=True)
)  # fmt: skip


def sample(sizes: dict[str, int], variances: list[float], seed: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    rows = np.array(list(product(*(range(size) for size in sizes.values()))))
    facets = {name: rows[:, place] for place, name in enumerate(sizes)}
    draws = np.random.default_rng(seed)
    values = np.zeros(len(rows))
    for effect, variance in zip([*EFFECTS, tuple(sizes)], variances, strict=True):
        keys = np.unique(np.stack([facets[name] for name in effect], axis=1), axis=0, return_inverse=True)[1].ravel()
        values += np.sqrt(variance) * draws.standard_normal(keys.max() + 1)[keys]
    return values, facets


def test_a_crossed_design_gives_the_analysis_of_variance() -> None:
    draws = np.random.default_rng(5)
    table = draws.normal(size=(7, 4)) + 2 * draws.normal(size=(7, 1)) + draws.normal(size=(1, 4))
    row, column = np.indices(table.shape)
    found = variance_components(
        table.ravel(), {"person": row.ravel(), "item": column.ravel()}, [("person",), ("item",)], draws=20
    )
    rows, columns, grand = table.mean(1), table.mean(0), table.mean()
    between_rows = 4 * ((rows - grand) ** 2).sum() / 6
    between_columns = 7 * ((columns - grand) ** 2).sum() / 3
    rest = ((table - rows[:, None] - columns[None] + grand) ** 2).sum() / 18
    expected = [(between_rows - rest) / 4, (between_columns - rest) / 7, rest]
    assert [component.variance for component in found.components] == pytest.approx(expected)
    assert found.coefficient(["person"], {"item": 4}) == pytest.approx(1 - rest / between_rows)  # Cronbach's alpha


def test_planted_shares_are_recovered_within_their_stated_error() -> None:
    sizes = {"persona": 30, "therapist": 6, "item": 8, "session": 3, "asking": 2}
    planted = np.array(list(PLANTED.values()))
    away = []
    for seed in range(30):
        values, facets = sample(sizes, list(planted), seed)
        found = variance_components(values, facets, EFFECTS, draws=40, seed=seed)
        away.append([
            (component.variance - truth) / component.error
            for component, truth in zip(found.components, planted, strict=True)
        ])  # fmt: skip
    scaled = np.array(away)
    assert np.all(np.abs(scaled.mean(axis=0)) < 1.0)  # few therapists: their component is skewed, its error large
    assert 0.90 <= (np.abs(scaled) < 2).mean() <= 0.99


def test_missing_answers_are_left_out_and_nothing_is_filled_in() -> None:
    sizes = {"persona": 40, "therapist": 5, "item": 6, "session": 2, "asking": 1}
    values, facets = sample(sizes, list(PLANTED.values()), 3)
    holes = np.random.default_rng(1).uniform(size=len(values)) < 0.2
    whole = variance_components(values, facets, EFFECTS, draws=30)
    holed = variance_components(np.where(holes, np.nan, values), facets, EFFECTS, draws=30)
    assert holed.observations == (~holes).sum()
    for one, other in zip(whole.components, holed.components, strict=True):
        assert one.variance == pytest.approx(other.variance, abs=3 * one.error + 0.05)


def test_what_a_design_cannot_tell_apart_is_named() -> None:
    sizes = {"persona": 10, "therapist": 1, "item": 5, "session": 1, "asking": 1}
    values, facets = sample(sizes, [1.0] * 10, 2)
    found = variance_components(values, facets, EFFECTS, draws=10)
    assert [component.name for component in found.components] == ["persona", "item", "residual"]
    assert found.confounded["therapist"] == "only one level in these data"
    assert found.confounded["persona x therapist"] == "the same groups as persona"
    assert "residual" in found.confounded["persona x item"]


def test_coefficients_divide_error_by_what_is_averaged_over() -> None:
    sizes = {"persona": 20, "therapist": 5, "item": 6, "session": 2, "asking": 1}
    found: Components = variance_components(*sample(sizes, [1.0] * 10, 8), EFFECTS, draws=10)
    few = found.coefficient(["therapist"], {"persona": 5, "item": 6, "session": 1, "asking": 1})
    many = found.coefficient(["therapist"], {"persona": 500, "item": 6, "session": 1, "asking": 1})
    assert few < many < 1
    absolute = found.coefficient(["therapist"], {"persona": 5, "item": 6, "session": 1, "asking": 1}, absolute=True)
    assert absolute < few
    with pytest.raises(ValueError, match="'persona'"):
        found.coefficient(["therapist"], {"item": 6})
