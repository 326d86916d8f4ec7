"""`dyad import SOURCE [FILE] --out DIR`: bring transcripts into the same tables.

`annomi`: human transcripts with their expert codes; without FILE the authors' published copy is fetched and checked.
`chat`: chat JSONL, as `dyad export RUN chat` and others write it; --origin says who speaks. The rule-based coder runs
on what was imported, so that it stands in the report.
`codes`: filled coding sheets, into a run (`dyad import codes --help`).
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from simulator.cli.main import OneLineParser
from simulator.cli.output import say, show, show_json
from simulator.errors import UserError
from simulator.store.runs import RunFolder

SOURCES = ("annomi", "chat")
CHAT_ONLY = ("origin", "roles", "cluster", "stratum", "licence")


def main(arguments: Sequence[str]) -> int:
    """Run the command; see the module's docstring."""
    if arguments and arguments[0] == "codes":
        from simulator.cli import import_codes

        return import_codes.main(arguments[1:])
    parser = OneLineParser("dyad import", description=__doc__)
    parser.add_argument("source", choices=SOURCES, help="the format of the transcripts")
    parser.add_argument("file", type=Path, nargs="?", help="the file; annomi: by default the published copy is fetched")
    parser.add_argument(
        "--out", type=Path, help="the run's folder; by default runs/<source>-<8 characters of its content>"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    chat = parser.add_argument_group("chat")
    chat.add_argument("--origin", help="who speaks: human, model (at least one chair) or scripted; there is no default")
    chat.add_argument("--roles", metavar="WORD=ROLE,...", help="who the file's roles are; WORD=- leaves messages out")
    chat.add_argument("--cluster", metavar="KEY", help="metadata key of what hangs together, a person for instance")
    chat.add_argument("--stratum", metavar="KEY", help="metadata key of a declared grouping")
    chat.add_argument("--licence", metavar="ID", help="under which terms the transcripts may be used (SPDX identifier)")
    options = parser.parse_args(arguments)
    if options.source != "chat":
        given = next((name for name in CHAT_ONLY if getattr(options, name) is not None), None)
        if given:
            raise UserError(f"dyad import: --{given} belongs to chat")
    run, counts = _import_chat(options) if options.source == "chat" else _import_annomi(options)
    from simulator.coding.datasets import code_run

    say("coding: rules")
    code_run(run.path, "rules", {"_target_": "simulator.coding.rules.RuleCoder", "patterns": "annomi"})
    if options.json:
        show_json({"run": str(run.path), "identity": run.identity, **counts})
    else:
        show(f"{counts['sessions']} sessions, {counts['turns']} turns\nrun: {run.path}\nnext: dyad report {run.path}")
    return 0


def _import_annomi(options: argparse.Namespace) -> tuple[RunFolder, dict[str, Any]]:
    from simulator.store.importers.annomi import read_annomi
    from simulator.store.importers.storing import store_import

    dataset = read_annomi(options.file)
    out = options.out or Path("runs") / f"{dataset.name}-{dataset.source_hash[:8]}"
    return store_import(dataset, out), {table: len(rows) for table, rows in dataset.tables.items()}


def _import_chat(options: argparse.Namespace) -> tuple[RunFolder, dict[str, Any]]:
    if options.file is None:
        raise UserError("dyad import chat: no file; name the chat JSONL file")
    if options.origin is None:
        raise UserError(
            "dyad import chat: --origin is missing; say who speaks: --origin human (people), "
            "model (a language model in at least one chair) or scripted"
        )
    from simulator.store.importers.chat import ChatOptions, read_chat
    from simulator.store.importers.chat_lines import parse_roles
    from simulator.store.importers.storing import import_meta, store_parts

    roles = parse_roles(options.roles) if options.roles else {}
    chosen = ChatOptions(options.origin, roles, options.cluster, options.stratum, options.licence)
    found = read_chat(options.file, chosen)
    meta = import_meta(
        name="chat",
        identity=found.identity,
        origin=chosen.origin,
        licence=chosen.licence,
        courses=len(found.courses),
    )
    run = store_parts(meta, found.parts(), options.out or Path("runs") / f"chat-{found.identity[:8]}")
    if found.left_out:
        say(f"{found.left_out} messages were left out, as --roles says")
    if found.unclustered:
        say(f"{found.unclustered} courses are clusters of their own; --cluster KEY names what hangs together")
    counts = {
        "courses": len(found.courses),
        "sessions": found.sessions,
        "turns": found.turns,
        "left_out": found.left_out,
    }
    return run, counts
