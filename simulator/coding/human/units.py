"""What people are asked to code: the units of a session, each with its place, cut as for every other coder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from simulator.codebooks import Code, Codebook
from simulator.codebooks.parts import UNITS, Unit
from simulator.coding.base import CodedTurn
from simulator.coding.units import utterances
from simulator.errors import UserError, nearest


class Place(NamedTuple):
    """One unit. `turn` is None for sessions and courses; `start` and `end` are offsets in the turn's text; `session` is
    the last one of a course."""

    course_id: str
    session: int
    turn: int | None
    start: int | None
    end: int | None
    role: str

    @property
    def key(self) -> str:
        """Tells it apart from the other units of its kind in a run."""
        return f"{self.course_id}:{self.session}:{self.turn}:{self.start}"


def sheet_codes(book: Codebook, chosen: Sequence[str] | None, unit: str | None) -> tuple[Unit, list[Code]]:
    """The unit of a sheet and the codes that people are asked for.

    Args:
        chosen: ids of codes; all by default.
        unit: where the codes have several; by default the only one there is. Codes of utterances can be asked of whole
            turns (`turn`): in AnnoMI the two are the same.

    Raises:
        UserError: an unknown code, or codes of several units and none named.
    """
    wanted = None if not chosen else {book.code(name).id for name in chosen}
    codes = [code for code in book.codes if code.read_from == "text" and (wanted is None or code.id in wanted)]
    units = [one for one in UNITS if any(code.unit == one for code in codes)]
    if unit == "turn" and "utterance" in units and "turn" not in units:
        return "turn", [code for code in codes if code.unit == "utterance"]
    if unit is not None and unit not in units:
        raise UserError(f"{book.name}: no code is judged by '{unit}'{nearest(unit, units)}")
    if unit is None and len(units) != 1:
        raise UserError(
            f"{book.name}: its codes are judged by {' and '.join(units)}; a sheet has one unit, name --unit"
        )
    of = units[0] if unit is None else next(one for one in units if one == unit)
    return of, [code for code in codes if code.unit == of]


def places(turns: Sequence[CodedTurn], unit: Unit, roles: Sequence[str]) -> Iterator[Place]:
    """The units of one kind in the turns of a session (of a course, where the unit is one), in order."""
    first = turns[0]
    if unit in ("session", "course"):
        if any(turn.role in roles for turn in turns):
            yield Place(first.course_id, turns[-1].session, None, None, None, roles[0])
        return
    before: CodedTurn | None = None
    for turn in turns:
        answers = before is not None and before.role != turn.role
        if turn.role in roles and (unit != "exchange" or answers):
            spans = utterances(turn.text) if unit == "utterance" else [(0, len(turn.text))]
            for start, end in spans:
                yield Place(turn.course_id, turn.session, turn.turn, start, end, turn.role)
        before = turn
