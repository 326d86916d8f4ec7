"""This machine's part of a server that several machines share, where another machine (node 0) answers the requests.

It does not listen, so there is nothing to probe and nothing to publish. It runs until node 0 is done with it: a drain
is node 0's to do, and only what still runs after it is stopped here.
"""

import asyncio
import contextlib
from collections.abc import Callable

from simulator.serving.commands import ReplicaPlan
from simulator.serving.processes import DRAIN_SIGNALS, end_group, how_ended, last_words, log_of, start_server
from simulator.serving.settings import ServingSettings

GRACE_SECONDS = 15.0
"""What node 0 may take to end after its drain."""


async def run_headless(plan: ReplicaPlan, settings: ServingSettings, tell: Callable[[str], None]) -> int:
    """Until the server ends: 0 after a signal, else 1.

    Raises:
        UserError: it cannot be started.
    """
    log = log_of(plan, settings)
    stop, now = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in DRAIN_SIGNALS:
        loop.add_signal_handler(number, lambda: (now if stop.is_set() else stop).set())
    process = await start_server(plan, log)
    ended = asyncio.create_task(process.wait())
    asked, at_once = asyncio.create_task(stop.wait()), asyncio.create_task(now.wait())
    try:
        await asyncio.wait({ended, asked}, return_when=asyncio.FIRST_COMPLETED)
        if not stop.is_set():
            tell(f"node {plan.node} ended ({how_ended(await ended)}): {last_words(log)}; log: {log}")
            return 1
        limit = settings.drain_seconds + GRACE_SECONDS
        await asyncio.wait({ended, at_once}, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        if not ended.done():
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await asyncio.wait({ended, at_once}, timeout=GRACE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        return 0
    finally:
        end_group(process.pid)
        await ended
        for task in (asked, at_once):
            task.cancel()
        for number in DRAIN_SIGNALS:
            loop.remove_signal_handler(number)
