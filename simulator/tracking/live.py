"""One look at a run's journals, and the row of figures that W&B is told of it.

The step is the number of courses that have ended: it only grows, over requeues too. Rates are those since the look
before, those of the latest stretch of work where there was none; failures count courses that stand failed; guards are
firings per turn, over all turns that were ever made.
"""

import time
from dataclasses import dataclass
from typing import Any

from simulator.store.leases import LAPSE_SECONDS
from simulator.store.progress import Progress, progress_of
from simulator.store.runs import RunFolder

STEP = "courses"
"""The metric that is the axis of all others."""
GROUPS = ("live", "tokens", "calls", "failures", "guards")
"""The metrics of a row are named `<group>/<name>`."""


@dataclass(frozen=True, slots=True)
class Look:
    """What a run's journals held at one moment (`at`, of the monotonic clock)."""

    progress: Progress
    at: float
    planned: int

    @property
    def step(self) -> int:
        """Courses that have ended."""
        return self.progress.states["ended"]

    @property
    def all_over(self) -> bool:
        """No course is left to run; some may have failed."""
        return self.step + self.progress.states["failed"] >= self.planned


def look_at(run: RunFolder) -> Look:
    """Count what the journals hold.

    Raises:
        DamageError: a journal file is damaged.
    """
    lapse = run.meta.get("config", {}).get("limits", {}).get("lease_seconds", LAPSE_SECONDS)
    progress = progress_of(run.journal, int(run.meta.get("shards", 0)), lapse)
    return Look(progress, time.monotonic(), int(run.meta.get("design", {}).get("courses", 0)))


def row_of(look: Look, before: Look | None) -> dict[str, Any]:
    """The figures of a look, with rates since an earlier one; what does not exist is left out."""
    progress = look.progress
    turns, courses, tokens = _rates(look, before)
    row: dict[str, Any] = {
        STEP: look.step,
        "live/planned": look.planned,
        "live/failed": progress.states["failed"],
        "live/in_flight": progress.states["in_flight"],
        "live/turns": progress.turns,
        "live/turns_per_second": turns,
        "live/courses_per_minute": None if courses is None else 60 * courses,
    }
    if progress.calls:
        row |= {
            "tokens/prompt": progress.prompt_tokens,
            "tokens/cached": progress.cached_tokens,
            "tokens/completion": progress.completion_tokens,
            "tokens/completion_per_second": tokens,
            "calls/made": progress.calls,
            "calls/retries": progress.retries,
        }
    if progress.prompt_tokens:
        row["tokens/cache_hit_share"] = progress.cached_tokens / progress.prompt_tokens
    for cause, count in progress.failures.items():
        row[f"failures/{cause.replace(': ', '/')}"] = count
    for guard, count in progress.guards.items():
        row[f"guards/{guard}"] = count / max(1, progress.turns_made)
    return {name: figure for name, figure in row.items() if figure is not None}


def _rates(look: Look, before: Look | None) -> tuple[float | None, float | None, float | None]:
    """Turns, courses and completion tokens per second."""
    now = look.progress
    if before is None:
        return now.turns_per_second, now.courses_per_second, now.tokens_per_second
    then, seconds = before.progress, look.at - before.at
    return (
        max(0, now.turns_made - then.turns_made) / seconds,
        max(0, look.step - before.step) / seconds,
        max(0, now.completion_tokens - then.completion_tokens) / seconds,
    )
