"""Questionnaire scores per group with intervals: nothing is filled in, and what is missing is counted beside it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from simulator.analysis.estimands import Scope

if TYPE_CHECKING:
    import polars as pl

KEY = ("instrument", "version", "scale", "respondent", "moment")


def score_range(instrument: str, scale: str) -> tuple[float, float] | None:
    """Lowest and highest possible score of a scale, over its forms; None where the bank lacks the instrument,
    or does not know how its items are answered."""
    from simulator.errors import UserError
    from simulator.instruments.loading import load_instrument

    try:
        questionnaire = load_instrument(instrument)
    except UserError:
        return None
    ends = []
    for form in questionnaire.forms:
        try:
            items = {item.id: questionnaire.options_of(item, form) for item in questionnaire.items_of(form)}
        except UserError:
            continue
        for each in questionnaire.scales_of(form):
            if each.name != scale:
                continue
            ids = [item for item in (items if each.items == "all" else each.items) if item in items]
            low, high = (sum(getattr(items[item], end) for item in ids) for end in ("minimum", "maximum"))
            if each.kind == "difference" and len(ids) == 2:
                first, second = (items[item] for item in ids)
                low, high = first.minimum - second.maximum, first.maximum - second.minimum
            elif each.kind == "mean" and ids:
                low, high = low / len(ids), high / len(ids)
            ends.append((low * each.multiplier, high * each.multiplier))
    return (min(low for low, _ in ends), max(high for _, high in ends)) if ends else None


def score_rows(
    scores: "pl.DataFrame", courses: "pl.DataFrame", scopes: Sequence[Scope], by: str, level: float = 0.95
) -> list[dict[str, Any]]:
    """One row per scale, respondent, moment and group: `means` by estimand, filled-in, missing and flagged counts,
    the marks that weaken the score, and the scale's possible `range`."""
    import numpy as np

    from simulator.statistics.limits import UNBOUNDED
    from simulator.statistics.means import mean_over_clusters

    rows: list[dict[str, Any]] = []
    joined = scores.join(courses.select("course_id", "cluster", by), on="course_id", how="inner")
    for key, part in _sorted_groups(joined, [*KEY, by]):
        named = dict(zip([*KEY, "group"], key, strict=True))
        ends = score_range(named["instrument"], named["scale"])
        values = part["score"].to_numpy().astype(np.float64)
        means = {
            scope.name: mean_over_clusters(
                values, part["cluster"].to_numpy(), estimand=scope.estimand, level=level,
                bounds=ends or UNBOUNDED, cluster=scope.cluster,
            ).to_dict()
            for scope in scopes
        }  # fmt: skip
        bands = part["band"].drop_nulls().value_counts().sort("band")
        rows.append(
            named | {
                "by": by, "means": means, "administrations": len(part), "missing": part["score"].null_count(),
                "flagged": int(part["flagged"].fill_null(False).sum()), "range": list(ends) if ends else None,
                "marks": sorted({mark for marks in part["marks"].drop_nulls() for mark in marks.split("; ") if mark}),
                "bands": dict(bands.iter_rows()),
            }
        )  # fmt: skip
    return rows


def score_contrasts(
    scores: "pl.DataFrame", courses: "pl.DataFrame", scopes: Sequence[Scope], by: str
) -> list[dict[str, Any]]:
    """Differences between groups of every scale that is filled in after sessions or courses, paired on clusters."""
    import numpy as np

    from simulator.analysis.contrasts import contrasts_of_measure
    from simulator.statistics.limits import UNBOUNDED

    rows: list[dict[str, Any]] = []
    joined = scores.join(courses.select("course_id", "cluster", by), on="course_id", how="inner")
    for (instrument, _, scale, respondent, moment), part in _sorted_groups(joined, list(KEY)):
        if moment in ("course_start", "session_start"):
            continue
        values = part["score"].to_numpy().astype(np.float64)
        found = contrasts_of_measure(
            f"{instrument} {scale} ({respondent})", values, part, scopes, by=by,
            bounds=score_range(instrument, scale) or UNBOUNDED,
        )  # fmt: skip
        rows += [row.to_dict() | {"moment": moment} for row in found]
    return rows


def _sorted_groups(frame: "pl.DataFrame", keys: list[str]) -> "list[tuple[tuple[Any, ...], pl.DataFrame]]":
    parts = frame.partition_by(keys, as_dict=True, maintain_order=True)
    return sorted(parts.items(), key=lambda entry: tuple(str(part) for part in entry[0]))
