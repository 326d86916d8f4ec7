"""`dyad report RUN`: write report.html into the run's folder; `--json` prints its figures instead."""

import json
from collections.abc import Sequence
from pathlib import Path

from simulator.cli.main import OneLineParser
from simulator.cli.output import show, show_json


def main(arguments: Sequence[str]) -> int:
    """Run the command; see the module's docstring."""
    parser = OneLineParser("dyad report", description=__doc__)
    parser.add_argument("run", type=Path, help="a folder that `dyad run` or `dyad import` made")
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON object; writes nothing")
    parser.add_argument(
        "--humans",
        type=Path,
        help="human transcripts to tell the run's clients from: an imported run or an AnnoMI CSV file",
    )
    options = parser.parse_args(arguments)
    from simulator.studies.stages import STAGES_FILE

    if (options.run / STAGES_FILE).exists():
        from simulator.cli.stages import conclude

        report = conclude(options.run)
        if options.json:
            show_json(json.loads((report.parent / "figures.json").read_text()))
        else:
            show(f"report: {report}")
        return 0
    from simulator.analysis.summary import summarise
    from simulator.reporting.writing import report_run

    if options.json:
        show_json(summarise(options.run, options.humans))
    else:
        show(f"report: {report_run(options.run, options.humans)}")
    return 0
