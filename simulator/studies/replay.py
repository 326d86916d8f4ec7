"""Recorded sessions as the input of a study: the client's turns are fixed, the therapists of the design answer them.

The plan reads the dataset (of a run or an import) and hands every course its turns. A course replays one session; turns
of one role in a row are one.
"""

from itertools import groupby
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from simulator.errors import UserError
from simulator.studies.recordings import Recording, recorded_sessions

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
    recordings = []
    for found in recorded_sessions(folder):
        said = _alternating([(turn.role, turn.text) for turn in found.turns], client, therapist)
        if not said:
            continue
        memory = {"replay": {"turns": said, "history": choice.history, "source": found.name}}
        recordings.append(Recording(found.name, found.cluster, said, found.persona, memory))
        if choice.limit is not None and len(recordings) == choice.limit:
            break
    if not recordings:
        raise UserError(f"replay.run: no session of {folder} has turns of '{client}' for '{therapist}' to answer")
    return recordings


def _alternating(said: list[tuple[str, str]], client: str, therapist: str) -> tuple[tuple[str, str], ...]:
    """The turns of the two roles in alternation, cut after the client's last turn; empty where the client is silent."""
    merged = [
        (role, TURNS_JOIN.join(text for _, text in group))
        for role, group in groupby((turn for turn in said if turn[0] in (client, therapist)), key=lambda turn: turn[0])
    ]
    while merged and merged[-1][0] != client:
        merged.pop()
    return tuple(merged)
