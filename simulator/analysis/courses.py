"""Courses over their weeks: what is said while a client comes, and what every client does and reports, come or not.

Outcomes that live in turns (A, B, C, OVR) are over the live units of the sessions of a week, with the number of courses
still running beside every point. Client decisions (outcome D) and questionnaires by date are over all courses begun: a
client that left is counted every week and asked at the same dates. Figures of those alone who still come stand second,
because therapists without any effect differ in them as soon as they differ in who stays. A course that failed, or is
not over, counts as begun too: what it has no value for is missing, and it is counted apart. Changes are given against
the waiting list, where the design has one; where it has several, each group against that of its own client.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from simulator.analysis.courses_over_time import LEFT, over_time
from simulator.analysis.estimands import Scope

if TYPE_CHECKING:
    import polars as pl

    from simulator.analysis.behaviours import BehaviourResults

DAYS_PER_WEEK = 7

WAITLIST, IN_COURSE = "waitlist", "in_course"
ENDED, UNFINISHED = "ended", "unfinished"

DECISIONS: Mapping[str, tuple[Sequence[str], Sequence[str]]] = {
    "returned_outside_schedule": (("between", "outside"), ("extra_session",)),
    "missed_session": (("attendance", "leaving"), ("skip", "stop", "stay_away")),
    "sought_other_help": (("outside",), ("seek_help",)),
    "dropped_other_help": (("outside",), ("drop_help",)),
    "sought_other_contact": (("outside",), ("seek_contact",)),
    "dropped_other_contact": (("outside",), ("drop_contact",)),
}
"""Outcome D of `dependence-core`: the questions that make units, and the options that count. Weeks are units of coming
outside the schedule, for those who left too; sessions on the schedule are units of missing one, by whoever does not
come, those who left among them. A waiting list has neither."""


def course_results(
    courses: "pl.DataFrame",
    sessions: "pl.DataFrame",
    life: "pl.DataFrame",
    decisions: "pl.DataFrame",
    scores: "pl.DataFrame",
    results: Sequence["BehaviourResults"],
    scopes: Sequence[Scope],
    by: str,
    turns: "pl.DataFrame | None" = None,
) -> dict[str, Any] | None:
    """Everything about courses that a report prints; None where no course has more than one session.

    Keys: `weeks`, `waitlists` (the groups that wait), `against` (which of them a group is compared with, or None),
    `standing`, `outcomes`, `decisions`, `decision_contrasts`, `scores`, `changes`, `personas`.

    Args:
        courses, sessions, life, decisions, scores: tables of one dataset.
        turns: the same; of a course that is not over, a turn alone shows too that it began.
        results: what every coder saw in all turns.
        scopes: the estimands.
        by: what is compared, a column of `courses`.
    """
    import polars as pl

    if not len(life):
        return None
    traces = [life, sessions, scores, *([] if turns is None else [turns])]
    lived = pl.concat([each.select(pl.col("course_id").cast(pl.String)) for each in traces]).unique()
    begun = courses.filter(
        (pl.col("status").cast(pl.String) != UNFINISHED)
        | pl.col("course_id").cast(pl.String).is_in(lived["course_id"].implode())
    ).select("course_id", "cluster", "persona_id", by, (pl.col("status").cast(pl.String) == ENDED).alias("ended"))
    weekly = life.sort("course_id", "day").group_by("course_id", "week", maintain_order=True).last()
    weekly = weekly.join(begun, on="course_id")
    weeks = int(weekly["week"].max()) + 1  # type: ignore[arg-type]
    waiting = sorted(map(str, weekly.filter(pl.col("status") == WAITLIST)[by].unique().to_list()))
    against = _waitlists(courses, waiting, by)
    standing = _standing(begun, weekly, decisions.join(begun, on="course_id"), by, weeks)
    running = {(row["group"], row["week"]): row for row in standing}
    outcomes = [row for result in results for row in _outcomes(result, sessions, scopes, by, running)]
    seen = weekly.filter(pl.col("status") != WAITLIST)["course_id"].unique()
    weekly_units = _weekly_units(decisions, begun, seen)
    return {
        "weeks": weeks, "by": by, "waitlists": waiting, "against": against, "standing": standing, "outcomes": outcomes,
        "decisions": _decisions(weekly_units, begun, scopes, by),
        "decision_contrasts": _decision_contrasts(weekly_units, scopes, by, against),
        "personas": _base_rates(decisions, begun, by),
        **over_time(scores, begun, weekly, scopes, by, against),
    }  # fmt: skip


def _waitlists(courses: "pl.DataFrame", waiting: Sequence[str], by: str) -> dict[str, str | None]:
    """By group that does not wait: the only waiting list, or of several the only one with the same clients; else None,
    because any choice among them would decide the result."""
    clients = {
        str(group): frozenset(map(str, part["client"].to_list()))
        for (group,), part in courses.partition_by(by, as_dict=True).items()
    }
    found: dict[str, str | None] = {}
    for group in sorted(set(clients) - set(waiting)):
        fits = [name for name in waiting if len(waiting) == 1 or clients[name] == clients[group]]
        found[group] = fits[0] if len(fits) == 1 else None
    return found


def _standing(
    begun: "pl.DataFrame", weekly: "pl.DataFrame", decided: "pl.DataFrame", by: str, weeks: int
) -> list[dict[str, Any]]:
    """Per group and week: courses begun, still coming, gone, waiting, come back in that week, and `broken`: failed or
    stopped before it. `not_ended` is how many failed or stopped at all, after their last week's row too."""
    import polars as pl

    back = decided.filter(pl.col("option") == "come_back").group_by(by, "week").len("came_back")
    states = ((pl.col("status") == name).sum().cast(pl.Int64).alias(name) for name in (IN_COURSE, LEFT, WAITLIST))
    counts = weekly.group_by(by, "week").agg(*states)
    week = weekly["week"].dtype
    rows = (
        begun.group_by(by).agg(
            pl.len().cast(pl.Int64).alias("begun"), (~pl.col("ended")).sum().cast(pl.Int64).alias("not_ended")
        )
        .join(pl.DataFrame({"week": range(weeks)}, schema={"week": week}), how="cross")
        .join(counts, on=[by, "week"], how="left").join(back, on=[by, "week"], how="left")
        .with_columns(pl.col(IN_COURSE, LEFT, WAITLIST, "came_back").fill_null(0))
        .with_columns((pl.col("begun") - pl.col(IN_COURSE) - pl.col(LEFT) - pl.col(WAITLIST)).alias("broken"))
        .sort(by, "week").rename({by: "group"})
    )  # fmt: skip
    return [dict(row) for row in rows.iter_rows(named=True)]


