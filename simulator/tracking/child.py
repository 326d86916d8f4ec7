"""The tracker process of `dyad run`, and its parent's handle of it.

The parent starts it once the run's folder is there and says at the end whether the run is over; in between they share
nothing but the run's folder. The child takes no signals but its parent's word and its parent's end, so that a drain is
told to W&B like everything else. What goes wrong is one line on stderr; W&B's own output goes into
`RUN/wandb/tracker.log`. A child that does not end in time is ended, and the study's result is what it would have been.
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from simulator.errors import UserError
from simulator.tracking.settings import TrackingSettings
from simulator.tracking.state import FOLDER

WARNED = 9
"""Exit status of a tracker that has said what went wrong."""
_GRACE_SECONDS = 10.0
"""A tracker ends by itself when W&B takes too long; so long after that it is ended."""
HELD = 8
"""Exit status where another tracker of the run lives."""


class TrackerProcess:
    """The tracker of a run as `dyad run` sees it, from `start` to the end of the `with`.

    Args:
        settings: how the run is tracked; None where it is not.
        say: told (with one line) when something went wrong.
    """

    def __init__(self, settings: TrackingSettings | None, say: Callable[[str], None]) -> None:
        self._settings, self._say = settings, say
        self._process: subprocess.Popen[bytes] | None = None
        self._folder = Path()
        self.over = False
        """Whether the run is over, report written: then its figures are told."""

    def start(self, folder: Path) -> None:
        """Start tracking a run that has its folder; where that fails it is said, and the study goes on."""
        if self._settings is None:
            return
        self._folder = folder
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "simulator.tracking", str(folder)], stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL, env=_with_package(os.environ), start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            self._say(failed(folder, f"the tracker cannot be started ({error.strerror})"))
            return
        self._tell(self._settings.model_dump(mode="json"))

    def _tell(self, word: Any) -> None:
        assert self._process is not None and self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(word).encode() + b"\n")
            self._process.stdin.flush()

    def __enter__(self) -> "TrackerProcess":
        return self

    def __exit__(self, *exception: object) -> None:
        if self._process is None or self._settings is None:
            return
        self._tell("over" if self.over else "stop")
        with contextlib.suppress(BrokenPipeError):
            assert self._process.stdin is not None
            self._process.stdin.close()
        why = None
        try:
            status = self._process.wait(self._settings.wait_seconds + _GRACE_SECONDS)
            if status < 0:
                why = f"the tracker was ended by {signal.Signals(-status).name}"
            elif status not in (0, WARNED, HELD):
                why = f"the tracker ended with status {status}"
        except subprocess.TimeoutExpired:
            why = "the tracker did not end"
        finally:
            self._process.kill()
            self._process.wait()
        if why is not None:
            self._say(failed(self._folder, why))


def _with_package(environment: Any) -> dict[str, str]:
    """An environment in which a new Python finds this package, wherever it was imported from."""
    root = str(Path(__file__).resolve().parent.parent.parent)
    path = environment.get("PYTHONPATH")
    return {**environment, "PYTHONPATH": f"{root}{os.pathsep}{path}" if path else root}


def failed(folder: Path, why: str) -> str:
    """The one line that says that tracking went wrong."""
    line = " ".join(why.split())[:200]
    return f"warning: W&B tracking: {line}; the study is not affected; `dyad track {folder}` goes on with it"


def main(folder: str) -> NoReturn:
    """The child: settings on the first line of stdin, then a word, or the end of stdin with the parent."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    read = _lines(sys.stdin.fileno())
    settings = json.loads(read(None) or b"null")
    if settings is None:
        os._exit(0)

    leave(guarded(Path(folder), settings, lambda seconds: _word(read(seconds)), patient=True))


def _word(line: bytes | None) -> Any:
    """What the parent said; its end says `stop`."""
    return None if line is None else json.loads(line or b'"stop"')


def guarded(folder: Path, settings: dict[str, Any], wait: Callable[[float], Any], patient: bool = False) -> int:
    """Track a run with at most one line on stderr, whatever W&B does; returns the exit status.

    Args:
        folder: the run's folder.
        settings: of the group `tracking`.
        wait: see `track`.
        patient: wait for another tracker of the run to end, and say nothing where it does not.
    """
    log, out, err = _own_output(folder)

    def warn(why: str) -> None:
        os.write(err, (failed(folder, why) + "\n").encode())

    def late(why: str) -> NoReturn:
        warn(why)
        leave(WARNED)

    from simulator.tracking.settings import parse_tracking
    from simulator.tracking.tracker import HeldError, track

    def heard(seconds: float) -> Any:
        word = wait(seconds)
        if word is not None and patient:  # whoever said it waits no longer than this
            ends = f"W&B did not finish within tracking.wait_seconds={checked.wait_seconds:g}"
            timer = threading.Timer(checked.wait_seconds, late, [ends])
            timer.daemon = True
            timer.start()
        return word

    try:
        checked = parse_tracking(settings)
        track(folder, checked, heard, late, patient)
    except HeldError as error:
        if not patient:
            warn(str(error))
        return HELD
    except UserError as error:
        warn(str(error))
        return WARNED
    except Exception as error:
        import traceback

        os.write(log, traceback.format_exc().encode())
        warn(f"{type(error).__name__}: {error}")
        return WARNED
    finally:
        os.dup2(out, 1)
    return 0


def _own_output(folder: Path) -> tuple[int, int, int]:
    """W&B's output, and that of its service, goes to a file; returns it, and where stdout and stderr were."""
    out, err = os.dup(1), os.dup(2)
    try:
        (folder / FOLDER).mkdir(exist_ok=True)
        log = os.open(folder / FOLDER / "tracker.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    except OSError:
        log = os.open(os.devnull, os.O_WRONLY)
    os.dup2(log, 1)
    os.dup2(log, 2)
    return log, out, err


def leave(status: int) -> NoReturn:
    """End the process without W&B's own endings, which wait for a service that may be dead; after trouble with its
    service, which may hang."""
    sys.stdout.flush()
    for task in Path("/proc/self/task").glob("*/children") if status else ():
        for child in task.read_text().split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(child), signal.SIGKILL)
    os._exit(status)


def _lines(file: int) -> Callable[[float | None], bytes | None]:
    """Reads lines with a timeout: a line, b"" at the end of the file, None where no line came in time."""
    rest = bytearray()

    def read(seconds: float | None) -> bytes | None:
        while b"\n" not in rest:
            if not select.select([file], [], [], seconds)[0]:
                return None
            part = os.read(file, 65536)
            if not part:
                return b""
            rest.extend(part)
        line, _, after = bytes(rest).partition(b"\n")
        rest[:] = after
        return line

    return read
