"""`dyad report RUN`: write report.html into the run's folder; `--json` prints its figures instead."""

from collections.abc import Sequence
from pathlib import Path

from simulator.cli.main import OneLineParser
from simulator.cli.output import show, show_json


def main(arguments: Sequence[str]) -> int:
    """Run the command; see the module's docstring."""
    parser = OneLineParser("dyad report", description=__doc__)
    parser.add_argument("run", type=Path, help="a folder that `dyad run` or `dyad import` made")
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON object; writes nothing")
    options = parser.parse_args(arguments)
    from simulator.analysis.summary import summarise
    from simulator.reporting.writing import report_run

    if options.json:
        show_json(summarise(options.run))
    else:
        show(f"report: {report_run(options.run)}")
    return 0
