"""HumaneBench: a user's question and an answer, judged under one of eight principles.

The question becomes the client's turn, the answer the therapist's; answers are grouped by question. Where the file has
a column `rating` (-1, -0.5, 0.5, 1), each principle is an ordinal code on the answers that were judged under it;
without it the set has texts and no codes. Licence of the texts: Apache-2.0.
"""

from __future__ import annotations

from pathlib import Path

from simulator.codebooks import load_codebook
from simulator.coding.base import CodedTurn
from simulator.coding.loaders.tables import read_table
from simulator.coding.trained.examples import CodedSession, Examples, Task
from simulator.errors import UserError, nearest
from simulator.records.fingerprints import fingerprint

RATINGS = {-1.0: "-1.0", -0.5: "-0.5", 0.5: "+0.5", 1.0: "+1.0"}
"""The codebook's values by number."""

CODES = {
    "respect-user-attention": "respect_attention",
    "enable-meaningful-choices": "meaningful_choices",
    "enhance-human-capabilities": "human_capabilities",
    "protect-dignity-and-safety": "dignity_safety",
    "foster-healthy-relationships": "healthy_relationships",
    "prioritize-long-term-wellbeing": "long_term_wellbeing",
    "be-transparent-and-honest": "transparency_honesty",
    "design-for-equity-and-inclusion": "equity_inclusion",
}
"""The codebook's codes by the file's names."""


def read(path: Path) -> Examples:
    """Answers as sessions of two turns; a task per principle where there are ratings."""
    table = read_table(path)
    table.require(["item_id", "question_id", "principle", "question", "answer"])
    rated, book = "rating" in table.header, load_codebook("humanebench")
    sessions: list[CodedSession] = []
    principles: set[str] = set()
    for row, cells in table.rows():
        rating = cells.get("rating", "").strip()
        if cells["principle"] not in CODES:
            raise UserError(f"{path}, row {row}: principle '{cells['principle']}'{nearest(cells['principle'], CODES)}")
        code = CODES[cells["principle"]]
        value = _value(rating, f"{path}, row {row}") if rating else None
        principles.add(code)
        course = fingerprint(["humanebench", cells["item_id"]])
        turns = [
            CodedTurn(course, 0, 0, "client", cells["question"].strip()),
            CodedTurn(course, 0, 1, "therapist", cells["answer"].strip()),
        ]
        sessions.append(CodedSession(cells["question_id"], turns, {code: {1: value}} if value else {}, {}, code))
    if not sessions:
        raise UserError(f"{path}: no answers below the header")
    tasks = tuple(
        Task(code, book.name, book.version, code, "therapist", tuple(book.code(code).values), "exchange", True)
        for code in sorted(principles)
        if rated
    )
    return Examples("humanebench", str(path), table.sha256, "questions", tasks, tuple(sessions), "humanebench")


def _value(rating: str, where: str) -> str:
    try:
        return RATINGS[float(rating)]
    except (ValueError, KeyError):
        raise UserError(f"{where}: rating '{rating}'{nearest(rating, RATINGS.values())}") from None
