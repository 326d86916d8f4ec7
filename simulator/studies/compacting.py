"""From a run's journal to its tables: at its end, and as a snapshot at any time while it goes on.

Both do the same and write only the parts whose journal has changed. A snapshot holds every turn that the journal held
when its part was read; its rows are those of the final tables, its files need not be the same bytes. Parts are replaced
one by one, each atomically, so a reader never meets half a file.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from simulator.errors import UserError
from simulator.instruments.loading import load_instrument
from simulator.instruments.schema import Instrument
from simulator.store.compaction import compact_unit, files_of, finish_compaction, units_of, write_personas
from simulator.store.leases import Lease
from simulator.store.parquet import clear_staged
from simulator.store.parts import is_current, journal_state, mark_current, stamp_of
from simulator.store.runs import RunFolder, open_run
from simulator.studies.config import StudyConfig, parse_config
from simulator.studies.cores import usable_cores
from simulator.studies.identity import code_version, difference, identity_components, identity_of
from simulator.studies.plan import Plan, PlanIndex, make_plan
from simulator.studies.rows import course_rows, persona_rows
from simulator.studies.shards import unwritable
from simulator.studies.workers import in_processes

_LAPSE_SECONDS = 300.0
_WAIT_SECONDS = 300.0
"""How long a run that has ended waits for a snapshot that is being taken."""


@dataclass(frozen=True, slots=True)
class Compaction:
    """What a compaction did: parts of the dataset, and how many of them had to be written."""

    parts: int
    written: int
    unfinished: int
    """Courses of the dataset that have neither ended nor failed."""


def instruments_of(config: StudyConfig) -> dict[str, Instrument]:
    """The instruments of a study by name."""
    chosen = [load_instrument(choice.instrument) for choice in config.instruments.values()]
    return {instrument.name: instrument for instrument in chosen}


def compact_run(run: RunFolder, index: PlanIndex, origin: str, workers: int, wait: bool = True) -> Compaction:
    """Bring the tables up to the journal.

    Args:
        run: the run's folder.
        index: the plan's courses by id.
        origin: `scripted` or `model`, see the table `courses`.
        workers: processes.
        wait: wait for another process that is writing the tables, instead of refusing at once.

    Raises:
        DamageError: a journal file is damaged.
        UserError: the folder cannot be written, or another process writes the tables.
    """
    plan, shards = index.plan, int(run.meta["shards"])
    units, instruments = units_of(plan.size, shards), instruments_of(plan.config)
    made_by = [run.identity, code_version(), pa.__version__, plan.size, shards, origin]

    def rows(part: int, parts: int) -> Iterator[dict[str, Any]]:
        return course_rows(index.within(part, parts), origin)

    def part(unit: int) -> tuple[str, list[str]]:
        mine = range(unit * shards // units, (unit + 1) * shards // units)
        return stamp_of(*made_by, journal_state(run.journal, mine)), files_of(plan.size, shards, unit)

    def compact(place: int) -> None:
        unit = stale[place]
        if not lease.touch():
            raise UserError(
                f"another process has taken over the dataset of {run.path}, as this one did not go on for long; "
                "run the same command again"
            )
        stamp, files = part(unit)  # before reading: what is added meanwhile is for the next time
        compact_unit(run, plan.size, shards, rows, instruments, unit)
        mark_current(run, unit, stamp, files)

    try:
        run.dataset.mkdir(exist_ok=True)
        lease = _lease(run, _WAIT_SECONDS if wait else 0.0)
        try:
            clear_staged(run.dataset)
            write_personas(run, persona_rows(plan))
            stale = [unit for unit in range(units) if not is_current(run, unit, *part(unit))]
            in_processes(compact, len(stale), workers)
            finish_compaction(run, plan.size)
        finally:
            lease.release()
    except OSError as error:
        raise unwritable(run, error) from None
    return Compaction(units, len(stale), _unfinished(run))


def _unfinished(run: RunFolder) -> int:
    files = sorted((run.dataset / "courses").glob("part-*.parquet"))
    statuses = (parquet.read_table(file, columns=["status"])["status"].to_pylist() for file in files)
    return sum(parts.count("unfinished") for parts in statuses)


def _lease(run: RunFolder, seconds: float) -> Lease:
    until = time.monotonic() + seconds
    while True:
        try:
            return Lease(run.dataset, None, _LAPSE_SECONDS)
        except UserError:
            if time.monotonic() >= until:
                raise
            time.sleep(0.1)


def snapshot_run(folder: Path) -> tuple[RunFolder, Plan, Compaction]:
    """Tables of what a run's journal holds by now; the run may be going on.

    Raises:
        UserError: not a run, or one whose personas or instruments were changed since; the tables cannot be written.
        DamageError: a journal file is damaged.
    """
    run = open_run(folder)
    if run.meta.get("kind") != "run":
        raise UserError(f"{run.path} is an import: its tables are complete")
    plan = make_plan(parse_config(run.meta["config"]))
    components = identity_components(plan)
    if identity_of(components) != run.identity:
        what = difference(run.meta.get("components", {}), components)
        raise UserError(f"{run.path}: a file that it reads was changed since ({what}); nothing was changed")
    return run, plan, compact_run(run, plan.index(), str(run.meta["origin"]), usable_cores(), wait=False)
