"""Small sessions for tests of the scorecard: written by hand, or drawn from a process that stands in for people."""

import json
from collections.abc import Sequence

import numpy as np
import polars as pl

from simulator.records.text import count_words

FILLER = ["well", "maybe", "because", "of", "it", "all", "and", "then", "some", "more", "again", "before", "about"]


def frames(
    sessions: Sequence[Sequence[tuple[str, str]]],
    clusters: Sequence[str] | None = None,
    therapists: Sequence[str] | None = None,
    origin: str = "human",
    codes: Sequence[Sequence[str | None]] | None = None,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The `turns` and `courses` of sessions given as (role, text); planted AnnoMI codes where `codes` are given."""
    rows, courses = [], []
    for s, session in enumerate(sessions):
        course = f"course{s:04d}"
        courses.append({
            "course_id": course, "condition": "c", "client": "x", "therapist": therapists[s] if therapists else "t",
            "persona_id": None, "replicate": 0, "cluster": clusters[s] if clusters else course, "stratum": None,
            "origin": origin,
        })  # fmt: skip
        for t, (role, text) in enumerate(session):
            code = codes[s][t] if codes else None
            name = "client_talk_type" if role == "client" else "main_therapist_behaviour"
            rows.append({
                "course_id": course, "session": 0, "turn": t, "role": role, "text": text, "words": count_words(text),
                "probe": None, "planted": json.dumps({"annomi": {name: code}}) if code else None,
            })  # fmt: skip
    schema = {"probe": pl.String, "planted": pl.String}
    turns = pl.DataFrame(rows, schema_overrides=schema)
    return turns, pl.DataFrame(courses, schema_overrides={"stratum": pl.String, "persona_id": pl.String})


def words(generator: np.random.Generator, n: int) -> str:
    return " ".join(generator.choice(FILLER) for _ in range(n))


def people(generator: np.random.Generator, n: int, dull: bool = False) -> list[list[tuple[str, str]]]:
    """Sessions whose lengths vary between and within people; dull clients always say thirty words."""
    found = []
    for _ in range(n):
        talkative, asking = generator.normal(2.2, 0.5), generator.beta(4, 6)
        session = []
        for _ in range(int(np.clip(generator.lognormal(3.0, 0.6), 6, 120))):
            question = "?" if generator.random() < asking else "."
            session.append(("therapist", words(generator, 1 + generator.geometric(0.07)) + question))
            size = 30 if dull else int(np.clip(generator.lognormal(talkative, 1.0), 1, 150))
            start = "I mean " if generator.random() < 0.4 else "yes " if generator.random() < 0.4 else ""
            session.append(("client", start + words(generator, max(size - count_words(start), 0))))
        found.append(session)
    return found
