"""AnnoMI in either form of its file, as coded sessions; the reading and its checks are the importer's."""

from __future__ import annotations

from pathlib import Path

from simulator.codebooks import load_codebook
from simulator.coding.base import CodedTurn
from simulator.coding.loaders.tables import read_table
from simulator.coding.trained.examples import CodedSession, Examples, Task
from simulator.store.importers.annomi import CODE_OF, TRANSCRIPTS, VIDEO_COLUMNS, read_annomi

SHORT = {"therapist": "therapist", "client": "client"}


def read(path: Path) -> Examples:
    """Sessions grouped by video; tasks `therapist` and `client`, stratum the session's quality."""
    dataset = read_annomi(path)
    book = load_codebook("annomi")
    tasks = tuple(
        Task(role, book.name, book.version, code, role, tuple(book.code(code).values), book.code(code).unit)
        for role, code in CODE_OF.items()
    )
    turns: dict[str, list[CodedTurn]] = {}
    codes: dict[str, dict[str, dict[int, str]]] = {}
    for row in dataset.tables["turns"]:
        turns.setdefault(row["course_id"], []).append(
            CodedTurn(row["course_id"], row["session"], row["turn"], row["role"], row["text"])
        )
    for row in dataset.tables["codings"]:
        if row["value"] is not None:
            codes.setdefault(row["course_id"], {}).setdefault(row["role"], {})[row["turn"]] = row["value"]
    sessions = tuple(
        CodedSession(
            course["cluster"], turns[course["course_id"]], codes.get(course["course_id"], {}), {}, course["stratum"]
        )
        for course in dataset.tables["courses"]
    )
    video = next(name for name in VIDEO_COLUMNS if name in read_table(path).header)
    return Examples("annomi", str(path), dataset.source_hash, "videos", tasks, sessions, f"annomi {video}", TRANSCRIPTS)
