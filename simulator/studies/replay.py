"""Recorded sessions as the input of a study: the client's turns are fixed, the therapists of the design answer them.

The plan reads the dataset (of a run or an import) and hands every course its turns; agents open no store. What counts
for ids and identity is what was said, not where it lies. A course replays one session; turns of one role in a row are
one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from simulator.errors import UserError
from simulator.personas.schema import Persona
from simulator.records.text import transcript_fingerprint
from simulator.store.reading import read_table

TURNS_JOIN = "\n"
"""Between turns of one role in a row, which become one."""


class ReplayChoice(BaseModel):
    """Which recorded sessions are replayed, and what the therapist is told of the past."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    run: str | None = None
    """Folder of a run or an import; none: nothing is replayed."""
    history: Literal["recorded", "own"] = "recorded"
    """`recorded`: every answer is given on what was really said before. `own`: on the therapist's answers so far."""
    limit: Annotated[int, Field(ge=1)] | None = None
    """Only the first so many sessions, in the order of their course ids."""


@dataclass(frozen=True, slots=True)
class Recording:
    """One recorded session."""

    source: str
    """`course:session` in the dataset it comes from."""
    cluster: str
    """What intervals are clustered by: the persona of a run, the cluster of an import."""
    turns: tuple[tuple[str, str], ...]
    """(role, text) in alternation, up to and with the turn that answers the client's last."""
    persona: Persona | None

    @property
    def fingerprint(self) -> str:
        """Of what was said."""
        return transcript_fingerprint(self.turns)

    def memory(self, history: str) -> dict[str, Any]:
        """What the seats of a course are given."""
        return {"replay": {"turns": self.turns, "history": history, "source": self.source}}


def load_recordings(choice: ReplayChoice, client: str, therapist: str) -> list[Recording]:
    """The recorded sessions of a study.

    Args:
        choice: which.
        client: the role whose turns are replayed.
        therapist: the role that answers.

    Raises:
        UserError: no such run, no tables, or no session in which the client speaks.
    """
    folder = Path(str(choice.run)).expanduser()
    courses = {
        row["course_id"]: row
        for row in read_table(folder, "courses", ["course_id", "persona_id", "cluster"]).to_dicts()
    }
    personas = _personas(folder)
    table = read_table(folder, "turns", ["course_id", "session", "turn", "role", "text"])
    rows = table.sort("course_id", "session", "turn").iter_rows()
    recordings = []
    for (course, session), group in groupby(rows, key=lambda row: (row[0], row[1])):
        said = _alternating([(role, text) for _, _, _, role, text in group], client, therapist)
        if not said:
            continue
        row = courses[course]
        persona = personas.get(str(row["persona_id"]))
        recordings.append(Recording(f"{course}:{session}", str(row["cluster"] or course), said, persona))
        if choice.limit is not None and len(recordings) == choice.limit:
            break
    if not recordings:
        raise UserError(f"replay.run: no session of {folder} has turns of '{client}' for '{therapist}' to answer")
    return recordings


def _personas(folder: Path) -> dict[str, Persona]:
    try:
        rows = read_table(folder, "personas", ["persona_id", "document"]).to_dicts()
    except UserError:  # imports have none
        return {}
    documents: Mapping[str, str | None] = {row["persona_id"]: row["document"] for row in rows}
    return {
        name: Persona.model_validate(msgspec.json.decode(text)) for name, text in documents.items() if text is not None
    }


def _alternating(said: list[tuple[str, str]], client: str, therapist: str) -> tuple[tuple[str, str], ...]:
    """The turns of the two roles in alternation, cut after the client's last turn; empty where the client is silent."""
    merged = [
        (role, TURNS_JOIN.join(text for _, text in group))
        for role, group in groupby((turn for turn in said if turn[0] in (client, therapist)), key=lambda turn: turn[0])
    ]
    while merged and merged[-1][0] != client:
        merged.pop()
    return tuple(merged)
