"""The mock server in a thread of this process, for runs in other processes: what arrived can be looked at between."""

import asyncio
import contextlib
import json
import threading
from collections.abc import Iterator
from typing import Any

from simulator.serving.mock import MockServer
from simulator.serving.mock_counters import SeenRequest

WAIT_SECONDS = 30.0


class Mock:
    """A running mock server and the loop that it runs in."""

    def __init__(self, server: MockServer, loop: asyncio.AbstractEventLoop) -> None:
        self.server, self._loop = server, loop
        self._looked_at = 0

    @property
    def overrides(self) -> list[str]:
        """What makes a study talk to it."""
        return ["model=endpoint", f"model.url={self.server.base_url}", "model.name=mock"]

    def new_requests(self) -> list[SeenRequest]:
        """What has arrived since the last look, sockets emptied first."""
        asyncio.run_coroutine_threadsafe(self._settle(), self._loop).result(WAIT_SECONDS)
        new = self.server.seen[self._looked_at :]
        self._looked_at += len(new)
        return new

    def forget(self) -> None:
        """Begin the log anew."""
        self.server.reset()
        self._looked_at = 0

    async def _settle(self) -> None:
        for _ in range(10):  # rounds of the loop: a connection is accepted, read, answered or found closed
            await asyncio.sleep(0)


def body_of(request: SeenRequest) -> dict[str, Any]:
    """What was asked."""
    body: dict[str, Any] = json.loads(request.body)
    return body


@contextlib.contextmanager
def mock_server(**settings: Any) -> Iterator[Mock]:
    """A mock server with a log of what it is asked."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="mock server", daemon=True)
    thread.start()
    server = MockServer(log_requests=True, **settings)
    try:
        asyncio.run_coroutine_threadsafe(server.start(), loop).result(WAIT_SECONDS)
        yield Mock(server, loop)
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(WAIT_SECONDS)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(WAIT_SECONDS)
        loop.close()
