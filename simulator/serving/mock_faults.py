"""Which fault an attempt meets, if any: a function of the seed, the replica, the request's bytes and the attempt."""

import hashlib

from simulator.serving.mock_options import MockOptions
from simulator.serving.mock_requests import seed_key


class FaultPlan:
    """Draws faults at their configured rates."""

    def __init__(self, options: MockOptions) -> None:
        self._rates = [(name, rate) for name, rate in options.faults.by_name().items() if rate > 0]
        self._attempts = options.fault_attempts
        self._key = seed_key(options.seed)
        self._replica = options.replica.encode()

    def fault_of(self, digest: bytes, attempt: int) -> str | None:
        """The fault of the `attempt`-th arrival (from 0) of the request with this digest."""
        if not self._rates or (self._attempts is not None and attempt >= self._attempts):
            return None
        drawn = hashlib.blake2b(digest + attempt.to_bytes(4, "little") + self._replica, digest_size=8, key=self._key)
        place = int.from_bytes(drawn.digest(), "little") / 2**64
        for name, rate in self._rates:
            place -= rate
            if place < 0:
                return name
        return None
