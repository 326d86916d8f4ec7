"""Several worker processes on one machine, by one command.

Workers are forked after everything is imported and checked; each writes shards of its own, runs its own event loop on
uvloop, and reports to the parent through a pipe. A signal drains all of them. No worker outlives its parent; a worker
or a parent that is killed leaves a run that the same command continues. The parent never waits for anything but the
workers' work: a worker that has told its last word and does not end is ended, and one that ends without a word is
noticed by its end.
"""

import asyncio
import contextlib
import ctypes
import gc
import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Coroutine, Iterable, Iterator
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from typing import Any

from simulator.errors import UserError
from simulator.models.clients import ModelClients
from simulator.sessions.course import CourseSetting
from simulator.store.runs import RunFolder
from simulator.studies.config import StudyConfig
from simulator.studies.cores import usable_cores
from simulator.studies.limits import meter_for
from simulator.studies.plan import PlanIndex
from simulator.studies.scheduler import Drain, Tally, run_courses
from simulator.studies.shards import ShardWriter
from simulator.studies.signals import DRAIN_SIGNALS, held_signals

FEWEST_COURSES_PER_WORKER = 32
_REPORT_EVERY_SECONDS = 0.2
_LAST_SECONDS = 10.0
"""How long a process may take to end once its work is done, or once it was asked to end."""


