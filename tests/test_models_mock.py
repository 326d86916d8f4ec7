"""The client against the mock server: faults change nothing that is said, affinity keeps prefixes where they are."""

import asyncio
import contextlib

from simulator.models.choice import Option, choose
from simulator.models.messages import Completion, Message, Request
from simulator.models.openai import OpenAIServerClient
from simulator.models.pools import Pools
from simulator.serving.mock import MockServer
from tests.model_server import no_sleep

FAULTS = {"500": 0.1, "hang": 0.05, "truncated": 0.02, "garbled": 0.02, "reset": 0.02, "429": 0.02, "wrong_model": 0.02}


async def talk(client: OpenAIServerClient, session: int, turns: int, stays: bool = True) -> list[Completion]:
    """One session: every answer becomes part of the next request. It stays where it is, or every turn goes anywhere."""
    history = [Message("system", f"You are person {session}. " * 20)]
    answers = []
    for turn in range(turns):
        history.append(Message("user", f"Turn {turn}, and how is it going?"))
        affinity = str(session) if stays else f"{session}:{turn}"
        answers.append(await client.complete(Request(history, seed=turn, affinity=affinity)))
        history.append(Message("assistant", answers[-1].text))
    return answers


def sessions(number: int, turns: int, faults: dict[str, float]) -> tuple[list[list[Completion]], MockServer]:
    async def main() -> tuple[list[list[Completion]], MockServer]:
        async with MockServer(models=["tiny"], faults=faults) as server:
            pool = {"deadline": 0.4, "eject_after": 30}
            client = OpenAIServerClient(Pools(sleep=no_sleep), name="tiny", url=server.base_url, pool=pool)
            told = await asyncio.gather(*(talk(client, n, turns) for n in range(number)))
            await client.close()
            return told, server

    return asyncio.run(main())


def test_under_faults_every_session_says_what_it_says_without_and_every_retry_is_counted() -> None:
    plain, quiet = sessions(40, 4, {})
    faulty, server = sessions(40, 4, FAULTS)
    assert [[answer.text for answer in one] for one in faulty] == [[answer.text for answer in one] for one in plain]
    retries = sum(answer.retries for one in faulty for answer in one)
    met = sum(count for count in server.counters.faults.values())
    assert retries == met > 20 and quiet.counters.requests == 160
    assert server.counters.requests == 160 + retries
    kinds = {fault.partition("@")[0] for one in faulty for a in one if a.faults for fault in a.faults.split("; ")}
    assert {"http_500", "timeout", "truncated", "http_429", "wrong_model"} <= kinds


def test_affinity_keeps_the_prefix_cache_hit_rate_of_one_replica() -> None:
    def rate(replicas: int, stays: bool = True) -> float:
        async def main() -> float:
            async with contextlib.AsyncExitStack() as stack:
                size = 8000 // replicas
                servers = [MockServer(models=["tiny"], replica=str(n), cache_blocks=size) for n in range(replicas)]
                url = [(await stack.enter_async_context(server)).base_url for server in servers]
                client = OpenAIServerClient(Pools(sleep=no_sleep), name="tiny", url=url)
                told = await asyncio.gather(*(talk(client, n, 5, stays) for n in range(30)))
                await client.close()
            answers = [answer for one in told for answer in one]
            return sum(a.cached_tokens or 0 for a in answers) / sum(a.prompt_tokens for a in answers)

        return asyncio.run(main())

    one, two, scattered = rate(1), rate(2), rate(2, stays=False)
    assert two > 0.95 * one > 0.5
    assert scattered < 0.9 * two


def test_a_refusal_is_read_beside_the_labels() -> None:
    async def main() -> None:
        rules = [{"match": "how often", "distribution": {"A": 1, "B": 3}, "refusal": 0.4}]
        async with MockServer(models=["tiny"], rules=rules) as server:
            client = OpenAIServerClient(name="tiny", url=server.base_url)
            options = [Option("never", "Never", 0), Option("often", "Often", 1)]
            asked = [Message("system", "S")]
            choice = await choose(client, asked, options, seed=1, question="how often?", order="given")
            assert choice.mass["often"] > 2.9 * choice.mass["never"] > 0.4
            assert 0.39 < (choice.outside or 0) < 0.41 and choice.value in ("never", "often")
            await client.close()

    asyncio.run(main())
