"""All figures of a run in one JSON-able dictionary: what the report draws and what `dyad report RUN --json` prints.

A pure function of the run's folder. Nothing is estimated here: the parts come from the modules that own them, and are
put under fixed names. Every interval carries its method, level and number of clusters.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from simulator.analysis.estimands import scopes_of
from simulator.analysis.sources import EXPERT, told_apart
from simulator.store.runs import RunFolder, open_run
from simulator.store.tables import TABLES

if TYPE_CHECKING:
    import polars as pl

    from simulator.analysis.behaviours import BehaviourResults

KEYS = (
    "design", "estimands", "counts", "failures", "endings", "behaviours", "indices", "contrasts", "scores", "positions",
    "agreement", "shares", "strata", "realism", "adaptability", "trajectories", "courses", "guards", "usage",
    "warnings",
)  # fmt: skip
"""Top-level keys of a summary, all present in every one."""

CLUSTERS_OF_IMPORTS = {"annomi": "videos"}
"""What the clusters of imported sets are called."""

_TURN_COLUMNS = ["course_id", "session", "turn", "role", "words", "probe", "planted", "state", "text"]


def read_table(run: RunFolder, table: str, columns: Sequence[str] | None = None) -> "pl.DataFrame":
    """A table of the dataset, whole; empty with its columns where the run has no file of it yet."""
    import polars as pl
    import pyarrow as pa

    files = sorted((run.dataset / table).glob("*.parquet"))
    names = list(columns) if columns else list(TABLES[table].names)
    if not files:
        return pl.DataFrame(pl.from_arrow(pa.Table.from_batches([], schema=TABLES[table]))).select(names)
    return pl.concat([pl.read_parquet(file, columns=names) for file in files], how="vertical_relaxed")


def summarise(run_dir: Path, humans: Path | None = None) -> dict[str, Any]:
    """Everything that is reported about a run; the keys are `KEYS`, in that order.

    Args:
        run_dir: a folder that `dyad run` or `dyad import` made.
        humans: where texts of people are (an imported run, an AnnoMI file), for the discriminator; not run without.

    Raises:
        UserError: the folder is not a run, or `humans` holds no sessions of people.
    """
    from simulator.analysis.adaptability import adaptability
    from simulator.analysis.behaviours import coders_of
    from simulator.analysis.courses import course_results
    from simulator.analysis.guards import guard_results
    from simulator.analysis.questionnaires import score_contrasts, score_rows
    from simulator.analysis.realism import scorecard
    from simulator.analysis.realism_humans import human_tables
    from simulator.analysis.trajectories import state_trajectories
    from simulator.analysis.usage import usage

    run = open_run(run_dir)
    courses, personas, sessions = (read_table(run, name) for name in ("courses", "personas", "sessions"))
    turns = read_table(run, "turns", _TURN_COLUMNS)
    codings, scores, failures = (read_table(run, name) for name in ("codings", "scores", "failures"))
    codings = told_apart(codings)
    human = run.meta.get("kind") == "import"
    cluster = CLUSTERS_OF_IMPORTS.get(str(run.meta.get("experiment")), "clusters") if human else None
    scopes = scopes_of(courses, personas, cluster)
    by = grouping(courses)
    results = [
        _behaviours(turns, courses, personas, codings, coder, by, probes, cluster)
        for coder in coders_of(turns, codings)
        for probes in (("all", "probed", "unprobed") if turns["probe"].null_count() < len(turns) else ("all",))
    ]
    whole = [result for result in results if result.probes == "all"]
    agreement, problems = _agreement(turns, courses, codings, human, cluster)
    strata = _strata(whole, human, cluster or "personas")
    summary: dict[str, Any] = {
        "design": _design(run, courses, by),
        "estimands": [scope.to_dict() for scope in scopes],
        "counts": _counts(courses, sessions, turns, scores, codings),
        "failures": _failures(failures),
        "endings": _endings(sessions, courses, by),
        "behaviours": [_part(result, "frequencies") for result in results],
        "indices": [_indices(result) for result in whole],
        "contrasts": [_part(result, "contrasts") for result in results]
        + [{"coder": None, "by": by, "probes": "all", "rows": score_contrasts(scores, courses, scopes, by)}],
        "scores": score_rows(scores, courses, scopes, by),
        "positions": [_part(result, "positions") for result in whole],
        "agreement": agreement,
        "shares": {
            name: {row["behaviour"]: row["pooled"]["estimate"] for row in rows} for name, rows in strata.items()
        },
        "strata": strata,
        "realism": scorecard(
            turns, courses, codings, personas, by=by, cluster=cluster, humans=human_tables(humans) if humans else None
        ).to_dict(),
        "adaptability": [
            table.to_dict() for table in adaptability(turns, courses, codings, personas, by=by, cluster=cluster)
        ],
        "trajectories": state_trajectories(turns, courses, scopes, by),
        "courses": course_results(
            courses, sessions, read_table(run, "life"), read_table(run, "decisions"), scores, whole, scopes, by, turns
        ),
        "guards": guard_results(run, courses, by),
        "usage": usage(run),
    }
    return summary | {"warnings": _warnings(summary) + problems}


def grouping(courses: "pl.DataFrame") -> str:
    """What is compared: `stratum` where every course has one, `condition` where it says more than `therapist`."""
    if len(courses) and not courses["stratum"].null_count():
        return "stratum"
    return "condition" if courses["condition"].n_unique() > courses["therapist"].n_unique() else "therapist"


def _behaviours(
    turns: "pl.DataFrame", courses: "pl.DataFrame", personas: "pl.DataFrame", codings: "pl.DataFrame", coder: str,
    by: str, probes: Any, cluster: str | None,
) -> "BehaviourResults":  # fmt: skip
    from simulator.analysis.behaviours import behaviour_results

    return behaviour_results(turns, courses, personas, codings, coder=coder, by=by, probes=probes, cluster=cluster)


def _part(result: "BehaviourResults", name: str) -> dict[str, Any]:
    content = result.to_dict()
    shared = {"coder": result.coder, "by": result.by, "probes": result.probes}
    return shared | ({"missing": result.missing} if name == "frequencies" else {}) | {"rows": content[name]}


def _indices(result: "BehaviourResults") -> dict[str, Any]:
    from simulator.analysis.derived import derived

    rows, verdicts = derived(result.judgments, result.scopes, result.by)
    return {"coder": result.coder, "by": result.by, "rows": rows, "verdicts": verdicts}


def _design(run: RunFolder, courses: "pl.DataFrame", by: str) -> dict[str, Any]:
    meta = run.meta
    origins = sorted(str(name) for name in courses["origin"].drop_nulls().unique())
    names = [name for name in courses[by].unique().sort().to_list() if name is not None]
    planned = [name for name in meta.get("design", {}).get("therapists", []) if name in names]
    return {
        "kind": meta.get("kind", "run"),
        "experiment": meta.get("experiment"),
        "identity": run.identity,
        "code_version": meta.get("code_version"),
        "created_by": meta.get("created_by"),
        "licence": meta.get("licence"),
        "origin": meta.get("origin") or (origins[0] if len(origins) == 1 else None),
        "origins": origins,
        "by": by,
        "groups": planned if len(planned) == len(names) else names,
        **meta.get("design", {}),
    }


def _counts(
    courses: "pl.DataFrame", sessions: "pl.DataFrame", turns: "pl.DataFrame", scores: "pl.DataFrame",
    codings: "pl.DataFrame",
) -> dict[str, Any]:  # fmt: skip
    import polars as pl

    lengths = sessions["turns"].cast(pl.Float64)
    quantiles = {f"p{q}": lengths.quantile(q / 100, "linear") for q in (10, 50, 90)} if len(lengths) else {}
    by_coder = codings.group_by(pl.col("coder").cast(pl.String)).agg(
        pl.len(), pl.col("value").is_null().sum().alias("missing")
    )
    words = turns.group_by("role").agg(
        pl.len().alias("turns"), pl.col("words").sum(), pl.col("words").median().alias("median")
    )
    answered = scores["score"].is_not_null()
    return {
        "courses": len(courses),
        "statuses": dict(courses["status"].value_counts().sort("status").iter_rows()),
        "sessions": len(sessions),
        "turns": len(turns),
        "words": int(turns["words"].sum() or 0),
        "clusters": courses["cluster"].n_unique(),
        "session_turns": quantiles,
        "session_lengths": lengths.cast(pl.Int64).to_list(),
        "roles": {
            role: {"turns": n, "words": w, "median_words": m} for role, n, w, m in words.sort("role").iter_rows()
        },
        "probed_turns": len(turns) - turns["probe"].null_count(),
        "judgments": {name: {"judgments": n, "missing": gone} for name, n, gone in by_coder.sort("coder").iter_rows()},
        "scores": len(scores),
        "scores_missing": int((~answered).sum()),
        "flagged": int(scores["flagged"].fill_null(False).sum()),
    }


def _failures(failures: "pl.DataFrame") -> list[dict[str, Any]]:
    import polars as pl

    rows = failures.group_by("boundary", "kind").agg(pl.len().alias("count"), pl.col("message").sort().first())
    return [dict(row) for row in rows.sort("boundary", "kind").iter_rows(named=True)]


def _endings(sessions: "pl.DataFrame", courses: "pl.DataFrame", by: str) -> list[dict[str, Any]]:
    """One row per group and typed reason; `group` None is all of them together."""
    import polars as pl

    joined = sessions.join(courses.select("course_id", pl.col(by).alias("group")), on="course_id", how="left")
    keys = ["ending", "ended_by"]
    every = joined.group_by(keys).len("count").with_columns(pl.lit(None, pl.String).alias("group"))
    each = joined.group_by(["group", *keys]).len("count")
    rows = pl.concat(
        [
            every.select("group", *keys, "count"),
            each.select("group", *keys, "count").cast({"count": every["count"].dtype}),
        ]
    )
    return [dict(row) for row in rows.sort("group", "ending", "ended_by", nulls_last=False).iter_rows(named=True)]


def _strata(results: Sequence["BehaviourResults"], human: bool, cluster: str) -> dict[str, list[dict[str, Any]]]:
    """Pooled shares of the experts' therapist codes in each stratum of an import."""
    from simulator.analysis.frequencies import pooled_shares

    found: dict[str, list[dict[str, Any]]] = {}
    for result in results:
        if human and result.coder == EXPERT and result.by == "stratum":
            for row in pooled_shares(result.judgments, cluster=cluster):
                if row.behaviour.code == "main_therapist_behaviour":
                    found.setdefault(row.stratum, []).append(row.to_dict())
    return found


