"""Blind coding sheets: one CSV per rater, a guide to the codes, and the key in the run.

A sheet shows excerpts. Rows in which nothing is asked have `-` under every code and are there to be read; the others
have empty cells under the codes that are asked. Every rater has the excerpts in an order of their own. Nothing in a
sheet says which run, condition or coder a text comes from, whether it was simulated, or how likely it was to be drawn.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from simulator.codebooks import Code, Codebook
from simulator.codebooks.parts import Unit
from simulator.coding.base import CodedTurn, sessions_of
from simulator.coding.human.drawing import Design, Drawn, Score, draw
from simulator.coding.human.key import Key, Row, text_hash, write_key
from simulator.coding.human.units import sheet_codes
from simulator.coding.units import utterances
from simulator.errors import UserError
from simulator.records.fingerprints import fingerprint
from simulator.records.seeds import key64
from simulator.records.text import transcript_fingerprint
from simulator.store.runs import RunFolder, write_atomically

COLUMNS = ("sample", "rater", "excerpt", "row", "speaker", "text")
"""Columns before those of the codes; a column `note` stands after them."""

NOT_ASKED, CANNOT_TELL, NOT_LIVE = "-", "?", "n/a"
"""Marks beside the values: nothing is asked here; the rater cannot tell; a gated code's situation does not hold."""

_RATER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_FORMULA = ("=", "+", "-", "@", "\t")


class Line(NamedTuple):
    """One row of an excerpt; `codes` are asked in it."""

    row: str
    speaker: str
    text: str
    codes: Sequence[str] = ()


class Sheets(NamedTuple):
    """What was written: the key, the raters' files and the guide."""

    key: Key
    files: list[Path]
    guide: Path


def write_sheets(
    runs: Sequence[RunFolder],
    book: Codebook,
    out: Path | None,
    *,
    raters: Sequence[str],
    design: Design,
    size: int,
    seed: int = 0,
    codes: Sequence[str] | None = None,
    unit: str | None = None,
    score: Score | None = None,
    context: int = 4,
) -> Sheets:
    """Draw a sample from runs and write its sheets, its guide and its key.

    Args:
        runs: the first one and those mixed with it.
        out: the folder of sheets; by default `samples/<sample>` in the first run.
        context: turns shown before a unit (whole sessions are shown whole).

    Raises:
        UserError: fewer than two raters, or names that are not ones; sheets that are there already; see `draw`.
    """
    if len(raters) < 2 or len(set(raters)) < len(raters):
        raise UserError("sample: agreement needs two or more raters, each named once; name them as --raters anna,ben")
    for rater in raters:
        if not _RATER.fullmatch(rater):
            raise UserError(f"sample: '{rater}' is no name for a rater; use letters, digits, - and _")
    of, asked = sheet_codes(book, codes, unit)
    roles = sorted({role for code in asked for role in code.roles})
    drawn, strata = draw(runs, of, roles, design=design, size=size, seed=seed, score=score)
    places = [[one.run, one.place] for one in drawn]
    sample = fingerprint([design, seed, score, book.fingerprint, [code.id for code in asked], context, raters, places])[
        :12
    ]
    rows: list[Row] = []
    excerpts: list[list[Line]] = []
    for run in runs:
        own = [one for one in drawn if one.run == run.identity]
        for shown, lines in _excerpts(run, own, of, asked, design, context, sample):
            rows += shown
            excerpts.append(lines)
    key = Key(
        sample=sample, design=design, seed=seed, score=f"{score.coder}:{score.code}" if score else None,
        codebook=book.name, codebook_version=book.version, unit=of, codes=[code.id for code in asked],
        raters=list(raters), runs={run.identity: str(run.meta.get("experiment", "")) for run in runs}, strata=strata,
        texts={line.row: text_hash(line.text) for lines in excerpts for line in lines}, rows=rows,
    )  # fmt: skip
    folder = out or runs[0].path / "samples" / sample
    files = [folder / f"{rater}.csv" for rater in raters]
    for file in files:
        if file.exists():
            raise UserError(
                f"{file} is there already and may be filled in; name another folder as --out, or another --seed"
            )
    folder.mkdir(parents=True, exist_ok=True)
    guide = folder / "guide.md"
    write_atomically(guide, _guide(book, asked).encode())
    for run in runs:
        write_key(run, key)
    for rater, file in zip(raters, files, strict=True):
        _write(file, key, rater, excerpts, asked)
    return Sheets(key, files, guide)


