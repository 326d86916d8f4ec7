"""What the template of a study of simulated clients draws, made from its figures."""

from collections.abc import Mapping, Sequence
from typing import Any

from simulator.analysis.clientcast.published import published
from simulator.reporting.figures import Table, ends, facet, interval_text
from simulator.reporting.plots import axis_for, number, stacked
from simulator.reporting.wording import nice, plural

Found = Mapping[str, Any]
View = dict[str, Any]
BADGES = {
    "scripted": (
        "Scripted",
        "scripted stand-ins throughout: no language model took part; no evidence about models or people",
    ),
    "model": (
        "Simulated by models",
        "language models played and rated; their ratings are acts, not reports of clients",
    ),
}
SOURCES = {
    "human": "recorded sessions of people", "model": "sessions simulated by models",
    "scripted": "scripted stand-ins for recorded sessions",
}  # fmt: skip
FACET_COLOURS = {
    "client": "blue", "therapist": "green", "item": "grey", "client x therapist": "sky", "client x item": "purple",
    "therapist x item": "pink", "client x therapist x item": "purple", "client x therapist x session": "orange",
    "client x therapist x session x item": "red", "client x therapist x session x asking": "pink", "residual": "grey",
}  # fmt: skip
PARTS = ("floor", "session", "ceiling")


def views(found: Found) -> View:
    """Everything that the template names."""
    kind = "scripted" if found["scripted"] else "model"
    badge, banner = BADGES[kind]
    return {
        "kind": kind, "badge": badge, "banner": banner, "source": SOURCES[found["source"]],
        "warnings": found["warnings"], "tiles": _tiles(found), "stages": _stages(found), "chairs": _chairs(found),
        "comparison": _comparison(found), "departures": _departures(), "published_figures": _published_figures(),
        "therapists": _therapists(found["therapists"]), "aspects": _therapists(found["aspects"]),
        "separation": _separation(found["therapists"]),
        "generalizability": _generalizability(found["generalizability"]), "reasking": _reasking(found["reasking"]),
        "consistency": _consistency(found["consistency"]), "styles": _styles(found["styles"]),
        "known": _known_groups(found["known_groups"]), "relations": _relations(found),
        "baseline": _baseline(found["baseline"]), "faithfulness": _faithfulness(found["faithfulness"]),
        "contamination": _contamination(found["contamination"]),
        "leakage": _leakage(found["leakage"]), "drift": _drift(found["drift"]),
    }  # fmt: skip


def _tiles(found: Found) -> list[tuple[str, str, str]]:
    design = found["design"]
    best = [row for row in found["generalizability"] if row["instrument"] == "WAI-SR" and not row["problem"]]
    tiles = [
        (f"{design['clients']}", "clients", plural(design["recordings"], "recorded session")),
        (f"{design['sessions']}", "simulated sessions", plural(len(found["therapists"]["order"]), "therapist")),
        (f"{design['item_count']}", "items", plural(len(design["items"]), "questionnaire")),
        (f"{design['answers']:,}", "answers", f"{design['missing_answers']:,} missing"),
    ]
    if best and best[0]["coefficients"]["therapists"] is not None:
        figure = number(best[0]["coefficients"]["therapists"], 2)
        tiles.append((figure, "generalizability of therapists", f"WAI-SR, {best[0]['answer_type']} answers"))
    return tiles


def _stages(found: Found) -> Table:
    table = Table("Stages", ["stage", "run", "made by", "courses", "failed", "identity"])
    for name, part in found["design"]["stages"].items():
        failed = part["statuses"].get("failed", 0)
        table.rows.append(
            [name, part["run"], part["origin"], f"{part['courses']:,}", str(failed), part["identity"][:12]]
        )
    return table


def _chairs(found: Found) -> Table:
    rows = [[chair, ", ".join(names)] for chair, names in found["chairs"].items()]
    return Table("Who sat where", ["chair", "model"], rows)


def _comparison(found: Found) -> Table:
    columns = ["published claim", "published", "known from", "here", "verdict", "why"]
    rows = [
        [row["claim"], row["published"], row["mark"], row["here"], row["verdict"], row["why"]]
        for row in found["comparison"]
    ]
    return Table("What was published, and what this study can say", columns, rows)


