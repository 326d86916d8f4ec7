"""What a role still knows of earlier sessions: bounded, and forgotten by a stated rule.

The rule: a note's strength is its weight, halved with every half-life since it was noted; noted again, it is as fresh
as the last time. Of a role's notes the strongest are kept, newer ones first among equals, until their number or their
characters would exceed the policy's. All notes fade at one rate, so what was forgotten once never comes back by itself.
What is remembered is a function of the journal and the day; nothing is stored beside it.
"""

from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from simulator.agents.between_sessions import Remembered
from simulator.records.journal_records import Noted


class MemoryPolicy(BaseModel):
    """How much of earlier sessions every role remembers."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    notes: Annotated[int, Field(ge=0)] = 24
    """Notes at most; 0: nothing is remembered (a scripted client's state goes on all the same)."""
    characters: Annotated[int, Field(ge=0)] = 4000
    """Characters of all notes together at most: what bounds a prompt."""
    half_life_days: Annotated[float, Field(gt=0)] = 28.0
    """Days in which a note loses half of its strength."""


def remembered(noted: Sequence[Noted], day: float, policy: MemoryPolicy) -> tuple[Remembered, ...]:
    """The notes that one role has not forgotten by `day`, oldest first.

    Args:
        noted: all notes of the role, in the order of the journal.
        day: simulated day, at or after the last note's.
        policy: how much is kept.
    """
    latest: dict[tuple[str, str], tuple[int, Remembered]] = {}
    place = 0
    for record in noted:
        for note in record.notes:
            strength = note.weight * 0.5 ** ((day - record.day) / policy.half_life_days)
            found = Remembered(note.kind, note.text, record.session, record.day, strength)
            latest[note.kind, note.text] = (place, found)
            place += 1
    ranked = sorted(latest.values(), key=lambda entry: (-entry[1].strength, -entry[0]))
    kept, room = [], policy.characters
    for entry in ranked[: policy.notes]:
        room -= len(entry[1].text)
        if room < 0:
            break
        kept.append(entry)
    return tuple(note for _, note in sorted(kept))
