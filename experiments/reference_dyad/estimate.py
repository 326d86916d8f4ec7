"""Estimate what the reference dyad borrows from people: aggregates of the high-quality AnnoMI sessions.

    python experiments/reference_dyad/estimate.py            print the estimates
    python experiments/reference_dyad/estimate.py --write    and store them as the package's data

Reads `$DYAD_DATA_DIR/annomi/annomi_simple.csv` (one row per utterance; the development part of AnnoMI, Wu et al.,
ICASSP 2022 and Future Internet 15(3):110, 2023). Only aggregates leave this script: transition tables, quantiles of
lengths, spreads between sessions. No text does.
"""

import argparse
import csv
import json
import os
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

BEHAVIOURS = ("question", "reflection", "therapist_input", "other")
TALKS = ("change", "neutral", "sustain")
KNOTS = 33
SESSION_SD = 0.8
"""Prior SD of session effects in the within-session model, near the spread that `logit_sd` finds."""

TARGET = Path(__file__).resolve().parents[2] / "simulator/agents/scripted/numbers/annomi_high_quality.json"

Turn = tuple[str, str, int]
"""Role, its code, words."""


def sessions(path: Path, quality: str) -> list[list[Turn]]:
    """The sessions of one quality, in order, each a list of turns."""
    found: dict[str, list[Turn]] = defaultdict(list)
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["mi_quality"] == quality:
                code = row["main_therapist_behaviour"] or row["client_talk_type"]
                found[row["transcript_id"]].append((row["interlocutor"], code, len(row["utterance_text"].split())))
    return list(found.values())


def steps(session: Sequence[Turn]) -> Iterable[tuple[Turn, str | None, str | None]]:
    """Every turn with the last client talk and the last therapist behaviour before it (None where there is none)."""
    talk: str | None = None
    behaviour: str | None = None
    for turn in session:
        yield turn, talk, behaviour
        if turn[0] == "client":
            talk = turn[1]
        else:
            behaviour = turn[1]


def shares(counts: Counter[str], names: Sequence[str]) -> dict[str, float]:
    total = sum(counts.values())
    return {name: round(counts[name] / total, 4) for name in names}


def transitions(data: list[list[Turn]]) -> dict[str, Any]:
    """Observed transition tables with their counts, openings apart."""
    therapist: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    client: dict[str, Counter[str]] = defaultdict(Counter)
    opening: dict[str, Counter[str]] = defaultdict(Counter)
    for session in data:
        for (role, code, _), talk, behaviour in steps(session):
            if role == "therapist" and talk and behaviour:
                therapist[talk, behaviour][code] += 1
            elif role == "therapist" and not behaviour:
                opening["therapist"][code] += 1
            elif role == "client" and behaviour:
                client[behaviour][code] += 1
            elif role == "client":
                opening["client"][code] += 1
    return {
        "therapist_given_talk_and_previous": {
            talk: {
                previous: {
                    "n": sum(therapist[talk, previous].values()),
                    **shares(therapist[talk, previous], BEHAVIOURS),
                }
                for previous in BEHAVIOURS
            }
            for talk in TALKS
        },
        "talk_given_therapist": {b: {"n": sum(client[b].values()), **shares(client[b], TALKS)} for b in BEHAVIOURS},
        "opening": {
            "therapist": {"n": sum(opening["therapist"].values()), **shares(opening["therapist"], BEHAVIOURS)},
            "client": {"n": sum(opening["client"].values()), **shares(opening["client"], TALKS)},
        },
    }


def within_sessions(data: list[list[Turn]], role: str) -> dict[str, Any]:
    """Log weights of the same transitions with the sessions' own tendencies taken out.

    A pooled table shows persistence that is really sessions differing from each other. The process adds that spread
    itself, so it needs the transitions inside sessions: a multinomial logit with main effects of the last talk and the
    last behaviour (unpenalised in effect) and session effects shrunk by a normal prior of SD `SESSION_SD`.
    """
    names = BEHAVIOURS if role == "therapist" else TALKS
    rows, target, index = [], [], []
    for number, session in enumerate(data):
        for (who, code, _), talk, behaviour in steps(session):
            if who == role and behaviour and (talk or role == "client"):
                row = [10.0 * (behaviour == b) for b in BEHAVIOURS]
                rows.append(row + ([10.0 * (talk == t) for t in TALKS] if role == "therapist" else []))
                target.append(names.index(code))
                index.append(number)
    features = np.array(rows)
    dummies = np.zeros((len(rows), len(data)))
    dummies[np.arange(len(rows)), index] = SESSION_SD
    model = LogisticRegression(C=1.0, max_iter=5000).fit(np.hstack([features, dummies]), target)
    weights = 10.0 * model.coef_[:, : features.shape[1]] + 0.0
    weights[:, :4] += model.intercept_[:, None]
    table = {b: {n: round(float(weights[k, j]), 4) for k, n in enumerate(names)} for j, b in enumerate(BEHAVIOURS)}
    if role == "client":
        return {"previous": table}
    talks = {t: {n: round(float(weights[k, 4 + j]), 4) for k, n in enumerate(names)} for j, t in enumerate(TALKS)}
    return {"previous": table, "talk": talks}


