"""`dyad instruments list|check|score`: the instrument bank; files of one's own; scoring of a CSV of human answers.

`check` reads the whole bank, or files that are named: instruments, and licensed wordings of the bank's instruments.
`score` uses the code that scores simulated answers.

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
    parser.add_argument("action", choices=["list", "check", "score"])
    parser.add_argument("what", nargs="*", help="for score: the instrument's name and a CSV; for check: files")
    parser.add_argument("--wording", type=Path, help="for score: the licensed wording file that was filled in")
    parser.add_argument("--form", default="official", help="which printing was filled in; it owns the key")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    if options.action == "list":
        return _list(options.json)
    if options.action == "check":
        return _check([Path(word) for word in options.what], options.json)
    if len(options.what) != 2:
        raise UserError("dyad instruments score: name the instrument and the CSV file of answers")
    name, file = options.what
    return _score(name, Path(file), options.form, options.wording, options.json)


def _list(as_json: bool) -> int:
    from simulator.instruments.loading import list_instruments, load_instrument

    bank = [load_instrument(name) for name in list_instruments()]
    if as_json:
        show_json(
            {"instruments": [
                {"name": entry.name, "title": entry.title, "items": len(entry.items), "forms": list(entry.forms),
                 "wording": entry.wording, "validated": entry.validated, "rights": entry.rights}
                for entry in bank
            ]}
        )  # fmt: skip
    else:
        for entry in bank:
            mark = "" if entry.validated else " (not validated)"
            show(f"{entry.name:<12}{len(entry.items):>4} items  wording: {entry.wording:<12}{entry.title}{mark}")
    return 0


def _check(files: Sequence[Path], as_json: bool) -> int:
    from simulator.instruments.loading import BANK, check_file

    found = []
    for path in files or sorted(BANK.glob("*.yaml")):
        try:
            found.append({"file": str(path), "holds": check_file(path), "problem": None})
        except UserError as error:
            found.append({"file": str(path), "holds": None, "problem": str(error)})
    wrong = sum(entry["problem"] is not None for entry in found)
    if as_json:
        show_json({"files": found, "wrong": wrong})
    else:
        for entry in found:
            show(entry["problem"] or f"{entry['file']}: {entry['holds']}")
    return 1 if wrong else 0


def _score(name: str, file: Path, form: str, wording: Path | None, as_json: bool) -> int:
    from simulator.instruments.loading import load_instrument, load_wording
    from simulator.instruments.scoring import score

    instrument = load_instrument(name)
    if wording is not None:
        instrument = load_wording(wording, instrument)
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
            marks = f"  [{'; '.join(row['marks'])}]" if row["marks"] else ""
            show(f"row {row['row']}  {row['scale']:<14}{value}{marks}{'  flagged' if row['flagged'] else ''}")
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
