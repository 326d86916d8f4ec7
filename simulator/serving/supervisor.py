"""Replicas as processes: started, watched, started again, drained.

The endpoint file holds exactly the replicas that answer `/health`: one that dies or falls silent leaves it at once, so
that runs spill to the others, and comes back once it answers again. On SIGTERM, SIGUSR1 (which `srun` hands on) or
Ctrl-C the file is emptied first, then requests in flight get time to end, then servers are told to stop; a second
signal stops them at once.
"""

import asyncio
import contextlib
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from simulator.errors import UserError
from simulator.serving.commands import ReplicaPlan
from simulator.serving.endpoint_file import Endpoint, EndpointFile
from simulator.serving.processes import DRAIN_SIGNALS, end_group, how_ended, last_line, last_words, log_of, start_server
from simulator.serving.settings import ServingSettings

PROBE_SECONDS = 1.0
SILENT_AFTER = 5
"""Probes without an answer, in a row, after which a replica that was ready leaves the endpoint file."""
_BUSY = re.compile(r"^vllm:num_requests_(?:running|waiting)\{[^}]*\} ([0-9.e+]+)$", re.MULTILINE)


@dataclass(slots=True)
class _Replica:
    plan: ReplicaPlan
    log: Path
    process: asyncio.subprocess.Process | None = None
    starts: int = 0
    ready: bool = False
    ever_ready: bool = False
    silent: int = 0


