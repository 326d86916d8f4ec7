"""The tracker of a run: looks at its journals from time to time and tells W&B, until the run or its watch is over.

It only reads what the study writes. At most one tracker of a run lives at a time (`RUN/wandb/tracker.lease`); the next
one goes on with the same W&B run and the next step. Looking takes at most half a percent of one core's time, however
large the run is: what takes longer is done less often.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from simulator.errors import UserError
from simulator.store.leases import LAPSE_SECONDS, Lease
from simulator.store.runs import RunFolder, open_run
from simulator.tracking.about import config_of, submitted
from simulator.tracking.finals import figures_of, hash_of, tell_finals
from simulator.tracking.live import Look, look_at, row_of
from simulator.tracking.settings import TrackingSettings, parse_tracking
from simulator.tracking.state import FOLDER, State, open_state
from simulator.tracking.wandb_run import Late, WandbRun

LEASE = "tracker"
SHARE_OF_A_CORE = 0.005
_BEAT_SECONDS = LAPSE_SECONDS / 6
_PATIENCE_SECONDS = 2.0

Word = Literal["over", "stop"]
"""What a tracker is told: the run is over (its figures are told), or only the watch is."""
Wait = Callable[[float], Word | None]
"""Waits at most so many seconds for a word."""


class HeldError(UserError):
    """Another tracker of the run lives."""


def track(folder: Path, settings: TrackingSettings, wait: Wait, late: Late, patient: bool = False) -> bool:
    """Track a run until a word comes.

    Args:
        folder: the run's folder.
        settings: how it is tracked.
        wait: where the word comes from; `over` may come at once.
        late: told when W&B takes too long; must end the process.
        patient: wait for another tracker of the run to end, until a word comes.

    Returns:
        Whether anything was told to W&B.

    Raises:
        HeldError: another tracker of the run lives.
        UserError: not a run; a journal file is damaged; W&B is not installed.
        Exception: whatever W&B raises.
    """
    run = open_run(folder)
    state = open_state(run)
    word = None
    while (lease := _lease(run, give_up=not patient or word is not None)) is None:
        word = wait(_PATIENCE_SECONDS)
    try:
        state = open_state(run)  # as the tracker before left it
        state.settings = settings.model_dump(mode="json", exclude_defaults=True)
        return _Tracker(run, settings, state, late).follow(wait if word is None else lambda seconds: word, lease)
    finally:
        lease.release()


def _lease(run: RunFolder, give_up: bool) -> Lease | None:
    try:
        return Lease(run.path / FOLDER, LEASE)
    except UserError as error:
        if not (run.path / FOLDER / f"{LEASE}.lease").exists():
            raise
        if give_up:
            raise HeldError(str(error)) from None
        return None


def settings_for(folder: Path, changed: dict[str, object]) -> TrackingSettings:
    """How a run is tracked by hand: as it was before, or else as its own configuration says, with changes.

    Raises:
        UserError: not a run, or a mistake in the settings.
    """
    run = open_run(folder)
    configured = run.meta.get("config", {}).get("tracking") or {}
    before = open_state(run).settings or configured
    return parse_tracking({**before, **changed, "kind": "wandb"})


class _Tracker:
    """One tracker at work."""

    def __init__(self, run: RunFolder, settings: TrackingSettings, state: State, late: Late) -> None:
        self._run, self._settings, self._state, self._late = run, settings, state, late
        self._tracked: WandbRun | None = None
        self._looks: list[Look] = []
        """The last two; the very last one may follow upon the one before at once."""

    def follow(self, wait: Wait, lease: Lease) -> bool:
        if not look_at(self._run).all_over:
            self._open()
        word = wait(0)
        while word is None:
            started = time.process_time()
            self._tell(look_at(self._run))
            pause = max(self._settings.every, (time.process_time() - started) / SHARE_OF_A_CORE)
            word = self._wait(pause, wait, lease)
        self._tell(look_at(self._run))
        figures = figures_of(self._run) if word == "over" else None
        told = None
        if figures is not None and hash_of(figures) != self._state.final:
            tell_finals(self._run, figures, self._open(), self._settings, self._state)
            told = hash_of(figures)
        if self._tracked is None:
            return False
        self._tracked.say_jobs(submitted(self._run.path))
        self._tracked.finish()
        if told is not None:  # only now W&B has them
            self._state.final = told
            self._state.save()
        return True

    def _wait(self, seconds: float, wait: Wait, lease: Lease) -> Word | None:
        """Wait for a word, and show in the meantime that this tracker lives."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            word = wait(min(left, _BEAT_SECONDS))
            if word is not None:
                return word
            if not lease.touch():
                raise UserError(f"another tracker of {self._run.path} has taken over")
        return None

    def _open(self) -> WandbRun:
        """The W&B run, which is begun when there is something to tell."""
        if self._tracked is None:
            config = config_of(self._run)
            self._tracked = WandbRun(self._run, self._settings, self._state, config, self._late)
            self._state.save()
        return self._tracked

    def _tell(self, look: Look) -> None:
        """Rows at new steps; between two steps only the summary goes on."""
        old_enough = [before for before in self._looks if look.at - before.at >= self._settings.every / 2]
        row = row_of(look, old_enough[-1] if old_enough else None)
        self._looks = [*self._looks[-1:], look]
        if look.step > self._state.step and look.step > 0:
            tracked = self._open()
            self._state.step = look.step
            self._state.save()
            tracked.log(row, look.step)
        elif self._tracked is not None:
            self._tracked.summarise(row)
