"""Replicas of one model: where a request goes, and what happens when that fails.

A session's requests go to its home, the replica that holds its prefix (rendezvous hashing, so that a replica that
joins or leaves moves only its own share of the sessions). They spill to the replica with the fewest outstanding
tokens when home has far more than its share, and elsewhere when home is full, ejected or has just failed. What may
pass is tried again, a bounded number of times with full jitter, and every failed attempt is reported; what cannot
pass ends the request at once. A request that is tried again is the same bytes.
"""

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NoReturn, TypeVar

import aiohttp
import msgspec

from simulator.errors import UserError
from simulator.models.descriptors import Gate
from simulator.models.endpoints import Endpoints
from simulator.models.faults import NO_DESCRIPTORS, Fault, ModelError, fault_of, judge_reply, judge_status
from simulator.models.replica import CONNECT, Replica
from simulator.models.replies import Served, read_served
from simulator.models.settings import Key, PoolSettings
from simulator.records.seeds import key64

T = TypeVar("T")

LONGEST_WAIT = 60.0
"""Most seconds that a server's Retry-After is heeded."""

_log = logging.getLogger("dyad.models")
_ASTRAY = frozenset({"wrong_model", "wrong_endpoint", "unauthorized"})
"""What one replica may say while the others are well: its address became another server's."""
_FINAL = {
    NO_DESCRIPTORS: NO_DESCRIPTORS,
    "timeout": "timeout",
    "truncated": "truncated",
    "http_429": "rate_limited",
    "wrong_model": "wrong_model",
}


@dataclass(slots=True)
class Trip:
    """How a request got its answer: who gave it, the attempts that failed (`kind@replica; ...`), the answer's bytes."""

    replica: str
    retries: int
    faults: str | None
    body: bytes


