"""How many words each part of a turn gets, and how parts become a text.

A turn is a list of parts, each a phrase family and perhaps one clause that fills its long slot. `fit` gives every part
a length so that the lengths add up to the turn's target as nearly as the clauses allow; parts are added or kept short
for that, never padded.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from simulator.agents.scripted.grammar_phrases import Phrasebook
from simulator.agents.scripted.grammar_speech import Clause, Dice

LONGEST_PART = 13
"""Words that a part without a clause of its own aims at, at most: longer turns have more parts."""


LEAST_PART = 3
"""Words that a part of a longer turn has at least, lest it be one of a few stock phrases."""

LEAST_FRAME = 3
"""Words that go round a phrase of the persona's (a person, a goal) at least."""

SAME_START = 9
"""Two wordings of a turn that agree in so many first characters are taken for the same phrase."""


@dataclass(slots=True)
class Part:
    """One part of a turn. `words` is what it aims at; `tail` parts continue the sentence before."""

    family: str
    clause: Clause | None = None
    words: int = 0
    tail: bool = False
    fixed: bool = False
    """The length stands already (short openers); `fit` leaves it."""

    def least(self) -> int:
        """The fewest words that a part with a clause can do with: a whole sentence stands alone, a phrase does not."""
        words = self.clause.words if self.clause is not None else 0
        return words if "fact" in self.family or self.family.startswith("sens") else words + LEAST_FRAME


def fit(parts: list[Part], words: int, dice: Dice) -> int:
    """Give the parts lengths that sum to at most about `words`; returns the words that are still free (0 or more)."""
    total = 0
    span = min(LONGEST_PART + 2, max(7, words // max(len(parts), 1))) - 3
    for part in parts:
        if part.clause is not None:
            part.words = part.clause.words + 2 + dice.roll() % 5
        elif not part.fixed:
            part.words = 4 + dice.roll() % span
        total += part.words
    excess = total - words
    if excess <= 0:
        return -excess
    for part in parts:
        if part.clause is not None and not part.fixed:
            cut = min(part.words - part.least(), excess)
            if cut > 0:
                part.words -= cut
                excess -= cut
    loose = [part for part in parts if part.clause is None and not part.fixed]
    if excess and loose:
        room = max(sum(part.words for part in loose) - excess, len(loose) * (LEAST_PART if words > 5 else 1))
        for index, part in enumerate(loose):
            part.words = (room + index) // len(loose)
    return 0


def wording(book: Phrasebook, part: Part, words: int, slots: Mapping[str, str], dice: Dice, used: set[str]) -> str:
    """A wording of the part's family near `words` words, slots filled; avoids what the turn has used already."""
    family = book[part.family]
    clause = part.clause
    length = clause.words if clause is not None else 0
    roll = dice.roll()
    text = family.pick(roll, words, length)
    for step in (7, 19, 41):
        if text[:SAME_START] not in used:
            break
        text = family.pick(roll + step, words, length)
    used.add(text[:SAME_START])
    if "%" in text:
        if clause is not None:
            slots = {**slots, family.slot: clause.text}
        text = text % slots
    return text
