"""`dyad sample-for-humans RUN --codebook NAME --raters anna,ben`: blind coding sheets of a probability sample.

One CSV per rater and a guide to the codes; the key, with every unit's inclusion probability, stays in the run. Filled
in, they come back by `dyad import codes FILE... --into RUN`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from simulator.cli.main import OneLineParser
from simulator.cli.output import show, show_json
from simulator.errors import UserError


def main(arguments: Sequence[str]) -> int:
    """Run the command; see the module's docstring."""
    from simulator.codebooks import load_codebook
    from simulator.coding.human.drawing import Design, Score
    from simulator.coding.human.sheets import write_sheets
    from simulator.store.runs import open_run

    parser = OneLineParser("dyad sample-for-humans", description=__doc__)
    parser.add_argument("run", type=Path, help="a folder that `dyad run` or `dyad import` made")
    parser.add_argument("--codebook", required=True, help="a codebook of the library, or a file")
    parser.add_argument("--raters", required=True, metavar="NAME,NAME", help="two or more names")
    parser.add_argument("--code", action="append", help="only this code; may be repeated")
    parser.add_argument("--unit", help="which unit, where the codes have several")
    parser.add_argument("--design", choices=get_args(Design), default="random", help="single units, units stratified "
                        "by --score, or whole sessions")  # fmt: skip
    parser.add_argument("--score", metavar="CODER:CODE", help="stratified: a stored coder and one of its codes")
    parser.add_argument("--mix", type=Path, action="append", default=[], metavar="RUN", help="another run, mixed in")
    parser.add_argument("--size", type=int, default=100, help="units, or sessions; by default 100")
    parser.add_argument("--context", type=int, default=4, help="turns shown before a unit; by default 4")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="folder of the sheets; by default RUN/samples/<sample>")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    if (options.score is None) == (options.design == "stratified"):
        raise UserError("dyad sample-for-humans: --design stratified and --score CODER:CODE go together")
    coder, _, code = (options.score or "").partition(":")
    runs = [open_run(path) for path in (options.run, *options.mix)]
    if len({run.identity for run in runs}) < len(runs):
        raise UserError("dyad sample-for-humans: one run stands twice; --mix names another one")
    written = write_sheets(
        runs,
        load_codebook(options.codebook),
        options.out,
        raters=[name.strip() for name in options.raters.split(",") if name.strip()],
        design=options.design,
        size=options.size,
        seed=options.seed,
        codes=options.code,
        unit=options.unit,
        score=Score(coder, code) if options.score else None,
        context=max(0, options.context),
    )
    key = written.key
    if options.json:
        show_json({"sample": key.sample, "design": key.design, "unit": key.unit, "units": len(key.rows),
                   "strata": key.strata, "sheets": [str(file) for file in written.files],
                   "guide": str(written.guide)})  # fmt: skip
        return 0
    show(f"sample {key.sample}: {len(key.rows)} units ({key.unit}), {key.design}")
    for label, sizes in key.strata.items():
        share = sizes["drawn"] / sizes["population"]
        show(f"  {label:<28}{sizes['drawn']:>6} of {sizes['population']:<8} inclusion probability {share:.4g}")
    for file in written.files:
        show(f"sheet: {file}")
    show(f"guide: {written.guide}\nnext: dyad import codes {' '.join(map(str, written.files))} --into {options.run}")
    return 0
