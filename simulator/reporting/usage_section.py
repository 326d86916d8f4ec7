"""Guards and model calls in the report: what the guards found beside what they are worth, what was used, and how each
replica fared."""

from collections.abc import Mapping, Sequence
from typing import Any

from simulator.reporting.figures import Table, plain_row
from simulator.reporting.rows import Summary, View
from simulator.reporting.wording import nice, plural

_CALLS = ["calls", "without an answer", "retries", "prompt tokens", "of these cached", "answer tokens",
          "median seconds", "99 % seconds", "cost"]  # fmt: skip


def guards(summary: Summary) -> View | None:
    """Turns that the guards found, one row per condition and guard, and every guard's precision and recall."""
    found = summary["guards"]
    if found is None:
        return None
    measured = {(score["guard"], score["part"]): score for score in found["scores"]}
    counts = Table("Turns that the guards found", ["condition", "guard", "turns", "per 1,000 turns looked at",
        "sessions with any", "said again", "sessions ended", "precision", "recall, wordings of the rules",
        "recall, new wordings"])  # fmt: skip
    for row in found["rows"]:
        tuned, check = measured[row["guard"], "tuned"], measured[row["guard"], "check"]
        counts.rows.append(
            plain_row(
                [
                    "All" if row["group"] is None else nice(row["group"]), nice(row["guard"]), row["found"],
                    f"{1000 * row['found'] / row['turns']:.1f}",
                    f"{row['sessions']:,} of {row['sessions_looked_at']:,}",
                    row["taken_back"], row["ended"], _share(tuned["precision"]), _share(tuned["recall"]),
                    _share(check["recall"]),
                ]
            )
        )  # fmt: skip
    return {"table": counts, "looked_at": plural(found["rows"][0]["turns"], "turn")}


def usage(summary: Summary) -> View | None:
    """Calls by role and model, quantiles over sessions, and a table of replicas."""
    found = summary["usage"]
    if found is None:
        return None
    calls = Table("Calls to models", ["", *_CALLS])
    calls.rows = [_calls("All", found), *(_calls(nice(row["role"] or "?"), row) for row in found["roles"])]
    calls.rows += [_calls(str(row["model"]), row) for row in found["models"]]
    sessions = Table("Per session", ["", "10 %", "median", "90 %"])
    for figure, quantiles in found["sessions"].items():
        if quantiles is not None:
            sessions.rows.append([nice(figure), *(_number(quantiles[q]) for q in ("p10", "p50", "p90"))])
    turns = Table("Turns and their answers", ["", "turns", "cut at the longest answer", "answers without a word"])
    turns.rows = [plain_row([nice(row["role"]), row["turns"], row["cut"], row["empty"]]) for row in found["turns"]]
    replicas = Table("Replicas", ["replica", "answers", "failed attempts", "left out", "of which"])
    for row in found["replicas"]:
        kinds = ", ".join(f"{kind}: {count:,}" for kind, count in row["faults"].items()) or "none"
        replicas.rows.append(
            plain_row([row["replica"], row["answers"], sum(_attempts(row).values()), row["ejections"], kinds])
        )
    told = {"ejected": _ejected(found["replicas"])}
    return {"calls": calls, "sessions": sessions, "replicas": replicas, "turns": turns, **told}


def _attempts(row: Mapping[str, Any]) -> dict[str, int]:
    return {kind: count for kind, count in row["faults"].items() if kind not in ("gone", "silent")}


def _ejected(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """One sentence per replica that did not last."""
    return [
        f"{row['replica']} was left out {plural(row['ejections'], 'time')}."
        if row["ejections"]
        else f"{row['replica']} left during the run."
        for row in rows
        if row["ejections"] or "gone" in row["faults"]
    ]


def _calls(name: str, row: Mapping[str, Any]) -> list[str]:
    cached = row["cached_tokens"]
    if cached is not None and row["prompt_tokens"]:
        cached = f"{cached:,} ({cached / row['prompt_tokens']:.0%})"
    return plain_row(
        [
            name, row["calls"], row["failed"], row["retries"], row["prompt_tokens"], cached, row["completion_tokens"],
            f"{row['seconds_p50']:.2f}", f"{row['seconds_p99']:.2f}",
            None if row["cost"] is None else _number(row["cost"]),
        ]
    )  # fmt: skip


def _share(value: float | None) -> str | None:
    return None if value is None else f"{value:.2f}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:,.3g}"
