"""What the template draws: facets (columns of strips under one axis) and tables, made from rows of a summary."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

from simulator.reporting.plots import Axis, Interval, axis_for, number, strip, tick_labels


@dataclass(slots=True)
class Row:
    """One strip with its label, its figure and its number of clusters."""

    label: str
    picture: Markup
    value: str
    clusters: str
    note: str = ""


@dataclass(slots=True)
class Facet:
    """A small chart. `head` names the columns right of the pictures, the last of which counts clusters."""

    title: str
    subtitle: str
    rows: list[Row]
    axis: Markup
    head: str
    css: str = ""


@dataclass(slots=True)
class Table:
    """Figures behind a picture."""

    title: str
    columns: list[str]
    rows: list[list[str]] = field(default_factory=list)


def ends(intervals: Sequence[Mapping[str, Interval]]) -> list[float]:
    """All estimates and limits, for an axis that holds them."""
    return [
        each[end]
        for scopes in intervals
        for each in scopes.values()
        for end in ("low", "estimate", "high")
        if each[end] is not None
    ]


def first(intervals: Mapping[str, Interval]) -> Interval:
    """The interval of the widest estimand."""
    return next(iter(intervals.values()))


def facet(
    title: str,
    rows: Sequence[tuple[str, Mapping[str, Interval]]],
    *,
    subtitle: str = "",
    css: str = "blue",
    axis: Axis | None = None,
    digits: int = 1,
    percent: bool = False,
    sign: bool = False,
    colours: Sequence[str] = (),
    notes: Sequence[str] = (),
    note_head: str = "",
    marks: Sequence[Sequence[tuple[float, str, str]]] = (),
) -> Facet:
    """A facet of labelled intervals. With `colours` each row has its own, otherwise all share `css`; `notes` is
    a column of texts, headed `note_head`."""
    scale = axis or axis_for(
        ends([intervals for _, intervals in rows]), zero=percent or sign, top=1.0 if percent else None
    )
    made = []
    for place, (label, intervals) in enumerate(rows):
        main = first(intervals)
        shown = "–" if main["estimate"] is None else number(main["estimate"], digits, percent, sign)
        own = colours[place] if colours else css
        extra = marks[place] if marks else ()
        picture = strip(label, intervals, scale, own, digits=digits, percent=percent, sign=sign, marks=extra)
        made.append(Row(label, picture, shown, str(main["clusters"]), notes[place] if notes else ""))
    columns = [*(["%"] if percent else []), *([note_head] if notes else [])]
    head = " · ".join([*columns, first(rows[0][1])["cluster"] if rows else "clusters"])
    return Facet(title, subtitle, made, tick_labels(scale, percent, sign), head, css)


def interval_cells(interval: Interval, digits: int = 3, scale: float = 1.0) -> list[str]:
    """Cells `estimate, low, high, clusters, units, flag` of one interval."""
    figures = [
        "–" if interval[end] is None else number(interval[end] * scale, digits) for end in ("estimate", "low", "high")
    ]
    clusters = f"{interval['clusters']} {interval['cluster']}"
    return [*figures, clusters, f"{interval['units']:,}", interval["flag"] or ""]


INTERVAL_COLUMNS = ["estimate", "low", "high", "clusters", "units", "flag"]


def interval_table(
    title: str, names: Sequence[str], rows: Sequence[tuple[Sequence[str], Mapping[str, Interval], Sequence[str]]],
    more: Sequence[str] = (), digits: int = 3,
) -> Table:  # fmt: skip
    """One line per row and estimand: `names`, the estimand, the interval, and the columns `more`."""
    table = Table(title, [*names, "estimand", *INTERVAL_COLUMNS, *more])
    for labels, intervals, extra in rows:
        for scope, interval in intervals.items():
            table.rows.append([*labels, scope, *interval_cells(interval, digits), *extra])
    return table


def interval_text(interval: Interval | None, digits: int = 2) -> str:
    """`0.61 [0.58, 0.64], 94 videos`: an interval in a cell."""
    if interval is None or interval["estimate"] is None:
        return "–"
    limits = "no interval"
    if interval["low"] is not None:
        limits = f"[{number(interval['low'], digits)}, {number(interval['high'], digits)}]"
    flag = f", {interval['flag']}" if interval["flag"] else ""
    return f"{number(interval['estimate'], digits)} {limits}, {interval['clusters']} {interval['cluster']}{flag}"


def plain_row(cells: Sequence[Any]) -> list[str]:
    """Cells as text; None as a dash."""
    return ["–" if cell is None else f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in cells]