def _agreement(
    turns: "pl.DataFrame", courses: "pl.DataFrame", codings: "pl.DataFrame", human: bool, cluster: str | None
) -> tuple[list[dict[str, Any]], list[str]]:
    """Every coder against the experts (human sessions) or the planted codes, and why one could not be compared."""
    import polars as pl

    from simulator.analysis.agreement import agreement
    from simulator.coding.people import RATER
    from simulator.errors import UserError

    names = {name for name in codings["coder"].cast(pl.String).unique() if not name.startswith(RATER)}
    if human != (EXPERT in names) or (not human and turns["planted"].null_count() == len(turns)):
        return [], []
    tables: list[dict[str, Any]] = []
    problems: list[str] = []
    for coder in sorted(names - {EXPERT}):
        try:
            reference: Literal["expert", "planted"] = "expert" if human else "planted"
            found = agreement(codings, turns, reference, coder=coder, courses=courses, cluster=cluster)
            tables += [table.to_dict() for table in found]
        except UserError as error:
            problems.append(f"No agreement of '{coder}': {error}.")
    return tables, problems


def _warnings(summary: Mapping[str, Any]) -> list[str]:
    """What a reader must know before the figures, one sentence each."""
    lines = []
    design, counts = summary["design"], summary["counts"]
    if design["origin"] == "scripted":
        lines.append("Scripted reference dyad: no language model spoke, and nothing here is evidence about people.")
    unfinished = counts["statuses"].get("unfinished", 0)
    if unfinished:
        lines.append(f"{unfinished} of {counts['courses']} courses are unfinished; their sessions so far are counted.")
    failed = counts["statuses"].get("failed", 0)
    if failed:
        lines.append(f"{failed} of {counts['courses']} courses failed; the table of failures says at which boundary.")
    if counts["scores_missing"]:
        lines.append(
            f"{counts['scores_missing']} of {counts['scores']} questionnaire scores are missing; none was filled in."
        )
    versions = [name for name in counts["judgments"] if "@" in name]
    if versions:
        lines.append(f"Versions of one coder judged the same texts and are counted apart: {', '.join(versions)}.")
    for name, coder in counts["judgments"].items():
        if coder["missing"]:
            lines.append(
                f"{coder['missing']} of {coder['judgments']} judgments by '{name}' have no value and are no units."
            )
    used = summary["usage"]
    for replica in used["replicas"] if used else []:
        if replica["ejections"] or "gone" in replica["faults"]:
            how = f"was left out {replica['ejections']} times" if replica["ejections"] else "left during the run"
            lines.append(f"The replica {replica['replica']} {how}; the table of model calls says for what.")
    for row in used["turns"] if used else []:
        if row["cut"]:
            lines.append(f"{row['cut']} of {row['turns']} turns of the {row['role']} were cut at the longest answer.")
        if row["empty"]:
            lines.append(f"{row['empty']} answers of the {row['role']}'s model held no word; none of them is a turn.")
    flagged = sum(
        any(interval["flag"] for interval in row["shares"].values())
        for part in summary["behaviours"]
        for row in part["rows"]
    )
    if flagged:
        lines.append(f"{flagged} behaviour frequencies carry a flag: their intervals are not known to hold.")
    return lines
