"""What ratings go together with: a general impression (halo), other measures of alliance, behaviour that was coded, the
profile alone.

Correlations are over ratings or sessions, all of them and within clients (each client's own mean taken out), with
intervals from resampling whole clients.
"""

from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from simulator.analysis.clientcast.frames import CLUSTER, Stages, ratings, session_scores
from simulator.analysis.sources import told_apart
from simulator.statistics.clustered_agreement import cluster_interval, pearson
from simulator.statistics.means import mean_over_clusters

if TYPE_CHECKING:
    import polars as pl

UNRELATED, LIKING = "LONELINESS", "LIKING"
RESAMPLES = 500
FEWEST_CLIENTS = 4


def _correlation(
    first: npt.NDArray[np.float64], second: npt.NDArray[np.float64], clients: npt.NDArray[Any]
) -> dict[str, dict[str, Any]] | None:
    """`all` and `within`, as intervals; None where too few clients have both."""
    kept = ~(np.isnan(first) | np.isnan(second))
    first, second, clients = first[kept], second[kept], clients[kept]
    names, index = np.unique(clients, return_inverse=True)
    if len(names) < FEWEST_CLIENTS:
        return None
    counts = np.bincount(index)
    inner = [column - (np.bincount(index, column) / counts)[index] for column in (first, second)]
    found = {}
    for name, (one, other) in {"all": (first, second), "within": (inner[0], inner[1])}.items():
        found[name] = cluster_interval(
            lambda weights, one=one, other=other: pearson(one, other, weights),  # type: ignore[misc]
            clients, cluster=CLUSTER, resamples=RESAMPLES,
        ).to_dict()  # fmt: skip
    return found


def _wide(scores: "pl.DataFrame", index: list[str]) -> "pl.DataFrame":
    return scores.pivot("instrument", index=index, values="score").sort(index)


def between_instruments(answers: "pl.DataFrame") -> list[dict[str, Any]]:
    """Correlation of every pair of instruments over ratings. `kind`: `halo` where one of them is the single question
    of liking or unrelated to the session, else `convergence`."""
    wide = _wide(ratings(answers, ["client", "therapist"]), ["client", "therapist", "session", "asking"])
    names = [name for name in wide.columns if name not in ("client", "therapist", "session", "asking")]
    rows = []
    for first, second in combinations(names, 2):
        columns = [wide[name].to_numpy().astype(np.float64) for name in (first, second)]
        found = _correlation(columns[0], columns[1], wide["client"].to_numpy())
        kind = "halo" if {first, second} & {UNRELATED, LIKING} else "convergence"
        rows.append({"first": first, "second": second, "kind": kind, "correlation": found})
    return rows


BEHAVIOURS = (
    ("therapist", "main_therapist_behaviour", "reflection"), ("therapist", "main_therapist_behaviour", "question"),
    ("therapist", "main_therapist_behaviour", "therapist_input"), ("client", "client_talk_type", "change"),
    ("client", "client_talk_type", "sustain"),
)  # fmt: skip


def with_behaviour(stages: Stages, answers: "pl.DataFrame", instrument: str = "WAI-SR") -> list[dict[str, Any]]:
    """Correlation over sessions of an instrument with shares of coded behaviours, for every coder of the sessions;
    sessions of negative controls are left out, which would otherwise make the correlation."""
    import polars as pl

    from simulator.analysis.clientcast.therapists import control_names

    controls = control_names(stages.runs["simulated"].meta["config"]["therapist"])
    scores = session_scores(answers, ["client", "therapist"]).filter(instrument=instrument)
    scores = scores.filter(~pl.col("therapist").is_in(controls))
    codings = told_apart(stages.table("simulated", "codings")).with_columns(
        pl.col("coder", "code", "value", "role").cast(pl.String)
    )
    rows = []
    for coder in codings["coder"].unique().sort().to_list():
        for role, code, value in BEHAVIOURS:
            part = codings.filter((pl.col("coder") == coder) & (pl.col("code") == code) & pl.col("value").is_not_null())
            if not len(part):
                continue
            shares = part.group_by(pl.col("course_id").alias("session")).agg(
                (pl.col("value") == value).mean().alias("share")
            )
            both = scores.join(shares, on="session").sort("client", "therapist", "session")
            found = _correlation(
                both["score"].to_numpy().astype(np.float64), both["share"].to_numpy(), both["client"].to_numpy()
            )
            rows.append(
                {"instrument": instrument, "coder": coder, "role": role, "behaviour": value, "correlation": found}
            )
    return rows


def against_baseline(stages: Stages, answers: "pl.DataFrame", alone: "pl.DataFrame") -> list[dict[str, Any]]:
    """What ratings of sessions share with ratings that know the profile alone: per instrument the correlation over
    sessions, and the mean difference (session minus profile alone) over clients."""
    import polars as pl

    own = session_scores(answers, ["client", "recording"])
    known = session_scores(alone, ["client"]).select(
        pl.col("session").alias("recorded"), "instrument", pl.col("score").alias("alone")
    )
    own = own.with_columns(pl.col("recording").str.split(":").list.first().alias("recorded"))
    both = own.join(known, on=["recorded", "instrument"]).sort("client", "session", "instrument")
    rows = []
    for instrument in both["instrument"].unique().sort().to_list():
        part = both.filter(instrument=instrument)
        score, base = (part[name].to_numpy().astype(np.float64) for name in ("score", "alone"))
        clients = part["client"].to_numpy()
        rows.append(
            {
                "instrument": instrument,
                "correlation": (_correlation(score, base, clients) or {}).get("all"),
                "difference": mean_over_clusters(score - base, clients, cluster=CLUSTER).to_dict(),
            }
        )
    return rows
