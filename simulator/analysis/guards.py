"""What the guards found in a run, by condition, beside how well each guard finds what it means.

Counts are of turns, as the guards saw them: a guard that fires is usually right and misses much (docs/guards.md), so
they are lower bounds. The precision and recall beside them were measured on labelled turns of the project's own.
"""

from typing import TYPE_CHECKING, Any

from simulator.sessions.guard_policy import GuardPolicy
from simulator.sessions.guard_scores import measured_guards, score_table
from simulator.sessions.guarding import PLANNED
from simulator.store.runs import RunFolder

if TYPE_CHECKING:
    import polars as pl


def guard_results(run: RunFolder, courses: "pl.DataFrame", by: str) -> dict[str, Any] | None:
    """`scores` (precision and recall by guard and part) and `rows`; None where no guard looked at any turn.

    One row per group (None: all of them) and guard: `turns` looked at, `found` (turns at which it fired),
    `taken_back` (of these, said again), `sessions` with at least one, `sessions_looked_at`, `ended` (sessions that the
    guard ended) and `action`, what the protocol had it do.
    """
    import polars as pl

    config = run.meta.get("config")
    if config is None:
        return None
    policy = GuardPolicy.model_validate(config["session"]["guards"])
    unwatched = sorted(PLANNED if policy.scripted else PLANNED | {"scripted"})
    where = courses.select("course_id", pl.col(by).cast(pl.String).alias("group"))
    turns = _scan(run, "turns", ["course_id", "session", "role", "model"])
    looked = (
        turns.filter(pl.col("model").is_in(unwatched).not_())
        .group_by("course_id", "session").agg(pl.len().alias("turns")).collect().join(where, on="course_id")
    )  # fmt: skip
    if not policy.watched or not len(looked):
        return None
    events = (
        _scan(run, "events", ["course_id", "session", "turn", "kind", "name", "payload"])
        .filter(pl.col("kind") == "guard")
        .with_columns(pl.col("payload").str.json_path_match("$.action").alias("action"))
        .collect().join(where, on="course_id")
    )  # fmt: skip
    rows = []
    for group in [None, *looked["group"].unique().sort()]:
        own, seen = (table if group is None else table.filter(group=group) for table in (events, looked))
        for guard in policy.watched:
            fired = own.filter(name=guard)
            rows.append(
                {
                    "group": group,
                    "guard": guard,
                    "turns": int(seen["turns"].sum()),
                    "found": fired.n_unique(["course_id", "session", "turn"]) if len(fired) else 0,
                    "taken_back": len(fired.filter(action="retry")),
                    "sessions": fired.n_unique(["course_id", "session"]) if len(fired) else 0,
                    "sessions_looked_at": len(seen),
                    "ended": len(fired.filter(action="end")),
                    "action": getattr(policy, guard),
                }
            )
    return {"rows": rows, "scores": score_table(measured_guards())}


def _scan(run: RunFolder, table: str, columns: list[str]) -> "pl.LazyFrame":
    import polars as pl

    files = sorted((run.dataset / table).glob("*.parquet"))
    if not files:
        return pl.LazyFrame(schema=dict.fromkeys(columns, pl.String))
    texts = [pl.col(name).cast(pl.String) for name in ("model", "kind", "name", "role") if name in columns]
    return pl.concat([pl.scan_parquet(file).select(columns) for file in files]).with_columns(texts)
