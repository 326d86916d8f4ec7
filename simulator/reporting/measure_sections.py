"""Questionnaires, states and coders in the report."""

from collections.abc import Mapping, Sequence
from typing import Any

from simulator.reporting.figures import Table, ends, facet, interval_table, interval_text
from simulator.reporting.lines import Series, line_chart
from simulator.reporting.plots import axis_for, number
from simulator.reporting.rows import Summary, View, clusters, grouped, main, ordered, point
from simulator.reporting.wording import GROUP_COLOURS, SESSION_MOMENTS, colour, nice, plural

_COEFFICIENTS = (
    ("Cohen's kappa", "kappa"), ("Macro-F1", "macro_f1"), ("Accuracy", "accuracy"), ("Krippendorff's alpha", "alpha"),
    ("Gwet's AC1", "ac1"), ("Weighted kappa", "weighted_kappa"),
)  # fmt: skip
_PEOPLE = {
    "fleiss kappa": "kappa", "cohen kappa": "kappa", "mean pairwise kappa": "kappa", "macro-F1": "macro_f1",
    "accuracy": "accuracy", "krippendorff alpha": "alpha", "AC1": "ac1",
}  # fmt: skip
"""On which row a published agreement between people is drawn."""


def scores(summary: Summary) -> View | None:
    """Questionnaire scores, one facet per scale and moment."""
    rows = summary["scores"]
    if not rows:
        return None
    facets, lines = [], []
    groups = summary["design"]["groups"]
    keyed: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        keyed.setdefault((row["instrument"], row["scale"], row["respondent"], row["moment"]), []).append(row)
    marks: dict[str, set[str]] = {}
    for (instrument, scale, respondent, moment), found in keyed.items():
        own = ordered(found, groups)
        full = own[0]["range"]
        when = SESSION_MOMENTS.get(moment, moment)
        missing = sum(row["missing"] for row in own)
        parts = [f"{respondent}, {when}"] + ([f"scale {full[0]:g} to {full[1]:g}"] if full else [])
        parts += [plural(missing, "missing score")] if missing else []
        title = instrument if scale in ("total", instrument) else f"{instrument} · {scale}"
        pairs = [(nice(row["group"]), row["means"]) for row in own]
        axis = axis_for(ends([intervals for _, intervals in pairs]), ticks=3)
        facets.append(facet(title, pairs, subtitle="; ".join(parts), axis=axis))
        for row in own:
            marks.setdefault(instrument, set()).update(row["marks"])
            extra = [f"{row['administrations']:,}", str(row["missing"]), str(row["flagged"]), "; ".join(row["marks"])]
            lines.append(([title, when, nice(row["group"])], row["means"], extra))
    more = ["filled in", "missing", "flagged", "marks"]
    return {
        "facets": facets,
        "flagged": sum(row["flagged"] for row in rows if row["instrument"] == "PHQ-9"),
        "marks": [(name, sorted(own)) for name, own in marks.items() if own],
        "table": interval_table("Scores: mean over clusters", ["scale", "when", "group"], lines, more, 2),
    }


def trajectories(summary: Summary) -> View | None:
    """How the latent state moves: one chart per state, one line per group."""
    rows = summary["trajectories"]
    if not rows:
        return None
    groups = summary["design"]["groups"]
    shades = {name: GROUP_COLOURS[at % len(GROUP_COLOURS)] for at, name in enumerate(groups)}
    charts = []
    for state, own in grouped(rows, "state").items():
        limits = [main(row["means"])[end] for row in own for end in ("low", "estimate", "high")]
        axis = axis_for([limit for limit in limits if limit is not None])
        by_group = grouped(own, "group")
        series = [
            Series(nice(group), shades[group], [point(row, "means") for row in by_group[group]])
            for group in groups
            if group in by_group
        ]
        picture = line_chart(f"{nice(state)} through the session", series, axis)
        charts.append((nice(state), picture, clusters(own, "means")))
    lines = [([nice(row["state"]), nice(row["group"]), str(row["place"] + 1)], row["means"], ()) for row in rows]
    table = interval_table("State by tenths of the session, 0 to 1", ["state", "group", "tenth"], lines)
    return {"charts": charts, "table": table}


def agreement(summary: Summary) -> list[View]:
    """A view per coder and code: coefficients, baselines, people's ceiling, per-value F1 and the confusion table."""
    return [_agreement(table) for table in summary["agreement"]]


