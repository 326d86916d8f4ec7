"""`dyad personas check|coverage|schema [SET]`: check a persona set, say what it covers, export its JSON Schema."""

import json
from collections.abc import Sequence
from pathlib import Path

from simulator.cli.main import OneLineParser
from simulator.cli.output import show, show_json
from simulator.resources import resource_root


def main(arguments: Sequence[str]) -> int:
    """Run the command; see the module's docstring."""
    parser = OneLineParser("dyad personas", description=__doc__)
    parser.add_argument("action", choices=["check", "coverage", "schema"])
    parser.add_argument("set", nargs="?", default="shipped", help="a shipped set's name, or a file or folder")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    if options.action == "schema":
        from simulator.personas.loading import persona_json_schema

        show(json.dumps(persona_json_schema(), indent=1))
        return 0
    path = _find(options.set)
    return _check(path, options.json) if options.action == "check" else _coverage(path, options.json)


def _find(name: str) -> Path:
    shipped = resource_root("personas") / name
    return shipped if shipped.exists() and "/" not in name else Path(name)


def _check(path: Path, as_json: bool) -> int:
    from simulator.personas.loading import check_persona_set

    problems = check_persona_set(path)
    if as_json:
        show_json({"set": str(path), "problems": problems})
    else:
        for line in problems or [f"{path}: no problem found"]:
            show(line)
    return 1 if problems else 0


def _coverage(path: Path, as_json: bool) -> int:
    from simulator.personas.coverage import coverage, render
    from simulator.personas.loading import load_persona_set

    result = coverage(load_persona_set(path))
    if as_json:
        show_json(result.to_dict())
    else:
        show(render(result))
    return 0
