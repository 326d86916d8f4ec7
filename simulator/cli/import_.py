"""`dyad import annomi [FILE] --out DIR`: bring human transcripts with their expert codes into the same tables.

Without FILE the authors' published copy is fetched and checked. The rule-based coder runs on what was imported, so that
its agreement with the experts stands in the report.
"""

from collections.abc import Sequence
from pathlib import Path

from simulator.cli.main import OneLineParser
from simulator.cli.output import say, show, show_json

SOURCES = ("annomi",)


def main(arguments: Sequence[str]) -> int:
    """Run the command; see the module's docstring."""
    parser = OneLineParser("dyad import", description=__doc__)
    parser.add_argument("source", choices=SOURCES, help="the format of the transcripts")
    parser.add_argument("file", type=Path, nargs="?", help="the file; by default the published copy is fetched")
    parser.add_argument("--out", type=Path, help="the run's folder; by default runs/<source>-<first 8 of the content's hash>")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    from simulator.coding.datasets import code_run
    from simulator.store.importers.annomi import read_annomi
    from simulator.store.importers.storing import store_import

    dataset = read_annomi(options.file)
    out = options.out or Path("runs") / f"{dataset.name}-{dataset.source_hash[:8]}"
    run = store_import(dataset, out)
    say("coding: rules")
    code_run(run.path, "rules", {"_target_": "simulator.coding.rules.RuleCoder", "patterns": "annomi"})
    counts = {table: len(rows) for table, rows in dataset.tables.items()}
    if options.json:
        show_json({"run": str(run.path), "identity": run.identity, **counts})
    else:
        show(f"{counts['sessions']} sessions, {counts['turns']} turns\nrun: {run.path}\nnext: dyad report {run.path}")
    return 0
