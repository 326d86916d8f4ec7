"""What a run has used, and the limits that end it: `limits.tokens`, `limits.cost`, `limits.hours`, failures.

The first three count the whole run: every process on every machine, and every earlier attempt at it as its journal
tells. A limit is looked at between two turns, so a run ends with what is in flight over it at most, and with what
processes that other commands started (tasks of an array) have used since they last brought their journals to the
device. It is drained like any other: nothing is lost, and the same command with a higher limit goes on. Failures are
judged by each process for itself, course by course. Limits are no part of a run's identity.
"""

import math
import os
import socket
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from multiprocessing.sharedctypes import RawArray
from pathlib import Path

from simulator.errors import UserError
from simulator.records.journal_records import Execution
from simulator.store.counting import known_counts
from simulator.store.histories import read_shards
from simulator.store.journal import journal_files
from simulator.studies.config import Limits, StudyConfig

FAILURES_ARE_JUDGED_AFTER = 20
MOST_LATEST = 2000
"""Courses: from how many on failures are judged, and how many of the latest ones are looked at, at most."""
RARE = 1e-6
LOOK_SECONDS = 2.0
"""How often it is looked up what other processes have used."""


@dataclass(slots=True)
class Used:
    """Tokens of prompts and answers, cost in the price's currency, and seconds in which anything ran."""

    tokens: int = 0
    cost: float = 0.0
    seconds: float = 0.0
    files: dict[tuple[int, int], tuple[int, float]] = field(default_factory=dict)
    """Tokens and cost by shard and attempt."""


def used_before(journal: Path, shards: int) -> Used:
    """What the attempts so far have used, those that were set aside included.

    Raises:
        DamageError: a journal file is damaged.
    """
    used = Used()
    spans: list[tuple[float, float]] = []
    for reading in read_shards(journal, shards):
        for header, execution in reading.executions:
            used.tokens += execution.tokens
            used.cost += execution.cost or 0.0
            tokens, cost = used.files.get((header.shard, header.attempt), (0, 0.0))
            used.files[header.shard, header.attempt] = tokens + execution.tokens, cost + (execution.cost or 0.0)
            spans.append((execution.started, execution.started + execution.seconds))
        spans = list(_joined(spans))
    used.seconds = sum(end - start for start, end in spans)
    return used


