"""A server as a process: started in a group of its own with its output in a log, and what the log says of its end."""

import asyncio
import contextlib
import os
import re
import signal
from pathlib import Path

from simulator.errors import UserError
from simulator.serving.commands import ReplicaPlan
from simulator.serving.settings import ServingSettings

DRAIN_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
"""What asks for a drain; `srun` hands on SIGUSR1, but answers SIGTERM by killing its tasks."""


def log_of(plan: ReplicaPlan, settings: ServingSettings) -> Path:
    """Where a server's output goes.

    Raises:
        UserError: the folder cannot be made.
    """
    logs = Path(settings.logs)
    try:
        logs.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"serving.logs: cannot make {logs} ({error.strerror})") from None
    return logs / f"replica-{plan.index}{f'-node-{plan.node}' if plan.node else ''}.log"


async def start_server(plan: ReplicaPlan, log: Path) -> asyncio.subprocess.Process:
    """Start a server; its command stands in its log, before its output.

    Raises:
        UserError: its interpreter cannot be run.
    """
    with log.open("ab") as file:
        file.write(f"$ {plan.shell_line()}\n".encode())
        file.flush()
        try:
            return await asyncio.create_subprocess_exec(
                *plan.command,
                env={**os.environ, **plan.env},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=file,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise UserError(f"cannot run {plan.command[0]} ({error.strerror}); set serving.python") from None


def end_group(pid: int) -> None:
    """Kill a server with its own children."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def how_ended(code: int) -> str:
    """An exit status in words."""
    if code < 0:
        with contextlib.suppress(ValueError):
            return signal.Signals(-code).name
    return f"exit code {code}"


def last_line(log: Path) -> str:
    """What a server said last."""
    return (_lines(log) or ["(nothing said yet)"])[-1][:200]


def last_words(log: Path) -> str:
    """The line that most likely says why a server ended."""
    lines = _lines(log)
    telling = [line for line in lines if re.search(r"\b\w*(?:Error|Exception)\b|error:", line)]
    return ((telling or lines or ["it said nothing"])[-1])[:300]


def _lines(log: Path) -> list[str]:
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 8192))
            text = file.read().decode(errors="replace")
    except OSError:
        return []
    return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("$ ")]
