"""The arm of `dyad bench engine` that is AutoGen: a RoundRobinGroupChat of AssistantAgents on the same model.

    python -m benchmarks.engine_autogen SESSIONS TURNS

No guards, no journal, no tables. Prints one JSON object.
"""

import asyncio
import json
import sys
import time
from typing import Any

import uvloop
from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.conditions import MaxMessageTermination
from autogen_agentchat.teams import RoundRobinGroupChat

from benchmarks.instant_model import InstantModel

IN_FLIGHT = 64


async def play(sessions: int, turns: int) -> dict[str, Any]:
    """Play sessions, 64 at once as Dyad does by default; CPU and wall time in seconds."""
    client, places = InstantModel(), asyncio.Semaphore(IN_FLIGHT)
    spoken = 0

    async def session() -> None:
        nonlocal spoken
        async with places:
            agents = [
                AssistantAgent(name, model_client=client, system_message=f"You are the {name} of a session.")
                for name in ("therapist", "client")
            ]
            team = RoundRobinGroupChat(list(agents), termination_condition=MaxMessageTermination(turns + 1))
            result = await team.run(task="The conversation begins.")
            spoken += len(result.messages) - 1

    used, started = time.process_time(), time.perf_counter()
    await asyncio.gather(*(session() for _ in range(sessions)))
    return {"turns": spoken, "cpu_s": time.process_time() - used, "wall_s": time.perf_counter() - started}


if __name__ == "__main__":
    print(json.dumps(uvloop.run(play(*map(int, sys.argv[1:])))))
