"""The figures of a finished run as W&B is told them: bounded tables, and estimates of the summary.

Made from `report.json`, so nothing is estimated here; every row carries its interval's method, level and clusters.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Row = Mapping[str, Any]
MEASURES = ("shares", "per_turn", "pooled", "per_1000_client_words", "any_occurrence")
"""Of behaviours, the one that the report draws first."""
BEHAVIOUR = ("codebook", "role", "code", "behaviour")
INTERVAL = ("estimand", "estimate", "low", "high", "level", "method", "clusters", "cluster", "units", "flag")


@dataclass(slots=True)
class Table:
    """Columns, rows, and how many rows were left out."""

    columns: tuple[str, ...]
    rows: list[list[Any]] = field(default_factory=list)
    left_out: int = 0


def tables_of(summary: Row, most: int) -> dict[str, Table]:
    """All tables by name, each with `most` rows at most; those without rows are left out."""
    found = {
        "behaviours": _table(
            ("coder", "group", "codebook", "role", "code", "behaviour", "measure"), _behaviours(summary)
        ),
        "contrasts": _table(("coder", "first", "second", "measure", "adjusted_p"), _contrasts(summary)),
        "scores": _table(("instrument", "scale", "respondent", "moment", "group", "missing"), _scores(summary)),
        "agreement": _table(("coder", "reference", "heading", "codebook", "code", "figure"), _agreement(summary)),
        "endings": _plain(("group", "ending", "ended_by", "count"), summary["endings"]),
        "failures": _plain(("boundary", "kind", "count", "message"), summary["failures"]),
        "guards": _plain(
            ("group", "guard", "action", "turns", "found", "taken_back", "sessions", "ended"),
            (summary["guards"] or {}).get("rows", ()),
        ),
        "calls": _plain(
            ("role", "calls", "failed", "prompt_tokens", "cached_tokens", "completion_tokens", "retries", "cost"),
            (summary["usage"] or {}).get("roles", ()),
        ),
    }  # fmt: skip
    for table in found.values():
        table.left_out = max(0, len(table.rows) - most)
        del table.rows[most:]
    return {name: table for name, table in found.items() if table.rows}


def estimates_of(summary: Row, most: int) -> dict[str, float]:
    """What can be compared between runs: shares of behaviours and means of scores with their limits, by name.

    The name is `estimates/<coder>/<group>/<codebook> <role> <code> <behaviour>` or
    `estimates/<instrument> <scale> (<respondent>)/<group>/<moment>`, with `.low` and `.high` for the limits; the
    widest estimand that the run supports. `most` estimates at most.
    """
    named: list[tuple[str, Row]] = []
    for part in summary["behaviours"]:
        if part["probes"] == "all":
            named += [
                ("/".join((part["coder"], row["group"], " ".join(row[key] for key in BEHAVIOUR))), row["shares"])
                for row in part["rows"]
            ]
    named += [
        (f"{row['instrument']} {row['scale']} ({row['respondent']})/{row['group']}/{row['moment']}", row["means"])
        for row in summary["scores"]
    ]
    found: dict[str, float] = {}
    for name, scopes in named[:most]:
        interval = next(iter(scopes.values()), None)
        for key, end in (("", "estimate"), (".low", "low"), (".high", "high")):
            if interval is not None and interval[end] is not None:
                found[f"estimates/{name}{key}"] = interval[end]
    return found


def _table(columns: tuple[str, ...], rows: Iterator[tuple[Sequence[Any], Row]]) -> Table:
    """One line per row and estimand."""
    lines = [
        [*labels, scope, *(interval.get(name) for name in INTERVAL[1:])]
        for labels, scopes in rows
        for scope, interval in scopes.items()
    ]
    return Table((*columns, *INTERVAL), lines)


def _plain(columns: tuple[str, ...], rows: Sequence[Row]) -> Table:
    return Table(columns, [[row.get(name) for name in columns] for row in rows])


def _behaviours(summary: Row) -> Iterator[tuple[Sequence[Any], Row]]:
    for measure in MEASURES:
        for part in summary["behaviours"]:
            for row in part["rows"] if part["probes"] == "all" else ():
                labels = [part["coder"], *(row[name] for name in ("group", "codebook", "role", "code", "behaviour"))]
                yield [*labels, measure], _scopes(row.get(measure))


def _contrasts(summary: Row) -> Iterator[tuple[Sequence[Any], Row]]:
    for part in summary["contrasts"]:
        for row in part["rows"] if part["probes"] == "all" else ():
            measure = row.get("behaviour") or f"{row['measure']}, {row['moment']}"
            for scope, interval in row["differences"].items():
                labels = [part["coder"], row["first"], row["second"], measure, row["adjusted_p"].get(scope)]
                yield labels, {scope: interval}


def _scores(summary: Row) -> Iterator[tuple[Sequence[Any], Row]]:
    names = ("instrument", "scale", "respondent", "moment", "group", "missing")
    for row in summary["scores"]:
        yield [row[name] for name in names], row["means"]


def _agreement(summary: Row) -> Iterator[tuple[Sequence[Any], Row]]:
    names = ("coder", "reference", "heading", "codebook", "code")
    for row in summary["agreement"]:
        for figure, value in row.items():
            if isinstance(value, Mapping) and "estimate" in value:
                yield [*(row[name] for name in names), figure], {"all": value}


def _scopes(value: Any) -> Row:
    """Intervals by estimand, also of a measure that has only one."""
    if not value:
        return {}
    return {"all": value} if "estimate" in value else value
