"""Runs a study into a folder, or continues it: the guarantee first.

After any interruption (kill -9 included) the same command continues the run: courses that ended are left alone, courses
in flight go on from their last finished turn, and the final tables are those of an uninterrupted run.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import simulator
from simulator.agents.reading import RecordedSpeaker
from simulator.agents.seating import ChairFactory
from simulator.errors import UserError
from simulator.models.clients import ModelClients
from simulator.sessions.course import CourseSetting
from simulator.sessions.guards import load_rules
from simulator.sessions.schedule import check_schedule
from simulator.store.runs import RUN_FILE, RunExistsError, RunFolder, create_run, extend_run, open_run
from simulator.studies.chairs import seated_option
from simulator.studies.compacting import compact_run, instruments_of
from simulator.studies.config import StudyConfig, parse_config
from simulator.studies.identity import code_version, difference, identity_components, identity_of
from simulator.studies.part import Part
from simulator.studies.parts import standing
from simulator.studies.plan import Plan, make_plan
from simulator.studies.scheduler import Tally
from simulator.studies.workers import run_in_workers, workers_for

TURNS_PER_SESSION = 60
"""Of a session that ends by itself, generously."""
TURNS_PER_SHARD = 512 * TURNS_PER_SESSION
"""A shard is what a resume or a compaction holds in memory at once: so many turns with all that belongs to them take
some 80 MiB."""
FEWEST_SHARDS, MOST_SHARDS = 8, 4096
RECORDED = f"{RecordedSpeaker.__module__}.{RecordedSpeaker.__qualname__}"


@dataclass(slots=True)
class RunResult:
    """What a call of `run_study` did."""

    run: RunFolder
    plan: Plan
    tally: Tally
    notes: list[str]
    """One line for each torn tail that was cut and for records that were set aside."""
    part_courses: int | None = None
    """Courses of the part that was asked for; None where it was the whole run."""

    @property
    def finished(self) -> bool:
        """No course is left to run (failed ones aside), and the tables are written."""
        return self.tally.stopped_by is None and self.part_courses is None


def shards_for(courses: int, turns: int = TURNS_PER_SESSION) -> int:
    """Number of shards (a power of two) of a run, unless the configuration says otherwise.

    Args:
        courses: how many it has.
        turns: of a course, all sessions together; a shard has 512 courses at most, however short they are.
    """
    shards = FEWEST_SHARDS
    while shards * TURNS_PER_SHARD < courses * max(turns, TURNS_PER_SESSION):
        shards *= 2
    return min(shards, MOST_SHARDS)


def _shards_of(plan: Plan) -> int:
    session = plan.config.session
    length = min(session.max_turns, TURNS_PER_SESSION) if session.end_on_goodbye else session.max_turns
    return max(_enough(plan.config.part), shards_for(plan.size, session.course.sessions * length))


def _enough(part: Part | None) -> int:
    """The fewest shards that so many parts can be made of."""
    return 1 if part is None else 1 << max(0, part.parts - 1).bit_length()


def default_folder(config: StudyConfig, identity: str) -> Path:
    """Where a run lies unless `out` says otherwise."""
    return Path("runs") / f"{config.experiment}-{identity[:8]}"


def open_or_create(plan: Plan) -> RunFolder:
    """The run's folder: made, found with the same identity, or extended by new cells where `extend` is set.

    Raises:
        UserError: the folder holds another run, or cannot be written.
    """
    components = identity_components(plan)
    identity = identity_of(components)
    config = plan.config
    path = Path(config.out) if config.out else default_folder(config, identity)
    if not (path / RUN_FILE).exists():
        if config.extend:
            raise UserError(f"extend=true adds cells to a run, and {path} is none; name the run as out=")
        try:
            return create_run(path, _meta(plan, components, identity))
        except RunExistsError:  # another part of this run, begun at the same time, was faster
            pass
    run = open_run(path)
    if run.meta.get("kind") != "run":
        raise UserError(f"{run.path} holds an import, no run; name another folder as out=")
    _check_code(run, config.accept_code_change)
    if run.identity != identity:
        what = difference(run.meta.get("components", {}), components)
        if not config.extend:
            raise UserError(f"{run.path} holds another run ({what}); nothing was changed; name another folder as out=")
        _check_extends(run, plan, what)
        return extend_run(run, _meta(plan, components, identity) | {"shards": run.meta["shards"]})
    return run


def _check_code(run: RunFolder, accepted: bool) -> None:
    if run.meta.get("code_version") != code_version() and not accepted:
        raise UserError(
            f"{run.path} was begun by another version of Dyad's code ({run.meta.get('code_version')} there, "
            f"{code_version()} here); accept_code_change=true continues it all the same"
        )


def _check_extends(run: RunFolder, plan: Plan, what: str) -> None:
    """Every course of the run must be a course of the new design, and be measured by the same instruments."""
    before = make_plan(parse_config(run.meta["config"]))
    if identity_of(identity_components(before)) != run.identity:
        raise UserError(f"{run.path}: a file that it reads was changed since; only an unchanged run can be extended")
    if before.config.instruments != plan.config.instruments:
        raise UserError(f"{run.path}: extend=true adds cells, it cannot change instruments ({what})")
    lost = set(before.index().ids.tolist()) - set(plan.index().ids.tolist())
    if lost:
        raise UserError(
            f"{run.path}: extend=true adds cells, but {len(lost)} of its {before.size} courses are not in the new "
            f"design ({what}); nothing was changed"
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
        "shards": config.shards if isinstance(config.shards, int) else _shards_of(plan),
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
    """`scripted` where every chair is taken by the embedded dyad, else `model`: nothing scripted is called an LLM. Who
    only stands in a recording says nothing and counts for neither."""
    targets = [str(option.get("_target_", "")) for options in config.options.values() for option in options.values()]
    speaking = [target for target in targets if target != RECORDED]
    scripted = all(target.startswith("simulator.agents.scripted.") for target in speaking)
    return "scripted" if scripted else "model"


def run_study(
    config: StudyConfig,
    progress: Callable[[Tally, Plan], None] = lambda tally, plan: None,
    started: Callable[[RunFolder, Plan], None] = lambda run, plan: None,
) -> RunResult:
    """Run a study, or continue it, and compact its journal to tables.

    Args:
        config: the study.
        progress: told after every course.
        started: told folder and plan as soon as they are known.

    Raises:
        UserError: the configuration, the folder or the journal does not permit it; nothing was lost.
    """
    plan = make_plan(config)
    setting = _setting(config)
    check_schedule(list(config.instruments.values()), config.session.course)
    instruments_of(config)  # a mistake in one is told before anything is made
    run = open_or_create(plan)
    started(run, plan)
    index = plan.index()
    shards = int(run.meta["shards"])
    try:
        among = config.part.shards(shards) if config.part is not None else range(shards)
    except ValueError as error:
        raise UserError(str(error)) from None
    workers = workers_for(config.limits.workers, plan.size, len(among) or shards)
    if among:
        tally, notes = run_in_workers(
            run, index, shards, setting, config, workers, lambda tally: progress(tally, plan), among
        )
    else:
        tally, notes = standing(run, index, shards), []
    if among and config.part is not None:
        return RunResult(run, plan, tally, notes, index.count(among.start, among.stop, shards))
    if tally.stopped_by is None:
        unfinished = compact_run(run, index, origin_of(config), workers).unfinished
        if unfinished:
            tally.stopped_by = f"{unfinished} courses have not ended: another process wrote them at the same time"
    return RunResult(run, plan, tally, notes)


def _setting(config: StudyConfig) -> CourseSetting:
    models = ModelClients()
    factories = {
        (role, name): ChairFactory(role, name, seated_option(config, role, name), models)
        for role, options in config.options.items()
        if role in config.session.roles
        for name in options
    }
    for (role, name), factory in factories.items():
        if not factory.holds_sessions and not config.session.course.several:
            raise UserError(
                f"{role}.{name}: a waiting list needs a course with a clock; set session=course or "
                "session.course.sessions to 2 or more"
            )
    if config.session.guards.watched and (config.session.guards.scripted or origin_of(config) != "scripted"):
        load_rules()  # before processes part, so that they share them
    return CourseSetting(config.session, factories, list(config.instruments.values()), lambda: False, models)
