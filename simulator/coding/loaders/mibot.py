"""MIBOT (Mahmood et al. 2025): smokers with a language-model counsellor, utterance by utterance.

The codes in the file were given by a language model, not by people: a silver standard at most. `counsellor` becomes the
role therapist. Licence of the texts: CC BY-SA 4.0.
"""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

from simulator.coding.base import CodedTurn
from simulator.coding.loaders.tables import read_table
from simulator.coding.trained.examples import CodedSession, Examples, Task
from simulator.errors import UserError, nearest
from simulator.records.fingerprints import fingerprint

ROLES = {"counsellor": "therapist", "client": "client"}
LABELS = {"therapist": ("mico", "miin", "other", "q", "r"), "client": ("c", "n", "s")}
"""MI-consistent, MI-inconsistent, other, question, reflection; change, neutral, sustain."""


def read(path: Path) -> Examples:
    """Sessions of utterances; tasks `therapist` and `client` of the codebook `mibot-auto-misc`."""
    table = read_table(path)
    table.require(["session_id", "utterance_index", "speaker", "text", "auto_misc_label"])
    sessions: dict[str, list[tuple[int, str, str, str]]] = {}
    for row, cells in table.rows():
        speaker, label, place = cells["speaker"], cells["auto_misc_label"].strip().lower(), cells["utterance_index"]
        if speaker not in ROLES:
            raise UserError(f"{path}, row {row}: speaker '{speaker}'{nearest(speaker, ROLES)}")
        if label and label not in LABELS[ROLES[speaker]]:
            raise UserError(f"{path}, row {row}: auto_misc_label '{label}'{nearest(label, LABELS[ROLES[speaker]])}")
        if not place.isdigit():
            raise UserError(f"{path}, row {row}: utterance_index '{place}' is not a whole number")
        sessions.setdefault(cells["session_id"], []).append((int(place), ROLES[speaker], cells["text"].strip(), label))
    if not sessions:
        raise UserError(f"{path}: no utterances below the header")
    tasks = tuple(Task(role, "mibot-auto-misc", "1", role, role, LABELS[role], "utterance") for role in LABELS)
    return Examples(
        "mibot", str(path), table.sha256, "sessions", tasks,
        tuple(_session(name, sorted(rows)) for name, rows in sessions.items()), "mibot",
    )  # fmt: skip


def _session(name: str, rows: list[tuple[int, str, str, str]]) -> CodedSession:
    course = fingerprint(["mibot", name])
    codes: dict[str, dict[int, str]] = {}
    for index, (_, role, _, label) in enumerate(rows):
        if label:
            codes.setdefault(role, {})[index] = label
    turns = [CodedTurn(course, 0, index, role, text) for index, (_, role, text, _) in enumerate(rows)]
    return CodedSession(name, turns, codes)


def turns_of(session: CodedSession) -> list[list[CodedTurn]]:
    """The utterances of a session by turn: those of one speaker in a row belong together."""
    return [list(parts) for _, parts in groupby(session.turns, key=lambda turn: turn.role)]
