"""The error model of Dyad, on one page.

1. A user's mistake is a `UserError`: one line that says what happened, where, and what to do. The command line prints
   that line and exits with 2; nothing half-written stays behind.
2. Something that goes wrong inside one session is a `SessionError` carrying the *boundary* it crossed. It becomes a
   failure record, is counted in the report and never cancels the neighbouring sessions.
3. Damage to what a run has already written is a `DamageError`: refused, and nothing changes until the user asks for a
   repair. A line that agrees with its checksum and cannot be read all the same is an `UnreadableError`, which no
   repair cuts.
4. Everything else is a bug of ours and keeps its traceback.
"""

import difflib
from collections.abc import Iterable
from typing import Literal

Boundary = Literal["model", "agent", "protocol", "storage"]


class UserError(Exception):
    """A mistake the user can mend; its text is the one line that is printed."""


class DamageError(UserError):
    """A journal whose content does not agree with its checksums at a place that is not a torn tail."""


class UnreadableError(UserError):
    """A journal line as its writer finished it, which this version cannot read."""


class SessionError(Exception):
    """A session cannot go on.

    Args:
        boundary: which boundary was crossed: `model` (server), `agent` (code in a chair), `protocol`, `storage`.
        kind: a short stable name for the failure, for instance `timeout` or `bad_schema`.
        message: one line for people.
    """

    def __init__(self, boundary: Boundary, kind: str, message: str) -> None:
        super().__init__(message)
        self.boundary = boundary
        self.kind = kind


def nearest(word: str, choices: Iterable[str]) -> str:
    """` (did you mean 'x'?)`, or the choices where none is near; empty where there are no choices."""
    names = sorted({str(choice) for choice in choices})
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if close:
        return f" (did you mean '{close[0]}'?)"
    return f" (choices: {', '.join(names)})" if names else ""
