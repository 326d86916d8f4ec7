"""`dyad compare RUN RUN ...`: runs side by side, with differences paired on the personas that they share."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from simulator.cli.main import OneLineParser
from simulator.cli.output import show, show_json


def main(arguments: Sequence[str]) -> int:
    """Run the command; see the module's docstring."""
    parser = OneLineParser("dyad compare", description=__doc__)
    parser.add_argument("runs", type=Path, nargs="+", help="folders that `dyad run` or `dyad submit` made")
    parser.add_argument("--json", action="store_true", help="print one JSON object, with every estimand")
    options = parser.parse_args(arguments)
    from simulator.analysis.comparison import compare

    found = compare(options.runs)
    if options.json:
        show_json(found)
    else:
        for line in _lines(found):
            show(line)
    return 0


def _lines(found: dict[str, Any]) -> list[str]:
    lines = []
    for run in found["runs"]:
        shared = "" if run["shared"] == run["personas"] else f" ({run['shared']} of them the first run's)"
        about = f"{run['run']}: {run['courses']} courses, {run['personas']} personas{shared}, origin {run['origin']}"
        lines.append(about + (f"; {run['differs']} (there: the first run)" if run["differs"] else ""))
    lines += found["warnings"]
    for part in found["contrasts"]:
        lines += ["", f"coder {part['coder']}" if part["coder"] else "questionnaires"]
        for row in part["rows"]:
            moment = f" at {row['moment']}" if row.get("moment") else ""
            what = (
                f"{row['measure']}{moment}" if row.get("measure") else f"{row['role']} {row['code']} {row['behaviour']}"
            )
            for estimand, interval in row["differences"].items():
                p = row["adjusted_p"].get(estimand)
                lines.append(
                    f"  {what}: {row['first']} - {row['second']} = {_number(interval['estimate'])} "
                    f"[{_number(interval['low'])}, {_number(interval['high'])}]"
                    f"{'' if p is None else f', adjusted p {p:.3g}'} ({estimand}; {interval['method']}, "
                    f"{interval['clusters']} clusters{'; ' + interval['flag'] if interval['flag'] else ''})"
                )
    return lines


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"
