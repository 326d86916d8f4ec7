"""The numbers that the process borrows from people, as plain tuples in the order of `codes`.

Read once, from the data file that `experiments/reference_dyad/estimate.py` writes; its source stands in the file.
"""

import json
import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from simulator.agents.scripted.codes import BEHAVIOURS, TALKS

_FILE = Path(__file__).resolve().parent / "numbers" / "annomi_high_quality.json"

Row = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Tables:
    """`therapist_weights[talk][previous]` are weights of the four behaviours, `client_weights[previous]` of the three
    talks (within sessions, unnormalised); `therapist_opening` and `client_opening` are shares. `therapist_words[b]` and
    `client_words[drawn][talk]` are 33 quantiles of words per turn, `drawn` 0 after a question or `other`, 1 after a
    reflection or input."""

    therapist_weights: tuple[tuple[Row, ...], ...]
    client_weights: tuple[Row, ...]
    therapist_opening: Row
    client_opening: Row
    therapist_words: tuple[Row, ...]
    client_words: tuple[tuple[Row, ...], tuple[Row, ...]]


@lru_cache(maxsize=1)
def numbers() -> dict[str, Any]:
    """The whole data file."""
    content: dict[str, Any] = json.loads(_FILE.read_text(encoding="utf-8"))
    return content


@lru_cache(maxsize=1)
def tables() -> Tables:
    """The tables of the process."""
    content = numbers()
    within, words = content["within_session_log_weights"], content["words"]
    therapist, client = within["therapist"], within["client"]["previous"]
    opening = content["transitions"]["opening"]
    return Tables(
        therapist_weights=tuple(
            tuple(
                tuple(math.exp(therapist["talk"][talk][b] + therapist["previous"][previous][b]) for b in BEHAVIOURS)
                for previous in BEHAVIOURS
            )
            for talk in TALKS
        ),
        client_weights=tuple(tuple(math.exp(client[previous][talk]) for talk in TALKS) for previous in BEHAVIOURS),
        therapist_opening=tuple(opening["therapist"][b] for b in BEHAVIOURS),
        client_opening=tuple(opening["client"][talk] for talk in TALKS),
        therapist_words=tuple(tuple(words["therapist"][b]) for b in BEHAVIOURS),
        client_words=(
            tuple(tuple(words["client"]["opened"][talk]) for talk in TALKS),
            tuple(tuple(words["client"]["followed"][talk]) for talk in TALKS),
        ),
    )
