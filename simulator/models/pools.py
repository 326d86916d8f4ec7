"""The pools of a process: clients of the same servers share connections, load figures and one cap on what is in
flight."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from simulator.models.descriptors import Gate, open_gate
from simulator.models.endpoints import Endpoints
from simulator.models.pool import Pool
from simulator.models.settings import Key, ModelSettings
from simulator.records.fingerprints import fingerprint


class Pools:
    """Makes each pool once.

    Args:
        sleep: waits between attempts (tests inject one that does not).
        clock: monotonic seconds.
    """

    def __init__(
        self,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sleep, self._clock = sleep, clock
        self._pools: dict[str, Pool] = {}
        self._gate: Gate | None = None

    def get(self, settings: ModelSettings, key: Key) -> Pool:
        """The pool for these addresses, this key and these rules.

        Raises:
            UserError: an address is none.
        """
        place = {"url": settings.url, "endpoints": settings.endpoints, "key": settings.api_key_env}
        name = fingerprint({**place, "pool": settings.pool.model_dump()})
        pool = self._pools.get(name)
        if pool is None:
            self._gate = self._gate or open_gate()
            endpoints = Endpoints(settings.url, settings.endpoints)
            pool = self._pools[name] = Pool(endpoints, settings.pool, key, self._gate, self._sleep, self._clock)
        return pool

    async def close(self) -> None:
        """Close the connections of all pools."""
        for pool in self._pools.values():
            await pool.close()
