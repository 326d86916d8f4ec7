"""What a run has used, and the limits that end it: `limits.tokens`, `limits.cost`, `limits.hours`.

All three count the whole run: every process, and every earlier attempt at it as its journal tells. A limit is looked at
between two turns, so a run ends with what is in flight over it at most, drained like any other: nothing is lost, and
the same command with a higher limit goes on. Limits are no part of a run's identity.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.sharedctypes import RawArray
from pathlib import Path

from simulator.errors import UserError
from simulator.records.journal_records import Execution
from simulator.store.histories import read_shards
from simulator.studies.config import Limits, StudyConfig


@dataclass(slots=True)
class Used:
    """Tokens of prompts and answers, cost in the price's currency, and seconds in which anything ran."""

    tokens: int = 0
    cost: float = 0.0
    seconds: float = 0.0


def used_before(journal: Path, shards: int) -> Used:
    """What the attempts so far have used, those that were set aside included.

    Raises:
        DamageError: a journal file is damaged.
    """
    used = Used()
    spans: list[tuple[float, float]] = []
    for reading in read_shards(journal, shards):
        for _, execution in reading.executions:
            used.tokens += tokens_of(execution)
            used.cost += execution.cost or 0.0
            spans.append((execution.started, execution.started + execution.seconds))
        spans = list(_joined(spans))
    used.seconds = sum(end - start for start, end in spans)
    return used


def tokens_of(execution: Execution) -> int:
    """Tokens of one call; 0 for what is no call. An answer from the response cache used none."""
    if execution.replica == "cache":
        return 0
    return (execution.prompt_tokens or 0) + (execution.completion_tokens or 0)


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
    """

    def __init__(self, limits: Limits, before: Used, workers: int) -> None:
        self._limits, self._before, self._started = limits, before, time.monotonic()
        self._tokens, self._cost = RawArray("q", workers), RawArray("d", workers)
        self._mine = 0
        self._limited = limits.tokens is not None or limits.cost is not None or limits.hours is not None

    def work_as(self, worker: int) -> None:
        """This process is the one of that number."""
        self._mine = worker

    def note(self, execution: Execution) -> None:
        """Count a call."""
        self._tokens[self._mine] += tokens_of(execution)
        self._cost[self._mine] += execution.cost or 0.0

    def reached(self) -> str | None:
        """The limit that is reached and what was used, as one line; None where there is still room."""
        if not self._limited:
            return None
        limits, before = self._limits, self._before
        if limits.tokens is not None and (tokens := before.tokens + sum(self._tokens)) >= limits.tokens:
            return f"limits.tokens={limits.tokens} is reached ({tokens:,} tokens used)"
        if limits.cost is not None and (cost := before.cost + sum(self._cost)) >= limits.cost:
            return f"limits.cost={limits.cost:g} is reached ({cost:.4g} spent)"
        if limits.hours is not None:
            hours = (before.seconds + time.monotonic() - self._started) / 3600
            if hours >= limits.hours:
                return f"limits.hours={limits.hours:g} is reached ({hours:.3g} hours of running)"
        return None


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
    return Meter(limits, used_before(journal, shards) if limited else Used(), workers)
