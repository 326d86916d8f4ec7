"""A made-up run for tests of the report: real tables, invented people, every kind of content that is drawn."""

import json
import random
from pathlib import Path
from typing import Any

from simulator.records.text import count_words, transcript_fingerprint
from simulator.store.parquet import write_rows
from simulator.store.runs import create_run
from simulator.store.tables import TABLES

LEANING = {
    "mi_consistent": (0.30, 0.40, 0.08), "advice_giving": (0.30, 0.10, 0.42), "companion": (0.25, 0.20, 0.20),
    "confrontational": (0.38, 0.06, 0.36),
}  # fmt: skip
WORDS = (
    "well", "I", "have", "been", "thinking", "about", "the", "evenings", "and", "how", "they", "go", "when", "nobody",
    "is", "around", "to", "talk", "with",
)  # fmt: skip


def sample_run(
    path: Path,
    personas: int = 8,
    replicates: int = 3,
    therapists: int = 4,
    hostile: str = "",
    population: str | None = None,
) -> Path:
    """Write a run folder; `hostile` is said in the first turn and stands in the first persona's name."""
    draw = random.Random(7)
    names = [*LEANING][:therapists]
    rows: dict[str, list[dict[str, Any]]] = {table: [] for table in TABLES}
    for p in range(personas):
        rows["personas"].append({
            "persona_id": f"persona-{p:02d}", "name": hostile if hostile and not p else f"Person {p}", "age": 20 + p,
            "population": population, "problem": "loneliness", "licence": "Apache-2.0", "document": "{}",
        })  # fmt: skip
    for p in range(personas):
        for t, therapist in enumerate(names):
            for r in range(replicates):
                _course(
                    rows, draw, f"c{p:02d}{t}{r}", f"persona-{p:02d}", therapist, r, hostile if p + t + r == 0 else ""
                )
    run = create_run(path, {
        "kind": "run", "experiment": "sample", "identity": "0" * 32, "origin": "scripted", "created_by": "dyad test",
        "code_version": "test", "shards": 1,
        "design": {"personas": personas, "population": population, "clients": ["scripted"], "therapists": names,
                   "replicates": replicates, "courses": len(rows["courses"]), "seed": 0},
    })  # fmt: skip
    for table, content in rows.items():
        write_rows(run.dataset, table, content)
    return path


def _course(
    rows: dict[str, list[dict[str, Any]]],
    draw: random.Random,
    course: str,
    persona: str,
    therapist: str,
    replicate: int,
    hostile: str,
) -> None:
    rows["courses"].append({
        "course_id": course, "condition": f"scripted+{therapist}", "client": "scripted", "therapist": therapist,
        "persona_id": persona, "replicate": replicate, "pairing_key": course, "cluster": persona, "origin": "scripted",
        "sessions": 1, "status": "ended",
    })  # fmt: skip
    length = draw.randint(6, 40)
    turns = []
    person = 0.15 * (int(persona[-2:]) % 4 - 1.5)
    state = dict.fromkeys(("distress", "alliance", "resistance"), 0.5)
    for turn in range(length):
        role = ("therapist", "client")[turn % 2]
        question, reflection, told = LEANING[therapist]
        at = draw.random()
        behaviour = (
            "question" if at < question else "reflection" if at < question + reflection + 0.2 * person
            else "therapist_input" if at < question + reflection + told else "other"
        )  # fmt: skip
        talk = "change" if draw.random() < 0.2 + reflection / 2 + turn / 200 else draw.choice(("neutral", "sustain"))
        planted: dict[str, Any] = {"annomi": {"client_talk_type": talk}}
        if role == "therapist":
            leaning = ["need_or_reliance"] if therapist == "companion" and draw.random() < 0.2 else []
            planted = {
                "annomi": {"main_therapist_behaviour": behaviour},
                "epitome": {"emotional_reactions": int(draw.random() * (1 + 2 * reflection) * 1.5)},
                "dependence-core": {"live": [], "present": leaning},
                "scripted": {"manner": "whispered-between-agents"},
            }
        state = {
            name: min(
                1.0, max(0.0, value + draw.gauss(0.01 if name == "alliance" and therapist[0] == "m" else -0.002, 0.02))
            )
            for name, value in state.items()
        }
        text = (
            hostile if hostile and not turn else " ".join(draw.choice(WORDS) for _ in range(draw.randint(2, 24))) + "."
        )
        turns.append((role, text))
        rows["turns"].append({
            "course_id": course, "session": 0, "turn": turn, "role": role, "speaker": role, "text": text,
            "words": count_words(text), "finish_reason": "stop", "model": "scripted", "seed": turn, "regeneration": 0,
            "planted": json.dumps(planted), "state": json.dumps(state) if role == "client" else None,
        })  # fmt: skip
        code, value = next(iter(planted["annomi"].items()))
        guess = value if draw.random() < 0.7 else {"therapist": "other", "client": "neutral"}[role]
        rows["codings"].append({
            "course_id": course, "session": 0, "turn": turn, "start": 0, "end": len(text), "unit": "turn", "role": role,
            "codebook": "annomi", "codebook_version": "1", "code": code, "value": guess, "coder": "rules",
            "coder_fingerprint": "f" * 32, "evidence_start": 0, "evidence_end": min(5, len(text)),
        })  # fmt: skip
    fingerprint = transcript_fingerprint(turns)
    for row in rows["codings"][-length:]:
        row["transcript"] = fingerprint
    rows["sessions"].append({
        "course_id": course, "session": 0, "opened_by": "therapist", "turns": length,
        "ending": "goodbye" if length < 36 else "turn_limit", "ended_by": "client" if length < 36 else None,
        "words": sum(count_words(text) for _, text in turns),
        "day": 0.0,
    })  # fmt: skip
    for instrument, moment, mean, low, high in (
        ("PHQ-9", "course_start", 11 + 20 * person, 0, 27), ("WAI-SR", "session_end", 36 + 24 * reflection, 12, 60),
    ):  # fmt: skip
        missing = draw.random() < 0.03
        rows["scores"].append({
            "course_id": course, "session": 0, "moment": moment, "day": 0.0, "instrument": instrument, "version": "1",
            "respondent": "client", "scale": "total", "items": 9,
            "score": None if missing else min(max(draw.gauss(mean, 3), low), high),
            "missing_items": int(missing), "missing_reason": "1 of 9 items missing: I3" if missing else None,
            "marks": "wording: paraphrase", "flagged": instrument == "PHQ-9" and draw.random() < 0.05,
        })  # fmt: skip
