"""The realism scorecard in the report: for every line where the run lies, where people lie, and how far apart they are
on the scale of people's own differences."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from simulator.reporting.figures import Table, interval_cells, interval_text
from simulator.reporting.plots import STRIP_HEIGHT, Axis, axis_for, number, tick_labels
from simulator.reporting.rows import Summary, View
from simulator.reporting.wording import nice

FAR = 8.0
"""Ratios beyond this are drawn at the edge; the figure beside tells them."""
_MIDDLE = STRIP_HEIGHT / 2


def realism(summary: Summary) -> View | None:
    """A panel per group: lines that the run was not fitted to, then construction checks."""
    card = summary["realism"]
    if not card or not card["lines"]:
        return None
    axis = axis_for([0.0, FAR], ticks=4)
    panels = []
    for group in card["groups"]:
        own = [line for line in card["lines"] if line["group"] == group]
        blocks = [
            (heading, [_row(line, axis, card["beyond"]) for line in own if line["heading"] == heading])
            for heading in ("realism", "construction check")
        ]
        counts = next(entry for entry in card["summary"] if entry["group"] == group)
        titles = {line["measure"]: line["title"] for line in own}
        panels.append({
            "name": "All sessions" if group == "all" else nice(group), "verdict": _verdict(counts, titles),
            "blocks": [block for block in blocks if block[1]], "table": _table(own),
        })  # fmt: skip
    about = card["reference"]
    return {
        "panels": panels, "axis": tick_labels(axis), "reference": about["title"],
        "about": f"{about['title']} ({about['modality']}; {about['sessions']} sessions, {about['clusters']} "
        f"{about['cluster']}; {about['source']}).",
        "alarms": _alarms(card), "discriminator": _discriminator(card["discriminator"]),
    }  # fmt: skip


def _verdict(counts: Mapping[str, Any], titles: Mapping[str, str]) -> str:
    text = f"{counts['within']} of {counts['lines']} lines that were not fitted lie within twice people's own distance"
    outside = [titles.get(name, name) for name in counts["outside"]]
    return text + (f"; outside: {'; '.join(outside)}." if outside else ".")


def _alarms(card: Mapping[str, Any]) -> str:
    """How often the same rule calls people unlike people."""
    alarms = card["false_alarms"]
    words = []
    if alarms["halves"] is not None:
        words.append(f"{100 * alarms['halves']:.0f} % of random halves of the reference itself")
    words += [
        f"{nice(name)} on {each['beyond']} of {each['lines']} lines" for name, each in alarms["other_sets"].items()
    ]
    return f"The same rule calls people unlike people: {', '.join(words)}." if words else ""


def _discriminator(found: Mapping[str, Any]) -> str:
    """Whether simulated clients can be told from people, beside what length alone tells."""
    if not found["run"]:
        return f"Discriminator between simulated clients and people: not run, {found['reason']}."
    sides = (("words", "what clients say"), ("function_words", "function words alone"), ("length", "length alone"))
    values = [f"{name} {interval_text(found['intervals'][key])}" for key, name in sides]
    return (
        f"A discriminator between simulated clients and people ({found['human']}, "
        f"{found['sessions']['human']:,} sessions each, held out by cluster) has the AUC: {'; '.join(values)}."
    )


def _row(line: Mapping[str, Any], axis: Axis, beyond: float) -> View:
    value = next(iter(line["value"].values()), None)
    digits = _digits(line)
    shown = number(value["estimate"], digits) if value and value["estimate"] is not None else "–"
    people = number(line["reference_mean"], digits) if line["reference_mean"] is not None else "–"
    return {
        "title": line["title"], "range": _range(line, digits), "value": shown, "people": people,
        "clusters": str(value["clusters"]) if value else "", "distance": _distance(line, axis, beyond),
        "ratio": "–" if line["ratio"] is None else f"{line['ratio']:.1f}×",
        "verdict": {True: "within", False: "outside", None: "unknown"}[line["within"]], "note": line["note"] or "",
    }  # fmt: skip


def _digits(line: Mapping[str, Any]) -> int:
    size = abs(line["reference_mean"] or 1.0)
    return 0 if size >= 30 else 1 if size >= 3 else 2 if size >= 0.03 else 3


def _range(line: Mapping[str, Any], digits: int) -> Markup:
    """The middle 80 % of sessions: people as a band, the run as a line above it, medians marked."""
    ours, theirs = line["percentiles"], line["reference_percentiles"]
    known = [value for each in (ours, theirs) if each for value in each.values()]
    if not known:
        return Markup('<svg class="strip" height="{}" aria-hidden="true"></svg>').format(STRIP_HEIGHT)
    axis = axis_for(known, zero=True)
    parts, words = [], []
    for each, who, css in ((theirs, "people", "people"), (ours, "run", "ours")):
        if not each:
            continue
        low, middle, high = (axis.at(value) for value in each.values())
        y, height = (_MIDDLE - 7, 14) if css == "people" else (_MIDDLE - 2, 4)
        parts.append(
            f'<rect class="{css}" x="{low:.2f}%" width="{max(high - low, 0.5):.2f}%" y="{y}" height="{height}" rx="2"/>'
        )
        if css == "people":
            parts.append(
                f'<line class="median" x1="{middle:.2f}%" x2="{middle:.2f}%" y1="{_MIDDLE - 8}" y2="{_MIDDLE + 8}"/>'
            )
        else:
            parts.append(f'<circle class="dot" cx="{middle:.2f}%" cy="{_MIDDLE}" r="4.5"/>')
        shown = [number(value, digits) for value in each.values()]
        words.append(f"{who}: median {shown[1]}, 10 to 90 % {shown[0]} to {shown[2]}")
    return Markup('<svg class="strip range" height="{}" role="img"><title>{}</title>{}</svg>').format(
        STRIP_HEIGHT, f"{line['title']}. {'; '.join(words)}", Markup("".join(parts))
    )


def _distance(line: Mapping[str, Any], axis: Axis, beyond: float) -> Markup:
    """The distance in human-against-human units; other human sets as diamonds; the shaded part is within the rule."""
    edge = axis.at(beyond)
    start = axis.at(0)
    parts = [f'<rect class="inside" x="{start:.2f}%" width="{edge - start:.2f}%" y="0" height="100%"/>']
    words = [line["title"]]
    for other in line["others"]:
        if other["ratio"] is not None:
            parts.append(
                f'<svg x="{axis.at(other["ratio"]):.2f}%" overflow="visible">'
                f'<path class="diamond" transform="translate(0 {_MIDDLE})" d="M0 -4.5 L4.5 0 L0 4.5 L-4.5 0 Z"/></svg>'
            )
            words.append(f"{nice(other['name'])} {other['ratio']:.1f}")
    if line["ratio"] is not None:
        css = "within" if line["within"] else "outside"
        parts.append(f'<circle class="dot {css}" cx="{axis.at(line["ratio"]):.2f}%" cy="{_MIDDLE}" r="5"/>')
        words.insert(1, f"run {line['ratio']:.1f} times the human-against-human distance")
    return Markup('<svg class="strip distance" height="{}" role="img"><title>{}</title>{}</svg>').format(
        STRIP_HEIGHT, ", ".join(words), Markup("".join(parts))
    )


def _table(lines: Sequence[Mapping[str, Any]]) -> Table:
    columns = ["line", "heading", "estimand", "mean", "low", "high", "clusters", "sessions", "flag", "people's mean"]
    table = Table(
        "Realism lines", [*columns, "distance", "between people", "ratio", "false alarms", "other sets", "note"]
    )
    for line in lines:
        distances = [
            _plain(line[key]) for key in ("reference_mean", "distance", "human_distance", "ratio", "false_alarm")
        ]
        others = "; ".join(f"{nice(each['name'])} {_plain(each['ratio'])}" for each in line["others"])
        for scope, interval in line["value"].items() or [("", None)]:
            cells = interval_cells(interval) if interval else ["–"] * 6
            table.rows.append([line["title"], line["heading"], scope, *cells, *distances, others, line["note"] or ""])
    return table


def _plain(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"
