"""BOLT (Chiu et al. 2024): single utterances with one or more labels, of therapists or of clients.

Every label is a code of its own, absent or present. The file's name says whose utterances it holds (`therapist_...`,
`client_...`). Utterances that occur in several rows bear several labels. Licence of the texts: BSD-3-Clause.
"""

from __future__ import annotations

import re
from pathlib import Path

from simulator.codebooks import load_codebook
from simulator.coding.base import CodedTurn
from simulator.coding.loaders.tables import read_table
from simulator.coding.trained.examples import CodedSession, Examples, Task
from simulator.errors import UserError
from simulator.records.fingerprints import fingerprint

_ROLES = ("therapist", "client")


def read(path: Path) -> Examples:
    """Utterances as sessions of one turn, grouped by text; a task per label."""
    table = read_table(path)
    table.require(["text_id", "text", "label"])
    role = next((role for role in _ROLES if role in path.name.lower()), None)
    if role is None:
        raise UserError(f"{path}: its name must say whose utterances it holds: therapist or client")
    texts: dict[str, str] = {}
    labels: dict[str, set[str]] = {}
    for row, cells in table.rows():
        if not cells["label"].strip():
            raise UserError(f"{path}, row {row}: label is empty")
        if texts.setdefault(cells["text_id"], cells["text"].strip()) != cells["text"].strip():
            raise UserError(f"{path}, row {row}: text_id '{cells['text_id']}' stands for two texts")
        labels.setdefault(cells["text_id"], set()).add(code_of(cells["label"]))
    if not texts:
        raise UserError(f"{path}: no utterances below the header")
    book = load_codebook("bolt")
    codes = sorted(set().union(*labels.values()))
    tasks = tuple(
        Task(code, book.name, book.version, code, role, book.code(code).values, book.code(code).unit) for code in codes
    )
    sessions = tuple(
        CodedSession(
            identity,
            [CodedTurn(fingerprint(["bolt", role, identity]), 0, 0, role, text)],
            {code: {0: "present" if code in labels[identity] else "absent"} for code in codes},
        )
        for identity, text in texts.items()
    )
    return Examples("bolt", str(path), table.sha256, "texts", tasks, sessions, f"bolt {role}")


def code_of(label: str) -> str:
    """The codebook's id of a label: `Questions on Emotions` is `questions_on_emotions`."""
    return re.sub(r"[^a-z0-9]+", "_", label.strip().lower()).strip("_").replace("behavior", "behaviour")
