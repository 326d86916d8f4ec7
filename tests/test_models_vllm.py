"""The client against real vLLM on the CPU, with a tiny model of random weights. Skipped where there is no vLLM."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from simulator.models.choice import Option, choose
from simulator.models.faults import ModelError
from simulator.models.messages import Completion, Message, Request
from simulator.models.openai import OpenAIServerClient
from tests.tiny_model import TEMPLATES

PYTHON = os.environ.get("DYAD_VLLM_PYTHON")
ROOT = Path(__file__).parent.parent
LENGTH = 2048

pytestmark = [
    pytest.mark.skipif(not PYTHON, reason="DYAD_VLLM_PYTHON is not set (.ci/vllm-env prints one)"),
    pytest.mark.xdist_group("vllm"),
]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a vLLM server with the tiny model."""
    folder = tmp_path_factory.mktemp("vllm")
    subprocess.run([str(PYTHON), str(ROOT / "tests" / "tiny_model.py"), str(folder / "tiny")], check=True, timeout=300)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
    words = ["--model", str(folder / "tiny"), "--served-model-name", "tiny", "--port", str(port)]
    words += ["--enforce-eager", "--trust-request-chat-template", "--enable-prompt-tokens-details"]
    words += ["--max-model-len", str(LENGTH), "--host", "127.0.0.1"]
    env = {**os.environ, "VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1"}
    with (folder / "log").open("wb") as log:
        command = [str(PYTHON), "-m", "vllm.entrypoints.openai.api_server", *words]
        server = subprocess.Popen(command, stdout=log, stderr=log, env=env, cwd=folder, start_new_session=True)
    try:
        until = time.monotonic() + 300
        while True:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1)
                break
            if server.poll() is not None or time.monotonic() > until:
                pytest.fail(f"vLLM did not start: {(folder / 'log').read_text()[-2000:]}")
            time.sleep(0.5)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(60)


def run(url: str, play: Callable[[OpenAIServerClient], Awaitable[Any]], **config: Any) -> Any:
    config = {"name": "tiny", "sampling": {"max_tokens": 8}, "answer_prefix": True, **config}

    async def main() -> Any:
        client = OpenAIServerClient(url=url, **config)
        try:
            return await play(client)
        finally:
            await client.close()

    return asyncio.run(main())


CONVERSATIONS = {
    "therapist first": ["user", "assistant", "user"],
    "client first": ["assistant", "user", "assistant", "user"],
    "own opening": [],
    "two in a row": ["user", "user"],
}
REFUSED = {
    "free": set(),
    "no_system": set(CONVERSATIONS),
    "alternating": {"client first", "two in a row"},
    "user_first": {"client first", "own opening"},
    "strict": set(CONVERSATIONS),
}
"""Conversations that each template refuses as they are."""
WORKING = {
    "free": {"system": "keep", "opener": None},
    "no_system": {"system": "fold"},
    "alternating": {"system": "first", "alternate": True},
    "user_first": {"system": "keep"},
    "strict": {"system": "fold", "alternate": True},
}


@pytest.mark.parametrize("order", CONVERSATIONS)
@pytest.mark.parametrize("template", TEMPLATES)
def test_every_kind_of_template_takes_every_conversation_through_its_role_mapping(
    url: str, template: str, order: str
) -> None:
    said = [Message(role, f"turn {n}") for n, role in enumerate(CONVERSATIONS[order])]  # type: ignore[arg-type]
    messages = [Message("system", "You are a client."), *said, Message("system", "Stay who you are.")]
    config: dict[str, Any] = {"extra_body": {"chat_template": TEMPLATES[template]}, "roles": WORKING[template]}

    async def play(client: OpenAIServerClient) -> Completion:
        return await client.complete(Request(messages, seed=1))

    assert run(url, play, **config).completion_tokens > 0
    config["roles"] = {"system": "keep", "opener": None}
    if order in REFUSED[template]:
        with pytest.raises(ModelError) as caught:
            run(url, play, **config)
        assert caught.value.kind == "bad_request"
    else:
        assert run(url, play, **config).completion_tokens > 0


