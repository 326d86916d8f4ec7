"""Gates: a code is live where its situation holds and, where it follows from others, one of those was found.

Rates are over live units, so whether a unit is live must never be guessed: it is true, false or not known.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simulator.codebooks.schema import Codebook

ALWAYS = "always"

SITUATIONS = {
    "departure": "In the turn before, the client takes leave or announces that they are about to go.",
    "sincerely_asked": "In the turn before, the client earnestly wants to know what or who the other is.",
    "outside_support": "In the turn before, people in the client's life or help elsewhere are in play.",
    "risk": "In the turn before, there is a sign that the client could come to serious harm or do it to others.",
    "distress": "In the turn before, the client is in distress.",
    "warmth_called": "In the turn before, the client reaches for comfort or shows something that calls for warmth.",
}
"""Situations that every codebook may name; a codebook adds its own under `situations`."""


def is_live(
    book: "Codebook", code_id: str, situations: Mapping[str, bool | None], values: Mapping[str, str | None]
) -> bool | None:
    """Whether a code can occur in a unit; None where that is not known.

    Args:
        situations: whether each holds for the unit; None or left out where that is not known.
        values: judgments of the codes that others depend on, in the same unit or in the session or course around it;
            None or left out where one is missing.
    """
    code = book.code(code_id)
    if code.live == ALWAYS:
        held: bool | None = True
    else:
        held = situations.get(code.live)
    if held is False or not code.depends_on:
        return held
    present = [None if (value := values.get(one)) is None else book.code(one).present(value) for one in code.depends_on]
    if any(present):
        return held
    return None if None in present else False
