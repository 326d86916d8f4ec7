"""The arm of `dyad bench http` that is AutoGen: a RoundRobinGroupChat of AssistantAgents with AutoGen's OpenAI client.

    python -m benchmarks.http_autogen URL TEMPLATE SESSIONS TURNS IN_FLIGHT

The agents get the instructions of Dyad's chairs, so that requests are about as long. Prints one JSON object.
"""

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

import uvloop
from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.conditions import MaxMessageTermination
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_ext.models.openai import OpenAIChatCompletionClient


async def play(url: str, template: dict[str, Any], sessions: int, turns: int, in_flight: int) -> dict[str, Any]:
    """Play sessions, so many at once; CPU and wall time in seconds."""
    model_info = {"vision": False, "function_calling": False, "json_output": False, "structured_output": False}
    client = OpenAIChatCompletionClient(
        model=template["head"]["model"], base_url=url, api_key="none", model_info={**model_info, "family": "unknown"}
    )
    places = asyncio.Semaphore(in_flight)
    spoken = 0

    async def session(plan: dict[str, Any]) -> None:
        nonlocal spoken
        async with places:
            systems = [
                "\n\n".join(template["texts"][text] for role, text in [*before, *after] if role == "system")
                for before, after in plan["chairs"]
            ]
            agents = [
                AssistantAgent(name, model_client=client, system_message=system)
                for name, system in zip(("therapist", "client"), systems, strict=True)
            ]
            team = RoundRobinGroupChat(list(agents), termination_condition=MaxMessageTermination(turns + 1))
            result = await team.run(task="The conversation begins.")
            spoken += len(result.messages) - 1

    used, started = time.process_time(), time.perf_counter()
    plans = template["sessions"]
    await asyncio.gather(*(session(plans[n % len(plans)]) for n in range(sessions)))
    cpu, wall = time.process_time() - used, time.perf_counter() - started
    await client.close()
    return {"turns": spoken, "cpu_s": cpu, "wall_s": wall}


if __name__ == "__main__":
    url, template, *numbers = sys.argv[1:]
    print(json.dumps(uvloop.run(play(url, json.loads(Path(template).read_text()), *(int(one) for one in numbers)))))
