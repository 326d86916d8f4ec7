"""All figures of a study of simulated clients in one JSON-able dictionary, a pure function of its stages."""

import json
from pathlib import Path
from typing import Any

from simulator.analysis.clientcast.chairs import chairs, warnings_about
from simulator.analysis.clientcast.faithfulness import faithfulness
from simulator.analysis.clientcast.frames import (
    Stages,
    aspect_answers,
    open_stages,
    shuffled_instruments,
)
from simulator.analysis.clientcast.known_groups import known_groups
from simulator.analysis.clientcast.published import comparison
from simulator.analysis.clientcast.relations import against_baseline, between_instruments, with_behaviour
from simulator.analysis.clientcast.reliability import generalizability, internal_consistency, reasking
from simulator.analysis.clientcast.response_style import response_styles
from simulator.analysis.clientcast.therapists import therapist_results
from simulator.analysis.clientcast.words import drift, leakage
from simulator.errors import UserError

QUESTIONNAIRES = ("CECS", "HAQ-II", "SEQ", "SRS", "WAI-SR")
"""ClientCAST's five: 108 items."""
CONTAMINATION_FILE = "contamination.json"
PROBED = ("model", "sessions", "run", "overlap", "overlap_elsewhere", "verbatim", "longest")
"""Figures of the probe that are reported."""


def figures(folder: Path) -> dict[str, Any]:
    """What the report shows.

    Args:
        folder: of a study in stages (`source`, `profiles`, `simulated`, `rated`, `rated_source`, `reread`,
            `baseline`).

    Raises:
        UserError: the stages are not done.
    """
    import polars as pl

    stages = open_stages(folder)
    answers = stages.rated
    five = answers.filter(pl.col("instrument").is_in(QUESTIONNAIRES))
    found: dict[str, Any] = {
        "scripted": stages.scripted,
        "source": stages.source_kind,
        "design": _design(stages, five),
        "chairs": chairs(stages),
        "therapists": therapist_results(stages, answers),
        "aspects": therapist_results(stages, aspect_answers(five)),
        "generalizability": generalizability(five),
        "reasking": reasking(stages, answers),
        "consistency": internal_consistency(five),
        "styles": response_styles(
            answers,
            shuffled_instruments(stages.runs["rated"]),
            shuffled_instruments(stages.runs["rated"], "label_order"),
        ),
        "known_groups": known_groups(stages),
        "relations": between_instruments(answers),
        "behaviour": with_behaviour(stages, answers),
        "baseline": against_baseline(stages, answers, stages.baseline),
        "faithfulness": faithfulness(stages),
        "leakage": leakage(stages),
        "drift": drift(stages),
        "contamination": _contamination(stages),
    }
    found["warnings"] = warnings_about(found)
    found["comparison"] = comparison(found)
    return found


def _contamination(stages: Stages) -> dict[str, Any] | None:
    """What `dyad contamination --json` left in the study's folder, None where it was not run."""
    file = stages.folder / CONTAMINATION_FILE
    if not file.exists():
        return None
    try:
        found: dict[str, Any] = json.loads(file.read_text())
        return {key: found[key] for key in PROBED}
    except (json.JSONDecodeError, KeyError) as problem:
        raise UserError(f"{file} is not what `dyad contamination --json` prints ({problem}); make it anew") from None


def _design(stages: Stages, answers: Any) -> dict[str, Any]:
    counts = {}
    for name, run in stages.runs.items():
        courses = stages.table(name, "courses", ["status"])
        statuses = dict(courses["status"].value_counts().sort("status").iter_rows())
        counts[name] = {
            "run": run.path.name, "identity": run.identity, "kind": run.meta.get("kind"),
            "origin": run.meta.get("origin") or "human", "courses": len(courses), "statuses": statuses,
        }  # fmt: skip
    items = {
        name: answers.filter(instrument=name)["item"].n_unique()
        for name in answers["instrument"].unique().sort().to_list()
    }
    return {
        "stages": counts, "clients": stages.sessions["client"].n_unique(), "sessions": len(stages.sessions),
        "recordings": stages.sessions["recording"].n_unique(), "items": items, "item_count": sum(items.values()),
        "answers": len(answers), "missing_answers": int(answers["sampled"].null_count()),
    }  # fmt: skip
