"""What the tracking of a run has to remember from one tracker to the next: `RUN/wandb/tracker.json`.

The W&B run's id is made once, from the run's identity and the moment its folder was made, and kept: a run goes on as
the same W&B run after a requeue, in another folder, or extended; another run of the same identity is another W&B run.
A step is written here before it is told to W&B, so that none is ever told twice, whatever is killed in between.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from simulator.errors import UserError
from simulator.records.fingerprints import fingerprint
from simulator.store.runs import RUN_FILE, RunFolder, write_atomically

FOLDER = "wandb"
"""Of the run's folder: W&B's own name for it."""


@dataclass(slots=True)
class State:
    """Where the tracking of a run stands."""

    path: Path
    run_id: str
    settings: dict[str, Any] = field(default_factory=dict)
    """Those it was last tracked with."""
    step: int = -1
    """The last step that W&B was told, -1 before the first."""
    final: str | None = None
    """A hash of the figures that were told last as those of the finished run."""

    def save(self) -> None:
        """Bring it to disk."""
        content = {name: value for name, value in asdict(self).items() if name != "path"}
        write_atomically(self.path, json.dumps(content, indent=1).encode())


def open_state(run: RunFolder) -> State:
    """Where the tracking of a run stands; its folder is made, and a new state with the W&B run's id.

    Raises:
        UserError: the file is there and is no state.
    """
    path = run.path / FOLDER / "tracker.json"
    try:
        return State(path=path, **json.loads(path.read_text()))
    except FileNotFoundError:
        pass
    except (ValueError, TypeError) as error:
        raise UserError(
            f"{path} cannot be read ({error}); restore it, or remove {path.parent} to track the run anew"
        ) from None
    path.parent.mkdir(exist_ok=True)
    made = (run.path / RUN_FILE).stat().st_mtime_ns
    state = State(path, f"{run.identity[:8]}-{fingerprint([run.identity, made])[:8]}")
    state.save()
    return state
