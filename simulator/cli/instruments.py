"""`dyad instruments list|score`: the instrument bank; scoring of a CSV file of human answers with the same code.

The CSV has one row per filled-in form and one column per item, named by the item's id; an empty cell is a missing
answer. Other columns are carried along.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from simulator.cli.main import OneLineParser
from simulator.cli.output import show, show_json
from simulator.errors import UserError


def main(arguments: Sequence[str]) -> int:
    """Run the command; see the module's docstring."""
    parser = OneLineParser("dyad instruments", description=__doc__)
    parser.add_argument("action", choices=["list", "score"])
    parser.add_argument("instrument", nargs="?", help="for score: the instrument's name")
    parser.add_argument("file", nargs="?", type=Path, help="for score: a CSV file of answers")
    parser.add_argument("--form", default="official", help="which printing was filled in; it owns the key")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    if options.action == "list":
        return _list(options.json)
    if options.instrument is None or options.file is None:
        raise UserError("dyad instruments score: name the instrument and the CSV file of answers")
    return _score(options.instrument, options.file, options.form, options.json)


def _list(as_json: bool) -> int:
    from simulator.instruments.loading import list_instruments, load_instrument

    bank = [load_instrument(name) for name in list_instruments()]
    if as_json:
        show_json({"instruments": [{"name": entry.name, "items": len(entry.items)} for entry in bank]})
    else:
        for entry in bank:
            show(f"{entry.name:<10}{len(entry.items):>4} items  wording: {entry.wording:<12}{entry.title}")
    return 0


def _score(name: str, file: Path, form: str, as_json: bool) -> int:
    from simulator.instruments.loading import load_instrument
    from simulator.instruments.scoring import score

    instrument = load_instrument(name)
    rows = []
    for number, (answers, other) in enumerate(_read(file, {item.id for item in instrument.items_of(form)}), start=2):
        try:
            scores = score(instrument, answers, form)
        except UserError as error:
            raise UserError(f"{file} row {number}: {error}") from None
        rows += [
            {**other, "row": number, "scale": entry.scale, "score": entry.score, "missing_items": entry.missing_items,
             "missing_reason": entry.missing_reason, "marks": list(entry.marks), "flagged": entry.flagged}
            for entry in scores
        ]  # fmt: skip
    if as_json:
        show_json({"instrument": instrument.name, "form": form, "scores": rows})
    else:
        for row in rows:
            value = f"missing: {row['missing_reason']}" if row["score"] is None else f"{row['score']:g}"
            show(f"row {row['row']}  {row['scale']:<14}{value}{'  flagged' if row['flagged'] else ''}")
    return 0


def _read(file: Path, items: set[str]) -> list[tuple[dict[str, float | None], dict[str, Any]]]:
    import csv

    try:
        with file.open(newline="", encoding="utf-8") as handle:
            reader = csv.DictReader(handle)
            missing = sorted(items - set(reader.fieldnames or []))
            if missing:
                raise UserError(
                    f"{file}: no column for item {', '.join(missing[:5])}; leave a cell empty where unanswered"
                )
            rows = list(reader)
    except FileNotFoundError:
        raise UserError(f"{file}: no such file; name a CSV file with one column per item") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: cannot be read as UTF-8 text ({error})") from None
    read = []
    for number, row in enumerate(rows, start=2):
        answers: dict[str, float | None] = {}
        for item in items:
            cell = (row[item] or "").strip()
            try:
                answers[item] = float(cell) if cell else None
            except ValueError:
                raise UserError(f"{file} row {number}, item {item}: '{cell}' is no number") from None
        read.append((answers, {key: value for key, value in row.items() if key not in items}))
    return read
