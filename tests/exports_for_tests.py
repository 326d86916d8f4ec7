"""A run made by hand for exporters: every kind of course, and a marker wherever a release must withhold something."""

from pathlib import Path
from typing import Any

from simulator.records.fingerprints import fingerprint
from simulator.store.compaction import write_rows
from simulator.store.runs import RunFolder, create_run
from simulator.store.tables import TABLES

HUMAN, REPLAYED, ANSWER, PERSONA, MESSAGE, HOST = (
    "MARK-human-text", "MARK-replayed-text", "MARK-licensed-answer", "MARK-persona", "MARK-failure", "MARK-host",
)  # fmt: skip
MARKS = (HUMAN, REPLAYED, ANSWER, PERSONA, MESSAGE, HOST)

TALKS: dict[str, list[tuple[str, str]]] = {
    "plain": [
        ("therapist", "What brings you?"),
        ("client", "=SUM(A1)\nor \u201cso\u201d, \U0001f642 and \u2028 that."),
        ("therapist", ""),
    ],
    "failed": [("therapist", "Hello."), ("client", "-no")],
    "three": [("therapist", "All here?"), ("client", "Yes."), ("partner", "I am, too.")],
    "replayed": [("client", f"{REPLAYED} one"), ("therapist", "Go on."), ("client", f"{REPLAYED} two")],
    "human": [("therapist", f"{HUMAN} one"), ("client", f"{HUMAN} two")],
}
"""What is said in each course, all in session 0; `plain` has a second session with the same words."""


def course(name: str) -> str:
    """The id of a course of the sample."""
    return fingerprint(["sample", name])


def make_sample(folder: Path, licence: str | None = None) -> RunFolder:
    """Write the sample: five courses, one failed, one of people, one that replays."""
    replay = {"_target_": "elsewhere.replay.ReplayClient"}
    run = create_run(folder, {
        "kind": "run", "experiment": "sample", "identity": "0123456789abcdef" * 2, "origin": "model", "shards": 1,
        "code_version": "cafe", "created_by": "dyad 0.1.0", "licence": licence,
        "design": {"personas": 3, "courses": 5, "replicates": 1, "seed": 0},
        "config": {"client": {"static": {"_target_": "elsewhere.StaticClient"}, "replay": replay}, "seed": 0},
    })  # fmt: skip
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES}
    for name in sorted(TALKS, key=course):
        _add(rows, name)
    rows["personas"] = [
        _persona("a-open", "Apache-2.0", "written", "Ann"), _persona("b-own", "mine alone", "written", PERSONA),
        _persona("c-person", "Apache-2.0", "extracted", PERSONA),
    ]  # fmt: skip
    for name, content in rows.items():
        write_rows(run.dataset, name, content)
    return run


def _persona(name: str, licence: str, provenance: str, text: str) -> dict[str, Any]:
    return {
        "persona_id": name, "name": text, "fingerprint": "f", "age": 40, "gender": "woman", "adolescent": False,
        "high_risk": False, "problem": "grief", "licence": licence, "provenance": provenance,
        "document": f'{{"name":"{text}"}}',
    }  # fmt: skip


def _add(rows: dict[str, list[dict[str, Any]]], name: str) -> None:
    key = course(name)
    failed = name == "failed"
    sessions = 2 if name == "plain" else 1
    rows["courses"].append({
        "course_id": key, "condition": "static+cbt" if name != "three" else "group", "therapist": "cbt",
        "client": "replay" if name == "replayed" else "static", "persona_id": "a-open", "replicate": 0,
        "pairing_key": key, "cluster": "a-open", "origin": "human" if name == "human" else "model",
        "sessions": 0 if failed else sessions, "status": "failed" if failed else "ended",
    })  # fmt: skip
    for session in range(sessions):
        where = {"course_id": key, "session": session}
        for turn, (role, text) in enumerate(TALKS[name]):
            rows["turns"].append(where | {
                "turn": turn, "role": role, "speaker": f"a {role}", "text": text, "words": 1, "finish_reason": "stop",
                "model": "tiny", "seed": 2**52 + turn, "regeneration": 0,
                "planted": '{"annomi":{"client_talk_type":"change"}}' if role == "client" else None,
                "state": '{"distress":0.5}' if role == "client" else None,
            })  # fmt: skip
        if not failed:
            rows["sessions"].append(where | {
                "opened_by": TALKS[name][0][0], "ending": "goodbye", "ended_by": "client", "turns": len(TALKS[name]),
                "words": 9, "day": 7.0 * session,
            })  # fmt: skip
        rows["scores"].append(where | {
            "moment": "session_end", "day": 0.0, "instrument": "SEQ", "version": "1", "respondent": "client",
            "scale": "Depth", "score": None if session else 4.5, "items": 5, "missing_items": 5 * session,
            "missing_reason": "refused" if session else None, "marks": "", "flagged": False,
        })  # fmt: skip
        answers = {"paraphrase": "four", "licensed": ANSWER}
        rows["administrations"] += [
            where | {
                "moment": "session_end", "day": 0.0, "instrument": "SEQ", "version": "1", "form": "official",
                "wording": wording, "respondent": "client", "item": wording, "value": 4.0, "adapted": False, "seed": 1,
                "raw_text": text if name != "replayed" else REPLAYED,
            }
            for wording, text in answers.items()
        ]  # fmt: skip
        rows["codings"].append(where | {
            "turn": 0, "start": 0, "end": 3, "unit": "turn", "role": TALKS[name][0][0], "codebook": "annomi",
            "codebook_version": "1", "code": "main_therapist_behaviour", "value": "question", "coder": "rules",
            "coder_fingerprint": "abc", "transcript": "def",
        })  # fmt: skip
    rows["notes"].append({
        "course_id": key, "session": 0, "role": "client", "day": 0.0, "kind": "said", "weight": 1.0,
        "text": REPLAYED if name == "replayed" else "a note",
    })  # fmt: skip
    rows["life"].append({"course_id": key, "week": 0, "day": 0.0, "status": "in_course", "sessions": 1})
    rows["extractions"].append({
        "course_id": key, "session": 0, "field": "occupation", "source": "a:0", "transcript": "t", "value": "nurse",
        "raw_text": "I am a nurse", "seed": 1,
    })  # fmt: skip
    rows["decisions"].append({
        "course_id": key, "week": 0, "day": 0.0, "role": "client", "question": "next", "option": "return",
        "probability": 0.5, "probabilities": '{"return":0.5,"stop":0.5}', "seed": 1,
    })  # fmt: skip
    rows["events"].append({
        "course_id": key, "session": 0, "turn": 0, "kind": "stimulus", "name": "note", "role": "client",
        "payload": f'{{"text":"{REPLAYED if name == "replayed" else "a note"}"}}',
    })  # fmt: skip
    rows["executions"].append({
        "course_id": key, "session": 0, "scope": "session", "host": HOST, "started": 1.7e9, "seconds": 2.0,
    })  # fmt: skip
    if failed:
        rows["failures"].append({
            "course_id": key, "session": 0, "turn": 2, "boundary": "model", "kind": "timeout", "message": MESSAGE,
        })  # fmt: skip
