"""Sessions of a stored run or import, as a plan hands them to agents, which open no store.

What counts for ids and identity is what was said, not where it lies.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from simulator.errors import UserError
from simulator.personas.schema import Persona
from simulator.records.text import transcript_fingerprint
from simulator.store.reading import read_table


class Said(NamedTuple):
    """One recorded turn; `planted` and `state` where a scripted speaker left them."""

    role: str
    text: str
    planted: dict[str, dict[str, Any]] | None = None
    state: dict[str, float] | None = None


@dataclass(frozen=True, slots=True)
class Recording:
    """One recorded session."""

    source: str
    """`course:session` in the dataset it comes from."""
    cluster: str
    """What intervals are clustered by: the persona of a run, the cluster of an import."""
    turns: tuple[tuple[str, str], ...]
    """(role, text) of every turn that is handed over."""
    persona: Persona | None
    memory: Mapping[str, Any] = field(default_factory=dict)
    """What the seats of a course are given."""
    stratum: str | None = None
    """A declared grouping of the recording (AnnoMI: high / low), else its therapist."""

    @property
    def fingerprint(self) -> str:
        """Of what was said."""
        return transcript_fingerprint(self.turns)


class Recorded(NamedTuple):
    """One session as the dataset holds it, with the row of its course."""

    course: dict[str, Any]
    session: int
    turns: list[Said]
    persona: Persona | None

    @property
    def name(self) -> str:
        """`course:session`."""
        return f"{self.course['course_id']}:{self.session}"

    @property
    def cluster(self) -> str:
        """What intervals are clustered by."""
        return str(self.course["cluster"] or self.course["course_id"])


def recorded_sessions(folder: Path) -> Iterator[Recorded]:
    """All sessions of a dataset, by course and session.

    Raises:
        UserError: no such run, or no tables.
    """
    columns = ["course_id", "persona_id", "cluster", "stratum", "therapist", "condition", "source", "status"]
    courses = {row["course_id"]: row for row in read_table(folder, "courses", columns).to_dicts()}
    personas = _personas(folder)
    table = read_table(folder, "turns", ["course_id", "session", "turn", "role", "text", "planted", "state"])
    rows = table.sort("course_id", "session", "turn").iter_rows()
    for (course, session), group in groupby(rows, key=lambda row: (row[0], row[1])):
        turns = [Said(role, text, _decoded(planted), _decoded(state)) for *_, role, text, planted, state in group]
        row = courses[course]
        yield Recorded(row, session, turns, personas.get(str(row["persona_id"])))


def _decoded(text: str | None) -> Any:
    return None if text is None else msgspec.json.decode(text)


def _personas(folder: Path) -> dict[str, Persona]:
    try:
        rows = read_table(folder, "personas", ["persona_id", "document"]).to_dicts()
    except UserError:  # imports have none
        return {}
    documents: Mapping[str, str | None] = {row["persona_id"]: row["document"] for row in rows}
    return {
        name: Persona.model_validate(msgspec.json.decode(text)) for name, text in documents.items() if text is not None
    }
