"""What of a session is coded: the units of every kind, and how a prompt names each."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from simulator.codebooks.parts import Unit
from simulator.codebooks.schema import Code, Codebook
from simulator.coding.base import CodedTurn
from simulator.coding.units import utterances


class UnitPlace(NamedTuple):
    """One unit: the turns that may be read for it end with `upto` (index into the turns given); `turn` is None for
    sessions and courses, `start` and `end` are offsets in its turn's text."""

    unit: Unit
    role: str
    session: int
    turn: int | None
    start: int | None
    end: int | None
    upto: int
    words: str
    """How the prompt names it."""
    part: bool = False
    """Whether it is a part of its turn, so that its words are shown again."""

    @property
    def key(self) -> str:
        """Tells it apart from the other units of a transcript."""
        return f"{self.unit}:{self.role}:{self.session}:{self.turn}:{self.start}"


def asked_codes(book: Codebook, chosen: Sequence[str] | None) -> list[Code]:
    """The codes that are read from text, in the codebook's order; only the `chosen` ones where some are named.

    Raises:
        UserError: one is not in the codebook.
    """
    wanted = None if chosen is None else {book.code(name).id for name in chosen}
    return [code for code in book.codes if code.read_from == "text" and (wanted is None or code.id in wanted)]


def places(
    turns: Sequence[CodedTurn], unit: Unit, roles: Sequence[str], whole_turns: bool = False
) -> Iterator[UnitPlace]:
    """All units of one kind for codes of these roles, in order. `turns` are those of a session or of a course; with
    `whole_turns` utterances are turns, as in data whose people coded them so."""
    if whole_turns and unit == "utterance":
        unit = "turn"
    if unit in ("session", "course"):
        if any(turn.role in roles for turn in turns):
            named = f"the whole {unit}, what the {' and the '.join(roles)} says in it"
            yield UnitPlace(unit, roles[0], turns[-1].session, None, None, None, len(turns) - 1, named)
        return
    for place, turn in enumerate(turns):
        if turn.role not in roles:
            continue
        if unit == "turn":
            named = f"turn {place}, all that the {turn.role} says in it"
            yield UnitPlace(unit, turn.role, turn.session, turn.turn, 0, len(turn.text), place, named)
        elif unit == "exchange":
            if place and turns[place - 1].role != turn.role:
                named = f"turns {place - 1} and {place}, what the {turn.role} does in answer to the other"
                yield UnitPlace(unit, turn.role, turn.session, turn.turn, 0, len(turn.text), place, named)
        else:
            for number, (start, end) in enumerate(utterances(turn.text), 1):
                named = f"part {number} of turn {place}, said by the {turn.role}"
                yield UnitPlace(unit, turn.role, turn.session, turn.turn, start, end, place, named, True)
