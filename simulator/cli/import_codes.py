"""`dyad import codes FILE... --into RUN`: filled coding sheets of two or more raters, with their agreement.

Each rater becomes a coder of the run, `human-<name>`. Units of runs that were mixed in are left to an import into
those runs.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from simulator.cli.main import OneLineParser
from simulator.cli.output import say, show, show_json


def main(arguments: Sequence[str]) -> int:
    """Run the command; see the module's docstring."""
    from simulator.codebooks import load_codebook
    from simulator.coding.human.agreement import agreement
    from simulator.coding.human.reading import read_sheets, store_codings
    from simulator.store.runs import open_run

    parser = OneLineParser("dyad import codes", description=__doc__)
    parser.add_argument("files", type=Path, nargs="+", help="sheets that `dyad sample-for-humans` wrote, filled in")
    parser.add_argument("--into", type=Path, required=True, help="the run that the sample was drawn from")
    parser.add_argument("--codebook", type=Path, help="the codebook's file, where it is not one of the library")
    parser.add_argument("--replace", action="store_true", help="in place of codes that were imported before")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    run = open_run(options.into)
    key, rated = read_sheets(options.files, run, options.codebook)
    found = agreement(key, rated, load_codebook(options.codebook or key.codebook))
    counts = store_codings(run, key, rated, options.replace)
    for identity, name in key.runs.items():
        if identity != run.identity:
            elsewhere = sum(row.run == identity for row in key.rows)
            say(
                f"{elsewhere} units belong to {name or 'another run'} ({identity[:8]}); import the sheets --into it too"
            )
    if options.json:
        show_json({"run": str(run.path), "sample": key.sample, "judgments": counts, "agreement": found})
        return 0
    show("\n".join(f"human-{rater}: {count} judgments" for rater, count in counts.items()))
    show(f"agreement of {len(rated)} raters (Krippendorff's alpha, 95 % by session):")
    for code, report in found.items():
        show(_line(code, report))
    return 0


def _line(code: str, report: Mapping[str, Any]) -> str:
    mark = "  below .667: exploratory" if report["below_bar"] else ""
    figures = (
        f"alpha {_figure(report['alpha'])} [{_figure(report['low'])}, {_figure(report['high'])}] "
        f"weighted {_figure(report['alpha_weighted'])}  agree {_figure(report['agreement'])}"
    )
    missing = f"  missing {report['missing']}" if report["missing"] else ""
    return f"  {code:<32}{report['units']:>5} units  {figures}{missing}{mark}"


def _figure(number: float | None) -> str:
    return "-" if number is None or number != number else f"{number:.3f}"
