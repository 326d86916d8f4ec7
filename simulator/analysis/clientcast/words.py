"""What the simulated client's words owe to the recording, and how they change through the session.

Leakage: the share of the client's runs of `RUN` words that stand in the recording it was made from; runs found in
other clients' recordings are the floor, because stock phrases leak from nobody. Drift: style and symptoms in thirds of
the session, as differences of the last from the first third.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from simulator.analysis.clientcast.frames import CLUSTER, Stages
from simulator.statistics.means import mean_over_clusters

if TYPE_CHECKING:
    import polars as pl

RUN = 5
THIRDS = 3
FUNCTION_WORDS = (
    "a", "about", "all", "am", "an", "and", "are", "as", "at", "be", "because", "been", "but", "by", "can", "did",
    "do", "for", "from", "had", "has", "have", "he", "her", "him", "i", "if", "in", "is", "it", "just", "know",
    "like", "me", "my", "no", "not", "of", "on", "or", "she", "so", "that", "the", "them", "there", "they", "this",
    "to", "up", "was", "we", "well", "what", "when", "with", "would", "you",
)  # fmt: skip
"""Words whose frequencies make up a manner of speaking, whatever is spoken about."""
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")


def words_in(text: str) -> list[str]:
    """Words in lower case."""
    return [word.replace("\u2019", "'").casefold() for word in _WORD.findall(text)]


def runs_of(texts: Sequence[str], length: int = RUN) -> set[tuple[str, ...]]:
    """Runs of so many words within one text each."""
    found: set[tuple[str, ...]] = set()
    for text in texts:
        words = words_in(text)
        found.update(tuple(words[at : at + length]) for at in range(len(words) - length + 1))
    return found


def containment(said: set[tuple[str, ...]], recorded: set[tuple[str, ...]]) -> float:
    """Share of the runs of `said` that stand in `recorded`; NaN where there are none."""
    return len(said & recorded) / len(said) if said else float("nan")


def _client_texts(frame: "pl.DataFrame", names: Mapping[str, str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for course, session, text in (
        frame.sort("course_id", "session", "turn").select("course_id", "session", "text").iter_rows()
    ):
        found.setdefault(names.get(course, f"{course}:{session}"), []).append(text)
    return found


def spoken(stages: Stages) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Client turns of every recording (by `course:session`) and of every simulated session (by its course)."""
    columns = ["course_id", "session", "turn", "role", "text"]
    recorded = stages.table("source", "turns", columns).filter(role="client")
    simulated = stages.table("simulated", "turns", columns).filter(role="client")
    sessions = {name: name for name in stages.sessions["session"].to_list()}
    return _client_texts(recorded, {}), _client_texts(simulated, sessions)


def leakage(stages: Stages) -> dict[str, Any]:
    """`own`, `others` (floor), `excess` (own minus floor, paired): shares of runs of `run` words."""
    recorded, simulated = spoken(stages)
    runs = {name: runs_of(texts) for name, texts in recorded.items()}
    about = stages.sessions.filter(status="ended").sort("client", "session")
    client_of = dict(about.select("recording", "client").iter_rows())
    own, others, clients = [], [], []
    for session, client, recording in about.select("session", "client", "recording").iter_rows():
        said = runs_of(simulated.get(session, []))
        own.append(containment(said, runs[recording]))
        floor = [containment(said, runs[name]) for name, whose in client_of.items() if whose != client]
        others.append(float(np.mean(floor)) if floor else float("nan"))
        clients.append(client)
    arrays = {"own": np.array(own), "others": np.array(others)}
    arrays["excess"] = arrays["own"] - arrays["others"]
    return {"run": RUN, **{name: _mean(values, clients) for name, values in arrays.items()}}


