"""`dyad codebooks list|check`: the codebooks that ship with Dyad, and whether they are as they should be."""

from collections.abc import Sequence
from pathlib import Path

from simulator.cli.main import OneLineParser
from simulator.cli.output import show, show_json


def main(arguments: Sequence[str]) -> int:
    """Run the command; see the module's docstring."""
    parser = OneLineParser("dyad codebooks", description=__doc__)
    parser.add_argument("action", choices=["list", "check"])
    parser.add_argument(
        "files", nargs="*", type=Path, help="for check: codebook files of your own; by default the shipped ones"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    from simulator.codebooks.loading import check_codebooks, list_codebooks, load_codebook

    if options.action == "check":
        problems = check_codebooks(options.files or None)
        if options.json:
            show_json({"problems": problems})
        else:
            for line in problems or ["no problem found"]:
                show(line)
        return 1 if problems else 0
    books = [load_codebook(name) for name in list_codebooks()]
    if options.json:
        show_json({"codebooks": [{"name": book.name, "codes": [code.id for code in book.codes]} for book in books]})
    else:
        for book in books:
            show(f"{book.name:<18}{len(book.codes):>4} codes  {book.title}")
    return 0
