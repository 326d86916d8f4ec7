"""`dyad status RUN`: how far a run is, and whether its journal is sound; `--repair` cuts damaged files."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from simulator.cli.main import OneLineParser
from simulator.cli.output import show, show_json


def main(arguments: Sequence[str]) -> int:
    """Run the command; see the module's docstring."""
    parser = OneLineParser("dyad status", description=__doc__)
    parser.add_argument("run", type=Path, help="a folder that `dyad run` or `dyad import` made")
    parser.add_argument(
        "--repair", action="store_true", help="cut damaged journal files where they go bad, keep the rest aside"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    status = run_status(options.run, repair=options.repair)
    if options.json:
        show_json(status)
    else:
        for line in _lines(status):
            show(line)
    return 0


def run_status(folder: Path, *, repair: bool = False) -> dict[str, Any]:
    """Counts of a run from its journal, and what a repair did.

    Raises:
        UserError: not a run; or a damaged journal file where `repair` is not set.
    """
    from simulator.store.histories import read_shard
    from simulator.store.journal import cut_tail
    from simulator.store.leases import Lease
    from simulator.store.runs import open_run

    run = open_run(folder)
    counts: Counter[str] = Counter()
    failures: Counter[str] = Counter()
    notes: list[str] = []
    turns = set_aside = without_ground = 0
    for shard in range(int(run.meta.get("shards", 0))):
        lease = Lease(run.journal, shard) if repair else None
        try:
            reading = read_shard(run.journal, shard, repair=repair)
            for file in reading.torn:
                if repair:
                    notes.append(f"{file.path}: {len(file.tail)} bytes cut, kept in {cut_tail(file)}")
                else:
                    notes.append(f"{file.path}: a tail of {len(file.tail)} bytes is incomplete")
        finally:
            if lease is not None:
                lease.release()
        set_aside += reading.set_aside
        without_ground += reading.without_ground
        for history in reading.histories.values():
            turns += sum(hasattr(fact, "text") for fact in history.facts)
            if history.failure is not None:
                failures[f"{history.failure.boundary}: {history.failure.failure}"] += 1
            counts["ended" if history.ended else "failed" if history.failure else "in_flight"] += 1
    planned = int(run.meta.get("design", {}).get("courses", 0))
    return {
        "run": str(run.path),
        "kind": run.meta.get("kind"),
        "experiment": run.meta.get("experiment"),
        "identity": run.identity,
        "planned": planned,
        "ended": counts["ended"],
        "failed": counts["failed"],
        "in_flight": counts["in_flight"],
        "not_begun": max(0, planned - sum(counts.values())),
        "turns": turns,
        "set_aside": set_aside,
        "without_ground": without_ground,
        "failures": dict(failures),
        "notes": notes,
    }


def _lines(status: dict[str, Any]) -> list[str]:
    if status["kind"] == "import":
        return [f"{status['run']}: an import ({status['experiment']}); nothing to run"]
    lines = [
        f"{status['run']}: {status['experiment']} ({status['identity'][:8]})",
        f"{status['ended']} of {status['planned']} courses ended, {status['in_flight']} in flight, "
        f"{status['not_begun']} not begun, {status['failed']} failed; {status['turns']} turns",
    ]
    lines += [f"  {count} x {cause}" for cause, count in status["failures"].items()]
    if status["set_aside"]:
        lines.append(f"{status['set_aside']} records of an older writer were set aside")
    if status["without_ground"]:
        lines.append(f"{status['without_ground']} records that continued from cut ones were set aside")
    return [*lines, *map(str, status["notes"])]
