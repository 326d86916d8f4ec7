"""`dyad code RUN [coders=NAME ...]`: apply coders to a stored or imported run; turns stay as they are.

Everything after RUN is an override as `dyad run` takes it: `coders=llm coders.llm.codebook=bolt model=endpoint
model.url=...`. An interrupted coding goes on with the same command.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from simulator.cli.main import OneLineParser
from simulator.cli.output import progress_bar, show, show_json
from simulator.errors import UserError


def main(arguments: Sequence[str]) -> int:
    """Run the command; see the module's docstring."""
    parser = OneLineParser("dyad code", description=__doc__)
    parser.add_argument("run", type=Path, help="a folder that `dyad run` or `dyad import` made")
    parser.add_argument("overrides", nargs="*", help="coders=NAME (a file of conf/coders), its options, a model")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    options = parser.parse_args(arguments)
    from simulator.coding.datasets import code_run
    from simulator.store.reading import read_table
    from simulator.studies.chairs import coder_options

    for word in options.overrides:
        if "=" not in word:
            raise UserError(f"dyad code: '{word}' is not understood; write coders=NAME")
    found = coder_options(composed(options.overrides))
    sessions = read_table(options.run, "sessions", ["course_id"]).height
    coded = {}
    for name, option in found.items():
        with progress_bar(sessions, f"coding: {name}", options.quiet or options.json) as bar:
            coded[name] = code_run(options.run, name, option, lambda sessions, bar=bar: bar.update(sessions))  # type: ignore[misc]
    if options.json:
        judgments = {name: one.judgments for name, one in coded.items()}
        usage = {name: asdict(one.usage) for name, one in coded.items() if one.usage is not None}
        show_json({"run": str(options.run), "judgments": judgments, "usage": usage})
    else:
        for name, one in coded.items():
            show(f"{name}: {one.judgments} judgments" + (f"; {one.usage.words}" if one.usage is not None else ""))
    return 0


def composed(overrides: Sequence[str]):  # type: ignore[no-untyped-def]
    """The configuration that the overrides give; Hydra's own errors as one line."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from simulator.cli.run import one_line
    from simulator.studies.composing import compose

    try:
        return compose(*overrides)
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(f"configuration: {one_line(str(error))}") from None
