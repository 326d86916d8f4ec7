"""From a summary to what each section of the report shows. Nothing is computed here but places and words."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from simulator.reporting.figures import Facet, Table, facet, interval_table, interval_text, plain_row
from simulator.reporting.lines import Series, line_chart
from simulator.reporting.plots import axis_for, histogram, number, stacked
from simulator.reporting.wording import ENDING_COLOURS, GROUP_COLOURS, SESSION_MOMENTS, colour, nice, plural

Summary = Mapping[str, Any]
View = dict[str, Any]


def header(summary: Summary) -> View:
    """What ran, by whom, and what it may be taken for."""
    design, counts = summary["design"], summary["counts"]
    origin = design["origin"]
    kinds = {
        "scripted": ("Scripted", "scripted reference dyad: no language model, no evidence about people"),
        "model": ("Simulated by models", "simulated: language models spoke in at least one chair; no people took part"),
        "human": ("Human sessions", "imported transcripts of people, measured as simulated ones are"),
    }
    badge, banner = kinds.get(origin, ("Mixed origins", "sessions of several origins: " + ", ".join(design["origins"])))
    crossing = []
    if design["kind"] == "run":
        crossing = [
            plural(int(design.get("personas") or 0), "persona"), plural(len(design["groups"]), design["by"]),
            plural(int(design.get("replicates") or 1), "replicate"),
        ]  # fmt: skip
    return {
        "title": nice(design["experiment"] or "run") if design["experiment"] != "annomi" else "AnnoMI",
        "origin": origin, "badge": badge, "banner": banner, "crossing": crossing,
        "sessions": plural(counts["sessions"], "session"),
    }  # fmt: skip


def tiles(summary: Summary) -> list[tuple[str, str, str]]:
    """Key figures: (figure, name, small print)."""
    counts = summary["counts"]
    ended = counts["statuses"].get("ended", 0)
    found = [(f"{counts['sessions']:,}", "sessions", f"{ended:,} of {counts['courses']:,} courses ended")]
    lengths = counts["session_turns"]
    if lengths:
        spread = f"10–90 %: {lengths['p10']:.0f} to {lengths['p90']:.0f}"
        found.append((f"{lengths['p50']:.0f}", "turns in the median session", spread))
    found.append((f"{counts['turns']:,}", "turns", f"{counts['words']:,} words"))
    for role, part in counts["roles"].items():
        share = 100 * part["words"] / max(counts["words"], 1)
        found.append((f"{part['median_words']:.0f}", f"words in the median {role} turn", f"{share:.0f} % of all words"))
    if counts["scores"]:
        found.append((f"{counts['scores']:,}", "questionnaire scores", f"{counts['scores_missing']:,} missing"))
    failed = sum(row["count"] for row in summary["failures"])
    found.append((f"{failed:,}", "failed courses", "none" if not failed else "see endings and failures"))
    return found


def design_table(summary: Summary) -> list[tuple[str, str]]:
    """The design as pairs of name and value."""
    design = summary["design"]
    rows = [
        ("Experiment", design["experiment"]), ("Kind", {"run": "simulated run", "import": "import"}.get(design["kind"])),
        ("Personas", design.get("personas") or None), ("Population", design.get("population")),
        ("Clients", ", ".join(design.get("clients") or [])), ("Compared", ", ".join(map(nice, design["groups"]))),
        ("Replicates", design.get("replicates")), ("Courses planned", design.get("courses")),
        ("Root seed", design.get("seed")), ("Identity", design["identity"]), ("Code version", design["code_version"]),
        ("Made by", design["created_by"]), ("Licence", design["licence"]),
    ]  # fmt: skip
    return [(name, str(value)) for name, value in rows if value not in (None, "")]


def lengths(summary: Summary) -> View | None:
    """How long sessions were."""
    values, marks = summary["counts"]["session_lengths"], summary["counts"]["session_turns"]
    if not values:
        return None
    text = f"Turns per session: 10 % have at most {marks['p10']:.0f}, half at most {marks['p50']:.0f}, "
    text += f"90 % at most {marks['p90']:.0f}."
    lines = [(marks["p10"], f"10 %: {marks['p10']:.0f}"), (marks["p50"], f"median {marks['p50']:.0f}")]
    lines.append((marks["p90"], f"90 %: {marks['p90']:.0f}"))
    return {"picture": histogram(values, text, lines), "text": text}


def endings(summary: Summary) -> View:
    """Why sessions ended, per group, and what failed."""
    rows = summary["endings"]
    kinds = sorted({(row["ending"], row["ended_by"] or "") for row in rows}, key=lambda kind: _ending_order(kind))
    shades = _ending_colours(kinds)
    table = Table("Endings", ["", *[_ending_name(kind) for kind in kinds], "sessions"])
    bars = []
    for group in [*summary["design"]["groups"], None]:
        counts = {(row["ending"], row["ended_by"] or ""): row["count"] for row in rows if row["group"] == group}
        total = sum(counts.values())
        if not total:
            continue
        name = nice(group) if group is not None else "All"
        parts = [(_ending_name(kind), counts.get(kind, 0) / total, shades[kind]) for kind in kinds if counts.get(kind)]
        bars.append((name, stacked(name, parts), f"{total:,}"))
        table.rows.append(plain_row([name, *[counts.get(kind, 0) for kind in kinds], total]))
    failures = Table("Failures", ["boundary", "kind", "courses", "for instance"])
    failures.rows = [plain_row([f["boundary"], f["kind"], f["count"], f["message"]]) for f in summary["failures"]]
    keys = [(shades[kind], _ending_name(kind)) for kind in kinds]
    return {"bars": bars, "keys": keys, "table": table, "failures": failures}


def _ending_order(kind: tuple[str, str]) -> tuple[int, str, str]:
    order = [*ENDING_COLOURS]
    return order.index(kind[0]) if kind[0] in order else len(order), *kind


def _ending_name(kind: tuple[str, str]) -> str:
    return nice(kind[0]) + (f" by {kind[1]}" if kind[1] else "")


def _ending_colours(kinds: Sequence[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """A colour per ending; who ended it changes the shade where one ending has several."""
    found, used = {}, set()
    for kind in kinds:
        options = [ENDING_COLOURS.get(kind[0], "grey"), *GROUP_COLOURS]
        found[kind] = next((shade for shade in options if shade not in used), "grey")
        used.add(found[kind])
    return found


def _ordered(rows: Sequence[Mapping[str, Any]], groups: Sequence[str]) -> list[Mapping[str, Any]]:
    place = {name: at for at, name in enumerate(groups)}
    return sorted(rows, key=lambda row: place.get(row["group"], len(place)))


def behaviours(summary: Summary) -> list[View]:
    """One view per source of codes: its codebooks, each with a facet per behaviour."""
    return [_source(part, summary["design"]["groups"]) for part in summary["behaviours"] if part["rows"]]


def _source(part: Mapping[str, Any], groups: Sequence[str]) -> View:
    books = []
    for codebook, rows in _grouped(part["rows"], "codebook").items():
        codes = []
        for code, own in _grouped(rows, "code").items():
            named = _grouped(own, "behaviour")
            axis = axis_for(
                [each[end] for row in own for each in row["shares"].values() for end in ("estimate", "high") if each[end] is not None],
                zero=True, top=1.0,
            )  # fmt: skip
            facets = [
                facet(
                    nice(behaviour), [(nice(row["group"]), row["shares"]) for row in _ordered(found, groups)],
                    subtitle=f"{sum(row['count'] for row in found):,} in {sum(row['units'] for row in found):,} {found[0]['role']} turns",
                    css=colour(codebook, behaviour), axis=axis, digits=0 if axis.high > 0.1 else 1, percent=True,
                )
                for behaviour, found in named.items()
            ]  # fmt: skip
            codes.append({"name": nice(code), "facets": facets, "single": len(facets) == 1})
        books.append(
            {"name": nice(codebook), "codebook": codebook, "codes": codes, "table": _frequency_table(rows, groups)}
        )
    name = nice(part["coder"]) + ("" if part["probes"] == "all" else f", {part['probes']} turns")
    return {"name": name, "coder": part["coder"], "books": books, "missing": part.get("missing", {})}


def _grouped(rows: Sequence[Mapping[str, Any]], key: str) -> dict[str, list[Mapping[str, Any]]]:
    found: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault(str(row[key]), []).append(row)
    return found


def _frequency_table(rows: Sequence[Mapping[str, Any]], groups: Sequence[str]) -> Table:
    lines = []
    for behaviour, found in _grouped(rows, "behaviour").items():
        for row in _ordered(found, groups):
            any_one = next(iter(row["any_occurrence"].values()))
            rate = next(iter(row["per_1000_client_words"].values()))
            extra = [interval_text(row["pooled"], 3), interval_text(rate, 1)]
            extra += [f"{interval_text(any_one)} in {row['reference_length']}", f"{row['count']:,} / {row['units']:,}"]
            lines.append(([nice(behaviour), nice(row["group"])], row["shares"], extra))
    more = ["pooled share", "per 1,000 client words", "any occurrence", "count / units"]
    return interval_table("Share: mean over clusters of session shares", ["behaviour", "group"], lines, more)


def contrasts(summary: Summary) -> View | None:
    """Forest plots: one panel per behaviour of the first source, and per questionnaire scale."""
    sources = [part for part in summary["contrasts"] if part["rows"] and part["probes"] == "all"]
    coded = next((part for part in sources if part["coder"] is not None), None)
    panels: list[View] = []
    if coded:
        keys = ("codebook", "code", "behaviour", "role")
        for key, found in groupby(
            sorted(coded["rows"], key=lambda row: [row[k] for k in keys]), lambda row: [row[k] for k in keys]
        ):
            codebook, code, behaviour, role = key
            name = nice(behaviour) if behaviour != code else nice(code)
            panels.append(
                _forest(name, nice(codebook), f"share of {role} turns", list(found), True, colour(codebook, behaviour))
            )
    for part in sources:
        if part["coder"] is None:
            for measure, rows in _grouped(part["rows"], "measure").items():
                panels.append(_forest(measure, "Questionnaires", "points on the scale", rows, False, "blue"))
    if not panels:
        return None
    order = {"AnnoMI labels": 0, "Questionnaires": 1, "Dependence": 2}
    panels.sort(key=lambda panel: order.get(panel["book"], 3))
    return {
        "panels": panels,
        "source": nice(coded["coder"]) if coded else "",
        "books": list(dict.fromkeys(p["book"] for p in panels)),
    }


def _forest(name: str, book: str, unit: str, rows: Sequence[Mapping[str, Any]], percent: bool, css: str) -> View:
    """Differences, each turned so that it is not negative, the largest first; Holm's p beside each."""
    turned = [_positive(row) for row in rows]
    turned.sort(key=lambda row: -(next(iter(row["differences"].values()))["estimate"] or 0.0))
    pairs = [f"{nice(row['first'])} − {nice(row['second'])}" for row in turned]
    p_values = [next(iter(row["adjusted_p"].values())) for row in turned]
    size = max((abs(next(iter(row["differences"].values()))["estimate"] or 0.0) for row in turned), default=0.0)
    digits = (0 if size > 0.2 else 1) if percent else (1 if size > 1 else 2)
    made = facet(
        name, [(pair, row["differences"]) for pair, row in zip(pairs, turned, strict=True)],
        subtitle=f"difference in {unit}", css=css, digits=digits, percent=percent, sign=True,
        notes=[_p(p) for p in p_values],
    )  # fmt: skip
    lines = [([pair], row["differences"], [_p(p)]) for pair, row, p in zip(pairs, turned, p_values, strict=True)]
    return {
        "name": name,
        "book": book,
        "facet": made,
        "table": interval_table(name, ["difference"], lines, ["p (Holm)"]),
    }


