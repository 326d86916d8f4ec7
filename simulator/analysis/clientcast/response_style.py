"""How simulated clients fill in questionnaires, whatever they are about: reversed items, straight lines, order.

A person who reads the items answers a reversed one the other way round, does not give one answer throughout, and does
not mind where an item stands.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.analysis.clientcast.frames import CLUSTER
from simulator.models.choice import shuffled_places
from simulator.statistics.clustered_agreement import cluster_interval, pearson
from simulator.statistics.means import mean_over_clusters

if TYPE_CHECKING:
    import polars as pl

FEWEST_ITEMS = 4
"""Shorter instruments say nothing about straight lines."""
RESAMPLES = 500


def response_styles(
    answers: "pl.DataFrame", shuffled: Sequence[str], labels_shuffled: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """One row per instrument.

    Keys: `reversed_items`; `reverse_consistency` (correlation over ratings of the mean of keyed straight items with
    that of keyed reversed ones); `acquiescence` (their mean difference, 0 where nobody agrees with everything);
    `straight_lines` (share of ratings with one raw answer throughout); `ceiling` and `floor` (share of answers at the
    best and the worst pole); `missing`; `item_order` (change of a keyed answer from the first to the last place, items
    put in an order of their own for every rating; None with `item_order_reason` where they were not); `label_order`
    (mean place of the drawn answer among the labels as they were shown, 0 first, 1 last, less .5; likewise).
    """
    import polars as pl

    rows = []
    for instrument in answers["instrument"].unique().sort().to_list():
        part = answers.filter(instrument=instrument)
        given = part.drop_nulls("sampled")
        items = part["item"].n_unique()
        by = ["client", "rating"]
        each = given.group_by(by, maintain_order=True).agg(
            pl.col("sampled").filter(~pl.col("reversed")).mean().alias("straight"),
            pl.col("sampled").filter(pl.col("reversed")).mean().alias("reversed"),
            (pl.col("raw").n_unique() == 1).alias("line"),
            (pl.col("sampled") >= 1.0).mean().alias("ceiling"),
            (pl.col("sampled") <= 0.0).mean().alias("floor"),
        )
        reversed_items = part.filter("reversed")["item"].n_unique()
        both = each.drop_nulls(["straight", "reversed"])
        row: dict[str, Any] = {
            "instrument": instrument, "items": items, "ratings": part["rating"].n_unique(),
            "reversed_items": reversed_items, "reverse_consistency": None, "acquiescence": None,
            "straight_lines": None, "missing": float(part["sampled"].null_count() / max(1, len(part))),
            "ceiling": _mean(each, "ceiling"), "floor": _mean(each, "floor"), "item_order": None,
            "item_order_reason": None,
            "label_order": None, "label_order_reason": None,
        }  # fmt: skip
        if reversed_items and both["client"].n_unique() > 2:
            one, other = (both[name].to_numpy().astype(np.float64) for name in ("straight", "reversed"))
            row["reverse_consistency"] = cluster_interval(
                lambda weights, one=one, other=other: pearson(one, other, weights),  # type: ignore[misc]
                both["client"].to_numpy(), cluster=CLUSTER, resamples=RESAMPLES,
            ).to_dict()  # fmt: skip
            both = both.with_columns((pl.col("straight") - pl.col("reversed")).alias("difference"))
            row["acquiescence"] = _mean(both, "difference")
        if items >= FEWEST_ITEMS:
            row["straight_lines"] = _mean(each, "line")
        if instrument in shuffled and items > 1:
            row["item_order"] = _order_effect(given, items)
        else:
            row["item_order_reason"] = "one item" if items == 1 else "items were given in their printed order"
        shown = given.drop_nulls("expected")  # drawn from probabilities of labels
        if instrument in labels_shuffled and len(shown):
            row["label_order"] = _label_effect(shown)
        else:
            row["label_order_reason"] = "no shuffled labels were shown"
        rows.append(row)
    return rows


def _mean(frame: "pl.DataFrame", column: str) -> dict[str, Any]:
    return mean_over_clusters(
        frame[column].to_numpy().astype(np.float64), frame["client"].to_numpy(), cluster=CLUSTER
    ).to_dict()


def _order_effect(given: "pl.DataFrame", items: int) -> dict[str, Any]:
    """Slope of an answer, less its item's mean and its rating's, on its place (0 first, 1 last): mean over clients."""
    import polars as pl

    place = pl.col("position") / (items - 1)
    rest = pl.col("sampled") - pl.col("sampled").mean().over("item")
    found = given.select("client", "rating", place.alias("place"), rest.alias("rest"))
    centred = found.select(
        "client",
        (pl.col("place") - pl.col("place").mean().over("rating")).alias("x"),
        (pl.col("rest") - pl.col("rest").mean().over("rating")).alias("y"),
    )
    slopes = centred.group_by("client", maintain_order=True).agg(
        ((pl.col("x") * pl.col("y")).sum() / (pl.col("x") ** 2).sum()).alias("slope")
    )
    return _mean(slopes, "slope")


def _label_effect(shown: "pl.DataFrame") -> dict[str, Any]:
    """Mean over clients of the place of the drawn answer among its labels, less a half: 0 where they do not matter."""
    import polars as pl

    places = []
    for seed, steps, raw in shown.select("seed", "steps", "raw").iter_rows():
        order = shuffled_places(steps, seed)
        places.append(order.index(round(raw * (steps - 1))) / (steps - 1) - 0.5)
    return _mean(shown.select("client").with_columns(pl.Series("place", places)), "place")
