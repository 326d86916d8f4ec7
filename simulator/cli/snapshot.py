"""`dyad snapshot RUN`: tables of what a run holds by now, while it goes on; `dyad report` and others read them."""

from collections.abc import Sequence
from pathlib import Path

from simulator.cli.main import OneLineParser
from simulator.cli.output import show, show_json


def main(arguments: Sequence[str]) -> int:
    """Run the command; see the module's docstring."""
    parser = OneLineParser("dyad snapshot", description=__doc__)
    parser.add_argument("run", type=Path, help="a folder that `dyad run` made")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    from simulator.store.reading import read_table
    from simulator.studies.compacting import snapshot_run

    run, plan, done = snapshot_run(options.run)
    states = dict(read_table(run, "courses", ["status"])["status"].value_counts().iter_rows())
    result = {
        "run": str(run.path), "courses": plan.size, **{state: states.get(state, 0) for state in ("ended", "failed")},
        "parts": done.parts, "parts_written": done.written, "dataset": str(run.dataset),
    }  # fmt: skip
    if options.json:
        show_json(result)
    else:
        show(
            f"{result['ended']} of {plan.size} courses ended; {done.written} of {done.parts} parts had changed\n"
            f"tables: {run.dataset}"
        )
    return 0
