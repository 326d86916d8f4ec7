"""`dyad code RUN [coders=NAME]`: apply a coder to a stored or imported run; turns stay as they are."""

from collections.abc import Sequence
from pathlib import Path

from simulator.cli.main import OneLineParser
from simulator.cli.output import show, show_json
from simulator.errors import UserError, nearest
from simulator.resources import resource_root


def main(arguments: Sequence[str]) -> int:
    """Run the command; see the module's docstring."""
    parser = OneLineParser("dyad code", description=__doc__)
    parser.add_argument("run", type=Path, help="a folder that `dyad run` or `dyad import` made")
    parser.add_argument("coders", nargs="*", default=["coders=rules"], help="coders=NAME, a file of conf/coders")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    from simulator.coding.datasets import code_run

    counts = {}
    for word in options.coders:
        key, _, name = word.partition("=")
        if key != "coders" or not name:
            raise UserError(f"dyad code: '{word}' is not understood; write coders=NAME")
        counts[name] = code_run(options.run, name, read_coder_options(name))
    if options.json:
        show_json({"run": str(options.run), "judgments": counts})
    else:
        for name, count in counts.items():
            show(f"{name}: {count} judgments")
    return 0


def read_coder_options(name: str) -> dict[str, object]:
    """The options of a coder from `conf/coders/<name>.yaml`.

    Raises:
        UserError: there is no such coder.
    """
    import yaml

    folder = resource_root("conf") / "coders"
    path = folder / f"{name}.yaml"
    if not path.is_file():
        raise UserError(f"coders: no option '{name}'{nearest(name, (entry.stem for entry in folder.glob('*.yaml')))}")
    return dict(yaml.safe_load(path.read_text()))
