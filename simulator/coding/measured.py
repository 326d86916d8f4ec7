"""What is known about a shipped coder's agreement with human experts: figures as data, with how they were measured.

A run of simulated sessions has no expert codes, so the figure that counts has to travel with the coder: it is printed
beside every construction check. The files are written by benchmarks/rules_on_annomi.py.
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from simulator.resources import read_yaml
from simulator.store.importers.annomi import TRANSCRIPTS, course_id

FOLDER = Path(__file__).parent / "measured"


class Figure(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Agreement of a coder with experts on one part of a human set.

    `macro_f1` and `kappa` with their 95 % limits from resampling clusters; `units` judgments of `clusters` clusters.
    `part` says whether the rules were written in view of these texts.
    """

    code: str
    part: str
    macro_f1: float
    macro_f1_low: float
    macro_f1_high: float
    kappa: float
    kappa_low: float
    kappa_high: float
    units: int
    clusters: int
    cluster: str

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return msgspec.structs.asdict(self)


class Measured(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The figures of one coder for one codebook; `data` names the human set, `how` what was done. `unread` are the
    numbers of the set's transcripts of which no text was read when the coder was made."""

    coder: str
    codebook: str
    data: str
    how: str
    figures: list[Figure]
    unread: list[int] = []


UNREAD, READ = "unread", "read, or not known to be unread"
"""Parts of a human set by whether a hand-written coder was made in view of it."""


def unread_sessions(coder: str, codebook: str, session_key: str | None, ids: Sequence[str]) -> list[bool] | None:
    """Of which sessions no text was read when a hand-written coder was made; None where the set is not the one in view
    of which it was made.

    Args:
        session_key, ids: what the ids are and those of the sessions, as in `Examples`.
    """
    known = measured(coder, codebook)
    if known is None or not known.unread or session_key != TRANSCRIPTS:
        return None
    unread = {course_id(str(number)) for number in known.unread}
    return [one in unread for one in ids]


@lru_cache(maxsize=16)
def measured(coder: str, codebook: str) -> Measured | None:
    """What was measured of `coder` applying `codebook`; None where nothing was."""
    path = FOLDER / f"{coder}-{codebook}.yaml"
    if not path.is_file():
        return None
    return msgspec.convert(read_yaml(path.read_text(encoding="utf-8")), Measured)
