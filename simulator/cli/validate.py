"""`dyad validate CODER --against FILE`: how a coder agrees with people on sessions that it was not made from.

CODER is a folder that `dyad coders train` wrote (`units=utterance` after it sets an option), or the name of a coder of
conf/coders (`rules`, `llm`), with the same overrides as in `dyad code`. Sessions of FILE that a trained coder has seen
in training are left out and counted; where none remains, nothing is validated. The answers of a coder that asks a model
are kept, so that the same command goes on where it was; `--probe` also asks whether the model knows FILE by heart.
"""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.cli.main import OneLineParser
from simulator.cli.output import say, show, show_json
from simulator.errors import UserError

if TYPE_CHECKING:
    from simulator.coding.base import Coder


def main(arguments: Sequence[str]) -> int:
    """Run the command; see the module's docstring."""
    parser = OneLineParser("dyad validate", description=__doc__)
    parser.add_argument("coder", help="a folder that `dyad coders train` wrote, or a name of conf/coders")
    parser.add_argument("options", nargs="*", metavar="key=value", help="options of the coder")
    parser.add_argument("--against", type=Path, required=True, help="coded sessions, a local file")
    parser.add_argument("--format", help="the data's format; by default its header shows it")
    parser.add_argument("--sha256", help="what the file's SHA-256 must be, or its first 8 or more characters")
    parser.add_argument(
        "--answers", type=Path, help="where a model's answers are kept; by default in Dyad's cache folder"
    )
    parser.add_argument(
        "--probe", type=int, nargs="?", const=50, metavar="SESSIONS", help="as `dyad contamination` (by default 50)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object, a key per task")
    options = parser.parse_args(arguments)
    from simulator.analysis.validity import validate
    from simulator.cli.contamination import probe
    from simulator.coding.datasets import AsksModel
    from simulator.coding.loaders import read_examples
    from simulator.store.importers.fetching import cache_folder

    coder = _coder(options.coder, options.options)
    asks = isinstance(coder, AsksModel)
    if options.probe is not None and not asks:
        raise UserError(f"dyad validate: --probe: {coder.name} asks no model; leave it out")
    examples = read_examples(options.against, options.format, options.sha256)
    folder = options.answers or cache_folder() / "validation"
    found = validate(coder, examples, answers=folder / f"{coder.name}-{coder.fingerprint[:16]}" if asks else None)
    if options.probe is not None and isinstance(coder, AsksModel):
        sessions = [session.turns for session in examples.sessions]
        probed = asyncio.run(probe(coder.model, sessions, options.probe, 0))
        found = {name: {**report, "contamination": probed} for name, report in found.items()}
    seen = max(report["sessions_left_out"] for report in found.values())
    if seen:
        say(f"left out: {seen} sessions that the coder was trained on")
    first = next(iter(found.values()))
    if first["groups_compared"] is False:
        groups = first["intervals"]["kappa"]["cluster"]
        say(f"this file and the training set do not name {groups} alike: left out by sessions and texts only")
    if options.json:
        show_json(found)
        return 0
    for name, report in found.items():
        for line in _lines(name, report):
            show(line)
    return 0


def _coder(name: str, options: Sequence[str]) -> "Coder":
    """The trained coder in a folder, or one that conf/coders describes. Raises: UserError."""
    from simulator.cli.code import composed
    from simulator.coding.datasets import make_coder
    from simulator.coding.trained.coder import TrainedCoder
    from simulator.studies.chairs import coder_options

    if Path(name).is_dir() or "/" in name:
        return TrainedCoder(name, **_options(options))
    return make_coder(name, coder_options(composed([f"coders={name}", *options]))[name])


def _options(words: Sequence[str]) -> dict[str, Any]:
    from simulator.resources import read_yaml

    found = {}
    for word in words:
        key, mark, value = word.partition("=")
        if not mark or not key:
            raise UserError(f"dyad validate: '{word}' is not understood; write key=value")
        found[key] = read_yaml(value)
    return found


def _lines(name: str, report: Mapping[str, Any]) -> list[str]:
    lines = [f"{name}: {report['units']} units, {report['sessions']} sessions"]
    if report["exploratory"]:
        lines[0] += "; exploratory: people agree below alpha .667, or nobody knows"
    for key in ("macro_f1", "kappa", "alpha", "ece"):
        interval = report["intervals"][key]
        rest = [f"{base} {report['baselines'][base][key]:.3f}" for base in report["baselines"] if key != "ece"]
        lines.append(
            f"  {key:<9}{report[key]:.3f} [{_limit(interval['low'])}, {_limit(interval['high'])}] "
            f"({interval['clusters']} {interval['cluster']})  {'  '.join(rest)}".rstrip()
        )
    if report["missing"]:
        reasons = "; ".join(f"{count} {reason}" for reason, count in sorted(report["missing"].items()))
        lines.append(f"  missing  {sum(report['missing'].values())} units, scored nowhere: {reasons}")
    if isinstance(report["contamination"], str):
        lines.append(f"  contamination {report['contamination']} (--probe asks whether the model knows these sessions)")
    elif report["contamination"]:
        probed = report["contamination"]
        lines.append(
            f"  contamination {probed['overlap']:.4f} of the runs of {probed['run']} words said are the recording's, "
            f"{probed['overlap_elsewhere']:.4f} other recordings' ({probed['sessions']} sessions continued)"
        )
    for part, own in (report["rules_read"] or {}).items():
        lines.append(f"  rules' view: {part}: {own['units']} units, {own['sessions']} sessions" + _part(own))
    if report["ceiling"] is not None:
        pair = f"{report['human']:.3f} a pair"
        lines.append(f"  people   {report['ceiling']:.3f} a rater against the others' plurality, {pair}")
    lines += [
        f"  {row['code']:<16} precision {_limit(row['precision'])}  recall {_limit(row['recall'])}  "
        f"F1 {_limit(row['f1'])}  AUC {_limit(row['auc'])}  base rate {row['base_rate']:.3f}"
        for row in report["codes"]
    ]
    return lines


def _part(own: Mapping[str, Any]) -> str:
    """Figures on sessions that the rules' author read or did not read; the rules' own beside those of another coder."""
    if not own["units"]:
        return ""
    rules = own["baselines"].get("rules")
    said = []
    for key in ("macro_f1", "kappa"):
        interval = own["intervals"][key]
        beside = f", rules {rules[key]:.3f}" if rules else ""
        said.append(f"{key} {own[key]:.3f} [{_limit(interval['low'])}, {_limit(interval['high'])}]{beside}")
    return f" of {own['clusters']} {interval['cluster']}: " + "; ".join(said)


def _limit(number: float | None) -> str:
    return "-" if number is None or number != number else f"{number:.3f}"