class Supervisor:
    """Keeps replicas running until it is told to stop.

    Args:
        plans: what to start.
        settings: how long things may take, and whether to restart.
        endpoints: where ready replicas are named.
        tell: gets one line about each thing that happens.
    """

    def __init__(
        self,
        plans: Sequence[ReplicaPlan],
        settings: ServingSettings,
        endpoints: EndpointFile,
        tell: Callable[[str], None],
    ) -> None:
        self._settings, self._endpoints, self._tell = settings, endpoints, tell
        self._replicas = [_Replica(plan, log_of(plan, settings)) for plan in plans]
        self._stop = asyncio.Event()
        self._signals = 0
        self._all_ready_said = self._unwritten = False

    async def run(self) -> int:
        """Until all have ended (1) or the drain is over (0).

        Raises:
            UserError: a replica ended before it was ever ready, and is not to be restarted; the others are stopped.
        """
        loop = asyncio.get_running_loop()
        for number in DRAIN_SIGNALS:
            loop.add_signal_handler(number, self._on_signal)
        try:
            async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as http:
                keepers = [asyncio.create_task(self._keep(replica, http)) for replica in self._replicas]
                stopping = asyncio.create_task(self._stop.wait())
                teller = asyncio.create_task(self._tell_waiting())
                await self._until_over(keepers, stopping)
                asked = self._signals > 0
                self._stop.set()
                await self._drain(http)
                for task in (*keepers, stopping, teller):
                    task.cancel()
                ends = await asyncio.gather(*keepers, stopping, teller, return_exceptions=True)
        finally:
            for number in DRAIN_SIGNALS:
                loop.remove_signal_handler(number)
            with contextlib.suppress(OSError):
                self._endpoints.close()
        for end in ends:
            if isinstance(end, UserError):
                raise end
        return 0 if asked else 1

    async def _until_over(self, keepers: Sequence[asyncio.Task[None]], stopping: asyncio.Task[bool]) -> None:
        """Until a signal comes, a replica turns out not to start, or none is left."""
        pending: set[asyncio.Task[Any]] = {*keepers, stopping}
        while not self._stop.is_set() and any(not keeper.done() for keeper in keepers):
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            if any(task.exception() is not None for task in done):
                return

    def _on_signal(self) -> None:
        self._signals += 1
        self._stop.set()
        if self._signals > 1:
            self._kill_all()

    async def _keep(self, replica: _Replica, http: aiohttp.ClientSession) -> None:
        """Run one replica, again and again where it is to be restarted."""
        while True:
            await self._start(replica)
            assert replica.process is not None
            prober = asyncio.create_task(self._probe(replica, http))
            code = await replica.process.wait()
            prober.cancel()
            end_group(replica.process.pid)  # a server's own children do not outlive it
            was_ready, replica.ready = replica.ready, False
            self._remove(replica)
            if self._stop.is_set():
                return
            ended = f"replica {replica.plan.index} ended ({how_ended(code)})"
            if not was_ready:
                ended += f" before it was ready: {last_words(replica.log)}"
            ended += f"; log: {replica.log}"
            if not replica.ever_ready:
                raise UserError(ended)
            if not self._settings.restart:
                self._tell(ended)
                return
            pause = min(60.0, 2.0 ** min(replica.starts, 6) / 2)
            self._tell(f"{ended}; starting it again in {pause:g} s")
            await asyncio.sleep(pause)

    async def _start(self, replica: _Replica) -> None:
        replica.starts += 1
        replica.process = await start_server(replica.plan, replica.log)

    async def _probe(self, replica: _Replica, http: aiohttp.ClientSession) -> None:
        """Follow a replica's health: into the endpoint file, out of it, and in again."""
        assert replica.process is not None
        started, once_ready = time.monotonic(), False
        while True:
            well = await self._answers(replica, http)
            replica.silent = 0 if well else replica.silent + 1
            if well and not replica.ready and not self._stop.is_set():
                replica.ready = replica.ever_ready = once_ready = True
                self._endpoints.add(
                    Endpoint(replica.plan.url, replica.plan.model, replica.plan.index, replica.process.pid)
                )
                self._publish()
                took = time.monotonic() - started
                self._tell(f"replica {replica.plan.index} is ready after {took:.0f} s: {replica.plan.url}")
                self._say_all_ready()
            elif replica.ready and replica.silent >= SILENT_AFTER:
                replica.ready = False
                self._remove(replica)
                self._tell(f"replica {replica.plan.index} does not answer; it is out of {self._endpoints.path}")
            elif not once_ready and time.monotonic() - started > self._settings.ready_seconds:
                self._tell(
                    f"replica {replica.plan.index} is not ready after {self._settings.ready_seconds:g} s; stopped"
                )
                end_group(replica.process.pid)
                return
            elif self._unwritten:
                self._publish()
            await asyncio.sleep(PROBE_SECONDS)

    def _remove(self, replica: _Replica) -> None:
        if self._endpoints.remove(replica.plan.index) or self._unwritten:
            self._publish()

    def _publish(self) -> None:
        """Write the endpoint file; where that fails, servers go on, and it is tried again at the next probe."""
        try:
            self._endpoints.write()
        except OSError as error:
            if not self._unwritten:
                self._tell(
                    f"cannot write {self._endpoints.path} ({error.strerror}); trying again, runs do not know yet"
                )
            self._unwritten = True
        else:
            self._unwritten = False

    async def _answers(self, replica: _Replica, http: aiohttp.ClientSession) -> bool:
        try:
            async with http.get(f"{replica.plan.local}/health") as response:
                return response.status == 200
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False

    def _say_all_ready(self) -> None:
        if not self._all_ready_said and all(replica.ready for replica in self._replicas):
            self._all_ready_said = True
            self._tell(f"all {len(self._replicas)} ready: dyad run model.endpoints={self._endpoints.path} ...")

    async def _tell_waiting(self) -> None:
        """While a replica starts, its last line of log, now and then."""
        while True:
            await asyncio.sleep(15)
            for replica in self._replicas:
                if replica.process is not None and replica.process.returncode is None and not replica.ever_ready:
                    self._tell(f"replica {replica.plan.index}: {last_line(replica.log)}")

    async def _drain(self, http: aiohttp.ClientSession) -> None:
        running = [r for r in self._replicas if r.process is not None and r.process.returncode is None]
        for replica in running:
            self._remove(replica)
        deadline = time.monotonic() + self._settings.drain_seconds
        if any(replica.ready for replica in running):
            self._tell(f"draining {len(running)} replicas, at most {self._settings.drain_seconds:g} s")
        while self._signals < 2 and time.monotonic() < deadline:
            busy = await asyncio.gather(*(self._in_flight(replica, http) for replica in running if replica.ready))
            if not any(busy):
                break
            await asyncio.sleep(0.5)
        for replica in running:
            with contextlib.suppress(ProcessLookupError):
                replica.process.terminate()  # type: ignore[union-attr]
        waits = [asyncio.create_task(replica.process.wait()) for replica in running]  # type: ignore[union-attr]
        if waits:
            await asyncio.wait(waits, timeout=15)
        self._kill_all()
        if waits:
            await asyncio.wait(waits, timeout=5)

    async def _in_flight(self, replica: _Replica, http: aiohttp.ClientSession) -> float:
        """Requests that a server is working on, by its own metrics; 0 where it does not say."""
        try:
            async with http.get(f"{replica.plan.local}/metrics") as response:
                return sum(float(value) for value in _BUSY.findall(await response.text()))
        except (aiohttp.ClientError, TimeoutError, OSError):
            return 0.0

    def _kill_all(self) -> None:
        for replica in self._replicas:
            if replica.process is not None:
                end_group(replica.process.pid)