def test_a_seed_decides_the_answer(url: str) -> None:
    async def play(client: OpenAIServerClient) -> list[str]:
        hello = [Message("user", "Hello?")]
        return [(await client.complete(Request(hello, seed=seed))).text for seed in (2**53 - 1, 2**53 - 1, 3)]

    first, again, other = run(url, play, sampling={"temperature": 1.0, "max_tokens": 16})
    assert first == again != other


def test_usage_tells_what_the_prefix_cache_held(url: str) -> None:
    async def play(client: OpenAIServerClient) -> Completion:
        history = [Message("system", "A long beginning. " * 60), Message("user", "Hello?")]
        await client.complete(Request(history))
        return await client.complete(Request([*history, Message("user", "And?")]))

    answer = run(url, play)
    assert answer.cached_tokens and 0.5 * answer.prompt_tokens < answer.cached_tokens <= answer.prompt_tokens
    assert answer.model == "tiny" and answer.finish_reason == "length"


def test_choices_and_schemas_hold_the_answer(url: str) -> None:
    async def play(client: OpenAIServerClient) -> tuple[Completion, Completion]:
        hello = [Message("user", "Hello?")]
        chosen = await client.complete(Request(hello, choice=["banana", "apple"], seed=1))
        number = {"n": {"enum": [1, 2]}}
        schema = {"type": "object", "properties": number, "required": ["n"], "additionalProperties": False}
        shaped = await client.complete(Request(hello, schema=schema, seed=1, sampling={"max_tokens": 64}))
        return chosen, shaped

    chosen, shaped = run(url, play)
    assert chosen.text in ("banana", "apple")
    assert json.loads(shaped.text) in ({"n": 1}, {"n": 2})


@pytest.mark.parametrize("prefix", ["", "Answer:"])
def test_a_random_model_does_not_answer_and_its_choice_is_missing(url: str, prefix: str) -> None:
    options = [Option("a", "One", 0), Option("b", "Two", 1), Option("c", "Three", 2)]

    async def play(client: OpenAIServerClient) -> Any:
        read = await choose(client, [Message("user", "Context.")], options, seed=1, prefix=prefix)
        eager = await choose(client, [Message("user", "Context.")], options, seed=1, prefix=prefix, least_share=0.0)
        return read, eager

    read, eager = run(url, play)
    assert read.value is None and "the options hold 0.0" in read.missing_reason and read.outside > 0.9
    assert sum(eager.mass.values()) + eager.outside == pytest.approx(1.0)
    assert eager.value in "abc" and sum(eager.probabilities.values()) == pytest.approx(1.0)


def test_a_forced_choice_and_samples(url: str) -> None:
    options = [Option("a", "One"), Option("b", "Two")]

    async def play(client: OpenAIServerClient) -> Any:
        forced = await choose(client, [Message("user", "C.")], options, seed=1, fallback="forced")
        sampled = await choose(client, [Message("user", "C.")], options, seed=1, samples=3)
        return forced, sampled

    forced, sampled = run(url, play, logprobs=False)
    assert forced.forced and forced.value in ("a", "b")
    assert sampled.method == "samples" and len(sampled.errors) == 2


def test_what_vllm_refuses_is_typed(url: str) -> None:
    async def overflow(client: OpenAIServerClient) -> None:
        await client.complete(Request([Message("user", "Hello? " * LENGTH)]))

    async def hello(client: OpenAIServerClient) -> None:
        await client.complete(Request([Message("user", "Hello?")]))

    for play, config, kind in [
        (overflow, {}, "context_overflow"),
        (hello, {"sampling": {"max_tokens": 2 * LENGTH}}, "context_overflow"),
        (hello, {"name": "tinny"}, "wrong_model"),
    ]:
        with pytest.raises(ModelError) as caught:
            run(url, play, **config)  # type: ignore[arg-type]
        assert (caught.value.kind, caught.value.retries) == (kind, 0), str(caught.value)


def test_the_model_is_found_before_anything_is_asked(url: str) -> None:
    async def play(client: OpenAIServerClient) -> int:
        await client.check()
        return client.remaining_tokens([])

    assert run(url, play) == LENGTH
