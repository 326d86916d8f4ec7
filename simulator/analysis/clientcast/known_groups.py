"""Known groups: recorded sessions of high against low quality, as the simulated client of each rates them.

A client that cannot tell them apart measures nothing; one that tells them apart by their length alone measures length.
Both differences are given, with and without the session's length as a covariate, and how well the score sorts the two
kinds (the area under the curve).
"""

from typing import Any

import numpy as np

from simulator.analysis.clientcast.frames import CLUSTER, Stages, aspect_answers, session_scores
from simulator.statistics.clustered_agreement import cluster_interval, discrimination
from simulator.statistics.mixed import adjusted_difference

RESAMPLES = 500
HIGH_LOW = ("high", "low")


def groups_of(stages: Stages) -> tuple[str, str] | None:
    """The strata that count as high and as low quality: those names where the recordings carry them, or the first and
    the last therapist of a scripted stand-in. None where there are no two kinds."""
    found = [name for name in stages.rated_source["stratum"].unique().sort().to_list() if name]
    if set(HIGH_LOW) <= set(found):
        return HIGH_LOW
    meta = stages.runs["source"].meta
    if meta.get("kind") == "run" and meta.get("origin") == "scripted":
        planned = [name for name in meta["design"]["therapists"] if name in found]
        if len(planned) >= 2:
            return planned[0], planned[-1]
    return None


def known_groups(stages: Stages) -> dict[str, Any]:
    """Per instrument and aspect: `difference` (high minus low, 0-1), `adjusted` (at equal length), `auc`, and `d`, the
    difference in standard deviations within groups."""
    import polars as pl

    groups = groups_of(stages)
    if groups is None:
        return {"groups": None, "rows": [], "reason": "the recorded sessions are of one kind only"}
    high, low = groups
    words = stages.table("source", "turns", ["course_id", "words"]).group_by("course_id").agg(pl.col("words").sum())
    words = words.rename({"course_id": "session"})
    rows = []
    for answers in (stages.rated_source, aspect_answers(stages.rated_source)):
        scores = session_scores(answers, ["client", "stratum"]).filter(pl.col("stratum").is_in([high, low]))
        scores = scores.join(words, on="session").drop_nulls("score").sort("client", "session", "instrument")
        for name in scores["instrument"].unique().sort().to_list():
            part = scores.filter(instrument=name)
            values, second = part["score"].to_numpy().astype(np.float64), (part["stratum"] == low).to_numpy()
            clients = part["client"].to_numpy()
            if second.all() or not second.any():
                continue
            length = np.log(np.maximum(part["words"].to_numpy().astype(np.float64), 1.0))
            inside = [values[second], values[~second]]
            spread = np.sqrt(np.mean([each.var(ddof=1) for each in inside])) if min(map(len, inside)) > 1 else 0.0
            rows.append(
                {
                    "name": name, "high": int((~second).sum()), "low": int(second.sum()),
                    "difference": adjusted_difference(values, second, [], clients, cluster=CLUSTER).to_dict(),
                    "adjusted": adjusted_difference(values, second, [length], clients, cluster=CLUSTER).to_dict(),
                    "d": float((inside[1].mean() - inside[0].mean()) / spread) if spread > 0 else None,
                    "auc": cluster_interval(
                        lambda weights, good=~second, values=values: discrimination(good, values, weights),  # type: ignore[misc]
                        clients, cluster=CLUSTER, resamples=RESAMPLES,
                    ).to_dict(),
                }
            )  # fmt: skip
    reason = None if rows else "no two sessions of both kinds have a rating"
    return {"groups": [high, low], "rows": rows, "reason": reason}
