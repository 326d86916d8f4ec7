"""The head of the report: what ran, what it is, how much of it there is, how sessions ended and what failed."""

from collections.abc import Sequence

from simulator.reporting.figures import Table, plain_row
from simulator.reporting.plots import histogram, stacked
from simulator.reporting.rows import Summary, View
from simulator.reporting.wording import ENDING_COLOURS, GROUP_COLOURS, nice, plural


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


def warnings(summary: Summary) -> list[str]:
    """What a reader must know, without what the banner says already."""
    return [line for line in summary["warnings"] if not line.startswith("Scripted reference dyad")]


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
        ("Experiment", design["experiment"]), ("Kind", "simulated run" if design["kind"] == "run" else design["kind"]),
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
    if [kind[0] for kind in kinds] == ["recorded"]:
        bars = []
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
