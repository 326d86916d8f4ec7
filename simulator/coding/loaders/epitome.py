"""EPITOME (Sharma et al. 2020): a seeker's post and a reply, with three levels and the stretches that carry them.

Two forms: the shared part in one table (`emotional_reactions_level`, ...), and the authors' file of one mechanism
(`sp_id, rp_id, seeker_post, response_post, level, rationales`), whose name says which (`emotional-reactions...csv`).
A pair becomes a session of two turns, client and therapist. Pairs are grouped by post. Rows that repeat a pair (same
reply id) are left out after the first, and so are the pairs that communication experts rated again (EmpathyExperts),
where their ids are given.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from simulator.codebooks import load_codebook
from simulator.coding.base import CodedTurn
from simulator.coding.loaders.tables import Table, read_table
from simulator.coding.trained.examples import CodedSession, Examples, Span, Task
from simulator.errors import UserError, nearest
from simulator.records.fingerprints import fingerprint

CODES = {"er": "emotional_reactions", "ip": "interpretations", "ex": "explorations"}
"""Tasks by short name."""

_LEVELS = ("0", "1", "2")


def matches(header: Collection[str]) -> bool:
    """Whether a header is that of either form."""
    return {"seeker_post", "response_post"} <= set(header)


def read(path: Path, left_out: Collection[str] = ()) -> Examples:
    """Pairs as sessions of two turns.

    Args:
        left_out: reply ids (`rp...`) to leave out.

    Raises:
        UserError: one line with file and row.
    """
    table = read_table(path)
    joint = any(f"{code}_level" in table.header for code in CODES.values())
    columns = _columns(table, path, joint)
    reply, post = ("response_id", "post_id") if joint else ("rp_id", "sp_id")
    table.require([reply, post, "seeker_post", "response_post", *(name for pair in columns.values() for name in pair)])
    book = load_codebook("epitome")
    tasks = tuple(
        Task(short, book.name, book.version, CODES[short], "therapist", _LEVELS, book.code(CODES[short]).unit, True)
        for short in columns
    )
    seen: set[str] = set(left_out)
    sessions = []
    for row, cells in table.rows():
        identity = cells[reply]
        if identity in seen:
            continue
        seen.add(identity)
        course = fingerprint(["epitome", identity])
        turns = [
            CodedTurn(course, 0, 0, "client", cells["seeker_post"]),
            CodedTurn(course, 0, 1, "therapist", cells["response_post"]),
        ]
        codes, evidence = {}, {}
        for short, (level, rationale) in columns.items():
            value = cells[level].strip()
            if value not in _LEVELS:
                raise UserError(f"{path}, row {row}: {level} '{value}'{nearest(value, _LEVELS)}")
            codes[short] = {1: value}
            evidence[short] = {1: _spans(cells["response_post"], cells[rationale])}
        sessions.append(CodedSession(cells[post], turns, codes, evidence))
    if not sessions:
        raise UserError(f"{path}: no pairs below the header")
    return Examples("epitome", str(path), table.sha256, "posts", tasks, tuple(sessions), f"epitome {post}")


def _columns(table: Table, path: Path, joint: bool) -> dict[str, tuple[str, str]]:
    """Columns of level and rationale by task."""
    if joint:
        return {short: (f"{code}_level", f"{code}_rationale") for short, code in CODES.items()}
    name = path.name.replace("-", "_").lower()
    for short, code in CODES.items():
        if code in name:
            return {short: ("level", "rationales")}
    raise UserError(
        f"{path}: a file of one mechanism must say which in its name: {', '.join(CODES.values())} "
        f"(or give the table with the columns {', '.join(f'{code}_level' for code in CODES.values())})"
    )


def _spans(text: str, rationales: str) -> list[Span]:
    """Where each stretch stands in the reply; stretches that are not there exactly are left out."""
    found = []
    for stretch in (part.strip() for part in rationales.split("|")):
        start = text.find(stretch) if stretch else -1
        if start >= 0:
            found.append((start, start + len(stretch)))
    return found
