"""How a latent state moves through the session: its mean in each tenth, per group, with intervals.

Only scripted speakers record a state; a session that has no turn in a tenth says nothing about it.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from simulator.analysis.estimands import Scope

if TYPE_CHECKING:
    import polars as pl

PLACES = 10


def state_trajectories(
    turns: "pl.DataFrame", courses: "pl.DataFrame", scopes: Sequence[Scope], by: str, level: float = 0.95
) -> list[dict[str, Any]]:
    """One row per role, state, group and tenth of the session; `means` by estimand, on 0-1. Empty without states."""
    import numpy as np
    import polars as pl

    from simulator.statistics.means import mean_over_clusters

    stated = turns.filter(pl.col("state").is_not_null())
    if not len(stated):
        return []
    lengths = turns.group_by("course_id", "session").len("length")
    values = pl.Series(stated["state"]).str.json_decode(infer_schema_length=None)
    names = values.struct.fields
    place = (pl.col("turn") * PLACES // pl.col("length")).clip(0, PLACES - 1).alias("place")
    cells = (
        stated.select("course_id", "session", "turn", "role").hstack(values.struct.unnest().select(names))
        .join(lengths, on=["course_id", "session"]).with_columns(place)
        .group_by("role", "course_id", "session", "place").agg(pl.col(names).mean())
        .join(courses.select("course_id", "cluster", by), on="course_id")
        .sort("role", by, "place", "course_id", "session")
    )  # fmt: skip
    rows: list[dict[str, Any]] = []
    for (role, group, at), part in cells.partition_by(["role", by, "place"], as_dict=True, maintain_order=True).items():
        clusters = part["cluster"].to_numpy()
        for name in names:
            numbers = part[name].to_numpy().astype(np.float64)
            means = {
                scope.name: mean_over_clusters(
                    numbers, clusters, estimand=scope.estimand, level=level, bounds=(0.0, 1.0), cluster=scope.cluster
                ).to_dict()
                for scope in scopes
            }
            rows.append({
                "role": role, "state": name, "by": by, "group": group, "place": at, "places": PLACES, "means": means,
            })  # fmt: skip
    return rows
