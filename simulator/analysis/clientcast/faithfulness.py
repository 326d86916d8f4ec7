"""Whether a simulated session still shows the client it was made from: the session is read again and compared field by
field with the profile.

Beside every figure stand a floor and a ceiling. Floor: the profile of other clients, which says what agreement comes
for nothing. Ceiling: two readings of the same recorded session, above which no client can be expected to be found.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from simulator.agents.profiles.fields import Field, profile_fields
from simulator.analysis.clientcast.frames import CLUSTER, Stages
from simulator.statistics.agreement import cluster_confusions, cohen_kappa
from simulator.statistics.clustered_agreement import intraclass
from simulator.statistics.means import mean_over_clusters

if TYPE_CHECKING:
    import polars as pl

OTHERS = 3
"""Other clients whose profiles make the floor, for every session."""
PARTS = ("session", "floor", "ceiling")


def group_of(field: Field) -> str:
    """What fields are pooled into: a symptom by its instrument, everything else by its group."""
    return field.name.split(":")[0] if field.group == "symptoms" else field.group


def likeness(field: Field, first: str, second: str) -> float:
    """How alike two answers are, 0-1: the same option or not; percentages by their distance; free text by the words
    that both have (F1)."""
    if field.kind == "percent":
        return 1.0 - abs(float(first) - float(second)) / 100.0
    if field.kind == "text":
        one, other = ({word.casefold().strip(".,;:!?") for word in text.split()} for text in (first, second))
        shared = len(one & other)
        return 2.0 * shared / (len(one) + len(other)) if one or other else 1.0
    return float(first == second)


def faithfulness(stages: Stages) -> dict[str, Any]:
    """`groups`: likeness pooled over fields, with intervals; `fields`: likeness, kappa or ICC of each; `therapists`:
    likeness by who the simulated client spoke with; each for `session`, `floor` and `ceiling`."""
    pairs = _pairs(stages)
    fields = profile_fields()
    by_field = {part: frame.partition_by("field", as_dict=True) for part, frame in pairs.items()}
    rows = [
        {
            "field": name, "group": group_of(field), "kind": field.kind,
            **{part: _measured(field, found.get((name,))) for part, found in by_field.items()},
        }
        for name, field in fields.items()
    ]  # fmt: skip
    return {
        "groups": _pooled(pairs, fields),
        "fields": rows,
        "therapists": _by_therapist(pairs["session"], stages),
    }


def _pairs(stages: Stages) -> dict[str, "pl.DataFrame"]:
    """Pairs of answers with `field`, `client`, `therapist`, `first`, `second`; None where one was not identified."""
    import polars as pl

    columns = ["course_id", "field", "source", "value"]
    read = stages.table("profiles", "extractions", columns).join(
        stages.table("profiles", "courses", ["course_id", "replicate", "cluster"]), on="course_id"
    )
    first = read.filter(replicate=0).select(
        "field", "source", pl.col("cluster").alias("client"), pl.col("value").alias("first")
    )
    second = read.filter(replicate=1).select("field", "source", pl.col("value").alias("second"))
    sessions = stages.sessions.filter(status="ended").select("session", "client", "therapist", "recording")
    again = stages.table("reread", "extractions", columns).select(
        "field", pl.col("source").str.split(":").list.first().alias("session"), pl.col("value").alias("second")
    )
    again = again.join(sessions, on="session").sort("client", "session", "field")
    own = again.join(first.drop("client"), left_on=["field", "recording"], right_on=["field", "source"])
    known = first.select("source", "client").unique().sort("client", "source")
    floors = [
        again.join(others, on="recording").join(
            first.drop("client"), left_on=["field", "other"], right_on=["field", "source"]
        )
        for others in _others(known)
    ]
    ceiling = first.join(second, on=["field", "source"]).with_columns(pl.lit(None, pl.String).alias("therapist"))
    kept = ["field", "client", "therapist", "first", "second"]
    frames = {"session": own, "floor": pl.concat(floors) if floors else own.clear(), "ceiling": ceiling}
    return {part: frames[part].select(kept).sort(kept, nulls_last=True) for part in PARTS}


def _others(known: "pl.DataFrame") -> list["pl.DataFrame"]:
    """For every recording up to `OTHERS` recordings of other clients, one frame for each."""
    import polars as pl

    sources, clients = known["source"].to_list(), known["client"].to_list()
    rows: list[list[tuple[str, str]]] = [[] for _ in range(OTHERS)]
    for place, source in enumerate(sources):
        later = [
            sources[(place + step) % len(sources)]
            for step in range(1, len(sources))
            if clients[(place + step) % len(sources)] != clients[place]
        ]
        for at, other in enumerate(later[:OTHERS]):
            rows[at].append((source, other))
    return [pl.DataFrame(each, schema=["recording", "other"], orient="row") for each in rows if each]


def _measured(field: Field, pairs: "pl.DataFrame | None") -> dict[str, Any]:
    """`pairs`, `identified` (share in which both answers are there), `likeness`, and `coefficient` (weighted kappa of
    ordered answers, kappa of options, ICC of percentages; None for free text or where nothing varies)."""
    import polars as pl

    if pairs is None or not len(pairs):
        return {"pairs": 0, "identified": None, "likeness": None, "coefficient": None}
    both = pairs.filter(pl.col("first").is_not_null() & pl.col("second").is_not_null())
    found: dict[str, Any] = {
        "pairs": len(both),
        "identified": len(both) / len(pairs),
        "likeness": None,
        "coefficient": None,
    }
    if len(both):
        first, second = both["first"].to_list(), both["second"].to_list()
        found["likeness"] = float(np.mean([likeness(field, *pair) for pair in zip(first, second, strict=True)]))
        found["coefficient"] = _coefficient(field, first, second)
    return found


def _coefficient(field: Field, first: Sequence[str], second: Sequence[str]) -> float | None:
    if field.kind == "text" or len(first) < 3:
        return None
    if field.kind == "percent":
        table = np.array([first, second], dtype=np.float64).T
        value = float(intraclass(table, np.ones(len(table))))
    else:
        matrices, _ = cluster_confusions(first, second, field.options, np.zeros(len(first), dtype=np.int64))
        value = float(cohen_kappa(matrices.sum(axis=0), "none" if field.kind == "option" else "quadratic"))
    return None if np.isnan(value) else value


def _likenesses(pairs: "pl.DataFrame", fields: Mapping[str, Field]) -> tuple[npt.NDArray[np.float64], list[str]]:
    """Likeness of every pair (NaN where one side is not identified) and the group of its field."""
    values, groups = [], []
    for name, first, second in pairs.select("field", "first", "second").iter_rows():
        field = fields[name]
        groups.append(group_of(field))
        values.append(float("nan") if first is None or second is None else likeness(field, first, second))
    return np.array(values, dtype=np.float64), groups


def _pooled(pairs: Mapping[str, "pl.DataFrame"], fields: Mapping[str, Field]) -> list[dict[str, Any]]:
    measured = {part: (*_likenesses(frame, fields), frame["client"].to_numpy()) for part, frame in pairs.items()}
    rows = []
    for group in dict.fromkeys(group_of(field) for field in fields.values()):
        row: dict[str, Any] = {"group": group, "fields": sum(group_of(field) == group for field in fields.values())}
        for part, (values, groups, clients) in measured.items():
            mine = np.array([one == group for one in groups], dtype=bool)
            row[part] = mean_over_clusters(values[mine], clients[mine], bounds=(0.0, 1.0), cluster=CLUSTER).to_dict()
            row[f"{part}_identified"] = float(np.mean(~np.isnan(values[mine]))) if mine.any() else None
        rows.append(row)
    return rows


def _by_therapist(pairs: "pl.DataFrame", stages: Stages) -> list[dict[str, Any]]:
    fields = profile_fields()
    order = stages.runs["simulated"].meta["design"]["therapists"]
    rows = []
    for name in order:
        part = pairs.filter(therapist=name)
        if not len(part):
            continue
        values, _ = _likenesses(part, fields)
        interval = mean_over_clusters(values, part["client"].to_numpy(), bounds=(0.0, 1.0), cluster=CLUSTER)
        rows.append({"therapist": name, "likeness": interval.to_dict()})
    return rows
