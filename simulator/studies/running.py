"""Runs a study into a folder, or continues it: the guarantee first.

After any interruption (kill -9 included) the same command continues the run: courses that ended are left alone, courses in
flight go on from their last finished turn, and the final tables are those of an uninterrupted run.
"""

import asyncio
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import simulator
from simulator.agents.seating import ChairFactory
from simulator.errors import UserError
from simulator.instruments.loading import load_instrument
from simulator.records.history import History
from simulator.records.journal_records import JOURNAL_FORMAT, CourseRecord, Header
from simulator.sessions.administration import check_choice
from simulator.sessions.course import CourseSetting
from simulator.store.compaction import compact
from simulator.store.histories import ShardReading, read_shard
from simulator.store.journal import JournalWriter, cut_tail, shard_of
from simulator.store.leases import Lease
from simulator.store.runs import RUN_FILE, RunFolder, create_run, open_run
from simulator.studies.config import StudyConfig
from simulator.studies.identity import code_version, difference, identity_components, identity_of
from simulator.studies.plan import Plan, make_plan
from simulator.studies.scheduler import Drain, Tally, run_courses
from simulator.studies.rows import course_rows, persona_rows


@dataclass(slots=True)
class RunResult:
    """What a call of `run_study` did."""

    run: RunFolder
    plan: Plan
    tally: Tally
    torn: list[str]
    """One line for each torn tail that was cut and kept aside."""
    set_aside: int
    """Records of an older writer that do not count."""

    @property
    def finished(self) -> bool:
        """No course is left to run (failed ones aside)."""
        return self.tally.stopped_by is None


def default_folder(config: StudyConfig, identity: str) -> Path:
    """Where a run lies unless `out` says otherwise."""
    return Path("runs") / f"{config.experiment}-{identity[:8]}"


def open_or_create(plan: Plan) -> RunFolder:
    """The run's folder: made, or found with the same identity.

    Raises:
        UserError: the folder holds another run, or cannot be written.
    """
    components = identity_components(plan)
    identity = identity_of(components)
    config = plan.config
    path = Path(config.out) if config.out else default_folder(config, identity)
    if (path / RUN_FILE).exists():
        run = open_run(path)
        _check_same(run, components, identity, config)
        return run
    return create_run(path, _meta(plan, components, identity))


def _check_same(run: RunFolder, components: dict[str, Any], identity: str, config: StudyConfig) -> None:
    if run.meta.get("kind") != "run":
        raise UserError(f"{run.path} holds an import, no run; name another folder as out=")
    if run.identity != identity:
        what = difference(run.meta.get("components", {}), components)
        raise UserError(f"{run.path} holds another run ({what}); nothing was changed; name another folder as out=")
    if run.meta.get("code_version") != code_version() and not config.accept_code_change:
        raise UserError(
            f"{run.path} was begun by another version of Dyad's code ({run.meta.get('code_version')} there, "
            f"{code_version()} here); accept_code_change=true continues it all the same"
        )


def _meta(plan: Plan, components: dict[str, Any], identity: str) -> dict[str, Any]:
    config = plan.config
    return {
        "kind": "run",
        "experiment": config.experiment,
        "identity": identity,
        "code_version": code_version(),
        "created_by": f"dyad {simulator.__version__}",
        "origin": origin_of(config),
        "shards": config.shards,
        "design": {
            "personas": len(plan.personas),
            "population": config.personas.population,
            "clients": sorted(config.client),
            "therapists": list(config.therapist),
            "conditions": [condition.name for condition in plan.conditions],
            "replicates": config.replicates,
            "courses": plan.size,
            "seed": config.seed,
        },
        "components": components,
        "config": config.model_dump(mode="json"),
    }


def origin_of(config: StudyConfig) -> str:
    """`scripted` where every chair is taken by the embedded dyad, else `model`: nothing scripted is called an LLM."""
    targets = [str(option.get("_target_", "")) for options in config.options.values() for option in options.values()]
    scripted = all(target.startswith("simulator.agents.scripted.") for target in targets)
    return "scripted" if scripted else "model"


class _Journals:
    """The shards of a run that this process writes: leased, read, and one new file each, made when first needed."""

    def __init__(self, run: RunFolder, shards: int) -> None:
        self._run = run
        self.readings: list[ShardReading] = []
        self._leases: list[Lease] = []
        self._writers: dict[int, JournalWriter] = {}
        self.torn: list[str] = []
        run.journal.mkdir(exist_ok=True)
        try:
            for shard in range(shards):
                self._leases.append(Lease(run.journal, shard))
            for shard in range(shards):
                reading = read_shard(run.journal, shard)
                self._cut_tails(reading)
                self.readings.append(reading)
        except BaseException:
            self.close()
            raise

    def _cut_tails(self, reading: ShardReading) -> None:
        for file in reading.torn:
            aside = cut_tail(file)
            self.torn.append(f"{file.path}: a torn tail of {len(file.tail)} bytes was cut and kept in {aside}")

    @property
    def histories(self) -> dict[str, History]:
        """All courses that the journal knows."""
        return {course: history for reading in self.readings for course, history in reading.histories.items()}

    def append_for(self, course: str) -> Callable[[CourseRecord], None]:
        """The journal that a course is written to."""
        shard = shard_of(course, len(self._leases))
        writer = self._writers.get(shard)
        if writer is None:
            attempt = self.readings[shard].last_attempt + 1
            header = Header(
                JOURNAL_FORMAT, self._run.identity, code_version(), shard, attempt, socket.gethostname(), os.getpid()
            )
            writer = JournalWriter(self._run.journal / f"{shard:04d}.{attempt}.jsonl", header)
            self._writers[shard] = writer
        return writer.append

    def close(self) -> None:
        """Sync and close all files, give the leases back."""
        for writer in self._writers.values():
            writer.close()
        for lease in self._leases:
            lease.release()


def run_study(
    config: StudyConfig,
    progress: Callable[[Tally, Plan], None] = lambda tally, plan: None,
    started: Callable[[RunFolder], None] = lambda run: None,
) -> RunResult:
    """Run a study, or continue it, and compact its journal to tables.

    Args:
        config: the study.
        progress: told after every course.
        started: told the folder as soon as it is known.

    Raises:
        UserError: the configuration, the folder or the journal does not permit it; nothing was changed.
    """
    plan = make_plan(config)
    factories = {
        (role, name): ChairFactory(role, name, option)
        for role, options in config.options.items()
        if role in config.session.roles
        for name, option in options.items()
    }
    for choice in config.instruments.values():
        check_choice(choice)
    run = open_or_create(plan)
    started(run)
    drain = Drain()
    setting = CourseSetting(config.session, factories, list(config.instruments.values()), drain.asked)
    shards = int(run.meta["shards"])
    journals = _Journals(run, shards)
    try:
        tally = asyncio.run(
            run_courses(
                plan.courses(), setting, journals.histories, journals.append_for, drain, config.limits.concurrency,
                config.limits.failure_rate, config.retry_failed, lambda tally: progress(tally, plan),
            )
        )  # fmt: skip
    finally:
        journals.close()
    result = RunResult(run, plan, tally, journals.torn, sum(reading.set_aside for reading in journals.readings))
    if result.finished:
        origin = origin_of(config)
        chosen = [load_instrument(choice.instrument) for choice in config.instruments.values()]
        instruments = {instrument.name: instrument for instrument in chosen}
        compact(run, course_rows(plan, origin), persona_rows(plan), shards, instruments)
    return result
