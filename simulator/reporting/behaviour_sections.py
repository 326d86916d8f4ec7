"""Behaviours in the report: how often, how different between therapists, where in the session, after what."""

from collections.abc import Mapping, Sequence
from typing import Any

from simulator.reporting.derived_views import derived_views, marked
from simulator.reporting.figures import Facet, Table, facet, interval_table, interval_text
from simulator.reporting.lines import Series, line_chart
from simulator.reporting.plots import axis_for, number, sentence, stacked
from simulator.reporting.rows import Summary, View, behaviour_order, clusters, grouped, main, ordered, point
from simulator.reporting.wording import colour, nice

_BOOK_ORDER = ("AnnoMI labels", "Questionnaires", "Dependence", "EPITOME empathy")


def behaviours(summary: Summary) -> list[View]:
    """One view per source of codes: its codebooks, each with a facet per behaviour."""
    indices = {part["coder"]: part for part in summary.get("indices", ())}
    return [
        _source(part, summary["design"]["groups"], indices.get(part["coder"]) if part["probes"] == "all" else None)
        for part in summary["behaviours"]
        if part["rows"]
    ]


def _source(part: Mapping[str, Any], groups: Sequence[str], derived: Mapping[str, Any] | None) -> View:
    books = []
    for codebook, rows in grouped(part["rows"], "codebook").items():
        codes = [_code(codebook, code, own, groups) for code, own in _therapist_first(rows)]
        table = _frequency_table(rows, groups)
        book = {"name": nice(codebook), "codes": codes, "table": table}
        books.append(book | derived_views(codebook, derived, groups))
    books.sort(key=lambda book: _BOOK_ORDER.index(book["name"]) if book["name"] in _BOOK_ORDER else len(_BOOK_ORDER))
    name = nice(part["coder"]) + ("" if part["probes"] == "all" else f", {part['probes']} turns")
    return {"name": name, "coder": part["coder"], "books": books, "missing": part.get("missing", {})}


def _therapist_first(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[Mapping[str, Any]]]]:
    """Codes with their rows: those of therapists, then those of others; outcomes, which sum codes up, on top."""
    found = list(grouped(rows, "code").items())
    found.sort(key=lambda entry: (not entry[0].startswith("outcome "), entry[1][0]["role"] != "therapist"))
    return found


def _code(codebook: str, code: str, rows: Sequence[Mapping[str, Any]], groups: Sequence[str]) -> View:
    """The facets of one code, all on one axis."""
    named = sorted(grouped(rows, "behaviour").items(), key=lambda entry: behaviour_order(entry[0]))
    limits = [each[end] for row in rows for each in row["shares"].values() for end in ("estimate", "high")]
    axis = axis_for([limit for limit in limits if limit is not None], zero=True, top=1.0)
    facets = []
    for behaviour, found in named:
        count, units = (sum(row[key] for row in found) for key in ("count", "units"))
        facets.append(
            facet(
                nice(behaviour), [(nice(row["group"]), row["shares"]) for row in ordered(found, groups)],
                subtitle=f"{count:,} in {units:,} {_units(found[0])}{_marked(rows)}",
                css=colour(codebook, behaviour), axis=axis, digits=0 if axis.high > 0.1 else 1, percent=True,
            )
        )  # fmt: skip
    return {"name": f"{nice(code)}{_marked(rows)}", "facets": facets, "single": len(facets) == 1}


def _marked(rows: Sequence[Mapping[str, Any]]) -> str:
    return marked(rows[0])


