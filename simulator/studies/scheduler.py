"""Runs the courses of a plan: bounded, resumable, and without one course harming another.

At most `concurrency` courses are in flight; the plan is enumerated as they finish, so memory does not grow with it. A
course that fails, or takes too long, is a record with the boundary it crossed. SIGTERM, SIGUSR1, SIGUSR2 and Ctrl-C
drain the run: every course stops after its current turn, and the same command continues it.
"""

import asyncio
import itertools
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any

from simulator.errors import SessionError
from simulator.records.journal_records import CourseRecord, Execution, Failed, Opened
from simulator.sessions.course import CourseSetting, run_course
from simulator.sessions.engine import Drained
from simulator.studies.shards import Work
from simulator.studies.signals import drain_signals

FAILURES_ARE_JUDGED_AFTER = 20
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
        failure_rate: once 20 courses have been tried, a larger share of failures drains the run.
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

    async def take_courses() -> None:
        last_yield = time.monotonic()
        for item in waiting:
            if drain.asked():
                return
            await _one(item, setting, tally, drain, used, course_seconds)
            _judge_failures(tally, failure_rate, drain)
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
) -> None:
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
            append(Failed(spec.course, last[0], last[1], error.boundary, error.kind, str(error)))
            tally.note_failure(f"{error.boundary}: {error.kind}")
        else:
            tally.ended += 1
    except OSError as error:  # agents' own errors never come through here: the journal cannot be written
        drain.ask(f"the journal cannot be written ({error.strerror}); make room, then run the same command again")


async def _in_time(course: Coroutine[Any, Any, None], seconds: float | None) -> None:
    """Await a course.

    Raises:
        SessionError: it took longer than `seconds`; it was cancelled where it waited.
    """
    deadline = asyncio.timeout(seconds)
    try:
        async with deadline:
            await course
    except TimeoutError:
        if not deadline.expired():
            raise
        raise SessionError(
            "protocol", "deadline", f"the course took longer than limits.course_seconds={seconds:g}"
        ) from None


def _judge_failures(tally: Tally, failure_rate: float, drain: Drain) -> None:
    if tally.tried >= FAILURES_ARE_JUDGED_AFTER and tally.failed > failure_rate * tally.tried:
        cause = max(tally.failures, key=lambda name: tally.failures[name])
        drain.ask(
            f"{tally.failed} of {tally.tried} courses failed, more than limits.failure_rate={failure_rate:g}; "
            f"most often {cause}"
        )