def _departures() -> Table:
    rows = [[row["original"], row["here"], row["why"]] for row in published()["departures"]]
    return Table("Where this departs from the original", ["the original", "here", "why"], rows)


def _published_figures() -> Table:
    rows = []
    for row in published()["figures"]:
        value = row["value"]
        text = ", ".join(f"{key} {part}" for key, part in value.items()) if isinstance(value, dict) else str(value)
        rows.append([row["name"], text, row["mark"]])
    return Table("Figures of the original, as far as they were read", ["what", "figure", "known from"], rows)


def _therapists(part: Found) -> View:
    order, controls = part["order"], set(part["controls"])
    facets, table = [], Table("Means over clients, 0 to 1", ["instrument", "therapist", "control", "mean"])
    instruments = list(dict.fromkeys(row["instrument"] for row in part["means"]))
    for instrument in instruments:
        own = {row["therapist"]: row["interval"] for row in part["means"] if row["instrument"] == instrument}
        rows = [(nice(name), {"clients": own[name]}) for name in order]
        colours = ["red" if name in controls else "blue" for name in order]
        axis = axis_for([0.0, 1.0], ticks=4)
        facets.append(facet(nice(instrument), rows, axis=axis, digits=2, colours=colours))
        table.rows += [
            [instrument, nice(name), "yes" if name in controls else "", interval_text(own[name])] for name in order
        ]
    contrasts = Table(
        "Paired differences, first minus second, 0 to 1",
        ["instrument", "first", "second", "difference", "adjusted p", "method"],
    )
    for row in part["contrasts"]:
        contrasts.rows.append(
            [
                row["instrument"], nice(row["first"]), nice(row["second"]), interval_text(row["interval"]),
                _p(row["adjusted_p"]), row["interval"]["method"],
            ]
        )  # fmt: skip
    return {"facets": facets, "table": table, "contrasts": contrasts}


def _separation(part: Found) -> Table:
    columns = ["instrument", "controls come last", "best control", "worst therapist at work", "pairs, control lower"]
    rows = [
        [
            row["instrument"], "yes" if row["controls_last"] else "no", nice(row["best_control"] or "none"),
            nice(row["worst_therapist"] or "none"), f"{row['pairs_apart']} of {row['pairs']}",
        ]
        for row in part["separation"]
    ]  # fmt: skip
    return Table("Negative controls against therapists at work (adjusted p < .05, paired)", columns, rows)


def _generalizability(rows: Sequence[Found]) -> View:
    bars: list[tuple[str, Any, str]] = []
    keys: dict[str, str] = {}
    shares = Table(
        "Shares of the variance of single answers",
        ["instrument", "answers", "source", "levels", "share", "standard error"],
    )
    coefficients = Table(
        "Generalizability coefficients",
        [
            "instrument", "answers", "tells therapists apart", "absolute", "one session asked once",
            "tells clients apart", "averaged over",
        ],
    )  # fmt: skip
    for row in rows:
        name = f"{row['instrument']}, {row['answer_type']}"
        if row["problem"]:
            coefficients.rows.append([row["instrument"], row["answer_type"], row["problem"], "", "", "", ""])
            continue
        parts = []
        for each in row["components"]:
            share = each["share"]
            shares.rows.append(
                [
                    row["instrument"], row["answer_type"], each["name"], f"{each['levels']:,}", _figure(share, 3),
                    _figure(each["share_error"], 3),
                ]
            )  # fmt: skip
            if share and share > 0:
                css = FACET_COLOURS.get(each["name"], "grey")
                parts.append((each["name"], share, css))
                keys.setdefault(each["name"], css)
        bars.append((name, stacked(name, parts), ""))
        sizes = ", ".join(f"{size} {facet_name}s" for facet_name, size in row["sizes"].items())
        own = row["coefficients"]
        figures = [_figure(own[key], 2) for key in ("therapists", "therapists_absolute", "therapists_once", "clients")]
        coefficients.rows.append([row["instrument"], row["answer_type"], *figures, sizes])
    notes = sorted({f"{name}: {why}" for row in rows for name, why in (row.get("confounded") or {}).items()})
    return {
        "bars": bars, "keys": [(css, name) for name, css in keys.items()], "shares": shares,
        "coefficients": coefficients, "notes": notes,
    }  # fmt: skip


