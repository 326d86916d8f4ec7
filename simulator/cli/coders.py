"""`dyad coders train --data FILE --out FOLDER`: a coder from coded sessions; `dyad coders show FOLDER`: what it is.

FILE is AnnoMI (published form or shared part), EPITOME, BOLT, MIBOT, or a CSV of one's own with the columns session,
role, text and `code:NAME`; its header shows which.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from simulator.cli.main import OneLineParser
from simulator.cli.output import say, show, show_json


def main(arguments: Sequence[str]) -> int:
    """Run the command; see the module's docstring."""
    parser = OneLineParser("dyad coders", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True, parser_class=OneLineParser)
    train = actions.add_parser("train", help="train a coder on coded sessions")
    train.add_argument("--data", type=Path, required=True, help="the coded sessions, a local file")
    train.add_argument("--out", type=Path, required=True, help="the folder to write the coder to")
    train.add_argument("--task", action="append", help="one of the data's tasks; may be repeated; by default all")
    train.add_argument("--format", help="the data's format; by default its header shows it")
    train.add_argument("--sha256", help="what the file's SHA-256 must be, or its first 8 or more characters")
    train.add_argument("--leave-out", type=Path, help="EPITOME: a CSV whose column response_id or rp_id names replies")
    train.add_argument("--calibration", choices=["temperature", "isotonic"], default="temperature")
    train.add_argument("--json", action="store_true", help="print one JSON object")
    describe = actions.add_parser("show", help="what a trained coder is and was trained on")
    describe.add_argument("folder", type=Path)
    describe.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    return _train(options) if options.action == "train" else _show(options)


def _train(options: Any) -> int:
    from simulator.coding.loaders import read_examples, read_reply_ids
    from simulator.coding.trained.files import save
    from simulator.coding.trained.model import fit
    from simulator.coding.trained.recipes import recipe_for

    left_out = read_reply_ids(options.leave_out) if options.leave_out else ()
    examples = read_examples(options.data, options.format, options.sha256, left_out)
    if options.task:
        examples = examples.of_tasks(options.task)
    turns = sum(len(session.turns) for session in examples.sessions)
    say(f"training on {len(examples.sessions)} sessions, {turns} turns; this takes up to a minute or two")
    description = save(options.out, fit(examples, recipe_for(examples), options.calibration), examples)
    _print(options.out, description, options.json)
    return 0


def _show(options: Any) -> int:
    from simulator.coding.trained.coder import TrainedCoder

    _print(options.folder, TrainedCoder(options.folder).description, options.json)
    return 0


def _print(folder: Path, description: Any, as_json: bool) -> None:
    content = {
        "coder": str(folder),
        "name": f"trained-{description.data}",
        "fingerprint": description.fingerprint,
        "data": description.data,
        "source_hash": description.source_hash,
        "training_set": description.training_set,
        "code_version": description.code_version,
        "sessions": len(description.sessions),
        description.group: description.groups,
        "tasks": {
            task.name: {"code": task.code, "role": task.role, "values": task.values, "units": task.units}
            for task in description.tasks
        },
    }
    if as_json:
        show_json(content)
        return
    size = f"{content['sessions']} sessions, {description.groups} {description.group}"
    show(f"{content['name']} {description.fingerprint[:8]}: {size}")
    for task in description.tasks:
        show(f"  {task.name:<14}{task.units:>7} units  {task.code}: {', '.join(task.values)}")
    show(f"coder: {folder}\nnext: dyad validate {folder} --against FILE")
