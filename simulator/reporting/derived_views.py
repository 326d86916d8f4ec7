"""Indices and verdicts in the report: what manuals derive from a codebook's codes, session by session."""

from collections.abc import Mapping, Sequence
from typing import Any

from simulator.reporting.figures import facet, interval_table, interval_text
from simulator.reporting.plots import axis_for
from simulator.reporting.rows import View, grouped, ordered
from simulator.reporting.wording import nice, plural


def marked(row: Mapping[str, Any]) -> str:
    """What stands behind a code on which people agree too little, or nobody knows whether they do, and behind one whose
    definition lacks rules or examples."""
    marks = {"exploratory": row["exploratory"], "incomplete definition": not row["complete"]}
    return "".join(f", {mark}" for mark, holds in marks.items() if holds)


def derived_views(codebook: str, derived: Mapping[str, Any] | None, groups: Sequence[str]) -> View:
    """Facets and tables of a codebook's indices and verdicts by one source; empty lists where it has none."""
    rows = [row for row in derived["rows"] if row["codebook"] == codebook] if derived else []
    given = [row for row in derived["verdicts"] if row["codebook"] == codebook] if derived else []
    found: View = {"indices": [], "index_table": None, "verdicts": [], "verdict_table": None}
    if rows:
        keyed: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
        for row in rows:
            keyed.setdefault((row["index"], row["unit"]), []).append(row)
        found["indices"] = [_facet(ordered(own, groups)) for own in keyed.values()]
        lines = [_line(row) for own in keyed.values() for row in ordered(own, groups)]
        more = ["pooled", "thresholds reached", "sessions without a value", "judgments missing"]
        found["index_table"] = interval_table("Indices: mean over clusters", ["index", "group", "unit"], lines, more)
    if given:
        found["verdicts"] = [_verdict_facet(ordered(own, groups)) for own in grouped(given, "dimension").values()]
        lines = [
            (
                [row["title"].rstrip("."), nice(row["group"]), grade["name"]], grade["shares"],
                [f"{grade['sessions']:,} / {row['sessions']:,}", f"{row['sessions_without_verdict']:,}"],
            )
            for own in grouped(given, "dimension").values() for row in ordered(own, groups) for grade in row["grades"]
        ]  # fmt: skip
        names, more = ["dimension", "group", "grade"], ["sessions", "sessions without a verdict"]
        found["verdict_table"] = interval_table("Verdicts: mean over clusters of shares", names, lines, more)
    return found


def _facet(rows: Sequence[Mapping[str, Any]]) -> Any:
    first = rows[0]
    share = first["kind"] == "share"
    parts = [f"by {first['unit']}"]
    parts += [f"{one['threshold']} from {_bar(first, one)}" for one in first["thresholds"]]
    if first["unit"] != first["manual_unit"]:
        parts.append(f"the manual counts by {first['manual_unit']}")
    without = sum(row["sessions_without_value"] for row in rows)
    parts += [f"{plural(without, 'session')} without a value"] if without else []
    limits = [each[end] for row in rows for each in row["means"].values() for end in ("low", "estimate", "high")]
    axis = axis_for([one for one in limits if one is not None], zero=True, top=1.0 if share else None)
    return facet(
        f"{first['name']}{marked(first)}", [(nice(row["group"]), row["means"]) for row in rows],
        subtitle="; ".join(parts), axis=axis, digits=0 if share else 2, percent=share,
    )  # fmt: skip


def _bar(row: Mapping[str, Any], threshold: Mapping[str, Any]) -> str:
    at_least = threshold["at_least"]
    return f"{100 * at_least:g} %" if row["kind"] == "share" else f"{at_least:g}"


def _line(row: Mapping[str, Any]) -> tuple[list[str], Mapping[str, Any], list[str]]:
    reached = [
        f"{one['threshold']} (from {_bar(row, one)}): {one['sessions']} of {row['sessions']}"
        for one in row["thresholds"]
    ]
    extra = [interval_text(row["pooled"]), "; ".join(reached) or "–"]
    extra += [f"{row['sessions_without_value']:,}", f"{row['missing_judgments']:,}"]
    return [f"{row['name']}{marked(row)}", nice(row["group"]), row["unit"]], row["means"], extra


def _verdict_facet(rows: Sequence[Mapping[str, Any]]) -> Any:
    """The share of the best grade, group by group."""
    best = rows[0]["grades"][-1]["name"]
    without = sum(row["sessions_without_verdict"] for row in rows)
    text = f"{best}: share of sessions with a verdict"
    text += f"; {plural(without, 'session')} without one" if without else ""
    pairs = [(nice(row["group"]), row["grades"][-1]["shares"]) for row in rows]
    axis = axis_for([0.0, 1.0], zero=True, top=1.0)
    return facet(rows[0]["title"].rstrip("."), pairs, subtitle=text, css="green", axis=axis, digits=0, percent=True)
