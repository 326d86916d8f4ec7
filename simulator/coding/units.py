"""Utterances: the coded parts of a turn, as offsets into its text.

MITI, MISC and AnnoMI codes apply to utterances. A turn of a person who speaks is often one utterance; that of a
language model holds several, and one main class for it means little. `utterances` cuts a text at the ends of its
sentences: closing marks followed by space, and line ends. Marks of abbreviations, initials, decimals and list numbers
end none, nor do dots of hesitation before a small letter. Clauses that people run together stay together: parting them
at "but" and "and" agreed less often with whole turns of MIBOT than leaving them alone.

How well the boundaries agree with those of a published set is printed by `dyad bench units`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from simulator.coding.base import CodedTurn, Judgment
from simulator.errors import UserError
from simulator.records.fingerprints import text_fingerprint

Span = tuple[int, int]
Units = Literal["turn", "utterance"]

_END = re.compile(r"[.!?\u2026]+[\"'\u2019\u201d)\]*]*(?=\s|$)|\n+")
_SHORT = frozenset(
    ("dr", "mr", "mrs", "ms", "prof", "st", "vs", "etc", "e.g", "i.e", "approx", "no", "a.m", "p.m", "u.s", "jr", "sr")
)
_WORD_BEFORE = re.compile(r"[\w.]*$")


def utterances(text: str) -> list[Span]:
    """Where the utterances of `text` stand, in order, without the space around them.

    Every letter that is no space stands in exactly one; a text without any has none.
    """
    cuts = [0]
    for found in _END.finditer(text):
        if not _abbreviates(text, found):
            cuts.append(found.end())
    spans = [_trimmed(text, start, end) for start, end in zip(cuts, [*cuts[1:], len(text)], strict=True)]
    spans = [span for span in spans if span[0] < span[1]]
    return _joined(text, spans)


def _abbreviates(text: str, found: re.Match[str]) -> bool:
    """Whether closing marks end no sentence: after an abbreviation, an initial, a list number, or in hesitation."""
    marks = found.group()
    if marks[0] == "\n" or "!" in marks or "?" in marks:
        return False
    rest = text[found.end() :].lstrip(" ")
    if not rest:
        return False
    before = _WORD_BEFORE.search(text, 0, found.start())
    word = before.group().lower() if before else ""
    if len(marks.strip("\"'\u2019\u201d)]*")) > 1 or marks[0] == "\u2026":
        return rest[0].islower()
    if word == "no":
        return rest[0].isdigit()
    single = len(word) == 1 and word.isalpha() and word != "i"
    return single or word in _SHORT or _list_number(text, word, found)


def _list_number(text: str, word: str, found: re.Match[str]) -> bool:
    """`1.` at the beginning of a line or sentence belongs to what follows."""
    if not word.isdigit() or len(word) > 2:
        return False
    ahead = text[: found.start() - len(word)].rstrip(" *")
    return not ahead or ahead[-1] in ".!?:\n"


def _trimmed(text: str, start: int, end: int) -> Span:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end


def _joined(text: str, spans: list[Span]) -> list[Span]:
    """Parts without a letter or digit go to the part before them, or to the next one where none stands before."""
    found: list[Span] = []
    for start, end in spans:
        if found and (_bare(text, start, end) or _bare(text, *found[-1])):
            found[-1] = (found[-1][0], end)
        else:
            found.append((start, end))
    return found


def _bare(text: str, start: int, end: int) -> bool:
    return not any(letter.isalnum() for letter in text[start:end])


def check_units(units: str, where: str) -> Units:
    """`units` as a `Units`. Raises: UserError naming the choices."""
    if units in ("turn", "utterance"):
        return "utterance" if units == "utterance" else "turn"
    raise UserError(f"{where}: units '{units}'; choose 'turn' or 'utterance'")


def whole_turns(unit: str) -> str:
    """The unit that is stored where a coder reads a turn whole: codes of utterances are then judged by turn."""
    return "turn" if unit == "utterance" else unit


def units_fingerprint(units: Units) -> list[str]:
    """What the choice of units adds to a coder's fingerprint; nothing for whole turns."""
    return [text_fingerprint(Path(__file__).read_bytes())] if units == "utterance" else []


def in_utterances(turns: Sequence[CodedTurn]) -> tuple[list[CodedTurn], list[tuple[int, int]]]:
    """The utterances of a session laid out as if each were a turn, numbered from 0, and for each the turn it stands in
    and where it begins there. A turn without letters stays as it is."""
    found: list[CodedTurn] = []
    places: list[tuple[int, int]] = []
    for turn in turns:
        for start, end in utterances(turn.text) or [(0, len(turn.text))]:
            found.append(CodedTurn(turn.course_id, turn.session, len(found), turn.role, turn.text[start:end]))
            places.append((turn.turn, start))
    return found, places


def back_in_turns(judgments: Sequence[Judgment], places: Sequence[tuple[int, int]]) -> list[Judgment]:
    """Judgments of utterances laid out by `in_utterances`, with the turns and offsets of the session's own texts."""
    found = []
    for judgment in judgments:
        if judgment.turn is None:
            found.append(judgment)
            continue
        turn, shift = places[judgment.turn]
        moved = [
            None if offset is None else offset + shift
            for offset in (judgment.start, judgment.end, judgment.evidence_start, judgment.evidence_end)
        ]
        found.append(
            judgment._replace(
                turn=turn, unit="utterance", start=moved[0], end=moved[1], evidence_start=moved[2],
                evidence_end=moved[3],
            )
        )  # fmt: skip
    return found