def _positive(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """The same contrast, first and second exchanged where the difference is negative."""
    if (next(iter(row["differences"].values()))["estimate"] or 0.0) >= 0:
        return row

    def turn(each: Mapping[str, Any]) -> Mapping[str, Any]:
        def minus(value: float | None) -> float | None:
            return None if value is None else -value

        return {**each, "estimate": minus(each["estimate"]), "low": minus(each["high"]), "high": minus(each["low"])}

    differences = {scope: turn(each) for scope, each in row["differences"].items()}
    return {**row, "first": row["second"], "second": row["first"], "differences": differences}


def _p(value: float | None) -> str:
    if value is None:
        return "–"
    return "< .001" if value < 0.001 else f"{value:.3f}".lstrip("0") if value < 1 else "1"


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
        own = _ordered(found, groups)
        full = own[0]["range"]
        when = SESSION_MOMENTS.get(moment, moment)
        missing = sum(row["missing"] for row in own)
        parts = [f"{respondent}, {when}"] + ([f"scale {full[0]:g} to {full[1]:g}"] if full else [])
        parts += [plural(missing, "missing score")] if missing else []
        title = instrument if scale in ("total", instrument) else f"{instrument} · {scale}"
        facets.append(
            facet(title, [(nice(row["group"]), row["means"]) for row in own], subtitle="; ".join(parts), css="blue")
        )
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
    }  # fmt: skip


