"""Filled sheets on their way back: every row is checked against the key before anything is stored.

Nothing is guessed: a text that is not the one that was drawn, an unknown code, a value that the code does not have, a
row that is missing or stands twice, is one line with file and row. An empty cell, `?` and `n/a` are missing with a
reason that says which.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from simulator.codebooks import Code, Codebook, load_codebook
from simulator.coding.human.key import Key, Row, rater_fingerprint, read_key, text_hash
from simulator.coding.human.sheets import CANNOT_TELL, COLUMNS, NOT_ASKED, NOT_LIVE
from simulator.errors import UserError, nearest
from simulator.store.parquet import write_rows
from simulator.store.runs import RunFolder

REASONS = {
    "": "the rater left it empty",
    CANNOT_TELL: "the rater cannot tell",
    NOT_LIVE: "the rater: the situation does not hold here",
}
"""Why a judgment of a person is missing, by what stands in the cell."""

Cell = tuple[str, str]
"""Row id and code."""


class Rated(NamedTuple):
    """One rater's sheet: the value of every cell that was asked, or None with a reason."""

    rater: str
    file: Path
    values: Mapping[Cell, tuple[str | None, str | None]]


class _Sheet(NamedTuple):
    file: Path
    header: list[str]
    rows: list[tuple[int, dict[str, str]]]

    def at(self, row: int) -> str:
        return f"{self.file}, row {row}"


def read_sheets(files: Sequence[Path], run: RunFolder, codebook: Path | None = None) -> tuple[Key, list[Rated]]:
    """The sheets of one sample, checked.

    Args:
        codebook: the file of the sample's codebook, where it is not one of the library.

    Raises:
        UserError: one line with file and row; fewer than two raters.
    """
    sheets = [_read(file) for file in files]
    key = read_key(run, *_sample_of(sheets[0]))
    book = load_codebook(codebook or key.codebook)
    if (book.name, book.version) != (key.codebook, key.codebook_version):
        raise UserError(
            f"{book.name} {book.version}: the sample was drawn for {key.codebook} {key.codebook_version}; "
            "give that codebook's file as --codebook"
        )
    _same_texts(sheets, key)
    rated: list[Rated] = []
    for sheet in sheets:
        found = _rated(sheet, key, book)
        earlier = next((one for one in rated if one.rater == found.rater), None)
        if earlier:
            raise UserError(
                f"{sheet.file}: a second sheet by '{found.rater}', after {earlier.file}; name each rater once"
            )
        rated.append(found)
    if len(rated) < 2:
        raise UserError(
            f"{sheets[0].file}: one rater; agreement needs the sheets of two or more of {', '.join(key.raters)}"
        )
    return key, rated


def store_codings(run: RunFolder, key: Key, rated: Sequence[Rated], replace: bool = False) -> dict[str, int]:
    """Write the raters' codings of the units of this run, the coder being `human-<rater>`; judgments by rater.

    Raises:
        UserError: other codings of the same sample by the same rater are there, and `replace` is not set.
    """
    import polars as pl

    counts = {}
    rows_by_rater = {one.rater: list(_codings(run, key, one)) for one in rated}
    for rater, rows in rows_by_rater.items():
        part = run.dataset / "codings" / f"{_part(key, rater)}.parquet"
        if part.exists() and not replace:
            stored = pl.read_parquet(part, columns=["value", "missing_reason"]).cast(pl.String)
            before = stored.rows()
            now = [(row["value"], row["missing_reason"]) for row in rows]
            if before != now:
                differ = sum(one != other for one, other in zip(before, now, strict=False))
                raise UserError(
                    f"{rater}: {differ} of {len(now)} judgments differ from those that were imported before; "
                    "--replace puts these in their place"
                )
    for rater, rows in rows_by_rater.items():
        write_rows(run.dataset, "codings", rows, _part(key, rater))
        counts[rater] = len(rows)
    return counts


def _part(key: Key, rater: str) -> str:
    return f"human-{key.sample}-{rater}"


def _codings(run: RunFolder, key: Key, rated: Rated) -> list[dict[str, Any]]:
    found = []
    for row in key.rows:
        if row.run != run.identity:
            continue
        for code in row.codes:
            value, reason = rated.values[row.row, code]
            found.append({
                "course_id": row.course_id, "session": row.session, "turn": row.turn, "start": row.start,
                "end": row.end, "unit": key.unit, "role": row.role, "codebook": key.codebook,
                "codebook_version": key.codebook_version, "code": code, "value": value, "missing_reason": reason,
                "coder": f"human-{rated.rater}", "coder_fingerprint": rater_fingerprint(key.sample, rated.rater),
                "transcript": row.transcript,
            })  # fmt: skip
    return found


