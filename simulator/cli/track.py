"""`dyad track RUN`: tell Weights & Biases about a run; `dyad track layout`: lay out a project's dashboard.

dyad track RUN                       while the run goes on, here or in SLURM's jobs, and then its figures
dyad track RUN mode=online tags=[a]  with settings of the group `tracking` changed
dyad track layout --dry-run          prints the dashboard's specification; without it, it is saved to W&B

`dyad run tracking=wandb` tracks by itself; this is for runs in parts (SLURM arrays), for runs that were not tracked,
and for what was measured later. A drain signal ends the watch (exit code 3); the next one goes on with the same W&B
run.
"""

import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from simulator.cli.main import OneLineParser
from simulator.cli.output import show, show_json
from simulator.errors import UserError

_ASK_SLURM_SECONDS = 30.0


def main(arguments: Sequence[str]) -> int:
    """Run the command; see the module's docstring."""
    if arguments and arguments[0] == "layout":
        return _layout(arguments[1:])
    parser = OneLineParser("dyad track", description=__doc__)
    parser.add_argument("run", type=Path, help="a folder that `dyad run` made")
    parser.add_argument("settings", nargs="*", help="key=value of the group `tracking`")
    options = parser.parse_args(arguments)
    from simulator.tracking.child import guarded, leave
    from simulator.tracking.state import FOLDER
    from simulator.tracking.tracker import settings_for

    settings = settings_for(options.run, changes(options.settings))
    asked = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, lambda *_: asked.set())
    status = guarded(options.run, settings.model_dump(mode="json"), _watch(options.run, asked))
    if status == 0 and not asked.is_set():
        show(f"W&B: {options.run / FOLDER}")
    return leave(3 if asked.is_set() else 2 if status else 0)


def changes(words: Sequence[str]) -> dict[str, Any]:
    """`key=value` words with values in YAML.

    Raises:
        UserError: a word without `=`.
    """
    import yaml

    found: dict[str, Any] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise UserError(f"dyad track: '{word}' is no setting; write key=value, for instance mode=online")
        try:
            found[key.removeprefix("tracking.")] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise UserError(f"dyad track: '{word}' is not readable; quote it, for instance tags='[a, b]'") from None
    return found


def _watch(folder: Path, asked: threading.Event) -> Callable[[float], Any]:
    """The word for the tracker: `stop` on a signal, `over` when nobody works on the run any more."""
    from simulator.launching.slurm import job_states
    from simulator.store.leases import is_held
    from simulator.store.runs import open_run

    run = open_run(folder)
    own = {os.environ[name] for name in ("SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID") if name in os.environ}
    asked_at, living = -_ASK_SLURM_SECONDS, False

    def waits_in_slurm() -> bool:
        nonlocal asked_at, living
        if time.monotonic() - asked_at >= _ASK_SLURM_SECONDS:
            asked_at = time.monotonic()
            states = job_states(folder)
            if states is None:  # they may live, unless this is no cluster, where a copy of the run lies
                living = bool(own) or shutil.which("squeue") is not None
            else:
                living = any(row["lives"] and row["id"] not in own for row in states)
        return living

    def word(seconds: float) -> str | None:
        if asked.wait(seconds):
            return "stop"
        return None if is_held(run.journal) or is_held(run.dataset) or waits_in_slurm() else "over"

    return word


def _layout(arguments: Sequence[str]) -> int:
    parser = OneLineParser("dyad track layout", description="lay out the dashboard of a W&B project")
    parser.add_argument("--project", default="dyad")
    parser.add_argument("--entity", help="the user or team; by default W&B's own default")
    parser.add_argument("--name", default="Dyad", help="the dashboard's name")
    parser.add_argument("--dry-run", action="store_true", help="print the specification as JSON; nothing is sent")
    options = parser.parse_args(arguments)
    from simulator.tracking.dashboard import save_layout, specification

    if options.dry_run:
        show_json(specification(options.name, options.entity, options.project))
    else:
        show(f"dashboard: {save_layout(options.name, options.entity, options.project)}")
    return 0