def positions(summary: Summary) -> list[View]:
    """Behaviour by tenths of the session: per code a chart for every group."""
    parts = [part for part in summary["positions"] if part["rows"]]
    if not parts:
        return []
    views = []
    groups = summary["design"]["groups"]
    for code, rows in _grouped(parts[0]["rows"], "code").items():
        axis = axis_for([_main(row["shares"])["high"] or 0.0 for row in rows], zero=True, top=1.0)
        charts = []
        by_group = _grouped(rows, "group")
        for group in [name for name in groups if name in by_group]:
            series = [
                Series(nice(name), colour(own[0]["codebook"], name), [_point(row, "shares") for row in own])
                for name, own in _grouped(by_group[group], "behaviour").items()
            ]
            charts.append(
                (
                    nice(group),
                    line_chart(f"{nice(code)} of {nice(group)}", series, axis, percent=True),
                    _clusters(by_group[group], "shares"),
                )
            )
        lines = [
            ([nice(row["behaviour"]), nice(row["group"]), str(row["place"] + 1)], row["shares"], []) for row in rows
        ]
        table = interval_table("By tenths of the session", ["behaviour", "group", "tenth"], lines)
        views.append({"name": nice(code), "source": nice(parts[0]["coder"]), "charts": charts, "table": table})
    return views