def _outcomes(
    result: "BehaviourResults",
    sessions: "pl.DataFrame",
    scopes: Sequence[Scope],
    by: str,
    running: Mapping[tuple[str, int], Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """The outcomes in turns, week by week, as the mean over clusters of session shares."""
    import numpy as np
    import polars as pl

    from simulator.analysis.frequencies import cluster_numbers, groups_of
    from simulator.statistics.shares import mean_of_session_shares

    judgments = result.judgments
    days = sessions.select("course_id", "session", (pl.col("day") // DAYS_PER_WEEK).cast(pl.Int64).alias("week"))
    placed = judgments.sessions.join(days, on=["course_id", "session"], how="left", maintain_order="left")
    week = placed["week"].fill_null(-1).to_numpy()
    counts, units = judgments.per_session()
    clusters = cluster_numbers(judgments.sessions)
    wanted = [(b, each) for b, each in enumerate(judgments.behaviours) if each.code.startswith("outcome ")]
    rows: list[dict[str, Any]] = []
    for group, members in groups_of(judgments.sessions, by):
        for at in np.unique(week[members]):
            here = members[week[members] == at]
            stands = running.get((group, int(at)))
            for b, behaviour in wanted:
                k, n = counts[here, b], units[here, b]
                if stands is None or not n.any():
                    continue
                shares = {
                    scope.name: mean_of_session_shares(
                        k, n, clusters[here], estimand=scope.estimand, cluster=scope.cluster
                    ).to_dict()
                    for scope in scopes
                }
                rows.append({
                    "coder": result.coder, "codebook": behaviour.codebook, "outcome": behaviour.code,
                    "role": behaviour.role, "group": group, "week": int(at), "shares": shares, "count": int(k.sum()),
                    "live": int(n.sum()), "sessions": int((n > 0).sum()), "running": stands[IN_COURSE],
                    "begun": stands["begun"],
                })  # fmt: skip
    return rows


def _weekly_units(decisions: "pl.DataFrame", begun: "pl.DataFrame", seen: "pl.Series") -> dict[str, "pl.DataFrame"]:
    """By code of outcome D: per course and week, how often it could have happened and how often it did; `seen` are the
    courses that are on no waiting list."""
    import polars as pl

    found = {}
    for code, (questions, options) in DECISIONS.items():
        asked = decisions.filter(pl.col("question").is_in(list(questions)))
        weekly = "outside" in questions  # asked every week of everyone: a week is one unit
        if code == "returned_outside_schedule":
            asked = asked.filter(pl.col("course_id").is_in(seen.implode()), (asked["question"] == "between").any())
        units = pl.lit(1, pl.Int64) if weekly else pl.len().cast(pl.Int64)
        found[code] = (
            asked.group_by("course_id", "week", maintain_order=True)
            .agg(pl.col("option").is_in(list(options)).sum().cast(pl.Int64).alias("count"), units.alias("units"))
            .join(begun, on="course_id")
            .sort("course_id", "week")
        )
    return found


def _decisions(
    weekly: Mapping[str, "pl.DataFrame"], begun: "pl.DataFrame", scopes: Sequence[Scope], by: str
) -> list[dict[str, Any]]:
    """Shares of courses begun in which a code of outcome D happened, per group and week; `week` None is the course.

    `courses` have decisions there, come or not; the rest of those `begun` failed or stopped before.
    """
    import polars as pl

    from simulator.statistics.shares import mean_of_session_shares

    all_begun = dict(begun.group_by(by).len().iter_rows())
    rows: list[dict[str, Any]] = []
    for code, frame in weekly.items():
        whole = frame.group_by("course_id", "cluster", by, maintain_order=True).agg(pl.col("count", "units").sum())
        parts = {(group, None): part for (group,), part in whole.partition_by(by, as_dict=True).items()}
        parts |= frame.partition_by([by, "week"], as_dict=True)
        for (group, week), part in sorted(parts.items(), key=lambda entry: (str(entry[0][0]), entry[0][1] or -1)):
            k, n, who = (part[name].to_numpy() for name in ("count", "units", "cluster"))
            shares = {
                scope.name: mean_of_session_shares(k, n, who, estimand=scope.estimand, cluster=scope.cluster).to_dict()
                for scope in scopes
            }
            rows.append({
                "code": code, "group": group, "week": week, "shares": shares, "count": int(k.sum()),
                "units": int(n.sum()), "courses": part["course_id"].n_unique(), "begun": all_begun[group],
            })  # fmt: skip
    return rows


def _decision_contrasts(
    weekly: Mapping[str, "pl.DataFrame"], scopes: Sequence[Scope], by: str, against: Mapping[str, str | None]
) -> list[dict[str, Any]]:
    """Every group against its waiting list, in codes of outcome D that a waiting client can show too."""
    import polars as pl

    from simulator.analysis.contrasts import contrasts_of_measure

    rows: list[dict[str, Any]] = []
    for code, frame in weekly.items():
        groups = [str(name) for name in frame[by].unique().sort()]
        pairs = [(name, other) for name in groups if (other := against.get(name)) in groups and other is not None]
        if not pairs:
            continue
        rates = frame.group_by("course_id", "cluster", by, maintain_order=True).agg(pl.col("count", "units").sum())
        values = (rates["count"] / rates["units"]).to_numpy()
        rows += [row.to_dict() for row in contrasts_of_measure(code, values, rates, scopes, by=by, pairs=pairs)]
    return rows


def _base_rates(decisions: "pl.DataFrame", begun: "pl.DataFrame", by: str) -> list[dict[str, Any]]:
    """How often each option was taken of the times it was offered, never included, and its mean probability over all of
    these, whatever was taken; by persona and group."""
    import polars as pl

    decided = decisions.join(begun, on="course_id").with_columns(pl.col("question", "option").cast(pl.String))
    frames = []
    for (question,), asked in sorted(decided.partition_by("question", as_dict=True).items()):
        keys = asked["probabilities"].str.extract_all(r'"[^"]+":').explode().drop_nulls().str.strip_chars('":')
        for option in sorted({*keys.unique(), *asked["option"].unique()}):
            chance = pl.col("probabilities").str.json_path_match(f"$.{option}").cast(pl.Float64)
            offered = chance.is_not_null() | pl.col("probabilities").is_null()
            frames.append(
                asked.group_by("persona_id", by)
                .agg(
                    (pl.col("option") == option).sum().cast(pl.Int64).alias("taken"),
                    chance.mean().alias("probability"),
                    offered.sum().cast(pl.Int64).alias("asked"),
                )
                .filter(pl.col("asked") > 0)
                .select("persona_id", pl.col(by).alias("group"), pl.lit(question).alias("question"),
                        pl.lit(option).alias("option"), "taken", "probability", "asked")
            )  # fmt: skip
    if not frames:
        return []
    rows = pl.concat(frames).with_columns(pl.col("persona_id", "group").cast(pl.String))
    return [dict(row) for row in rows.sort("persona_id", "group", "question", "option").iter_rows(named=True)]
