"""What all parts of a codebook share: strict, frozen, closed to unknown fields; and the kinds of names in it."""

from typing import Annotated, Literal

from pydantic import ConfigDict, StringConstraints

Text = Annotated[str, StringConstraints(min_length=1, max_length=1200, strip_whitespace=True)]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]+(?:[-_.][A-Za-z0-9]+)*$", max_length=80)]
Value = Annotated[str, StringConstraints(pattern=r"^[-+]?[A-Za-z0-9]+(?:[-_.][A-Za-z0-9]+)*$", max_length=80)]
Term = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9]+(?:[-_.][A-Za-z0-9]+)*(?:=[-+]?[A-Za-z0-9][-_.A-Za-z0-9]*)?$")
]
"""`code`, or `code=value`: one value of a nominal or ordinal code."""

Unit = Literal["utterance", "turn", "exchange", "session", "course"]
UNITS: tuple[Unit, ...] = ("utterance", "turn", "exchange", "session", "course")
"""Units from the smallest to the one that holds all others."""

END = "end"
"""Where a question flow stops."""


STRICT = ConfigDict(extra="forbid", frozen=True, strict=True)
"""The configuration of every part of a codebook file."""