def workers_for(asked: int | None, courses: int, shards: int) -> int:
    """How many processes a run gets: what was asked for, else the usable cores, and never more than are of use."""
    if not hasattr(os, "fork"):
        return 1
    if asked is not None:
        return min(asked, shards)
    return max(1, min(usable_cores(), shards, courses // FEWEST_COURSES_PER_WORKER))


@dataclass(slots=True)
class _Report:
    """What a worker tells its parent."""

    tally: Tally
    notes: list[str] = field(default_factory=list)
    error: str | None = None
    user_error: UserError | None = None
    final: bool = False
    """Nothing comes after this report."""

    @property
    def is_trouble(self) -> bool:
        """The worker could not go on, so the others need not."""
        return self.error is not None or self.user_error is not None


def run_in_workers(
    run: RunFolder,
    index: PlanIndex,
    shards: int,
    setting: CourseSetting,
    config: StudyConfig,
    workers: int,
    progress: Callable[[Tally], None],
    among: range | None = None,
) -> tuple[Tally, list[str]]:
    """Run all courses of a plan, or those of the shards `among`.

    Returns:
        How they went, and what there is to say about the journal.

    Raises:
        UserError: a shard is being written by another process, a journal file is damaged, or a limit makes no sense.
    """
    share = -(-config.limits.concurrency // workers)
    priced = setting.models is not None and setting.models.priced
    meter = meter_for(config, run.journal, shards, workers, priced)

    among = range(shards) if among is None else among

    def simulate(worker: int, tell: Callable[[Tally], None], parent_is_gone: Callable[[], bool]) -> _Report:
        mine = among[worker * len(among) // workers : (worker + 1) * len(among) // workers]
        drain = Drain(limit=meter.reached)
        meter.work_as(worker)

        def drained() -> bool:
            if parent_is_gone():
                drain.ask("the parent process is gone")
            return drain.asked()

        limits = config.limits
        with ShardWriter(
            run, index, shards, mine, drain.ask, limits.lease_seconds, limits.sync_seconds, config.part is not None
        ) as writer:
            courses = run_courses(
                writer.work(), replace(setting, drained=drained), drain, share, limits.failure_rate,
                config.retry_failed, tell, meter.note, limits.course_seconds,
            )  # fmt: skip
            tally = _run_loop(_then_close(courses, setting.models))
        return _Report(tally, writer.notes)

    if workers == 1:
        report = simulate(0, progress, lambda: False)
        return report.tally, report.notes
    return _supervise(simulate, workers, progress)


async def _then_close(courses: Coroutine[Any, Any, Tally], models: ModelClients | None) -> Tally:
    try:
        return await courses
    finally:
        if models is not None:
            await models.close()


def _run_loop(main: Coroutine[Any, Any, Tally]) -> Tally:
    with _seldom_collected():
        try:
            import uvloop
        except ImportError:
            return asyncio.run(main)
        tally: Tally = uvloop.run(main)
        return tally


ALLOCATIONS_BETWEEN_COLLECTIONS = 50_000
"""Of objects that may be part of cycles. With Python's 700, a quarter of a worker's time goes into looking at sessions
in flight, or at rows of a table, that are all alive; at this number it is lost in the noise, and what cycles hold until
then is a few MiB."""


@contextlib.contextmanager
def _seldom_collected() -> Iterator[None]:
    """While inside, garbage is looked for seldom, and never among what was there before."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(ALLOCATIONS_BETWEEN_COLLECTIONS, 20, 20)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


Simulate = Callable[[int, Callable[[Tally], None], Callable[[], bool]], _Report]


@dataclass(slots=True)
class _Member:
    """A worker as its parent sees it."""

    process: Any
    reader: Connection
    latest: _Report = field(default_factory=lambda: _Report(Tally()))
    silent: bool = False
    """It will not report any more."""

    def listen(self, ended: bool) -> None:
        """Take in what it has reported; `ended` says that its process has."""
        try:
            while self.reader.poll():
                self.latest = self.reader.recv()
        except (EOFError, OSError):  # the latter in the middle of a report: it was killed
            self.silent = True
        self.silent = self.silent or ended

    def end(self) -> None:
        """See to it that the process ends, within bounds."""
        self.process.join(_LAST_SECONDS if self.silent else 0)
        if self.process.exitcode is None:
            self.process.kill()
            self.process.join(_LAST_SECONDS)
        self.reader.close()

    @property
    def ended_by(self) -> str | None:
        """What ended it before its last word, or None where it finished."""
        if self.latest.final:
            return None
        status = self.process.exitcode
        return signal.Signals(-status).name if status is not None and status < 0 else f"status {status}"


def _supervise(simulate: Simulate, workers: int, progress: Callable[[Tally], None]) -> tuple[Tally, list[str]]:
    context = multiprocessing.get_context("fork")
    parent = os.getpid()
    team: list[_Member] = []
    try:
        with contextlib.ExitStack() as listening:
            with held_signals():
                for worker in range(workers):
                    reader, writer = context.Pipe(duplex=False)
                    process = context.Process(target=_worker, args=(simulate, worker, writer, parent), daemon=True)
                    process.start()
                    writer.close()
                    team.append(_Member(process, reader))
                listening.enter_context(_forwarded_signals([member.process for member in team]))
            _follow(team, progress)
    finally:
        for member in team:
            member.end()
    for member in team:
        if member.latest.user_error is not None:
            raise member.latest.user_error
        if member.latest.error is not None:
            raise RuntimeError(member.latest.error)
    reports = [member.latest for member in team]
    total = _sum(reports)
    ended_by = next(filter(None, (member.ended_by for member in team)), None)
    if ended_by is not None:
        total.stopped_by = f"a worker was ended by {ended_by}"
    return total, _notes(reports)


def _follow(team: list[_Member], progress: Callable[[Tally], None]) -> None:
    """Listen until every worker has ended; where one cannot go on, the others are drained."""
    drained = False
    while running := [member for member in team if not member.silent]:
        ready = wait([*(member.reader for member in running), *(member.process.sentinel for member in running)])
        for member in running:
            if member.reader in ready or member.process.sentinel in ready:
                member.listen(member.process.sentinel in ready)
        if not drained and any(member.latest.is_trouble for member in team):
            drained = True
            _send(signal.SIGTERM, [member.process for member in team if not member.silent])
        progress(_sum(member.latest for member in team))


def _send(number: int, processes: Iterable[Any]) -> None:
    for process in processes:
        if process.is_alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, number)


def _sum(reports: Any) -> Tally:
    total = Tally()
    for report in reports:
        total.add(report.tally)
    return total


def _notes(reports: Any) -> list[str]:
    return [note for report in reports for note in report.notes]


def _worker(simulate: Simulate, worker: int, pipe: Connection, parent: int) -> None:
    _die_with_parent(parent)
    last = time.monotonic()
    tally = Tally()

    def tell(current: Tally) -> None:
        nonlocal last, tally
        tally = current
        if time.monotonic() - last > _REPORT_EVERY_SECONDS:
            with contextlib.suppress(BrokenPipeError):
                pipe.send(_Report(current))
            last = time.monotonic()

    try:
        report = simulate(worker, tell, lambda: os.getppid() != parent)
    except UserError as error:
        report = _Report(tally, user_error=error)
    except Exception:
        report = _Report(tally, error=traceback.format_exc())
    report.final = True
    with contextlib.suppress(BrokenPipeError):
        pipe.send(report)
    pipe.close()


def _die_with_parent(parent: int) -> None:
    """On Linux: do not outlive the parent by a turn, so that its shards can be taken over at once."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:  # it was killed before that was in force
        os._exit(1)


@contextlib.contextmanager
def _forwarded_signals(processes: Any) -> Iterator[None]:
    """While inside, every drain signal goes on to the workers; a second Ctrl-C kills them."""
    received = 0

    def forward(number: int, frame: Any) -> None:
        nonlocal received
        received += 1
        _send(signal.SIGKILL if received > 1 and number == signal.SIGINT else number, processes)

    try:
        before = {number: signal.signal(number, forward) for number in DRAIN_SIGNALS}
    except ValueError:  # not in the main thread
        before = {}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def in_processes(task: Callable[[int], None], count: int, workers: int) -> None:
    """Do `task(0) .. task(count - 1)`, over several processes (this one among them) where there are several.

    Raises:
        OSError: what a task could not write.
        UserError: what a task raised.
        RuntimeError: a process did not finish its part.
    """
    workers = min(workers, count)
    if workers <= 1:
        with _seldom_collected():
            for number in range(count):
                task(number)
        return
    context = multiprocessing.get_context("fork")
    parent = os.getpid()

    def part(worker: int) -> None:
        with _seldom_collected():
            for number in range(worker * count // workers, (worker + 1) * count // workers):
                task(number)

    def part_apart(worker: int, pipe: Connection) -> None:
        _die_with_parent(parent)
        try:
            part(worker)
        except OSError as error:
            pipe.send(OSError(error.errno, error.strerror))
        except UserError as error:
            pipe.send(error)

    team = []
    try:
        for worker in range(1, workers):
            reader, writer = context.Pipe(duplex=False)
            process = context.Process(target=part_apart, args=(worker, writer), daemon=True)
            process.start()
            writer.close()
            team.append((process, reader))
        part(0)
        for process, _ in team:
            process.join()
    finally:
        for process, _ in team:
            if process.exitcode is None:
                process.kill()
                process.join(_LAST_SECONDS)
    for process, reader in team:
        with contextlib.suppress(EOFError):
            if reader.poll():
                raise reader.recv()
        if process.exitcode:
            raise RuntimeError("a process that wrote tables did not finish; the same command writes them again")
