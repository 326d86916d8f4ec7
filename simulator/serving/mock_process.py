"""The mock server as a process of its own."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

from simulator.errors import UserError
from simulator.serving.mock_options import MockOptions, parse_options, read_options


def options_from(file: Path | None, settings: Sequence[str], faults: Sequence[str]) -> MockOptions:
    """Options from a file, `KEY=VALUE` words (values are YAML) and `NAME=RATE` words of faults.

    Raises:
        UserError: a word is wrong, or the file.
    """
    from simulator.resources import read_yaml

    content: dict[str, Any] = read_options(file).model_dump(by_alias=True) if file is not None else {}
    for word in settings:
        key, separator, value = word.partition("=")
        if not separator:
            raise UserError(f"--set {word}: write KEY=VALUE")
        content[key] = read_yaml(value)
    for word in faults:
        name, separator, rate = word.partition("=")
        if not separator:
            raise UserError(f"--fault {word}: write NAME=RATE, for instance 500=0.1")
        content.setdefault("faults", {})[name] = rate
    return parse_options(content)


def serve_mock(options: MockOptions, host: str, port: int, show: Callable[[str], None]) -> int:
    """Serve until SIGTERM or Ctrl-C; `show` gets the address once the server listens."""
    with contextlib.suppress(ImportError):
        import resource

        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    _run(_serve(options, host, port, show))
    return 0


async def _serve(options: MockOptions, host: str, port: int, show: Callable[[str], None]) -> None:
    from simulator.serving.mock import MockServer

    server = await MockServer(options).start(host, port)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    show(server.base_url)
    sys.stdout.flush()
    await stop.wait()
    await server.stop()


def _run(serving: Coroutine[Any, Any, None]) -> None:
    try:
        import uvloop
    except ImportError:
        asyncio.run(serving)
    else:
        uvloop.run(serving)
