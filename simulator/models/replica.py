"""One server of a pool: its connections, what it has in hand and how well it is.

The number of requests that it may have in flight falls when it answers 429 and rises slowly with success (additive
increase, multiplicative decrease). It is ejected after too many failures in a row, and again for twice as long each
time it fails straight after coming back.
"""

import aiohttp
from yarl import URL

from simulator.models.settings import Key, PoolSettings
from simulator.records.seeds import key64, mix64

DECREASE = 0.7
"""Share of the requests in flight that remains the cap after a 429."""
FIRST_HOLD, LONGEST_HOLD = 1.0, 60.0
"""Seconds for which a replica is left out before it is probed: the first time, and at most."""
MISSED_PROBES = 3
"""Probes without an answer in a row, with no other sign of life, after which a replica counts as dead."""
KEEPALIVE = 4.0
"""Seconds for which an idle connection is kept: below the 5 s after which vLLM's own server closes it."""
PROBE = 5.0
"""Seconds for which a probe waits."""
CONNECT = 10.0
"""Seconds for making a connection."""


class Replica:
    """See the module. `name` is the address, as it stands in the accounting."""

    def __init__(self, name: str, settings: PoolSettings, key: Key) -> None:
        self.name = name
        self.url = URL(f"{name}/chat/completions")
        self.models_url = URL(f"{name}/models")
        self._settings, self._key = settings, key
        self._hash = key64(name)
        self._session: aiohttp.ClientSession | None = None
        self.cap = float(settings.in_flight)
        self._lowered = 0.0
        self.in_flight = 0
        self.outstanding = 0
        self.failures = 0
        self.missed = 0
        self.last_success = 0.0
        self.ejected_until: float | None = None
        self._hold = FIRST_HOLD

    @property
    def ejected(self) -> bool:
        """Whether it is left out."""
        return self.ejected_until is not None

    @property
    def has_room(self) -> bool:
        """Whether one more request may be sent."""
        return self.in_flight < int(self.cap)

    def score(self, key: int) -> int:
        """Its weight for a session's key (rendezvous hashing; Thaler & Ravishankar, IEEE/ACM ToN 1998)."""
        return mix64(self._hash ^ key)

    def session(self) -> aiohttp.ClientSession:
        """Its connections; made when first needed."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEPALIVE),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"Content-Type": "application/json", "Accept-Encoding": "identity", **self._key.headers()},
            )
        return self._session

    async def list_models(self) -> tuple[int, bytes]:
        """Status and body of its list of models, which nearly every OpenAI-compatible server has: a probe.

        Raises:
            aiohttp.ClientError: no answer.
            OSError: no answer.
        """
        timeout = aiohttp.ClientTimeout(total=PROBE)
        response = await self.session().get(self.models_url, timeout=timeout, allow_redirects=False)
        return response.status, await response.read()

    async def takes_chats(self) -> bool:
        """Whether there is a place for chats: an empty request is refused there, and not unknown.

        Raises:
            aiohttp.ClientError: no answer.
            OSError: no answer.
        """
        timeout = aiohttp.ClientTimeout(total=PROBE)
        response = await self.session().post(self.url, data=b"{}", timeout=timeout, allow_redirects=False)
        await response.read()
        return response.status in (400, 422)

    async def drop_connections(self) -> None:
        """Close all connections; requests in flight fail at once and are tried elsewhere."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def take(self, tokens: int) -> None:
        """A request of that many tokens is sent."""
        self.in_flight += 1
        self.outstanding += tokens

    def give(self, tokens: int) -> None:
        """It came back, well or not."""
        self.in_flight -= 1
        self.outstanding -= tokens

    def succeeded(self, now: float) -> None:
        """An answer arrived."""
        self.last_success = now
        self.failures = self.missed = 0
        self._hold = FIRST_HOLD
        if self.cap < self._settings.in_flight:
            self.cap = min(self.cap + 1.0 / self.cap, self._settings.in_flight)

    def refused_more(self, sent: float, now: float) -> None:
        """It answered 429. Only requests sent after the last lowering lower again: one burst counts once."""
        self.last_success = now
        if sent >= self._lowered:
            self.cap = max(1.0, min(self.cap, self.in_flight) * DECREASE)
            self._lowered = now

    def failed(self, now: float) -> bool:
        """A request failed; whether the replica is ejected for it."""
        self.failures += 1
        return self.failures >= self._settings.eject_after and self._eject(now)

    def strayed(self, now: float) -> bool:
        """It refused what the others answer; whether it is ejected for it."""
        return self._eject(now)

    def wants_probe(self, now: float) -> bool:
        """Whether it is to be asked if it is well: ejected long enough, or busy and silent."""
        if self.ejected_until is not None:
            return self.ejected_until <= now
        return self.in_flight > 0 and self.last_success < now - self._settings.probe_seconds

    def missed_probe(self, now: float, asked: float, is_last: bool = False) -> bool:
        """A probe sent at `asked` had no answer; whether the replica counts as dead for it. The last one does not:
        small servers answer no probe while they generate, and there is nowhere to go."""
        if self.last_success >= asked:
            return False
        self.missed += 1
        if self.ejected:
            return self.missed == MISSED_PROBES
        return not is_last and self.missed >= MISSED_PROBES and self._eject(now)

    def answered_probe(self, now: float) -> bool:
        """A probe was answered; whether the replica comes back by it. One more failure ejects it again at once."""
        self.missed = 0
        if self.ejected_until is None or now < self.ejected_until:
            return False
        self.ejected_until = None
        self.failures = self._settings.eject_after - 1
        return True

    def _eject(self, now: float) -> bool:
        if self.ejected:
            return False
        self.ejected_until = now + self._hold
        self._hold = min(self._hold * 2.0, LONGEST_HOLD)
        return True
