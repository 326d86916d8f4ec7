"""Scripted clients that take their time, or wait to be told, so that a job can be hit while it writes."""

import asyncio
import os
import time
from pathlib import Path

from simulator.agents.base import TurnMessage
from simulator.agents.scripted.client import ScriptedClient

SECONDS_PER_TURN = 0.004


class SlowClient(ScriptedClient):
    """Says what the scripted client says, four milliseconds later."""

    async def respond(self, turn: int, seed: int) -> TurnMessage:
        await asyncio.sleep(SECONDS_PER_TURN)
        return await super().respond(turn, seed)


class GatedClient(ScriptedClient):
    """Says what the scripted client says; where DYAD_TEST_GATE names a file, a process comes no further than
    `FREE_TURNS` until that file is there."""

    FREE_TURNS = 300
    GATE_SECONDS = 120.0
    turns = 0

    async def respond(self, turn: int, seed: int) -> TurnMessage:
        GatedClient.turns += 1
        gate = os.environ.get("DYAD_TEST_GATE")
        if gate is not None and GatedClient.turns > self.FREE_TURNS:
            until = time.monotonic() + self.GATE_SECONDS
            while not Path(gate).exists():
                if time.monotonic() > until:
                    raise TimeoutError("nobody opened the gate")
                await asyncio.sleep(0.02)
        return await super().respond(turn, seed)