def _excerpts(
    run: RunFolder, drawn: Sequence[Drawn], unit: Unit, asked: Sequence[Code], design: Design, context: int, sample: str
) -> Iterator[tuple[list[Row], list[Line]]]:
    """What is shown of one run: the rows that are coded, and all lines in order, one excerpt after another."""
    by_session: dict[tuple[str, int], list[Drawn]] = {}
    for one in drawn:
        by_session.setdefault((one.place.course_id, one.place.session), []).append(one)
    whole = design == "sessions" or unit in ("session", "course")
    for turns in _shown(run, by_session, unit):
        units = by_session.get((turns[-1].course_id, turns[-1].session), [])
        transcript = transcript_fingerprint([(turn.role, turn.text) for turn in turns])
        for group in ([units] if units else []) if whole else [[one] for one in units]:
            excerpt = fingerprint([sample, run.identity, group[0].place])[:8]
            shown = turns if whole else _around(turns, group[0].place.turn, context)
            parts = [part for turn in shown for part in _parts(turn, unit)]
            coded = {(one.place.session, one.place.turn, one.place.start): one for one in group}
            lines, rows = [], []
            for number, (turn, start, text) in enumerate(parts, 1):
                found = coded.get((turn.session, turn.turn, start))
                codes = [code.id for code in asked if found and turn.role in code.roles]
                lines.append(Line(f"{excerpt}-{number:03d}", turn.role, text, codes))
                if found:
                    rows.append(_row(lines[-1], excerpt, found, transcript))
            if unit in ("session", "course"):
                lines.append(Line(f"{excerpt}-all", f"the whole {unit}", "", [code.id for code in asked]))
                rows.append(_row(lines[-1], excerpt, group[0], transcript))
            yield rows, lines


def _parts(turn: CodedTurn, unit: Unit) -> list[tuple[CodedTurn, int, str]]:
    """The rows that a turn fills: its utterances where they are the unit, itself otherwise."""
    spans = utterances(turn.text) if unit == "utterance" else []
    return [(turn, start, turn.text[start:end]) for start, end in spans or [(0, len(turn.text))]]


def _around(turns: Sequence[CodedTurn], number: int | None, context: int) -> Sequence[CodedTurn]:
    """A turn and what comes before it."""
    place = next(place for place, turn in enumerate(turns) if turn.turn == number)
    return turns[max(0, place - context) : place + 1]


def _shown(run: RunFolder, wanted: Mapping[tuple[str, int], object], unit: Unit) -> Iterator[list[CodedTurn]]:
    """The sessions (courses, where they are the unit) that units were drawn from."""
    import polars as pl

    courses = sorted({course for course, _ in wanted})
    for part in sorted((run.dataset / "turns").glob("*.parquet")):
        turns = pl.scan_parquet(part).select("course_id", "session", "turn", "role", "text")
        sessions = sessions_of(turns.filter(pl.col("course_id").is_in(courses)).collect())
        for _, found in groupby(sessions, key=lambda one: one[0].course_id):
            if unit == "course":
                yield [turn for session in found for turn in session]
            else:
                yield from found


def _row(line: Line, excerpt: str, one: Drawn, transcript: str) -> Row:
    return Row(
        line.row, excerpt, one.run, *one.place, list(line.codes), one.stratum, one.inclusion_probability, transcript
    )


def _write(file: Path, key: Key, rater: str, excerpts: Sequence[Sequence[Line]], asked: Sequence[Code]) -> None:
    order = sorted(range(len(excerpts)), key=lambda at: key64(f"sheet {key.sample}:{rater}:{excerpts[at][0].row}"))
    staged = file.with_name(f".{file.name}.staged")
    with staged.open("w", encoding="utf-8-sig", newline="") as stream:
        out = csv.writer(stream)
        out.writerow([*COLUMNS, *(code.id for code in asked), "note"])
        for number, at in enumerate(order, 1):
            for line in excerpts[at]:
                cells = ["" if code.id in line.codes else NOT_ASKED for code in asked]
                out.writerow([key.sample, rater, number, line.row, line.speaker, _safe(line.text), *cells, ""])
    staged.replace(file)


def _safe(text: str) -> str:
    """A text that a spreadsheet takes as a text and not as a formula."""
    return f"'{text}" if text.lstrip().startswith(_FORMULA) else text


def _guide(book: Codebook, asked: Sequence[Code]) -> str:
    """What raters read: every code with its values, what it takes and what it leaves out."""
    lines = [
        f"# {book.title}, version {book.version}",
        "",
        "Fill in every empty cell with one of the values that the code has below, exactly as they are written. "
        f"`{CANNOT_TELL}` says that you cannot tell. Leave `{NOT_ASKED}` as it is: nothing is asked there. "
        "Do not change texts, ids or columns. Code alone, without looking at anybody else's sheet.",
    ]
    for code in asked:
        lines += ["", f"## {code.id}: {code.name}", "", code.definition, "", f"Said by: {', '.join(code.roles)}."]
        if code.gated:
            situation = "" if code.live == "always" else f": {book.situation(code.live)}"
            lines.append(f"Asked only where its situation holds{situation}. Where it does not, write `{NOT_LIVE}`.")
        if code.scale.options:
            lines += [f"- `{option.value}`: {option.definition}" for option in code.scale.options]
        else:
            lines += [f"- `{value}`" for value in code.values]
        lines += [f"- counts: {text}" for text in code.inclusion]
        lines += [f"- does not count: {text}" for text in code.exclusion]
        lines += [
            f'- example of `{example.value}`: "{example.text}"' + (f" ({example.why})" if example.why else "")
            for example in (*code.positive, *code.negative)
        ]
    return "\n".join(lines) + "\n"
