"""Runs side by side: differences of every measure between runs, paired on personas where the runs share them.

A persona is shared where its text is: drawn ones are numbered alike in every run, whoever they are. Runs whose personas
are other people from one population are compared unpaired; other people of no population are not compared.

A pure function of the runs' folders. Runs are named by their folders, so that the same runs elsewhere compare alike.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.analysis.sources import told_apart
from simulator.errors import UserError
from simulator.store.runs import RunFolder, open_run

if TYPE_CHECKING:
    import polars as pl

TABLES = ("courses", "personas", "turns", "codings", "scores")


def compare(folders: Sequence[Path]) -> dict[str, Any]:
    """What the runs are, and their contrasts (first run minus second).

    Returns:
        `runs`: name, identity, origin and counts of each, how many personas are `shared` with the first run, and the
        keys in which the designs `differ`; `contrasts`: one part per coder, `coder` None for questionnaires, each with
        `rows` as in a summary; `warnings`: versions of a coder that did not judge all runs.

    Raises:
        UserError: fewer than two runs, two of one name, or a run without tables.
    """
    from simulator.analysis.behaviours import coders_of, judgments_of
    from simulator.analysis.contrasts import contrasts
    from simulator.analysis.estimands import scopes_of
    from simulator.analysis.questionnaires import score_contrasts
    from simulator.studies.identity import difference

    runs = [open_run(folder) for folder in folders]
    names = _names(folders)
    tables = [_tables(run, name) for run, name in zip(runs, names, strict=True)]
    _tell_strangers_apart(tables)
    people = [set(each["personas"]["persona_id"]) for each in tables]
    courses, personas, turns, codings, scores = (_joined([each[table] for each in tables]) for table in TABLES)
    scopes = scopes_of(courses, personas.unique("persona_id", keep="first", maintain_order=True))
    if any(one != people[0] for one in people):
        met = any(one & other for one, other in combinations(people, 2))
        drawn = scopes[0].name == "population"
        scopes = [
            replace(s, pairing=s.name == "these personas") for s in scopes if met or s.name == "population" or not drawn
        ]
    parts: list[dict[str, Any]] = []
    codings = told_apart(codings)
    for coder in coders_of(turns, codings):
        found = contrasts(judgments_of(turns, courses, codings, coder), scopes, by="stratum")
        parts.append({"coder": coder, "rows": [row.to_dict() | {"by": "run"} for row in found]})
    rows = score_contrasts(scores, courses, scopes, "stratum")
    parts.append({"coder": None, "rows": [row | {"by": "run"} for row in rows]})
    first = runs[0].meta.get("components", {})
    return {
        "runs": [
            {
                "run": name,
                "identity": run.identity,
                "origin": run.meta.get("origin"),
                "courses": len(each["courses"]),
                "personas": each["courses"]["persona_id"].n_unique(),
                "shared": len(known & people[0]),
                "differs": difference(first, run.meta.get("components", {})) or None,
            }
            for run, name, each, known in zip(runs, names, tables, people, strict=True)
        ],
        "contrasts": parts,
        "warnings": _versions(codings, courses, names),
    }


def _versions(codings: "pl.DataFrame", courses: "pl.DataFrame", names: Sequence[str]) -> list[str]:
    """Which versions of a coder judged some of the runs only: nothing is compared between versions."""
    import polars as pl

    judged_courses = codings.select("course_id", pl.col("coder").cast(pl.String)).unique()
    run = courses.select("course_id", pl.col("stratum").alias("run"))
    pairs = judged_courses.filter(pl.col("coder").str.contains("@")).join(run, on="course_id")
    lines = []
    for coder in sorted(pairs["coder"].unique()):
        judged = set(pairs.filter(pl.col("coder") == coder)["run"])
        if len(judged) < len(names):
            where = ", ".join(name for name in names if name in judged)
            lines.append(
                f"'{coder}' judged {where} only; versions of a coder are not compared with each other: code all runs "
                f"with one"
            )
    return lines


def _names(folders: Sequence[Path]) -> list[str]:
    names = [folder.resolve().name for folder in folders]
    if len(names) < 2:
        raise UserError("dyad compare: name two runs or more")
    if len(set(names)) < len(names):
        raise UserError(f"dyad compare: two runs have the same folder name ({', '.join(names)}); rename one")
    return names


def _tables(run: RunFolder, name: str) -> dict[str, "pl.DataFrame"]:
    """A run's tables, its courses told apart from another run's, with the run where a human set has its stratum."""
    import polars as pl

    from simulator.analysis.summary import read_table

    found = {table: read_table(run, table) for table in TABLES}
    if not len(found["courses"]):
        raise UserError(f"{run.path} has no tables yet; let it end (dyad status {run.path})")
    for table in ("courses", "turns", "codings", "scores"):
        found[table] = found[table].with_columns(
            pl.concat_str(pl.lit(f"{name}:"), pl.col("course_id").cast(pl.String)).alias("course_id")
        )
    found["courses"] = found["courses"].with_columns(pl.lit(name).alias("stratum"))
    return found


def _tell_strangers_apart(tables: Sequence[dict[str, "pl.DataFrame"]]) -> None:
    """Where two runs give one id to two people, their ids get the beginnings of their fingerprints."""
    import polars as pl

    known = pl.concat([each["personas"].select("persona_id", "fingerprint") for each in tables]).unique()
    twice = known.filter(pl.col("persona_id").is_duplicated())["persona_id"].unique()
    if not len(twice):
        return
    for each in tables:
        told = {
            old: f"{old} {mark[:8]}"
            for old, mark in each["personas"].select("persona_id", "fingerprint").iter_rows()
            if old in twice
        }
        for table, columns in (("personas", ["persona_id"]), ("courses", ["persona_id", "cluster"])):
            each[table] = each[table].with_columns(pl.col(columns).cast(pl.String).replace(told))


def _joined(frames: Sequence["pl.DataFrame"]) -> "pl.DataFrame":
    import polars as pl

    return pl.concat(frames, how="vertical_relaxed")
