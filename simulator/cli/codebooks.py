"""`dyad codebooks list|show|check`: the codebooks that ship with Dyad, their codes, and whether all are as they should.

`check` looks at the shipped codebooks (or at files of your own): fields, gates, indices, question flows, examples of
complete codes, and that every code of the works listed in the library's manifest is there. Where published definitions
are at hand (`--published`, or the folder that DYAD_DATA_DIR names), it also finds wording shared with them.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from simulator.cli.main import OneLineParser
from simulator.cli.output import show, show_json
from simulator.errors import UserError

if TYPE_CHECKING:
    from simulator.codebooks import Code, Codebook
    from simulator.codebooks.loading import Check


def main(arguments: Sequence[str]) -> int:
    """Run the command; see the module's docstring."""
    parser = OneLineParser("dyad codebooks", description=__doc__)
    parser.add_argument("action", choices=["list", "show", "check"])
    parser.add_argument(
        "names", nargs="*", help="show: a codebook; check: files of your own, by default the shipped ones"
    )
    parser.add_argument("--published", type=Path, metavar="FOLDER", help="check: published definitions to compare with")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_intermixed_args(arguments)
    if options.published and options.action != "check":
        raise UserError("dyad codebooks: --published belongs to 'check'")
    if options.action == "check":
        return _check([Path(name) for name in options.names] or None, options.published, options.json)
    if options.action == "show":
        return _show(options.names, options.json)
    if options.names:
        raise UserError(
            f"dyad codebooks list: takes no names; for one codebook: dyad codebooks show {options.names[0]}"
        )
    return _list(options.json)


def _list(as_json: bool) -> int:
    from simulator.codebooks import list_codebooks, load_codebook

    books = [load_codebook(name) for name in list_codebooks()]
    if as_json:
        show_json({"codebooks": [_plain(book) for book in books]})
        return 0
    for book in books:
        complete = sum(code.complete for code in book.codes)
        size = f"{len(book.codes):>3} codes {f'({complete} complete)' if complete else '':<14}"
        show(f"{book.name:<20}{size}  {book.title}")
    return 0


def _show(names: Sequence[str], as_json: bool) -> int:
    from simulator.codebooks import list_codebooks, load_codebook

    if len(names) != 1:
        raise UserError(f"dyad codebooks show: takes one codebook; one of {', '.join(list_codebooks())}")
    book = load_codebook(names[0])
    if as_json:
        show_json(_plain(book))
        return 0
    show(f"{book.name} {book.version}: {book.title}")
    for code in book.codes:
        values = "" if code.scale.kind == "binary" else f": {', '.join(code.values)}"
        marks = [
            mark for mark, holds in (("incomplete", not code.complete), ("exploratory", code.exploratory)) if holds
        ]
        show(f"  {code.id}  [{code.unit}, {'/'.join(code.roles)}, {code.scale.kind}{values}]  {', '.join(marks)}")
        show(f"      {code.definition}")
        if code.gated:
            show(f"      live: {_gate(book, code)}")
    for name, index in book.indices.items():
        show(f"  index {name}: {index.name}, {index.kind} by {index.unit}, per {index.per}")
    return 0


def _check(paths: list[Path] | None, published: Path | None, as_json: bool) -> int:
    from simulator.codebooks.borrowing import PUBLISHED
    from simulator.codebooks.loading import check_library

    at_hand = os.environ.get("DYAD_DATA_DIR")
    if published is None and at_hand and any((Path(at_hand) / name).is_file() for name in PUBLISHED):
        published = Path(at_hand)
    found = check_library(paths, published)
    if as_json:
        show_json(found._asdict())
    else:
        for line in found.problems:
            show(line)
        show(_summary(found))
    return 1 if found.problems else 0


def _summary(found: "Check") -> str:
    """The last line of `check`: how much was looked at, and how many problems there are."""
    works = f"{found.works} works, {found.published} published codes; " if found.works else ""
    sizes = f"{found.codebooks} codebooks, {found.codes} codes, {found.complete} complete"
    files = len(found.compared)
    wording = (
        f"wording compared with {files} published files" if files else "no published wording at hand to compare with"
    )
    count = len(found.problems)
    return f"{works}{sizes}; {wording}: {f'{count} problem' + 's' * (count > 1) if count else 'no problem found'}"


def _gate(book: "Codebook", code: "Code") -> str:
    parts = [] if code.live == "always" else [f"{code.live} ({book.situation(code.live)})"]
    if code.depends_on:
        parts.append(f"where any of these is present: {', '.join(code.depends_on)}")
    return "; ".join(parts)


def _plain(book: "Codebook") -> dict[str, object]:
    codes = [
        code.model_dump(mode="json")
        | {"values": code.values, "stands_for": code.published, "exploratory": code.exploratory}
        for code in book.codes
    ]
    rest = book.model_dump(mode="json", exclude={"codes"})
    return rest | {"fingerprint": book.fingerprint, "complete": book.complete, "codes": codes}
