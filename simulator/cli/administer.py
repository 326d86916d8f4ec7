"""`dyad administer RUN instruments=[seq,wai_sr] model=... [KEY=VALUE]`: a model fills in instruments about sessions.

RUN is any run or import. `instruments` and `model` are as for `dyad run`; besides: respondent=client, therapist or
observer; layout=form, which puts all items of an instrument in one request; adapted=true, which marks every score;
seed; name, which tells apart what several models answered. Answers are kept as they come: after a kill the same command
goes on, and asks nothing twice that was answered.
"""

import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from simulator.cli.main import OneLineParser
from simulator.cli.output import show, show_json
from simulator.errors import UserError


def main(arguments: Sequence[str]) -> int:
    """Run the command; see the module's docstring."""
    parser = OneLineParser("dyad administer", description=__doc__)
    parser.add_argument("run", type=Path, help="a folder that `dyad run` or `dyad import` made")
    parser.add_argument("words", nargs="+", help="instruments=[NAME,...] model=NAME model.KEY=VALUE respondent=...")
    parser.add_argument("--wording", type=Path, action="append", default=[], help="a licensed wording file")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    from simulator.instruments.loading import load_instrument, load_wording, wording_of
    from simulator.studies.administering import Afterwards, Given, administer_run
    from simulator.studies.composing import compose

    own = {"respondent": "client", "adapted": "false", "seed": "0", "name": "", "layout": "items"}
    rest = []
    for word in options.words:
        key, _, value = word.partition("=")
        if key in own:
            own[key] = value
        else:
            rest.append(word)
    if own["respondent"] not in ("client", "therapist", "observer"):
        raise UserError(f"respondent: '{own['respondent']}' is none of client, therapist, observer")
    if own["adapted"] not in ("true", "false") or not own["seed"].isdigit():
        raise UserError("adapted: true or false; seed: a whole number")
    if own["layout"] not in ("items", "form"):
        raise UserError(f"layout: '{own['layout']}' is none of items, form")
    config = compose(*rest)
    model = config.model_for("coders")
    if model is None:
        raise UserError("dyad administer: no model is configured; add model=endpoint model.url=... model.name=...")
    wordings = {wording_of(path): path for path in options.wording}
    given = []
    for choice in config.instruments.values():
        instrument = load_instrument(choice.instrument)
        if instrument.name in wordings:
            instrument = load_wording(wordings.pop(instrument.name), instrument)
        given.append(Given(instrument, choice.form, choice.adapted or own["adapted"] == "true"))
    if wordings:
        raise UserError(f"{next(iter(wordings.values()))}: its instrument is not among those that are given")
    name = own["name"] or re.sub(r"[^A-Za-z0-9_-]+", "-", f"{model.get('name') or 'model'}-{own['respondent']}")
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise UserError(f"name: '{name}'; letters, digits, - and _ only")
    asked = Afterwards(given, model, name, own["respondent"], int(own["seed"]), own["layout"])  # type: ignore[arg-type]
    tally = administer_run(options.run, asked)
    if options.json:
        show_json({"run": str(options.run), "name": name, **asdict(tally)})
    else:
        show(
            f"{tally.sessions} sessions, {tally.answers} answers ({tally.asked} asked now, {tally.missing} missing); "
            f"{tally.usage.words}"
        )
    return 0