class Pool:
    """The replicas of one model.

    Made anywhere, bound to the event loop in which it is first used; used in another loop it starts afresh there.

    Args:
        endpoints: where the replicas are.
        settings: how requests are spread and retried.
        key: sent to every replica.
        gate: shared with the other pools of the process.
        sleep: waits between attempts (tests inject one that does not).
        clock: monotonic seconds.
    """

    def __init__(
        self,
        endpoints: Endpoints,
        settings: PoolSettings,
        key: Key,
        gate: Gate,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._endpoints, self._settings, self._key, self._gate = endpoints, settings, key, gate
        self._sleep, self._clock = sleep, clock
        self._timeout = aiohttp.ClientTimeout(total=settings.deadline, sock_connect=CONNECT)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._upkeep: asyncio.Task[None] | None = None
        self._leavers: list[Replica] = []
        self._well: list[Replica] = []
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._has_answered = False
        self._news: list[str] = []
        self.replicas: list[Replica] = []

    async def post(
        self,
        body: bytes,
        decode: Callable[[bytes], T],
        model: str,
        affinity: str = "",
        tokens: int = 1,
        deadline: float | None = None,
    ) -> tuple[T, Trip]:
        """The decoded answer to a chat request, and how it was got.

        Args:
            body: the whole request.
            decode: reads a 200's body; raises `msgspec.DecodeError` where it is cut off, `Fault` where it will not do.
            model: the name asked for, for error lines.
            affinity: requests with one key stay together; any replica will do where it is empty.
            tokens: what the request weighs (an estimate of prompt and answer).
            deadline: seconds for one attempt, in place of the configured ones.

        Raises:
            ModelError: there is no answer.
        """
        self._bind()
        timeout = self._timeout
        if deadline is not None:
            timeout = aiohttp.ClientTimeout(total=deadline, sock_connect=CONNECT)
        key = key64(affinity) if affinity else None
        faults: list[str] = []
        avoided: Replica | None = None
        while True:
            replica = await self._place(key, avoided, faults)
            sent = self._clock()
            try:
                content = await self._attempt(replica, body, tokens, timeout, model)
                answer = self._decoded(content, decode, model, replica)
            except Fault as fault:
                faults.append(self._note(fault, replica, sent))
                if len(faults) >= self._settings.attempts:
                    self._give_up(fault, replica, faults)
                avoided = replica
                await self._sleep(self._pause(len(faults), fault.wait))
            except ModelError as error:
                if error.kind in _ASTRAY and len(faults) < self._settings.attempts - 1 and self._is_spare(replica):
                    faults.append(self._leave_out(replica, error.kind))
                    avoided = replica
                    continue
                replica.succeeded(self._clock())  # a refusal is a sign of life
                error.retries, error.faults = len(faults), self._told(faults)
                raise
            else:
                replica.succeeded(self._clock())
                self._has_answered = True
                told = self._told(faults) if faults or self._news else None
                return answer, Trip(replica.name, len(faults), told, content)

    async def _attempt(
        self, replica: Replica, body: bytes, tokens: int, timeout: aiohttp.ClientTimeout, model: str
    ) -> bytes:
        replica.take(tokens)
        try:
            await self._gate.enter()
            try:
                response = await replica.session().post(replica.url, data=body, timeout=timeout, allow_redirects=False)
                content = await response.read()
            finally:
                self._gate.leave()
        except (aiohttp.ClientError, OSError) as error:
            raise fault_of(error) from None
        finally:
            replica.give(tokens)
            self._wake(replica)
        if response.status != 200:
            text = response.headers.get("Retry-After")
            raise judge_status(response.status, content, text, model, replica.name, self._key)
        return content

    def _decoded(self, content: bytes, decode: Callable[[bytes], T], model: str, replica: Replica) -> T:
        try:
            return decode(content)
        except msgspec.DecodeError:
            raise judge_reply(content, model, replica.name, self._key) from None

    def _note(self, fault: Fault, replica: Replica, sent: float) -> str:
        now = self._clock()
        if fault.kind == "http_429":
            replica.refused_more(sent, now)
        elif fault.kind == NO_DESCRIPTORS:
            pass
        elif replica.failed(now):
            self._eject(replica, f"{self._settings.eject_after} failures in a row, the last: {fault.kind}")
            return f"{fault.kind}@{replica.name} ejected"
        return f"{fault.kind}@{replica.name}"

    def _is_spare(self, replica: Replica) -> bool:
        """Whether another replica is well."""
        return any(one is not replica for one in self._well)

    def _leave_out(self, replica: Replica, kind: str) -> str:
        """Leave a replica out that answers and is not what the others are."""
        if replica.strayed(self._clock()):
            self._eject(replica, kind)
            return f"{kind}@{replica.name} ejected"
        return f"{kind}@{replica.name}"

    def _pause(self, failed: int, wait: float | None) -> float:
        longest = min(self._settings.backoff_limit, self._settings.backoff * 2.0 ** (failed - 1))
        return max(self._jitter.uniform(0.0, longest), min(wait or 0.0, LONGEST_WAIT))

    def _give_up(self, fault: Fault, replica: Replica, faults: list[str]) -> NoReturn:
        kind = _FINAL.get(fault.kind, "server_error" if fault.kind.startswith("http_") else "unreachable")
        raise ModelError(
            kind,
            f"no answer after {len(faults)} attempts, the last at {replica.name} ({fault.kind}); {fault.advice}",
            replica.name,
            len(faults) - 1,
            self._told(faults),
        ) from None

    def _told(self, faults: list[str]) -> str | None:
        """What failed, for the accounting, after what became of replicas since the last call (`silent`, `gone`)."""
        news, self._news = self._news, []
        return "; ".join([*news, *faults]) or None

    async def _place(self, key: int | None, avoided: Replica | None, faults: list[str]) -> Replica:
        """A replica with room; waits for one."""
        replica = self._pick(key, avoided)
        if replica is not None:
            return replica
        loop = asyncio.get_running_loop()
        until: float | None = None
        while True:
            replica = self._pick(key, None)
            if replica is not None:
                return replica
            until = None if self._well else until or loop.time() + self._settings.patience
            if self.replicas and not self._well and not self._has_answered:
                return next((one for one in self.replicas if one is not avoided), self.replicas[0])
            turn = loop.create_future()
            self._waiters.append(turn)
            try:
                async with asyncio.timeout_at(until):
                    await turn
            except TimeoutError:
                names = ", ".join(one.name for one in self.replicas) or "the endpoint file names none"
                raise ModelError(
                    "unreachable",
                    f"no replica came back within {self._settings.patience:g} s ({names}); check the servers",
                    retries=len(faults),
                    faults=self._told(faults),
                ) from None
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._wake_one()  # our place goes to the next in line
                raise

    def _pick(self, key: int | None, avoided: Replica | None) -> Replica | None:
        """Home, or the replica to spill to; None where all are full or ejected."""
        candidates = self._well
        if avoided is not None and len(candidates) > 1:
            candidates = [one for one in candidates if one is not avoided]
        if len(candidates) == 1:
            only = candidates[0]
            return only if only.has_room else None
        if key is not None and candidates:
            home = max(candidates, key=lambda one: one.score(key))
            if home.has_room and not self._overloaded(home, candidates):
                return home
        return min((one for one in candidates if one.has_room), key=lambda one: one.outstanding, default=None)

    def _overloaded(self, home: Replica, candidates: list[Replica]) -> bool:
        if home.in_flight < self._settings.spill_requests:
            return False
        mean = sum(one.outstanding for one in candidates) / len(candidates)
        return home.outstanding > self._settings.spill_factor * mean

    def _wake(self, replica: Replica) -> None:
        room = int(replica.cap) - replica.in_flight
        while room > 0 and self._waiters:
            self._wake_one()
            room -= 1

    def _wake_one(self) -> None:
        while self._waiters:
            turn = self._waiters.popleft()
            if not turn.done():
                turn.set_result(None)
                return

    def _wake_all(self) -> None:
        while self._waiters:
            self._wake_one()

    def _eject(self, replica: Replica, why: str) -> None:
        _log.warning("replica %s is left out (%s); it is probed and comes back when it answers", replica.name, why)
        self._sort_out()
        if not self._well:
            self._wake_all()  # who waits for room now waits for a replica, and not for ever

    def _sort_out(self) -> None:
        self._well = [one for one in self.replicas if not one.ejected]

    def _bind(self) -> None:
        loop = asyncio.get_running_loop()
        if loop is self._loop:
            return
        self._endpoints.first_look()
        self._loop = loop
        self._jitter = random.Random()  # made here, so that forked workers do not retry in step
        self._waiters.clear()
        self.replicas, self._leavers = [], []
        self._renew()
        self._upkeep = loop.create_task(self._keep_up(), name="dyad-pool")

    def _renew(self) -> None:
        """Take up the addresses as they are now; replicas that left finish what they have in hand."""
        known = {one.name: one for one in (*self._leavers, *self.replicas)}
        addresses = self._endpoints.addresses
        self._news += [f"gone@{one.name}" for one in self.replicas if one.name not in addresses]
        self.replicas = [known.get(name) or Replica(name, self._settings, self._key) for name in addresses]
        self._leavers = [one for one in known.values() if one.name not in addresses]
        self._sort_out()
        self._wake_all()

    async def _keep_up(self) -> None:
        try:
            while True:
                await asyncio.sleep(self._settings.probe_seconds)
                try:
                    await self.maintain()
                except Exception as error:  # the next round may go better; without any, no replica ever came back
                    _log.warning("upkeep of model servers failed (%s); it goes on", type(error).__name__)
        finally:
            for replica in [*self.replicas, *self._leavers]:
                await replica.drop_connections()

    async def maintain(self) -> None:
        """One round of upkeep: the endpoint file, replicas that left, probes of silent and ejected ones."""
        self._bind()
        if self._endpoints.changed():
            self._renew()
        for replica in [one for one in self._leavers if not one.in_flight]:
            self._leavers.remove(replica)
            await replica.drop_connections()
        now = self._clock()
        due = [one for one in (*self.replicas, *self._leavers) if one.wants_probe(now)]
        await asyncio.gather(*(self._probe(one) for one in due))

    async def _probe(self, replica: Replica) -> None:
        asked = self._clock()
        try:
            alive = (await replica.list_models())[0] < 500
        except (aiohttp.ClientError, OSError):
            alive = False
        now = self._clock()
        if alive:
            if replica.answered_probe(now):
                _log.warning("replica %s is back", replica.name)
                self._sort_out()
                self._wake_all()
            return
        was_ejected = replica.ejected
        if replica.missed_probe(now, asked, is_last=self._well == [replica]):
            if not was_ejected:
                self._eject(replica, "it answers neither requests nor probes")
                self._news.append(f"silent@{replica.name} ejected")
            await replica.drop_connections()

    async def served(self) -> dict[str, list[Served]]:
        """The models that each answering replica lists; empty where those that answer have no such list.

        Raises:
            UserError: no replica answers, one refuses the key, or what answers is no such server.
        """
        self._bind()
        lists: dict[str, list[Served]] = {}
        said, unlisted = [], False
        for found in await asyncio.gather(*(self._listed(one) for one in self.replicas)):
            if isinstance(found, str):
                said.append(found)
            elif found[1] is not None:
                lists[found[0]] = found[1]
            else:
                unlisted = True
                _log.warning("%s lists no models; the first answer shows which one it serves", found[0])
        if lists or unlisted:
            return lists
        raise UserError(f"no model server answers ({'; '.join(said)}); start it, or check model.url or model.endpoints")

    async def _listed(self, replica: Replica) -> tuple[str, list[Served] | None] | str:
        """(its address, its models or None where it takes chats and has no list), or why it does not answer."""
        try:
            status, body = await replica.list_models()
            if status in (404, 405, 501) and await replica.takes_chats():
                return replica.name, None
        except (aiohttp.ClientError, OSError) as error:
            return f"{replica.name}: {fault_of(error).kind}"
        if status in (401, 403):
            raise UserError(f"{replica.name} refused the key ({status}); check model.api_key_env")
        if status != 200:
            return f"{replica.name}: status {status}"
        try:
            return replica.name, read_served(body)
        except msgspec.DecodeError:
            return f"{replica.name}: no list of models"

    async def close(self) -> None:
        """Close all connections; the pool starts afresh when it is used again."""
        task, self._upkeep, self._loop = self._upkeep, None, None
        if task is not None and not task.done() and task.get_loop() is asyncio.get_running_loop():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