def _main(intervals: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = next(iter(intervals.values()))
    return found


def _point(row: Mapping[str, Any], key: str) -> tuple[float, Mapping[str, Any]]:
    return row["place"] / max(row["places"] - 1, 1), _main(row[key])


def _clusters(rows: Sequence[Mapping[str, Any]], key: str) -> str:
    """`12 personas`, or `10 to 12 personas` where places differ."""
    counts = [_main(row[key])["clusters"] for row in rows]
    low, high, name = min(counts), max(counts), _main(rows[0][key])["cluster"]
    return f"{high} {name}" if low == high else f"{low} to {high} {name}"


def trajectories(summary: Summary) -> View | None:
    """How the latent state moves: one chart per state, one line per group."""
    rows = summary["trajectories"]
    if not rows:
        return None
    groups = summary["design"]["groups"]
    shades = {name: GROUP_COLOURS[at % len(GROUP_COLOURS)] for at, name in enumerate(groups)}
    charts = []
    for state, own in _grouped(rows, "state").items():
        limits = [
            each
            for row in own
            for each in (_main(row["means"])["low"], _main(row["means"])["high"])
            if each is not None
        ]
        axis = axis_for(limits or [0.0, 1.0])
        by_group = _grouped(own, "group")
        series = [
            Series(nice(group), shades[group], [_point(row, "means") for row in by_group[group]])
            for group in groups
            if group in by_group
        ]
        charts.append(
            (nice(state), line_chart(f"{nice(state)} through the session", series, axis), _clusters(own, "means"))
        )
    lines = [([nice(row["state"]), nice(row["group"]), str(row["place"] + 1)], row["means"], []) for row in rows]
    table = interval_table("State by tenths of the session, 0 to 1", ["state", "group", "tenth"], lines)
    return {"charts": charts, "table": table}


def strata(summary: Summary) -> View | None:
    """High and low quality side by side: pooled shares of the experts' therapist codes."""
    found = summary["strata"]
    if not found:
        return None
    names = [name for name in ("high", "low") if name in found] or list(found)
    every = [row for rows in found.values() for row in rows]
    axis = axis_for([row["pooled"][end] or 0.0 for row in every for end in ("estimate", "high")], zero=True, top=1.0)
    facets: list[Facet] = []
    for behaviour in dict.fromkeys(row["behaviour"] for row in every):
        rows = [
            (nice(name), {"pooled": row["pooled"]})
            for name in names
            for row in found[name]
            if row["behaviour"] == behaviour
        ]
        facets.append(facet(nice(behaviour), rows, css=colour("annomi", behaviour), axis=axis, percent=True))
    bars = [
        (nice(name), stacked(nice(name), [(nice(row["behaviour"]), row["pooled"]["estimate"], colour("annomi", row["behaviour"])) for row in _by_size(found[name])]))
        for name in names
    ]  # fmt: skip
    lines = [
        (
            [nice(row["behaviour"]), nice(row["stratum"])],
            {"pooled": row["pooled"], "mean of sessions": row["mean_of_sessions"]},
            [],
        )
        for row in every
    ]
    keys = [(colour("annomi", row["behaviour"]), nice(row["behaviour"])) for row in _by_size(found[names[0]])]
    return {
        "bars": bars,
        "keys": keys,
        "facets": facets,
        "table": interval_table("Shares from the experts' codes", ["behaviour", "stratum"], lines, digits=4),
    }


def _by_size(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    order = ["reflection", "question", "therapist_input", "other"]
    return sorted(rows, key=lambda row: order.index(row["behaviour"]) if row["behaviour"] in order else len(order))


def agreement(summary: Summary) -> list[View]:
    """A view per coder and code: coefficients, baselines, people's ceiling, per-value F1 and the confusion table."""
    return [_agreement(table) for table in summary["agreement"]]


_COEFFICIENTS = (
    ("Cohen's kappa", "kappa"),
    ("Macro-F1", "macro_f1"),
    ("Accuracy", "accuracy"),
    ("Krippendorff's alpha", "alpha"),
    ("Gwet's AC1", "ac1"),
    ("Weighted kappa", "weighted_kappa"),
)
_PEOPLE = {
    "fleiss kappa": "kappa",
    "cohen kappa": "kappa",
    "mean pairwise kappa": "kappa",
    "macro-F1": "macro_f1",
    "accuracy": "accuracy",
    "krippendorff alpha": "alpha",
    "AC1": "ac1",
}


def _agreement(table: Mapping[str, Any]) -> View:
    rows, marks, notes = [], [], []
    majority, baselines = table["majority"], {"macro_f1", "accuracy"}
    for name, key in _COEFFICIENTS:
        if table[key] is None:
            continue
        rows.append((name, {"agreement": table[key]}))
        own: list[tuple[float, str, str]] = []
        if key in baselines and majority[key] is not None:
            own.append((majority[key], "bar", f"always '{nice(majority['label'])}': {number(majority[key], 2)}"))
        own += [(each["figure"], "diamond", f"people, {each['measure']}: {number(each['figure'], 2)} ({each['source']})")
                for each in table["people"] if _PEOPLE.get(each["measure"]) == key and each["between"] == "people" and each["on"] == "this code"]  # fmt: skip
        marks.append(own)
    axis = axis_for([0.0, 1.0], ticks=5)
    scored = [(nice(label["label"]), {"F1": label["f1"]}) for label in table["labels"]]
    notes = [f"{100 * (label['base_rate_reference'] or 0):.0f} %" for label in table["labels"]]
    names = [nice(label["label"]) for label in table["labels"]]
    labels = Table("Per value", ["value", "reference", "coder", "precision", "recall", "F1"])
    for label in table["labels"]:
        shares = [_percent(label[key]) for key in ("base_rate_reference", "base_rate_coder")]
        rates = ["–" if label[key] is None else number(label[key], 2) for key in ("precision", "recall")]
        labels.rows.append([nice(label["label"]), *shares, *rates, interval_text(label["f1"])])
    expert = [(each.get("measure", ""), each) for each in table["expert_figures"]]
    return {
        "title": f"{nice(table['coder'])} · {nice(table['code'])}", "heading": table["heading"], "note": table["note"],
        "reference": table["reference"], "n": f"{table['n']:,}", "sessions": f"{table['sessions']:,}",
        "facet": facet("Agreement", rows, css="blue", axis=axis, digits=2, marks=marks),
        "labels": facet("F1 of each value", scored, css="blue", axis=axis, digits=2, notes=notes,
                        colours=[colour(table["codebook"], label["label"]) for label in table["labels"]]),
        "table": labels, "confusion": _confusion(names, table["confusion"]), "names": names,
        "missing": f"{table['missing_reference']:,} units without a reference code, {table['missing_coder']:,} without the coder's",
        "majority": f"always '{nice(majority['label'])}': accuracy {number(majority['accuracy'], 2)}, macro-F1 {number(majority['macro_f1'], 2)}",
        "people": [f"{each['measure']} {number(each['figure'], 2)} ({each['source']})" for each in table["people"]],
        "expert": expert, "expert_data": table["expert_data"],
    }  # fmt: skip


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


def _confusion(names: Sequence[str], counts: Sequence[Sequence[int]]) -> list[tuple[str, list[tuple[int, str, int]]]]:
    """Rows of (count, share of the row, shade 0-8)."""
    rows = []
    for name, row in zip(names, counts, strict=True):
        total = sum(row) or 1
        rows.append((name, [(count, f"{100 * count / total:.0f} %", round(8 * count / total)) for count in row]))
    return rows
