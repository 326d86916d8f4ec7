"""What a user may choose about an export, and what every format's writer gets."""

from collections.abc import Callable
from dataclasses import dataclass

Tick = Callable[[int], None]
"""Called with the number of rows that were read since the last call."""


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """Choices of an export.

    Args:
        assistant: the role that chat formats call `assistant`; every other chair is `user`.
        spreadsheet: CSV only: put an apostrophe before texts that a spreadsheet would run as a formula.
        release: leave out what may not be passed on, and write DATA_CARD.md.
        licence: under which terms the export is passed on, as its data card says it.
    """

    assistant: str = "therapist"
    spreadsheet: bool = False
    release: bool = False
    licence: str | None = None
