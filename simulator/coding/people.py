"""How well people agree on a code, as macro-F1: the ceiling that a coder's figure is read against."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from simulator.resources import read_yaml

RATER = "human-"
"""What the names of coders begin with who are people that coded a sample of a run (`coding/human`). A rate over their
codings says nothing about the run unless it is weighted, so that reports leave them out."""

_FILE = Path(__file__).parent / "people.yaml"


class People(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`plurality`: a rater against the plurality of the others (the ceiling of a coder that is judged by a plurality);
    `pair`: a rater against one other. None with a `reason` where nothing was measured."""

    codebook: str
    code: str
    plurality: float | None
    pair: float | None
    reason: str | None

    def to_dict(self) -> dict[str, Any]:
        """The keys that reports use: `ceiling`, `human`, and `reason` where they are null."""
        found: dict[str, Any] = {"ceiling": self.plurality, "human": self.pair}
        return found | {"reason": self.reason} if self.reason else found


def people(codebook: str, code: str) -> People:
    """What is known; an unknown code has a reason instead of figures."""
    for entry in _read():
        if (entry.codebook, entry.code) == (codebook, code):
            return entry
    return People(codebook, code, None, None, "no agreement between people on this code is known here")


@lru_cache(maxsize=1)
def _read() -> list[People]:
    return msgspec.convert(read_yaml(_FILE.read_text(encoding="utf-8")), list[People])