def _reasking(rows: Sequence[Found]) -> Table:
    table = Table("A client asked again: ICC(1) of scores", ["instrument", "answers", "askings", "sessions", "ICC"])
    for row in rows:
        table.rows.append(
            [row["instrument"], row["answer_type"], str(row["askings"]), str(row["sessions"]), _figure(row["icc"], 2)]
        )
    return table


def _consistency(rows: Sequence[Found]) -> Table:
    table = Table(
        "Alpha and omega, by answer type and level",
        ["instrument", "scale", "items", "answers", "level", "rows", "left out", "alpha", "omega"],
    )
    for row in rows:
        table.rows.append(
            [
                row["instrument"], row["scale"], str(row["items"]), row["answer_type"], row["level"], str(row["rows"]),
                str(row["left_out"]), _figure(row["alpha"], 2), _figure(row["omega"], 2),
            ]
        )  # fmt: skip
    return table


def _styles(rows: Sequence[Found]) -> Table:
    table = Table(
        "How the items were answered",
        [
            "instrument", "items", "reversed", "reversed against straight (r)", "acquiescence", "one answer throughout",
            "best pole", "worst pole", "missing", "first to last place", "place of the label",
        ],
    )  # fmt: skip
    for row in rows:
        cells = [
            interval_text(row[key])
            for key in ("reverse_consistency", "acquiescence", "straight_lines", "ceiling", "floor")
        ]
        order = interval_text(row["item_order"], 3) if row["item_order"] else str(row["item_order_reason"])
        label = interval_text(row["label_order"], 3) if row["label_order"] else str(row["label_order_reason"])
        counts = [row["instrument"], str(row["items"]), str(row["reversed_items"])]
        table.rows.append([*counts, *cells, f"{100 * row['missing']:.1f} %", order, label])
    return table


def _known_groups(part: Found) -> View | None:
    if not part["rows"]:
        return {"reason": part["reason"], "facet": None, "table": None, "groups": ""}
    table = Table(
        "Known groups, high minus low, 0 to 1",
        ["measure", "high", "low", "difference", "at equal length", "d", "area under the curve", "method"],
    )
    rows = []
    for row in part["rows"]:
        rows.append((nice(row["name"]), {"at equal length": row["adjusted"]}))
        table.rows.append(
            [
                row["name"], str(row["high"]), str(row["low"]), interval_text(row["difference"]),
                interval_text(row["adjusted"]), _figure(row["d"], 2), interval_text(row["auc"]),
                row["adjusted"]["method"],
            ]
        )  # fmt: skip
    picture = facet("High minus low, at equal length", rows, digits=2, sign=True)
    return {
        "facet": picture,
        "table": table,
        "reason": None,
        "groups": " against ".join(nice(name) for name in part["groups"]),
    }


def _relations(found: Found) -> View:
    facets: dict[str, list[tuple[str, Mapping[str, Any]]]] = {"halo": [], "convergence": []}
    table = Table("Correlations over ratings", ["first", "second", "what it shows", "all ratings", "within clients"])
    for row in found["relations"]:
        both = row["correlation"]
        cells = [interval_text(both[key]) if both else "too few clients" for key in ("all", "within")]
        table.rows.append([row["first"], row["second"], row["kind"], *cells])
        if both:
            facets[row["kind"]].append((f"{row['first']} · {row['second']}", {"all": both["all"]}))
    behaviour = Table(
        "The WAI-SR and coded behaviour, therapists at work only",
        ["coder", "role", "behaviour", "all sessions", "within clients"],
    )
    for row in found["behaviour"]:
        both = row["correlation"]
        cells = [interval_text(both[key]) if both else "too few clients" for key in ("all", "within")]
        behaviour.rows.append([nice(row["coder"]), row["role"], nice(row["behaviour"]), *cells])
    axis = axis_for([-1.0, 1.0], ticks=4)
    pictures = [
        facet(nice(kind), rows, axis=axis, digits=2, sign=True, css="orange" if kind == "halo" else "blue")
        for kind, rows in facets.items()
        if rows
    ]
    return {"facets": pictures, "table": table, "behaviour": behaviour}


