"""A scripted client that takes its time, so that a job can be hit while it writes."""

import asyncio

from simulator.agents.base import TurnMessage
from simulator.agents.scripted.client import ScriptedClient

SECONDS_PER_TURN = 0.004


class SlowClient(ScriptedClient):
    """Says what the scripted client says, four milliseconds later."""

    async def respond(self, turn: int, seed: int) -> TurnMessage:
        await asyncio.sleep(SECONDS_PER_TURN)
        return await super().respond(turn, seed)
