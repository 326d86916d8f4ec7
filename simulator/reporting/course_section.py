"""Courses in the report: outcomes over the weeks, what clients decide, questionnaires over the days, changes."""

from collections.abc import Mapping, Sequence
from typing import Any

from simulator.analysis.courses import DECISIONS
from simulator.reporting.figures import Facet, Table, ends, facet, interval_table, interval_text, plain_row
from simulator.reporting.lines import Series, line_chart
from simulator.reporting.plots import axis_for, number
from simulator.reporting.rows import Summary, View, clusters, grouped, main
from simulator.reporting.wording import GROUP_COLOURS, nice

Rows = Sequence[Mapping[str, Any]]
MOST_ROWS = 2000
"""Of the table of decisions by persona."""


def courses(summary: Summary) -> View | None:
    """The section on courses of several sessions; None where there are none."""
    found = summary["courses"]
    if found is None:
        return None
    groups = [str(name) for name in summary["design"]["groups"]]
    shades = {name: GROUP_COLOURS[at % len(GROUP_COLOURS)] for at, name in enumerate(groups)}
    weeks = found["weeks"]
    coders = list(grouped(found["outcomes"], "coder"))
    drawn = [row for row in found["outcomes"] if row["coder"] == coders[0]] if coders else []
    weekly = [row for row in found["decisions"] if row["week"] is not None]
    return {
        "weeks": weeks, "uncompared": _uncompared(found["waitlists"], found["against"]),
        "coder": nice(coders[0]) if coders else None, "running": _running(found["standing"], groups, weeks),
        "outcomes": _weekly_charts(drawn, "outcome", groups, shades, weeks),
        "outcome_table": _outcome_table(found["outcomes"]),
        "decisions": _weekly_charts(weekly, "code", groups, shades, weeks),
        "decision_table": _decision_table(found["decisions"]),
        "against": _against(found["decision_contrasts"]),
        "scores": _score_charts(found["scores"], groups, shades), "score_table": _score_table(found["scores"]),
        "changes": _changes(found["changes"], groups), "change_table": _change_table(found["changes"]),
        "personas": _persona_table(found["personas"]),
    }  # fmt: skip


def _uncompared(waitlists: Sequence[str], against: Mapping[str, str | None]) -> str | None:
    """Which groups are compared with no waiting list although there are several."""
    alone = [nice(group) for group, waitlist in against.items() if waitlist is None]
    if not waitlists or not alone:
        return None
    return (
        f"There are {len(waitlists)} waiting lists, and no single one has the same clients as {', '.join(alone)}: "
        "compared with none."
    )


def _minus(waitlists: Sequence[str]) -> str:
    """What is subtracted, in words: the waiting list, or each group's own."""
    return nice(waitlists[0]).lower() if len(set(waitlists)) == 1 else "the waiting list of the same client"


def _running(standing: Rows, groups: Sequence[str], weeks: int) -> Table:
    """Courses still running, week by week: what stands under every point of the charts."""
    table = Table(
        "Courses still running, by week",
        ["", *(str(week + 1) for week in range(weeks)), "begun", "of these failed or stopped", "came back"],
    )
    by_group = grouped(standing, "group")
    for group in groups:
        own = by_group.get(group, [])
        if not own:
            continue
        counts = {row["week"]: "waiting" if row["waitlist"] else row["in_course"] for row in own}
        back = sum(row["came_back"] for row in own)
        table.rows.append(
            plain_row([nice(group), *(counts.get(w) for w in range(weeks)), own[0]["begun"], own[0]["not_ended"], back])
        )
    return table


def _weekly_charts(
    rows: Rows, key: str, groups: Sequence[str], shades: Mapping[str, str], weeks: int
) -> list[tuple[str, Any, str]]:
    charts = []
    for name, own in sorted(grouped(rows, key).items(), key=lambda entry: _order(entry[0])):
        limits = [main(row["shares"])[end] for row in own for end in ("low", "estimate", "high")]
        axis = axis_for([limit for limit in limits if limit is not None], zero=True, top=1.0)
        by_group = grouped(own, "group")
        series = [
            Series(
                nice(group), shades[group],
                [(row["week"] / max(weeks - 1, 1), main(row["shares"])) for row in by_group[group]],
            )
            for group in groups
            if group in by_group
        ]  # fmt: skip
        picture = line_chart(f"{nice(name)} by week", series, axis, percent=True, ends=("week 1", f"week {weeks}"))
        charts.append((nice(name), picture, clusters(own, "shares")))
    return charts


def _order(name: str) -> tuple[int, str]:
    """Outcomes in the order A, B, C, the counterweight last; decisions in that of the codebook."""
    known = [*(f"outcome {letter}" for letter in ("A", "B", "C", "OVR")), *DECISIONS]
    return (known.index(name), name) if name in known else (len(known), name)


