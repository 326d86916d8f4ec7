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


class HoldingServer(MockServer):
    """A mock server that answers so many requests and then holds the others until it is told to go on."""

    def __init__(self, hold_after: int | None, **settings: Any) -> None:
        super().__init__(log_requests=True, **settings)
        self._hold_after = hold_after
        self.go_on = asyncio.Event()

    async def _wait(self, latency: float, digest: bytes) -> None:
        await super()._wait(latency, digest)
        if self._hold_after is not None and self.counters.served >= self._hold_after:
            await self.go_on.wait()


class Mock:
    """A running mock server and the loop that it runs in."""

    def __init__(self, server: HoldingServer, loop: asyncio.AbstractEventLoop) -> None:
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

    def wait_for(self, requests: int) -> None:
        """Wait until so many requests have arrived in all."""
        asyncio.run_coroutine_threadsafe(self._arrived(requests), self._loop).result(WAIT_SECONDS)

    async def _arrived(self, requests: int) -> None:
        while len(self.server.seen) < requests:
            await asyncio.sleep(0.002)

    def go_on(self) -> None:
        """Answer all that is held."""
        self._loop.call_soon_threadsafe(self.server.go_on.set)

    def forget(self) -> None:
        """Begin the log anew."""
        self.server.reset()
        self._looked_at = 0

    async def _settle(self) -> None:
        for _ in range(10):  # rounds of the loop: a connection is accepted, read, answered or found closed
            await asyncio.sleep(0)


def seed_of(request: SeenRequest) -> int:
    """The seed of a request."""
    return int(json.loads(request.body)["seed"])


def said_before(request: SeenRequest) -> tuple[str, ...]:
    """The turns that a request of an agent of ours builds on: all but instructions, opener, and the question at the
    end."""
    said = [message["content"] for message in json.loads(request.body)["messages"] if message["role"] != "system"]
    return tuple(text for text in said[:-1] if text != "The conversation begins.")


@contextlib.contextmanager
def mock_server(hold_after: int | None = None, **settings: Any) -> Iterator[Mock]:
    """A mock server with a log of what it is asked; with `hold_after` it answers only so many requests at first."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="mock server", daemon=True)
    thread.start()
    server = HoldingServer(hold_after, **settings)
    try:
        asyncio.run_coroutine_threadsafe(server.start(), loop).result(WAIT_SECONDS)
        yield Mock(server, loop)
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(WAIT_SECONDS)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(WAIT_SECONDS)
        loop.close()
