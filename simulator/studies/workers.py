"""Several worker processes on one machine, by one command.

Workers are forked after everything is imported and checked; each writes shards of its own, runs its own event loop on
uvloop, and reports to the parent through a pipe. A signal drains all of them. No worker outlives its parent; a worker
or a parent that is killed leaves a run that the same command continues.
"""

import asyncio
import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, cast

from simulator.errors import UserError
from simulator.models.clients import ModelClients
from simulator.sessions.course import CourseSetting
from simulator.store.runs import RunFolder
from simulator.studies.config import StudyConfig
from simulator.studies.plan import PlanIndex
from simulator.studies.scheduler import DRAIN_SIGNALS, Drain, Tally, run_courses
from simulator.studies.shards import ShardWriter

FEWEST_COURSES_PER_WORKER = 32
_REPORT_EVERY_SECONDS = 0.2


def usable_cores() -> int:
    """Cores that this process may use, by affinity and cgroup quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        if quota != "max":
            cores = min(cores, max(1, int(quota) // int(period)))
    except (OSError, ValueError):
        pass
    return cores


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
    user_error: str | None = None


def run_in_workers(
    run: RunFolder,
    index: PlanIndex,
    shards: int,
    setting: CourseSetting,
    config: StudyConfig,
    workers: int,
    progress: Callable[[Tally], None],
) -> tuple[Tally, list[str]]:
    """Run all courses of a plan; returns how they went and what there is to say about the journal.

    Raises:
        UserError: a shard is being written by another process, or a journal file is damaged.
    """
    share = -(-config.limits.concurrency // workers)

    def simulate(worker: int, tell: Callable[[Tally], None], parent_is_gone: Callable[[], bool]) -> _Report:
        mine = range(worker * shards // workers, (worker + 1) * shards // workers)
        drain = Drain()

        def drained() -> bool:
            if parent_is_gone():
                drain.ask("the parent process is gone")
            return drain.asked()

        with ShardWriter(run, index, shards, mine, drain.ask, config.limits.lease_seconds) as writer:
            courses = run_courses(
                writer.work(), replace(setting, drained=drained), drain, share, config.limits.failure_rate,
                config.retry_failed, tell,
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
    try:
        import uvloop
    except ImportError:
        return asyncio.run(main)
    tally: Tally = uvloop.run(main)
    return tally


Simulate = Callable[[int, Callable[[Tally], None], Callable[[], bool]], _Report]


def _supervise(simulate: Simulate, workers: int, progress: Callable[[Tally], None]) -> tuple[Tally, list[str]]:
    context = multiprocessing.get_context("fork")
    parent = os.getpid()
    readers: dict[Connection, Any] = {}
    for worker in range(workers):
        reader, writer = context.Pipe(duplex=False)
        process = context.Process(target=_worker, args=(simulate, worker, writer, parent), daemon=True)
        process.start()
        writer.close()
        readers[reader] = process
    latest: dict[Connection, _Report] = {}
    open_readers = list(readers)
    with _forwarded_signals(readers.values()):
        while open_readers:
            for reader in cast("list[Connection]", wait(open_readers)):
                try:
                    latest[reader] = reader.recv()
                except EOFError:
                    open_readers.remove(reader)
            progress(_sum(latest.values()))
        for process in readers.values():
            process.join()
    for reader, process in readers.items():
        report = latest.get(reader)
        if report is not None and report.user_error is not None:
            raise UserError(report.user_error)
        if report is not None and report.error is not None:
            raise RuntimeError(report.error)
        if process.exitcode != 0:
            name = signal.Signals(-process.exitcode).name if process.exitcode < 0 else f"status {process.exitcode}"
            total = _sum(latest.values())
            total.stopped_by = f"a worker was ended by {name}"
            return total, _notes(latest.values())
    return _sum(latest.values()), _notes(latest.values())


def _sum(reports: Any) -> Tally:
    total = Tally()
    for report in reports:
        total.add(report.tally)
    return total


def _notes(reports: Any) -> list[str]:
    return [note for report in reports for note in report.notes]


def _worker(simulate: Simulate, worker: int, pipe: Connection, parent: int) -> None:
    _die_with_parent()
    last = time.monotonic()
    tally = Tally()

    def tell(current: Tally) -> None:
        nonlocal last, tally
        tally = current
        if time.monotonic() - last > _REPORT_EVERY_SECONDS:
            pipe.send(_Report(current))
            last = time.monotonic()

    try:
        report = simulate(worker, tell, lambda: os.getppid() != parent)
    except UserError as error:
        report = _Report(tally, user_error=str(error))
    except Exception:
        report = _Report(tally, error=traceback.format_exc())
    with contextlib.suppress(BrokenPipeError):
        pipe.send(report)
    pipe.close()


def _die_with_parent() -> None:
    """On Linux: do not outlive the parent by a turn, so that its shards can be taken over at once."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


@contextlib.contextmanager
def _forwarded_signals(processes: Any) -> Iterator[None]:
    """While inside, every drain signal goes on to the workers; a second Ctrl-C kills them."""
    received = 0

    def forward(number: int, frame: Any) -> None:
        nonlocal received
        received += 1
        for process in processes:
            if process.is_alive():
                os.kill(process.pid, signal.SIGKILL if received > 1 and number == signal.SIGINT else number)

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
        RuntimeError: a process did not finish its part.
    """
    workers = min(workers, count)
    if workers <= 1:
        for number in range(count):
            task(number)
        return
    context = multiprocessing.get_context("fork")

    def part(worker: int) -> None:
        for number in range(worker * count // workers, (worker + 1) * count // workers):
            task(number)

    processes = [context.Process(target=part, args=(worker,)) for worker in range(1, workers)]
    for process in processes:
        process.start()
    part(0)
    for process in processes:
        process.join()
    if any(process.exitcode for process in processes):
        raise RuntimeError("a process that wrote tables did not finish; the same command writes them again")