def _joined(spans: Iterable[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    """Spans of time without those that others cover: what overlaps counts once."""
    current: tuple[float, float] | None = None
    for start, end in sorted(spans):
        if current is None or start > current[1]:
            if current is not None:
                yield current
            current = start, end
        else:
            current = current[0], max(current[1], end)
    if current is not None:
        yield current


class Meter:
    """What a run uses, over all its processes; made before they are forked.

    Args:
        limits: the run's.
        before: what earlier attempts used.
        workers: processes.
        journal: where what others use is looked up.
    """

    def __init__(self, limits: Limits, before: Used, workers: int, journal: Path) -> None:
        self._limits, self._before, self._started = limits, before, time.monotonic()
        self._tokens, self._cost = RawArray("q", workers), RawArray("d", workers)
        self._processes = RawArray("q", workers)
        self._mine = 0
        self._journal, self._others, self._look_at = journal, (0, 0.0), 0.0
        self._limited = limits.tokens is not None or limits.cost is not None or limits.hours is not None

    def work_as(self, worker: int) -> None:
        """This process is the one of that number."""
        self._mine = worker
        self._processes[worker] = os.getpid()

    def note(self, execution: Execution) -> None:
        """Count a call."""
        self._tokens[self._mine] += execution.tokens
        self._cost[self._mine] += execution.cost or 0.0

    def reached(self) -> str | None:
        """The limit that is reached and what was used, as one line; None where there is still room."""
        if not self._limited:
            return None
        limits, before = self._limits, self._before
        other_tokens, other_cost = self._used_by_others()
        if limits.tokens is not None and (tokens := before.tokens + other_tokens + sum(self._tokens)) >= limits.tokens:
            return f"limits.tokens={limits.tokens} is reached ({tokens:,} tokens used)"
        if limits.cost is not None and (cost := before.cost + other_cost + sum(self._cost)) >= limits.cost:
            return f"limits.cost={limits.cost:g} is reached ({cost:.4g} spent)"
        if limits.hours is not None:
            hours = (before.seconds + time.monotonic() - self._started) / 3600
            if hours >= limits.hours:
                return f"limits.hours={limits.hours:g} is reached ({hours:.3g} hours of running)"
        return None

    def _used_by_others(self) -> tuple[int, float]:
        """Tokens and cost that processes of other commands have used since this one began, by the counts beside their
        journals; looked up so rarely that it costs a fiftieth of the time at most."""
        now = time.monotonic()
        if now < self._look_at:
            return self._others
        host, own = socket.gethostname(), set(self._processes)
        tokens, cost = 0, 0.0
        for shard, files in journal_files(self._journal).items():
            for attempt, path in files:
                counts = known_counts(path)
                if counts.host == host and counts.process in own:
                    continue
                tokens_then, cost_then = self._before.files.get((shard, attempt), (0, 0.0))
                tokens += max(0, (counts.used_tokens or 0) - tokens_then)
                cost += max(0.0, counts.cost - cost_then)
        self._others = tokens, cost
        self._look_at = now + max(LOOK_SECONDS, 50 * (time.monotonic() - now))
        return self._others


def meter_for(config: StudyConfig, journal: Path, shards: int, workers: int, priced: bool) -> Meter:
    """The meter of a run that is about to start or to go on. The journal is read only where there is a limit.

    Args:
        config: the study.
        journal: the run's folder of journals.
        shards: number of shards of the run.
        workers: processes.
        priced: whether the model of any chair has a price.

    Raises:
        UserError: `limits.cost` is set and nothing has a price.
    """
    limits = config.limits
    if limits.cost is not None and not priced:
        raise UserError("limits.cost: no model has a price, so nothing would ever cost; set model.price")
    limited = any(limit is not None for limit in (limits.tokens, limits.cost, limits.hours))
    return Meter(limits, used_before(journal, shards) if limited else Used(), workers, journal)


class FailureLimit:
    """Whether so many courses failed that the run shall stop: of all that were tried, or of the latest ones.

    The latest ones are as many as are in flight, twenty at least, and so many that chance does not pass for a runaway:
    they stop the run where so many failures among them have a probability below `RARE` at a true rate of `rate`.

    Args:
        rate: the share of failures that is borne, 0 to 1.
        in_flight: courses in flight at once.
    """

    def __init__(self, rate: float, in_flight: int) -> None:
        self._rate = rate
        to_tell = math.ceil(math.log(RARE) / math.log(rate)) if rate < 1 else 0
        number = max(FAILURES_ARE_JUDGED_AFTER, in_flight, min(to_tell, MOST_LATEST))
        self._latest: deque[str | None] = deque(maxlen=number)
        self._failed = 0
        self._borne = _borne(rate, number)

    def note(self, cause: str | None) -> None:
        """A course is over; `cause` says why it failed, None that it ended."""
        if len(self._latest) == self._latest.maxlen:
            self._failed -= self._latest[0] is not None
        self._latest.append(cause)
        self._failed += cause is not None

    def passed(self, tried: int, failures: Mapping[str, int]) -> str | None:
        """Why the run shall stop, as one line; None where it may go on.

        Args:
            tried: courses that are over, in all.
            failures: those of them that failed, by cause.
        """
        failed = sum(failures.values())
        limit = f"limits.failure_rate={self._rate:g}"
        if tried >= FAILURES_ARE_JUDGED_AFTER and failed > self._rate * tried:
            return f"{failed} of {tried} courses failed, more than {limit}; most often {_most_often(failures)}"
        if len(self._latest) == self._latest.maxlen and self._failed > self._borne:
            causes = Counter(cause for cause in self._latest if cause is not None)
            return (
                f"{self._failed} of the latest {len(self._latest)} courses failed, more than {limit} and chance "
                f"explain; most often {_most_often(causes)}"
            )
        return None


def _most_often(causes: Mapping[str, int]) -> str:
    return max(causes, key=lambda cause: causes[cause])


def _borne(rate: float, number: int) -> int:
    """How many failures among `number` courses chance explains at a rate: the exact tail of the binomial."""
    if rate == 1:
        return number
    tail = 0.0
    for failed in range(number, 0, -1):
        ways = math.lgamma(number + 1) - math.lgamma(failed + 1) - math.lgamma(number - failed + 1)
        tail += math.exp(ways + failed * math.log(rate) + (number - failed) * math.log1p(-rate))
        if tail >= RARE:
            return failed
    return 0
