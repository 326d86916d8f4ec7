"""`dyad export RUN FORMAT [--out FOLDER]`: a run for other tools.

Formats: `chat` (OpenAI chat JSONL), `huggingface` (a folder that `datasets` loads), `inspect` (logs that `inspect view`
opens), `csv` (one file per table). `--release` leaves out what may not be passed on and writes DATA_CARD.md.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from simulator.cli.main import OneLineParser
from simulator.cli.output import say, show, show_json
from simulator.errors import UserError

FORMATS = ("chat", "huggingface", "inspect", "csv")


def main(arguments: Sequence[str]) -> int:
    """Run the command; see the module's docstring."""
    parser = OneLineParser("dyad export", description=__doc__)
    parser.add_argument("run", type=Path, help="a folder that `dyad run` or `dyad import` made")
    parser.add_argument("format", choices=FORMATS, help="what to write")
    parser.add_argument("--out", type=Path, help="a new folder; by default RUN/exports/<format>[-release]")
    parser.add_argument("--assistant", metavar="ROLE", help="chat, inspect: the chair called assistant (therapist)")
    parser.add_argument(
        "--spreadsheet",
        action="store_true",
        help="csv: guard texts that a spreadsheet would run as formulas",
    )
    parser.add_argument("--release", action="store_true", help="leave out what may not be passed on; add DATA_CARD.md")
    parser.add_argument("--licence", metavar="ID", help="under which terms this export is passed on, for its data card")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    if options.assistant is not None and options.format not in ("chat", "inspect"):
        raise UserError(f"dyad export: --assistant belongs to chat and inspect; {options.format} keeps the roles")
    if options.spreadsheet and options.format != "csv":
        raise UserError("dyad export: --spreadsheet belongs to csv")
    if options.licence is not None and options.format != "huggingface" and not options.release:
        raise UserError("dyad export: --licence is for a data card; add --release, or export huggingface")
    from simulator.store.exporters.exporting import export_run
    from simulator.store.exporters.options import ExportOptions, Tick

    chosen = ExportOptions(
        assistant=options.assistant or "therapist",
        spreadsheet=options.spreadsheet,
        release=options.release,
        licence=options.licence,
    )
    bar = tqdm(desc=options.format, unit="row", file=sys.stderr, disable=True if options.json else None, leave=False)

    def progress(rows: int) -> Tick:
        bar.reset(total=rows)

        def tick(count: int) -> None:
            bar.update(count)

        return tick

    try:
        exported = export_run(options.run, options.format, options.out, chosen, progress)
    finally:
        bar.close()
    counts = exported.counts
    if counts.get("formula_like") and not options.spreadsheet:
        say(f"{counts['formula_like']} texts begin as formulas do and are kept so; --spreadsheet guards them")
    if options.json:
        show_json({
            "run": str(options.run), "format": options.format, "out": str(exported.path), "release": options.release,
            **counts,
        })  # fmt: skip
    else:
        written = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
        show(f"{written}\n{options.format}: {exported.path}")
    return 0
