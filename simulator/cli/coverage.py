"""`dyad coverage`: how often the intervals of shares and contrasts cover the planted truth, in repeated small studies.

Exit code 1 where a row that carries no flag lies outside the band.
"""

from collections.abc import Sequence

from simulator.cli.main import OneLineParser
from simulator.cli.output import progress_bar, show, show_json
from simulator.errors import UserError


def main(arguments: Sequence[str]) -> int:
    """Run the command; see the module's docstring."""
    parser = OneLineParser("dyad coverage", description=__doc__)
    parser.add_argument("--repetitions", type=int, default=8000, help="studies per number of personas")
    parser.add_argument("--personas", type=int, nargs="+", default=[12, 40], help="numbers of personas in a study")
    parser.add_argument("--quick", action="store_true", help="a smaller pool and at most 1,000 repetitions")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    if options.repetitions < 100:
        raise UserError(f"--repetitions: {options.repetitions} says nothing about coverage; ask for at least 100")
    if min(options.personas) < 3:
        raise UserError(f"--personas: {min(options.personas)} is too few for any interval; ask for at least 3")
    from simulator.analysis.coverage import run_coverage
    from simulator.analysis.coverage_text import coverage_lines

    repetitions = min(options.repetitions, 1000) if options.quick else options.repetitions
    with progress_bar(repetitions * len(options.personas), "coverage", quiet=options.json) as bar:
        result = run_coverage(
            repetitions,
            options.personas,
            quick=options.quick,
            progress=lambda done, _: bar.update(done - bar.n),
        )
    if options.json:
        show_json(result)
    else:
        for line in coverage_lines(result):
            show(line)
    return 0 if result["within_band"] else 1