def quantiles(values: Sequence[int], top: float = 0.99) -> list[float]:
    """`KNOTS` evenly spaced quantiles; the last stands for the `top` quantile, so that no single turn is told."""
    points = np.linspace(0, 1, KNOTS)
    points[-1] = top
    return [round(float(x), 2) for x in np.quantile(values, points)]


def lengths(data: list[list[Turn]]) -> dict[str, Any]:
    """Words per turn by code; client words also by what drew them (question and other against the rest)."""
    therapist: dict[str, list[int]] = defaultdict(list)
    client: dict[tuple[str, str], list[int]] = defaultdict(list)
    for session in data:
        for (role, code, words), _, behaviour in steps(session):
            if role == "therapist":
                therapist[code].append(words)
            else:
                client["opened" if behaviour in ("question", "other", None) else "followed", code].append(words)
    return {
        "therapist": {b: quantiles(therapist[b]) for b in BEHAVIOURS},
        "client": {drawn: {t: quantiles(client[drawn, t]) for t in TALKS} for drawn in ("opened", "followed")},
        "session_turns": quantiles([len(session) for session in data]),
    }


def logit_sd(hits: Sequence[int], totals: Sequence[int]) -> tuple[float, float]:
    """Mean and SD of a normal logit over sessions, by maximum likelihood (binomial counts, 40-point Gauss-Hermite)."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    log_weights = np.log(weights / weights.sum())
    k, n = np.asarray(hits, float)[:, None], np.asarray(totals, float)[:, None]

    def loss(parameters: Any) -> float:
        logit = parameters[0] + np.exp(parameters[1]) * nodes[None, :]
        p = np.clip(expit(logit), 1e-12, 1 - 1e-12)
        part = k * np.log(p) + (n - k) * np.log1p(-p) + log_weights
        top = part.max(axis=1, keepdims=True)
        return -float((top[:, 0] + np.log(np.exp(part - top).sum(axis=1))).sum())

    share = float(np.clip(np.sum(hits) / np.sum(totals), 1e-6, 1 - 1e-6))
    best = minimize(loss, [np.log(share / (1 - share)), np.log(0.8)], method="Nelder-Mead")
    return float(best.x[0]), float(np.exp(best.x[1]))


def spreads(data: list[list[Turn]]) -> dict[str, dict[str, float]]:
    """Session mean share, pooled share and logit SD between sessions, per code."""
    found = {}
    for role, names in (("therapist", BEHAVIOURS), ("client", TALKS)):
        counts = [Counter(code for who, code, _ in session if who == role) for session in data]
        totals = [sum(count.values()) for count in counts]
        for name in names:
            hits = [count[name] for count in counts]
            found[name] = {
                "session_mean_share": round(float(np.mean([h / t for h, t in zip(hits, totals, strict=True)])), 4),
                "pooled_share": round(sum(hits) / sum(totals), 4),
                "logit_sd": round(logit_sd(hits, totals)[1], 3),
            }
    return found


def estimate(path: Path, quality: str) -> dict[str, Any]:
    """All estimates for one quality."""
    data = sessions(path, quality)
    return {
        "source": "AnnoMI (Wu et al. 2022, 2023), development part, computed by experiments/reference_dyad/estimate.py",
        "quality": quality,
        "sessions": len(data),
        "utterances": sum(len(session) for session in data),
        "transitions": transitions(data),
        "within_session_log_weights": {role: within_sessions(data, role) for role in ("therapist", "client")},
        "words": lengths(data),
        "spread": spreads(data),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quality", choices=["high", "low"], default="high")
    parser.add_argument("--write", action="store_true", help="store the estimates as the package's data")
    arguments = parser.parse_args()
    folder = os.environ.get("DYAD_DATA_DIR")
    if not folder or not (path := Path(folder) / "annomi" / "annomi_simple.csv").is_file():
        sys.stderr.write("DYAD_DATA_DIR: no annomi/annomi_simple.csv there; point it at the folder of data sets\n")
        return 2
    found = estimate(path, arguments.quality)
    text = json.dumps(found, indent=1) + "\n"
    if arguments.write:
        if arguments.quality != "high":
            sys.stderr.write("--write: only the high-quality estimates are the package's data\n")
            return 2
        TARGET.write_text(text, encoding="utf-8")
    sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