def _read(file: Path) -> _Sheet:
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise UserError(f"{file}: not UTF-8; save the sheet as CSV UTF-8") from None
    first = text.split("\n", 1)[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=";" if first.count(";") > first.count(",") else ",")
    try:
        lines = list(reader)
    except csv.Error as error:
        raise UserError(f"{file}: not valid CSV ({error})") from None
    header = [name.strip() for name in lines[0]] if lines else []
    absent = [name for name in COLUMNS if name not in header]
    if absent:
        raise UserError(f"{file}, row 1: no column '{absent[0]}'; a sheet of `dyad sample-for-humans` has it")
    rows = []
    for number, cells in enumerate(lines[1:], 2):
        if len(cells) != len(header) and any(cells):
            raise UserError(f"{file}, row {number}: {len(cells)} cells for {len(header)} columns")
        if any(cells):
            rows.append((number, dict(zip(header, cells, strict=True))))
    if not rows:
        raise UserError(f"{file}: no rows below the header")
    return _Sheet(file, header, rows)


def _sample_of(sheet: _Sheet) -> tuple[str, str]:
    row, cells = sheet.rows[0]
    return cells["sample"].strip(), sheet.at(row)


def _same_texts(sheets: Sequence[_Sheet], key: Key) -> None:
    """Refuse sheets whose raters saw different texts."""
    seen: dict[str, tuple[str, str]] = {}
    for sheet in sheets:
        for number, cells in sheet.rows:
            row, found = cells["row"].strip(), text_hash(cells["text"])
            where, other = seen.setdefault(row, (sheet.at(number), found))
            if other != found:
                raise UserError(
                    f"{sheet.at(number)}: the text of {row} is not the one that the other rater had ({where}); "
                    "restore both sheets, nothing was imported"
                )
    for row, (where, found) in seen.items():
        if row in key.texts and key.texts[row] != found:
            raise UserError(
                f"{where}: the text of {row} is not the one that was drawn; restore it, nothing was imported"
            )


def _rated(sheet: _Sheet, key: Key, book: Codebook) -> Rated:
    for name in sheet.header:
        if name not in (*COLUMNS, *key.codes, "note"):
            raise UserError(f"{sheet.file}, row 1: no code '{name}' in {book.name}{nearest(name, key.codes)}")
    absent = [name for name in key.codes if name not in sheet.header]
    if absent:
        raise UserError(f"{sheet.file}, row 1: the column of the code '{absent[0]}' is missing")
    rows: dict[str, Row] = {row.row: row for row in key.rows}
    seen: dict[str, int] = {}
    values: dict[Cell, tuple[str | None, str | None]] = {}
    rater = sheet.rows[0][1]["rater"].strip()
    if rater not in key.raters:
        raise UserError(f"{sheet.at(sheet.rows[0][0])}: no rater '{rater}' in this sample{nearest(rater, key.raters)}")
    for number, cells in sheet.rows:
        name = cells["row"].strip()
        if cells["sample"].strip() != key.sample or cells["rater"].strip() != rater:
            raise UserError(f"{sheet.at(number)}: of another sample or rater than the first row; one sheet, one rater")
        if name not in key.texts:
            raise UserError(f"{sheet.at(number)}: no row '{name}' in the sample{nearest(name, key.texts)}")
        if name in seen:
            raise UserError(f"{sheet.at(number)}: the row '{name}' stands in row {seen[name]} too")
        seen[name] = number
        asked = rows[name].codes if name in rows else []
        for code in key.codes:
            said = cells[code].strip()
            if code in asked:
                values[name, code] = _value(said, book.code(code), sheet.at(number))
            elif said not in (NOT_ASKED, ""):
                raise UserError(f"{sheet.at(number)}: '{said}' for {code}, which is not asked in this row")
    gone = [name for name in rows if name not in seen]
    if gone:
        raise UserError(f"{sheet.file}: {len(gone)} rows of the sample are missing, '{gone[0]}' among them")
    return Rated(rater, sheet.file, values)


def _value(said: str, code: Code, where: str) -> tuple[str | None, str | None]:
    if said in REASONS and (said != NOT_LIVE or code.gated):
        return None, REASONS[said]
    value = next((value for value in code.values if value.lower() == said.lower()), None)
    if value is None:
        marks = (*code.values, CANNOT_TELL, *((NOT_LIVE,) if code.gated else ()))
        raise UserError(f"{where}: '{said}' is no value of {code.id}{nearest(said, marks)}")
    return value, None
