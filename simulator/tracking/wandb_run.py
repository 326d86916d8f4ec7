"""The W&B run of a run: the only module that talks to W&B, always from a process of its own.

Everything W&B writes lies in `RUN/wandb/`, offline runs and staged artifacts alike. What a call does not finish in time
is given up: `late` is told, and ends the process. Every segment of one run has the same id, and its own steps go on
from those of the one before, so W&B shows them as one.
"""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from simulator.errors import UserError
from simulator.store.runs import RunFolder
from simulator.tracking.live import GROUPS, STEP
from simulator.tracking.settings import TrackingSettings
from simulator.tracking.state import FOLDER, State

_STRANGE = ("WANDB_SERVICE", "WANDB_RUN_ID", "WANDB_RUN_GROUP", "WANDB_RESUME", "WANDB_SWEEP_ID")
"""Variables of another W&B run that this process may have inherited."""
_FLUSH_SECONDS = 2.0
"""How long W&B may keep records before they are in its file: what a killed service loses."""

Late = Callable[[str], None]


class WandbRun:
    """One segment of a W&B run.

    Args:
        run: the run.
        settings: how it is tracked.
        state: whose id and step go on.
        config: W&B's config of the run.
        late: told (with one line) when W&B takes too long; must not return.

    Raises:
        UserError: W&B cannot be imported.
        Exception: whatever W&B raises, here and in every method.
    """

    def __init__(
        self, run: RunFolder, settings: TrackingSettings, state: State, config: Mapping[str, Any], late: Late
    ) -> None:
        self._seconds, self._late = settings.wait_seconds, late
        folder = run.path / FOLDER
        for name in _STRANGE:
            os.environ.pop(name, None)
        os.environ["WANDB_DATA_DIR"] = str((folder / "staged").resolve())
        os.environ["WANDB_CACHE_DIR"] = str((folder / "cache").resolve())
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        try:
            import wandb
        except ImportError as error:
            raise UserError(f"W&B cannot be imported ({error}); install it (pip install wandb)") from None
        self._wandb = wandb
        lean: dict[str, Any] = {
            "x_disable_stats": not settings.system,
            "x_disable_machine_info": not settings.system,
            "x_disable_meta": not settings.system,
            "x_save_requirements": settings.system,
            "x_transaction_log_flush_interval": _FLUSH_SECONDS,
        }
        known = {name: value for name, value in lean.items() if name in wandb.Settings.model_fields}
        with self._within("starting"):
            self._run = wandb.init(
                id=state.run_id, dir=str(run.path), project=settings.project, entity=settings.entity,
                name=settings.name or run.path.resolve().name, group=settings.group, tags=settings.tags,
                config=dict(config), job_type=str(run.meta.get("kind")), mode=settings.mode, resume="allow",
                settings=wandb.Settings(
                    console="off", silent=True, disable_git=True, disable_code=True, save_code=False, **known
                ),
            )  # fmt: skip
            self._run.define_metric(STEP)
            for group in GROUPS:
                self._run.define_metric(f"{group}/*", step_metric=STEP)

    @contextlib.contextmanager
    def _within(self, what: str) -> Iterator[None]:
        timer = threading.Timer(self._seconds, self._late, [f"W&B did not answer within {self._seconds:g} s ({what})"])
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def log(self, row: Mapping[str, Any], step: int) -> None:
        """Tell W&B one row at a step that is greater than all before."""
        with self._within("logging"):
            self._run.log(dict(row), step=step, commit=True)

    def summarise(self, figures: Mapping[str, Any]) -> None:
        """Set figures of the summary."""
        with self._within("summary"):
            self._run.summary.update(dict(figures))

    def table(self, columns: tuple[str, ...], rows: list[list[Any]]) -> Any:
        """A table, to be logged."""
        return self._wandb.Table(columns=list(columns), data=rows, allow_mixed_types=True)

    def picture(self, file: Path, caption: str) -> Any:
        """A picture, to be logged; the file must stay where it is until then."""
        return self._wandb.Image(str(file), caption=caption)

    def attach(self, name: str, kind: str, files: Mapping[str, Path]) -> None:
        """An artifact of copies of some files, by their paths within it."""
        with self._within("attaching files"):
            artifact = self._wandb.Artifact(name, type=kind)
            for inside, file in files.items():
                artifact.add_file(str(file), name=inside, skip_cache=True)
            self._run.log_artifact(artifact)

    def say_jobs(self, slurm: Mapping[str, Any]) -> None:
        """Complete W&B's config with the jobs that were submitted since it was written."""
        if slurm:
            with self._within("the config"):
                config: Any = self._run.config
                config.update({"slurm": {**(config.get("slurm") or {}), **slurm}}, allow_val_change=True)

    def finish(self) -> None:
        """End the segment: everything is in W&B's file, or sent."""
        with self._within("finishing"):
            self._run.finish()
            self._wandb.teardown()