def _agreement(table: Mapping[str, Any]) -> View:
    axis = axis_for([0.0, 1.0], ticks=5)
    rows, marks = [], []
    for name, key in _COEFFICIENTS:
        if table[key] is not None:
            rows.append((name, {"agreement": table[key]}))
            marks.append(_marks(table, key))
    labels = table["labels"]
    names = [nice(label["label"]) for label in labels]
    majority = table["majority"]
    constant = [
        f"{name} {_figure(majority[key])}" for name, key in (("accuracy", "accuracy"), ("macro-F1", "macro_f1"))
    ]
    missing = [
        f"{table['missing_reference']:,} without a reference code",
        f"{table['missing_coder']:,} without the coder's",
    ]
    return {
        "title": f"{nice(table['coder'])} · {nice(table['code'])}{', exploratory' if table['exploratory'] else ''}",
        "heading": table["heading"], "note": table["note"],
        "reference": table["reference"],
        "units": f"{table['n']:,} units in {table['sessions']:,} sessions; {', '.join(missing)}.",
        "facet": facet("Agreement", rows, axis=axis, digits=2, marks=marks),
        "labels": facet(
            "F1 of each value", [(name, {"F1": label["f1"]}) for name, label in zip(names, labels, strict=True)],
            axis=axis, digits=2, notes=[_percent(label["base_rate_reference"]) for label in labels],
            note_head="base rate", colours=[colour(table["codebook"], label["label"]) for label in labels],
        ),
        "table": _label_table(labels), "confusion": _confusion(names, table["confusion"]), "names": names,
        "majority": f"always '{nice(majority['label'])}': {', '.join(constant)}",
        "people": [f"{each['measure']} {number(each['figure'], 2)} ({each['source']})" for each in table["people"]],
        "expert": [_expert(figure) for figure in table["expert_figures"]], "expert_data": table["expert_data"],
    }  # fmt: skip


def _marks(table: Mapping[str, Any], key: str) -> list[tuple[float, str, str]]:
    """On a coefficient's row: the majority baseline as a bar, people among themselves as a diamond."""
    found: list[tuple[float, str, str]] = []
    majority = table["majority"]
    if majority.get(key) is not None:
        found.append((majority[key], "bar", f"always '{nice(majority['label'])}': {number(majority[key], 2)}"))
    for each in table["people"]:
        if _PEOPLE.get(each["measure"]) == key and each["between"] == "people" and each["on"] == "this code":
            words = f"people, {each['measure']}: {number(each['figure'], 2)} ({each['source']})"
            found.append((each["figure"], "diamond", words))
    return found


def _expert(figure: Mapping[str, Any]) -> str:
    """What was measured of a coder against experts, in a line."""
    values = []
    for name, key in (("macro-F1", "macro_f1"), ("kappa", "kappa")):
        low, high = number(figure[f"{key}_low"], 2), number(figure[f"{key}_high"], 2)
        values.append(f"{name} {number(figure[key], 2)} [{low}, {high}]")
    return (
        f"{', '.join(values)} on {figure['units']:,} units, {figure['clusters']} {figure['cluster']} ({figure['part']})"
    )


def _label_table(labels: Sequence[Mapping[str, Any]]) -> Table:
    table = Table("Base rates, precision, recall", ["value", "reference", "coder", "precision", "recall", "F1"])
    for label in labels:
        shares = [_percent(label[key], 1) for key in ("base_rate_reference", "base_rate_coder")]
        rates = [_figure(label[key]) for key in ("precision", "recall")]
        table.rows.append([nice(label["label"]), *shares, *rates, interval_text(label["f1"])])
    return table


def _figure(value: float | None) -> str:
    return "–" if value is None else number(value, 2)


def _percent(share: float | None, digits: int = 0) -> str:
    return "–" if share is None else f"{100 * share:.{digits}f} %"


def _confusion(names: Sequence[str], counts: Sequence[Sequence[int]]) -> list[tuple[str, list[tuple[int, str, int]]]]:
    """Rows of (count, share of the row, shade 0-8)."""
    rows = []
    for name, row in zip(names, counts, strict=True):
        total = sum(row) or 1
        rows.append((name, [(count, f"{100 * count / total:.0f} %", round(8 * count / total)) for count in row]))
    return rows