def _baseline(rows: Sequence[Found]) -> Table:
    table = Table(
        "Ratings of sessions against ratings from the profile alone",
        ["instrument", "correlation", "session minus profile alone"],
    )
    for row in rows:
        table.rows.append([row["instrument"], interval_text(row["correlation"]), interval_text(row["difference"])])
    return table


def _faithfulness(part: Found) -> View:
    axis = axis_for([0.0, 1.0], ticks=4)
    facets = []
    for row in part["groups"]:
        rows = [(nice(name), {"clients": row[name]}) for name in PARTS if row[name]["estimate"] is not None]
        if rows:
            colours = [
                {"floor": "grey", "session": "blue", "ceiling": "green"}[name]
                for name in PARTS
                if row[name]["estimate"] is not None
            ]
            facets.append(
                facet(
                    _group(row["group"]),
                    rows,
                    axis=axis,
                    digits=2,
                    colours=colours,
                    subtitle=plural(row["fields"], "field"),
                )
            )
    fields = Table(
        "Field by field",
        [
            "field", "kind", "pairs", "identified",
            *(f"{what}, {part_name}" for part_name in PARTS for what in ("likeness", "coefficient")),
        ],
    )  # fmt: skip
    for row in part["fields"]:
        session = row["session"]
        cells = [_figure(row[name][what], 2) for name in PARTS for what in ("likeness", "coefficient")]
        identified = "–" if session["identified"] is None else f"{100 * session['identified']:.0f} %"
        fields.rows.append([nice(row["field"]), row["kind"], str(session["pairs"]), identified, *cells])
    silent = [_group(row["group"]) for row in part["groups"] if row["session"]["estimate"] is None]
    intervals = [{"clients": row["likeness"]} for row in part["therapists"]]
    by_therapist = facet(
        "By whom the client spoke with",
        [(nice(row["therapist"]), {"clients": row["likeness"]}) for row in part["therapists"]],
        axis=axis_for(ends(intervals), ticks=4), digits=2,
    ) if part["therapists"] else None  # fmt: skip
    return {"facets": facets, "fields": fields, "therapists": by_therapist, "silent": silent}


def _group(name: str) -> str:
    return {"basic": "Basic facts", "manner": "Manner", "big_five": "Personality"}.get(name, f"Symptoms, {name}")


def _leakage(part: Found) -> View:
    rows = [
        ("Own recording", {"clients": part["own"]}), ("Recordings of others", {"clients": part["others"]}),
        ("Difference", {"clients": part["excess"]}),
    ]  # fmt: skip
    axis = axis_for(ends([intervals for _, intervals in rows]), zero=True)
    return {"facet": facet("Words taken from the recording", rows, axis=axis, percent=True), "run": part["run"]}


def _contamination(part: Found | None) -> str | None:
    if part is None:
        return None
    shares = [number(part[key], 4) for key in ("overlap", "overlap_elsewhere")]
    return (
        f"{part['model']} continued {part['sessions']} recorded sessions: {shares[0]} of its runs of {part['run']} "
        f"words stand in the recording's next part, {shares[1]} in other sessions' (stock phrases); longest stretch "
        f"{part['longest']} words. Overlap above that of stock phrases is a sign of memory; none is no proof of its "
        "absence."
    )


def _drift(part: Found) -> Table:
    table = Table("Thirds of the session", ["measure", "first", "second", "last", "last minus first"])
    for row in [*part["style"], *part["symptoms"]]:
        cells = [interval_text(each) for each in row["thirds"]]
        table.rows.append([row["measure"], *cells, interval_text(row["change"], 3)])
    return table


def _figure(value: float | None, digits: int) -> str:
    return "–" if value is None else number(value, digits)


def _p(value: float | None) -> str:
    return "–" if value is None else "< .001" if value < 0.001 else f"{value:.3f}"
