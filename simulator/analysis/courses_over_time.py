"""Questionnaires over the days of a course: all who began it, come or not; survivors second; changes against a waiting
list.

Whoever began and has no value on a day is missing on it, for whatever reason: a course that failed does not vanish from
the figures of those that went on. Survivors are courses that are over and were not left before.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from simulator.analysis.estimands import Scope

if TYPE_CHECKING:
    import polars as pl

LEFT = "left"


def over_time(
    scores: "pl.DataFrame", begun: "pl.DataFrame", weekly: "pl.DataFrame", scopes: Sequence[Scope], by: str,
    against: Mapping[str, str | None],
) -> dict[str, list[dict[str, Any]]]:  # fmt: skip
    """Questionnaires by date: means per group and day, and changes from the first date to the last.

    `against` names the waiting list that a group is compared with, or None.
    """
    import polars as pl

    last = weekly.sort("course_id", "week").group_by("course_id", maintain_order=True).last()
    stays = last.select("course_id", (pl.col("status") != LEFT).alias("came"))
    began = begun.join(stays, on="course_id", how="left").with_columns(
        (pl.col("ended") & pl.col("came").fill_null(False)).alias("stays")
    )
    dated = scores.filter(
        pl.col("moment").is_in(["course_start", "course_end"]) | pl.col("moment").str.starts_with("day ")
    )
    scheduled = pl.col("moment").cast(pl.String).str.starts_with("day ")
    dated = (
        dated.with_columns(scheduled.alias("scheduled"))
        .sort("scheduled", maintain_order=True)  # of two on one day that of the course's end counts
        .unique(["course_id", "instrument", "scale", "respondent", "day"], keep="first", maintain_order=True)
        .join(began, on="course_id", maintain_order="left")
    )
    means: list[dict[str, Any]] = []
    changes: list[dict[str, Any]] = []
    scales = dated.partition_by(["instrument", "scale", "respondent"], as_dict=True, maintain_order=True)
    for (instrument, scale, respondent), part in scales.items():
        if part["day"].n_unique() < 2:
            continue
        named = {"instrument": instrument, "scale": scale, "respondent": respondent}
        everywhere = began.group_by(by).agg(pl.col("ended").any())
        asked_of = everywhere.filter(~pl.col("ended") | pl.col(by).is_in(part[by].unique().implode()))
        asked = began.join(asked_of.select(by), on=by, how="semi", maintain_order="left")  # not who is never asked
        means += [named | row for row in _means(part, asked, scopes, by, str(instrument), str(scale))]
        changes += [named | row for row in _changes(part, asked, scopes, by, against)]
    return {"scores": means, "changes": changes}


def _means(
    part: "pl.DataFrame", asked: "pl.DataFrame", scopes: Sequence[Scope], by: str, instrument: str, scale: str
) -> list[dict[str, Any]]:
    """Per group and day the mean of all begun (`asked`) and, second, of those who did not leave until the end; a group
    without any value on a day has its row."""
    import numpy as np
    import polars as pl

    from simulator.analysis.questionnaires import score_range
    from simulator.statistics.limits import UNBOUNDED
    from simulator.statistics.means import mean_over_clusters

    ends = score_range(instrument, scale) or UNBOUNDED

    def of(frame: "pl.DataFrame") -> dict[str, Any]:
        values, who = frame["score"].to_numpy().astype(np.float64), frame["cluster"].to_numpy()
        return {
            scope.name: mean_over_clusters(
                values, who, estimand=scope.estimand, bounds=ends, cluster=scope.cluster
            ).to_dict()
            for scope in scopes
        }

    days = part["day"].unique().sort().to_list()
    begun = dict(sorted(asked.group_by(by).len().iter_rows(), key=lambda entry: str(entry[0])))
    here = part.partition_by([by, "day"], as_dict=True)
    return [
        {
            "group": group, "day": day, "place": days.index(day), "places": len(days), "means": of(own),
            "survivors": of(own.filter(pl.col("stays"))), "courses": begun[group], "stayed": int(own["stays"].sum()),
            "missing": begun[group] - int(own["score"].count()),
        }
        for group in begun
        for day in days
        for own in (here.get((group, day), part.clear()),)
    ]  # fmt: skip


def _changes(
    part: "pl.DataFrame", asked: "pl.DataFrame", scopes: Sequence[Scope], by: str, against: Mapping[str, str | None]
) -> list[dict[str, Any]]:
    """Last minus first date per course: every group against its waiting list, all begun first, survivors second."""
    import numpy as np
    import polars as pl

    from simulator.analysis.contrasts import contrasts_of_measure
    from simulator.statistics.means import mean_over_clusters

    ends = (part["day"].min(), part["day"].max())
    change = asked.select("course_id", "cluster", by, "stays")
    for name, day in zip(("before", "after"), ends, strict=True):
        scored = part.filter(pl.col("day") == day).select("course_id", pl.col("score").alias(name))
        change = change.join(scored, on="course_id", how="left", maintain_order="left")
    change = change.with_columns((pl.col("after") - pl.col("before")).alias("change"))
    rows: list[dict[str, Any]] = []
    for who, frame in (("all begun", change), ("survivors", change.filter(pl.col("stays")))):
        groups = [str(name) for name in frame[by].unique().sort()]
        pairs = [(name, other) for name in groups if (other := against.get(name)) in groups and other is not None]
        differences = {
            row.first: row.to_dict()
            for row in contrasts_of_measure(
                "change", frame["change"].to_numpy().astype(np.float64), frame, scopes, by=by, pairs=pairs
            )
        } if pairs else {}  # fmt: skip
        for group in groups:
            own = frame.filter(pl.col(by) == group)
            values = own["change"].to_numpy().astype(np.float64)
            means = {
                scope.name: mean_over_clusters(
                    values, own["cluster"].to_numpy(), estimand=scope.estimand, cluster=scope.cluster
                ).to_dict()
                for scope in scopes
            }
            compared = differences.get(group)
            rows.append({
                "who": who, "group": group, "from_day": ends[0], "to_day": ends[1], "courses": len(own),
                "missing": own["change"].null_count(), "means": means, "waitlist": against.get(group),
                "differences": compared["differences"] if compared else None,
                "adjusted_p": compared["adjusted_p"] if compared else None,
            })  # fmt: skip
    return rows