def drift(stages: Stages) -> dict[str, Any]:
    """`style` and `symptoms`: per measure its mean in each third of the client's turns and the `change` from the first
    to the last.

    Style: `words per turn`, `questions` (share of turns), `likeness` (cosine of function-word frequencies with the
    recording's client) and `likeness to others` (the same with other clients, a floor). Symptoms: `evidence` (share of
    the places at which symptoms were found when the session was read again) and, where it was planted, `distress`.
    """
    recorded, simulated = spoken(stages)
    profiles = {name: _profile(texts) for name, texts in recorded.items()}
    about = stages.sessions.filter(status="ended").sort("client", "session")
    client_of = dict(about.select("recording", "client").iter_rows())
    found: dict[str, list[list[float]]] = {}
    clients: list[str] = []
    for session, client, recording in about.select("session", "client", "recording").iter_rows():
        texts = simulated.get(session, [])
        if len(texts) < 2 * THIRDS:
            continue
        parts = _thirds(texts)
        foreign = [profiles[name] for name, whose in client_of.items() if whose != client]
        manners = [_profile(part) for part in parts]
        measures = {
            "words per turn": [float(np.mean([len(words_in(text)) for text in part])) for part in parts],
            "questions": [float(np.mean(["?" in text for text in part])) for part in parts],
            "likeness": [_cosine(manner, profiles[recording]) for manner in manners],
            "likeness to others": [
                float(np.mean([_cosine(manner, other) for other in foreign])) if foreign else float("nan")
                for manner in manners
            ],
        }
        clients.append(client)
        for name, values in measures.items():
            found.setdefault(name, []).append(values)
    style = [_row(name, np.array(values), clients) for name, values in found.items()]
    return {"style": style, "symptoms": _symptoms(stages), "sessions": len(clients)}


def _symptoms(stages: Stages) -> list[dict[str, Any]]:
    import json

    import polars as pl

    about = stages.sessions.filter(status="ended").select("session", "client")
    turns = stages.table("simulated", "turns", ["course_id", "turn", "role", "state"])
    lengths = turns.group_by(pl.col("course_id").alias("session")).agg(pl.len().alias("turns"))
    symptoms = stages.table("reread", "extractions", ["field", "source", "evidence_turn", "number"])
    located = symptoms.filter(
        pl.col("field").str.contains(":") & pl.col("evidence_turn").is_not_null() & (pl.col("number") > 0)
    )
    places = (
        located.with_columns(pl.col("source").str.split(":").list.first().alias("session"))
        .join(lengths, on="session").join(about, on="session")
        .with_columns((pl.col("evidence_turn") * THIRDS // pl.col("turns")).alias("third"))
        .group_by("client", "session")
        .agg((pl.col("third") == place).mean().alias(str(place)) for place in range(THIRDS))
        .sort("client", "session")
    )  # fmt: skip
    rows = []
    if len(places):
        values = places.select(str(place) for place in range(THIRDS)).to_numpy()
        rows.append(_row("evidence", values, places["client"].to_list()))
    planted = turns.filter((pl.col("role") == "client") & pl.col("state").is_not_null())
    if len(planted):
        states: dict[str, list[float]] = {}
        for course, state in planted.sort("course_id", "turn").select("course_id", "state").iter_rows():
            states.setdefault(course, []).append(float(json.loads(state).get("distress", float("nan"))))
        whose = dict(about.iter_rows())
        kept = sorted(name for name, values in states.items() if len(values) >= 2 * THIRDS and name in whose)
        table = np.array([[float(np.mean(part)) for part in _thirds(states[name])] for name in kept])
        if len(kept) and not np.isnan(table).all():
            rows.append(_row("distress", table, [whose[name] for name in kept]))
    return rows


def _row(name: str, values: npt.NDArray[np.float64], clients: Sequence[str]) -> dict[str, Any]:
    return {
        "measure": name,
        "thirds": [_mean(values[:, place], clients) for place in range(THIRDS)],
        "change": _mean(values[:, -1] - values[:, 0], clients),
    }


def _thirds(values: Sequence[Any]) -> list[Sequence[Any]]:
    cuts = [len(values) * place // THIRDS for place in range(THIRDS + 1)]
    return [values[first:last] for first, last in pairwise(cuts)]


def _profile(texts: Sequence[str]) -> npt.NDArray[np.float64]:
    counts = Counter(word for text in texts for word in words_in(text))
    return np.array([counts[word] for word in FUNCTION_WORDS], dtype=np.float64)


def _cosine(first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]) -> float:
    size = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float(first @ second) / size if size > 0 else float("nan")


def _mean(values: npt.NDArray[np.float64], clients: Sequence[str]) -> dict[str, Any]:
    return mean_over_clusters(values, np.asarray(clients), cluster=CLUSTER).to_dict()
