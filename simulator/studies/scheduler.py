"""Runs the courses of a plan: bounded, resumable, and without one course harming another.

At most `concurrency` courses are in flight; the plan is enumerated as they finish, so memory does not grow with it. A
course that fails, or takes too long, is a record with the boundary it crossed; whatever an agent does, its neighbours
go on. Only what no course can go on with stops the run: a user's mistake, a journal that cannot be written, too many
failures. SIGTERM, SIGUSR1, SIGUSR2 and Ctrl-C
drain the run: every course stops after its current turn, and the same command continues it.
"""

import asyncio
import itertools
import time
import traceback
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simulator.errors import SessionError, UserError
from simulator.records.encoding import readable
from simulator.records.journal_records import CourseRecord, Execution, Failed, Opened
from simulator.sessions.course import CourseSetting, run_course
from simulator.sessions.engine import Drained
from simulator.store.journal import JournalError
from simulator.studies.limits import FailureLimit
from simulator.studies.shards import Work
from simulator.studies.signals import drain_signals

_YIELD_EVERY_SECONDS = 0.05


@dataclass(slots=True)
class Tally:
    """How the courses of this process went. `stopped_by` says why a run was drained, if it was."""

    ended: int = 0
    failed: int = 0
    skipped: int = 0
    """Courses that had ended, or failed, before."""
    failed_before: int = 0
    failures: dict[str, int] = field(default_factory=dict)
    stopped_by: str | None = None

    @property
    def tried(self) -> int:
        """Courses that were taken up and did not have to wait for a later run."""
        return self.ended + self.failed

    def note_failure(self, cause: str) -> None:
        """Count a course that failed, by its cause."""
        self.failed += 1
        self.failures[cause] = self.failures.get(cause, 0) + 1

    def add(self, other: "Tally") -> None:
        """Take in the tally of another process."""
        self.ended += other.ended
        self.failed += other.failed
        self.skipped += other.skipped
        self.failed_before += other.failed_before
        for cause, count in other.failures.items():
            self.failures[cause] = self.failures.get(cause, 0) + count
        self.stopped_by = self.stopped_by or other.stopped_by


@dataclass(slots=True)
class Drain:
    """Whether the run shall stop, and why. `limit` says so by itself, once a limit of the run is reached."""

    reason: str | None = None
    limit: Callable[[], str | None] = lambda: None

    def ask(self, reason: str) -> None:
        """Ask every course to stop after its current turn; the first reason stands."""
        self.reason = self.reason or reason

    def asked(self) -> bool:
        """Whether somebody asked, or a limit is reached."""
        if self.reason is None:
            self.reason = self.limit()
        return self.reason is not None


async def run_courses(
    work: Iterator[Work],
    setting: CourseSetting,
    drain: Drain,
    concurrency: int,
    failure_rate: float,
    retry_failed: bool = False,
    progress: Callable[[Tally], None] = lambda tally: None,
    used: Callable[[Execution], None] = lambda execution: None,
    course_seconds: float | None = None,
) -> Tally:
    """Run all courses that have not ended.

    Args:
        work: the courses with their histories, lazily.
        setting: what they share.
        drain: asked between two turns.
        concurrency: courses in flight at once.
        failure_rate: once 20 courses have been tried, a larger share of failures drains the run; of late ones too
            (`FailureLimit`).
        retry_failed: take up courses whose last state is a failure.
        progress: told after every course.
        used: told of every call that was made.
        course_seconds: a course that takes longer fails, with what it has journalled.

    Raises:
        UserError: there is a course to run and a model is not there.
    """
    tally = Tally()
    waiting = _to_do(work, retry_failed, tally)
    first = next(waiting, None)
    if first is not None and setting.models is not None:
        await setting.models.check()
    waiting = itertools.chain([] if first is None else [first], waiting)
    failures = FailureLimit(failure_rate, concurrency)

    async def take_courses() -> None:
        last_yield = time.monotonic()
        for item in waiting:
            if drain.asked():
                return
            await _one(item, setting, tally, drain, used, course_seconds, failures.note)
            reason = failures.passed(tally.tried, tally.failures)
            if reason is not None:
                drain.ask(reason)
            progress(tally)
            if time.monotonic() - last_yield > _YIELD_EVERY_SECONDS:
                await asyncio.sleep(0)  # scripted agents never wait: let signals and neighbours in
                last_yield = time.monotonic()

    with drain_signals(drain.asked, drain.ask):
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(concurrency):
                    group.create_task(take_courses())
        except BaseExceptionGroup as several:  # the first cause is what the user has to know
            raise several.exceptions[0] from None
    tally.stopped_by = drain.reason
    return tally


def _to_do(work: Iterator[Work], retry_failed: bool, tally: Tally) -> Iterator[Work]:
    for item in work:
        history = item.history
        if history is not None and (history.ended or (history.failure is not None and not retry_failed)):
            tally.skipped += 1
            tally.failed_before += history.failure is not None
            continue
        yield item


async def _one(
    item: Work,
    setting: CourseSetting,
    tally: Tally,
    drain: Drain,
    used: Callable[[Execution], None],
    course_seconds: float | None,
    over: Callable[[str | None], None],
) -> None:
    """Run one course; `over` is told that it is, with the cause of its failure or None."""
    spec, append = item.spec, item.append
    past = item.history.standing if item.history is not None else []
    last = [0, 0]

    def journal(record: CourseRecord) -> None:
        append(record)
        if isinstance(record, Execution):
            used(record)
        last[0] = getattr(record, "session", last[0])
        last[1] = turn if isinstance(turn := getattr(record, "turn", None), int) else last[1]

    try:
        append(Opened(spec.course, len(past)))
        try:
            await _in_time(run_course(spec, setting, past, journal), course_seconds)
        except Drained:
            return
        except SessionError as error:
            append(Failed(spec.course, last[0], last[1], error.boundary, error.kind, readable(error)))
            tally.note_failure(cause := f"{error.boundary}: {error.kind}")
            over(cause)
        else:
            tally.ended += 1
            over(None)
    except JournalError as error:
        drain.ask(f"the journal cannot be written ({error.strerror}); make room, then run the same command again")


async def _in_time(course: Coroutine[Any, Any, None], seconds: float | None) -> None:
    """Await a course.

    Raises:
        SessionError: it took longer than `seconds` (it was cancelled where it waited), or something in it broke.
        Drained: the run was asked to stop.
        JournalError: the journal cannot be written.
        UserError: a mistake that the user can mend, and that other courses would meet too.
    """
    deadline = asyncio.timeout(seconds)
    try:
        async with deadline:
            await course
    except (Drained, SessionError, JournalError, UserError):
        raise
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise _broken(error) from error  # an agent's own affair
    except Exception as error:
        if not (isinstance(error, TimeoutError) and deadline.expired()):
            raise _broken(error) from error
        raise SessionError(
            "protocol", "deadline", f"the course took longer than limits.course_seconds={seconds:g}"
        ) from None


def _broken(error: BaseException) -> SessionError:
    """The failure of a course in which something was raised that nobody foresaw, with the place."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    return SessionError("agent", type(error).__name__, f"{readable(error)}{where}")