def _outcome_table(rows: Rows) -> Table:
    lines = [
        (
            [nice(row["coder"]), nice(row["outcome"]), nice(row["group"]), str(row["week"] + 1)], row["shares"],
            [f"{row['count']:,} / {row['live']:,}", str(row["sessions"]), f"{row['running']} of {row['begun']}"],
        )
        for row in rows
    ]  # fmt: skip
    more = ["count / live units", "sessions", "courses running"]
    return interval_table("Outcomes over live units, by week", ["coder", "outcome", "group", "week"], lines, more)


def _decision_table(rows: Rows) -> Table:
    lines = [
        (
            [nice(row["code"]), nice(row["group"]), "all" if row["week"] is None else str(row["week"] + 1)],
            row["shares"], [f"{row['count']:,} / {row['units']:,}", f"{row['courses']} of {row['begun']}"],
        )
        for row in rows
    ]  # fmt: skip
    more = ["count / units", "courses with decisions of all begun"]
    return interval_table("Client decisions of all courses begun", ["decision", "group", "week"], lines, more)


def _against(rows: Rows) -> list[Facet]:
    """Decisions against the waiting list: one facet per code."""
    return [
        facet(
            nice(code), [(nice(row["first"]), row["differences"]) for row in own],
            subtitle=f"minus {_minus([row['second'] for row in own])}, points of % of weeks", percent=True, sign=True,
        )
        for code, own in grouped(rows, "measure").items()
    ]  # fmt: skip


def _title(row: Mapping[str, Any]) -> str:
    scale = row["scale"]
    return str(row["instrument"] if scale in ("total", row["instrument"]) else f"{row['instrument']} · {scale}")


def _score_charts(rows: Rows, groups: Sequence[str], shades: Mapping[str, str]) -> list[tuple[str, Any, str]]:
    charts = []
    titled = [{**row, "title": _title(row)} for row in rows]
    for title, own in grouped(titled, "title").items():
        axis = axis_for(ends([{"main": main(row["means"])} for row in own]))
        by_group, days = grouped(own, "group"), sorted({row["day"] for row in own})
        series = [
            Series(nice(group), shades[group], [(row["day"] / days[-1], main(row["means"])) for row in by_group[group]])
            for group in groups
            if group in by_group
        ]
        picture = line_chart(f"{title} by day", series, axis, ends=(f"day {days[0]:g}", f"day {days[-1]:g}"))
        charts.append((title, picture, clusters(own, "means")))
    return charts


def _score_table(rows: Rows) -> Table:
    lines = [
        (
            [_title(row), nice(row["group"]), f"{row['day']:g}"], row["means"],
            [str(row["courses"]), str(row["missing"]), interval_text(main(row["survivors"])), str(row["stayed"])],
        )
        for row in rows
    ]  # fmt: skip
    more = ["courses begun", "missing", "those who stayed to the end", "courses"]
    return interval_table("Scores by day, all courses begun", ["scale", "group", "day"], lines, more, 2)


def _changes(rows: Rows, groups: Sequence[str]) -> list[Facet]:
    """Changes, all begun first: against the waiting list where there is one."""
    facets = []
    for title, own in grouped([{**row, "title": _title(row)} for row in rows], "title").items():
        for who in ("all begun", "survivors"):
            part = {row["group"]: row for row in own if row["who"] == who}
            compared = [part[group] for group in groups if group in part and part[group]["differences"]]
            shown = compared or [part[group] for group in groups if group in part]
            key = "differences" if compared else "means"
            against = f", minus {_minus([row['waitlist'] for row in compared])}" if compared else ""
            named = "all courses begun" if who == "all begun" else "second: those who stayed to the end"
            facets.append(
                facet(
                    f"{title}, change", [(nice(row["group"]), row[key]) for row in shown], sign=True,
                    subtitle=f"{named}{against}; day {shown[0]['from_day']:g} to {shown[0]['to_day']:g}",
                )
            )  # fmt: skip
    return facets


def _change_table(rows: Rows) -> Table:
    lines = []
    for row in rows:
        p = next(iter(row["adjusted_p"].values())) if row["adjusted_p"] else None
        against = interval_text(main(row["differences"])) if row["differences"] else "–"
        extra = [str(row["courses"]), str(row["missing"]), against, "–" if p is None else number(p, 3)]
        lines.append(([_title(row), row["who"], nice(row["group"])], row["means"], extra))
    more = ["courses", "missing", "minus waiting list", "p (Holm)"]
    return interval_table("Change from the first date to the last", ["scale", "who", "group"], lines, more, 2)


def _persona_table(rows: Rows) -> Table:
    table = Table(
        "Decisions by persona", ["persona", "group", "question", "option", "taken", "asked", "mean probability"]
    )
    if len(rows) > MOST_ROWS:
        table.title += f": {MOST_ROWS:,} of {len(rows):,} rows, all of them in report.json"
    for row in rows[:MOST_ROWS]:
        chance = "–" if row["probability"] is None else number(row["probability"], 3)
        cells = [row["persona_id"], nice(row["group"]), nice(row["question"]), nice(row["option"])]
        table.rows.append([*map(str, cells), f"{row['taken']:,}", f"{row['asked']:,}", chance])
    return table
