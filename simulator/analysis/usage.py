"""What a run used: calls, tokens, cached tokens, retries, seconds and cost, in all, per role and session, and how
each replica fared.

Read from `executions`, in which every call stands, failed ones too; streamed, so that memory does not grow with it.
Figures of the machines are counts and quantiles without intervals: they say how a run went, nothing about people.
"""

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from simulator.models.messages import ASKED_AGAIN, EMPTY_ANSWER
from simulator.store.runs import RunFolder

if TYPE_CHECKING:
    import polars as pl

_FAULT = re.compile(r"(?P<kind>[^@;]+)@(?P<replica>.+?)(?P<ejected> ejected)?$")


def usage(run: RunFolder) -> dict[str, Any] | None:
    """What the run used; None where no model was called.

    Keys of the whole, of each row of `roles` and of each row of `models`: `calls`, `failed` (calls without an answer),
    `prompt_tokens`, `cached_tokens` (None where no server told), `completion_tokens`, `retries`, `seconds` (all calls'
    together), `seconds_p50`, `seconds_p99`, `cost` (None where no price is configured). `sessions` holds, for
    `calls`, `tokens`, `retries`, `seconds` and `cost`, the 10 %, 50 % and 90 % quantiles over sessions. `replicas` has
    one row per server: `answers`, `faults` by kind, and `ejections`, how often it was left out. `turns` has one row per
    role: `turns`, `cut` (the answer ended at its longest, `finish_reason` length), `empty` (answers without a word,
    which are no turns: asked for again, or the end of a course that failed).
    """
    import polars as pl

    files = sorted((run.dataset / "executions").glob("*.parquet"))
    if not files:
        return None
    calls = pl.concat([pl.scan_parquet(file) for file in files], how="diagonal_relaxed").filter(scope="call")
    if "cost" not in calls.collect_schema():  # a dataset written before costs were kept
        calls = calls.with_columns(pl.lit(None, pl.Float64).alias("cost"))
    whole = calls.select(_sums()).collect().to_dicts()[0]
    if not whole["calls"]:
        return None
    return {
        **whole,
        "roles": _rows(calls, "role"),
        "models": _rows(calls.filter(pl.col("model").is_not_null()), "model"),
        "turns": _turns(run, calls),
        "sessions": _sessions(calls),
        "replicas": _replicas(calls),
    }


def _sums() -> list["pl.Expr"]:
    import polars as pl

    def some(column: str) -> "pl.Expr":
        return pl.when(pl.col(column).is_not_null().any()).then(pl.col(column).sum())

    return [
        pl.len().alias("calls"),
        pl.col("error").fill_null("").str.contains(r"failed: \S+$").sum().alias("failed"),
        pl.col("prompt_tokens").sum(),
        some("cached_tokens").alias("cached_tokens"),
        pl.col("completion_tokens").sum(),
        pl.col("retries").cast(pl.Int64).sum(),
        pl.col("seconds").sum(),
        pl.col("seconds").quantile(0.5, "linear").alias("seconds_p50"),
        pl.col("seconds").quantile(0.99, "linear").alias("seconds_p99"),
        some("cost").alias("cost"),
    ]


def _rows(calls: "pl.LazyFrame", by: str) -> list[dict[str, Any]]:
    import polars as pl

    return calls.with_columns(pl.col(by).cast(pl.String)).group_by(by).agg(_sums()).sort(by).collect().to_dicts()


def _turns(run: RunFolder, calls: "pl.LazyFrame") -> list[dict[str, Any]]:
    import polars as pl

    asked = calls.with_columns(pl.col("role").cast(pl.String)).filter(
        pl.col("purpose").cast(pl.String).str.starts_with(ASKED_AGAIN)
    )
    empty = dict(asked.group_by("role").len().collect().iter_rows())
    turns = pl.scan_parquet(run.dataset / "turns" / "*.parquet").with_columns(pl.col("role").cast(pl.String))
    failed = pl.scan_parquet(run.dataset / "failures" / "*.parquet").filter(
        pl.col("kind").cast(pl.String) == EMPTY_ANSWER
    )
    roles = failed.select(pl.col("message").cast(pl.String).str.split(": ").list.first().alias("role"))
    for role, count in roles.group_by("role").len().collect().iter_rows():
        empty[role] = empty.get(role, 0) + count
    cut = (pl.col("finish_reason").cast(pl.String) == "length").sum()
    counted = turns.group_by("role").agg(pl.len().alias("turns"), cut.alias("cut")).collect()
    of = {row["role"]: row for row in counted.to_dicts()}
    none = {"turns": 0, "cut": 0}
    return [{"role": role, **of.get(role, none), "empty": empty.get(role, 0)} for role in sorted({*of, *empty})]


def _sessions(calls: "pl.LazyFrame") -> dict[str, dict[str, float] | None]:
    import polars as pl

    figures = ("calls", "tokens", "retries", "seconds", "cost")
    each = calls.group_by("course_id", "session").agg(_sums())
    each = each.with_columns((pl.col("prompt_tokens") + pl.col("completion_tokens")).alias("tokens"))
    quantiles = [
        pl.col(figure).cast(pl.Float64).quantile(q / 100, "linear").alias(f"{figure} {q}")
        for figure in figures
        for q in (10, 50, 90)
    ]
    found = each.select(quantiles).collect().to_dicts()[0]
    return {
        figure: None
        if found[f"{figure} 50"] is None
        else {f"p{q}": found[f"{figure} {q}"] for q in (10, 50, 90)}
        for figure in figures
    }  # fmt: skip


def _replicas(calls: "pl.LazyFrame") -> list[dict[str, Any]]:
    import polars as pl

    names = calls.select(pl.col("replica").cast(pl.String), pl.col("error").cast(pl.String))
    answered = names.filter(pl.col("error").fill_null("").str.contains(r"failed: \S+$").not_())
    answers = dict(answered.group_by("replica").len().collect().iter_rows())
    faults: dict[str, Counter[str]] = {}
    ejections: Counter[str] = Counter()
    errors = names.filter(pl.col("error").is_not_null()).group_by("error").len().collect()
    for error, count in errors.iter_rows():
        for part in str(error).split("; "):
            fault = _FAULT.fullmatch(part)
            if fault is None:
                continue
            kinds = faults.setdefault(fault["replica"], Counter())
            kinds[fault["kind"]] += count
            ejections[fault["replica"]] += count if fault["ejected"] else 0
    return [
        {
            "replica": name,
            "answers": answers.get(name, 0),
            "faults": dict(sorted(faults.get(name, Counter()).items())),
            "ejections": ejections[name],
        }
        for name in sorted({name for name in answers if name} | faults.keys())
    ]