def _by_behaviour(rows: Sequence[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    """The rows of each behaviour of each code."""
    return [own for of_code in grouped(rows, "code").values() for own in grouped(of_code, "behaviour").values()]


def _names(rows: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], str]:
    """The names of a codebook's behaviours, with the code where several codes have a value of that name."""
    pairs = {(row["code"], row["behaviour"]) for row in rows}
    values = [value for _, value in pairs]
    return {
        (code, value): nice(value) if values.count(value) == 1 else f"{nice(code)}: {nice(value).lower()}"
        for code, value in pairs
    }


def _units(row: Mapping[str, Any]) -> str:
    """What was judged, in the plural: `therapist utterances`, `sessions`."""
    unit = f"{row['unit']}s"
    return unit if row["unit"] in ("session", "course") else f"{row['role']} {unit}"


def _frequency_table(rows: Sequence[Mapping[str, Any]], groups: Sequence[str]) -> Table:
    lines = []
    parted = any(row["in_turns"] for row in rows)
    names = _names(rows)
    for found in _by_behaviour(rows):
        for row in ordered(found, groups):
            extra = [interval_text(row["pooled"], 3), interval_text(main(row["per_1000_client_words"]), 1)]
            extra.append(f"{interval_text(main(row['any_occurrence']))} in {row['reference_length']}")
            extra.append(f"{row['count']:,} / {row['units']:,}")
            if parted:
                turns = row["in_turns"]
                extra.append(interval_text(main(turns["shares"])) if turns else "–")
            name = f"{names[row['code'], row['behaviour']]}{_marked(found)}"
            lines.append(([name, nice(row["group"]), _units(row)], row["shares"], extra))
    more = ["pooled share", "per 1,000 client words", "any occurrence", "count / units"]
    more += ["turns with any such utterance"] if parted else []
    return interval_table("Share: mean over clusters of session shares", ["behaviour", "group", "unit"], lines, more)


def contrasts(summary: Summary) -> View | None:
    """Forest plots: one panel per behaviour of the first source, and per questionnaire scale."""
    sources = [part for part in summary["contrasts"] if part["rows"] and part["probes"] == "all"]
    coded = next((part for part in sources if part["coder"] is not None), None)
    panels: list[View] = []
    for codebook, rows in grouped(coded["rows"] if coded else [], "codebook").items():
        names = _names(rows)
        for code, own in _therapist_first(rows):
            for behaviour, found in sorted(
                grouped(own, "behaviour").items(), key=lambda entry: behaviour_order(entry[0])
            ):
                name, unit = names[code, behaviour], f"share of {_units(found[0])}{_marked(found)}"
                panels.append(_forest(name, nice(codebook), unit, found, True, colour(codebook, behaviour)))
    for part in sources:
        for measure, rows in grouped(part["rows"] if part["coder"] is None else [], "measure").items():
            panels.append(_forest(measure, "Questionnaires", "points on the scale", rows, False, "blue"))
    if not panels:
        return None
    panels.sort(key=lambda panel: _BOOK_ORDER.index(panel["book"]) if panel["book"] in _BOOK_ORDER else 9)
    books = list(dict.fromkeys(panel["book"] for panel in panels))
    return {"panels": panels, "source": nice(coded["coder"]) if coded else "", "books": books}


def _forest(name: str, book: str, unit: str, rows: Sequence[Mapping[str, Any]], percent: bool, css: str) -> View:
    """Differences, each turned so that it is not negative, the largest first; Holm's p beside each."""
    turned = sorted((_positive(row) for row in rows), key=lambda row: -(main(row["differences"])["estimate"] or 0.0))
    pairs = [f"{nice(row['first'])} − {nice(row['second'])}" for row in turned]
    p_values = [_p(next(iter(row["adjusted_p"].values()))) for row in turned]
    size = max((main(row["differences"])["estimate"] or 0.0 for row in turned), default=0.0)
    digits = (0 if size > 0.2 else 1) if percent else (1 if size > 1 else 2)
    made = facet(
        name, [(pair, row["differences"]) for pair, row in zip(pairs, turned, strict=True)],
        subtitle=f"difference in {unit}", css=css, digits=digits, percent=percent, sign=True, notes=p_values,
        note_head="p",
    )  # fmt: skip
    lines = [([pair], row["differences"], [p]) for pair, row, p in zip(pairs, turned, p_values, strict=True)]
    return {
        "name": name,
        "book": book,
        "facet": made,
        "table": interval_table(name, ["difference"], lines, ["p (Holm)"]),
    }


def _positive(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """The same contrast, first and second exchanged where the difference is negative."""
    if (main(row["differences"])["estimate"] or 0.0) >= 0:
        return row

    def minus(value: float | None) -> float | None:
        return None if value is None else -value

    differences = {
        scope: {**each, "estimate": minus(each["estimate"]), "low": minus(each["high"]), "high": minus(each["low"])}
        for scope, each in row["differences"].items()
    }
    return {**row, "first": row["second"], "second": row["first"], "differences": differences}


def _p(value: float | None) -> str:
    if value is None:
        return "–"
    return "< .001" if value < 0.001 else f"{value:.3f}".removeprefix("0") if value < 0.9995 else "1"


def positions(summary: Summary) -> list[View]:
    """Behaviour by tenths of the session: per code a chart for every group."""
    parts = [part for part in summary["positions"] if part["rows"]]
    if not parts:
        return []
    views = []
    groups = summary["design"]["groups"]
    for code, rows in _therapist_first(parts[0]["rows"]):
        axis = axis_for(_most(rows), zero=True, top=1.0)
        charts = []
        by_group = grouped(rows, "group")
        for group in [name for name in groups if name in by_group]:
            series = [
                Series(nice(name), colour(own[0]["codebook"], name), [point(row, "shares") for row in own])
                for name, own in grouped(by_group[group], "behaviour").items()
            ]
            picture = line_chart(f"{nice(code)} of {nice(group)}", series, axis, percent=True)
            charts.append((nice(group), picture, clusters(by_group[group], "shares")))
        lines = [
            ([nice(row["behaviour"]), nice(row["group"]), str(row["place"] + 1)], row["shares"], ()) for row in rows
        ]
        table = interval_table("By tenths of the session", ["behaviour", "group", "tenth"], lines)
        views.append({"name": nice(code), "source": nice(parts[0]["coder"]), "charts": charts, "table": table})
    return views


def _most(rows: Sequence[Mapping[str, Any]]) -> list[float]:
    """All estimates and nine tenths of the upper limits: a few wide bands may be cut at the top of the chart."""
    shares = [main(row["shares"]) for row in rows]
    highs = sorted(each["high"] for each in shares if each["high"] is not None)
    return [*(each["estimate"] or 0.0 for each in shares), *highs[: len(highs) * 9 // 10]]


def strata(summary: Summary) -> View | None:
    """High and low quality side by side: pooled shares of the experts' therapist codes."""
    found = {
        name: sorted(rows, key=lambda row: behaviour_order(row["behaviour"]))
        for name, rows in summary["strata"].items()
    }
    if not found:
        return None
    names = [name for name in ("high", "low") if name in found] or list(found)
    every = [row for name in names for row in found[name]]
    axis = axis_for([row["pooled"][end] or 0.0 for row in every for end in ("estimate", "high")], zero=True, top=1.0)
    facets: list[Facet] = []
    for behaviour in dict.fromkeys(row["behaviour"] for row in every):
        rows = [row for row in every if row["behaviour"] == behaviour]
        pairs = [(nice(row["stratum"]), {"pooled": row["pooled"]}) for row in rows]
        facets.append(facet(nice(behaviour), pairs, css=colour("annomi", behaviour), axis=axis, percent=True))
    bars = []
    for name in names:
        parts = [(nice(r["behaviour"]), r["pooled"]["estimate"], colour("annomi", r["behaviour"])) for r in found[name]]
        bars.append((nice(name), stacked(nice(name), parts)))
    lines = []
    for row in every:
        both = {"pooled": row["pooled"], "mean of sessions": row["mean_of_sessions"]}
        lines.append(([nice(row["behaviour"]), nice(row["stratum"])], both, ()))
    table = interval_table("Shares from the experts' codes", ["behaviour", "stratum"], lines, digits=4)
    keys = [(colour("annomi", row["behaviour"]), nice(row["behaviour"])) for row in found[names[0]]]
    return {"bars": bars, "keys": keys, "facets": facets, "table": table}


def adaptability(summary: Summary) -> list[View]:
    """One heat map per group: rows what the client did, columns what the therapist then did, percentage points."""
    by_group = {table["group"]: table for table in summary["adaptability"]}
    return [_heat(by_group[name]) for name in summary["design"]["groups"] if name in by_group]


def _heat(table: Mapping[str, Any]) -> View:
    cells = {(cell["before"], cell["after"]): cell for cell in table["cells"]}
    columns = sorted(table["after"], key=behaviour_order)
    rows = []
    for before in sorted(table["before"], key=behaviour_order):
        shown = []
        for after in columns:
            cell = cells[before, after]
            change = main(cell["change"])
            words = sentence(f"{nice(after)} after {nice(before).lower()}", change, 1, percent=True, sign=True)
            known = change["estimate"] is not None
            text = number(change["estimate"], 0, percent=True, sign=True) if known else "–"
            certain = change["low"] is not None and not change["flag"] and (change["low"] > 0 or change["high"] < 0)
            shown.append((text, _shade(change["estimate"] if known else 0.0), words, certain))
        rows.append((nice(before), shown))
    lines = [
        ([nice(cell["before"]), nice(cell["after"])], cell["change"], [f"{cell['times']:,} / {cell['steps']:,}"])
        for cell in table["cells"]
    ]
    return {
        "name": nice(table["group"]), "clusters": f"{table['clusters']} {table['cluster']}, {table['steps']:,} steps",
        "columns": [nice(name) for name in columns], "rows": rows,
        "table": interval_table("Change against the marginal share", ["client", "therapist"], lines, ["times / steps"]),
    }  # fmt: skip


def _shade(change: float) -> str:
    """Class of a cell's colour: `up-1` to `up-5` in steps of four points, `down-1` to `down-5`, or `even`."""
    step = min(5, round(abs(change) / 0.04 + 0.25))
    return "even" if not step else f"{'up' if change > 0 else 'down'}-{step}"
