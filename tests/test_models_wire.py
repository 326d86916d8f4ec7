"""Every configured setting reaches the wire, and what comes back is read for what it is."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from autogen_core import CancellationToken, FunctionCall
from autogen_core.models import (
    AssistantMessage,
    FunctionExecutionResult,
    FunctionExecutionResultMessage,
    LLMMessage,
    SystemMessage,
    UserMessage,
)
from autogen_core.tools import FunctionTool
from pydantic import BaseModel

from simulator.errors import SessionError, UserError
from simulator.models.bodies import BYTES_PER_TOKEN, Bodies
from simulator.models.clients import ModelClients
from simulator.models.messages import Completion, Message, Request
from simulator.models.openai import OpenAIServerClient, is_version_of
from simulator.models.settings import ModelSettings, PoolSettings, Sampling, parse_model
from simulator.resources import resource_root
from tests.model_server import Server, client_of, completion, distribution, serving

HELLO = [Message("user", "Hello?")]


def asked(request: Request | None = None, **config: Any) -> tuple[dict[str, Any], Completion]:
    """The body that one request becomes, and the answer."""

    async def run() -> tuple[dict[str, Any], Completion]:
        server = Server()
        async with serving(server):
            client = client_of(server, **config)
            answer = await client.complete(request or Request(HELLO, seed=5))
            await client.close()
        return server.bodies[0], answer

    return asyncio.run(run())


def read(document: dict[str, Any], **config: Any) -> Completion:
    """How a reply of the server is read."""

    async def run() -> Completion:
        server = Server()
        server.always = document
        async with serving(server):
            client = client_of(server, **config)
            answer = await client.complete(Request(HELLO))
            await client.close()
        return answer

    return asyncio.run(run())


SAMPLING: dict[str, Any] = {
    "temperature": 0.7, "top_p": 0.9, "top_k": 40, "min_p": 0.05, "max_tokens": 64, "max_completion_tokens": 65,
    "min_tokens": 2, "stop": ["\n\n"], "stop_token_ids": [7], "presence_penalty": 0.1, "frequency_penalty": 0.2,
    "repetition_penalty": 1.1, "logit_bias": {"12": -5.0}, "ignore_eos": True, "reasoning_effort": "low",
}  # fmt: skip


def test_this_file_covers_every_sampling_setting() -> None:
    assert set(SAMPLING) == set(Sampling.model_fields)


@pytest.mark.parametrize("name", SAMPLING)
def test_a_sampling_setting_reaches_the_wire(name: str) -> None:
    body, _ = asked(sampling={name: SAMPLING[name]})
    assert body[name] == SAMPLING[name]
    assert set(body) == {"model", "messages", "seed", name}  # and nothing that was not set


@pytest.mark.parametrize("name", SAMPLING)
def test_a_request_can_replace_a_sampling_setting_or_leave_it_out(name: str) -> None:
    body, _ = asked(Request(HELLO, sampling={name: SAMPLING[name]}), sampling={"temperature": 0.1})
    assert body[name] == SAMPLING[name]
    body, _ = asked(Request(HELLO, sampling={name: None}), sampling={name: SAMPLING[name]})
    neutral = {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}  # left out, vLLM would take the model's own
    assert body.get(name) == neutral.get(name)
    assert name not in asked(Request(HELLO, sampling={name: None}), sampling={})[0]


def test_thoughts_have_room_in_front_of_short_answers() -> None:
    short = Request(HELLO, sampling={"max_tokens": 8})
    assert asked(short, thinking_tokens=100, sampling={"max_tokens": 400})[0]["max_tokens"] == 108
    assert asked(Request(HELLO), thinking_tokens=100, sampling={"max_tokens": 400})[0]["max_tokens"] == 400
    newer = asked(short, thinking_tokens=100, sampling={"max_completion_tokens": 400})[0]
    assert newer["max_completion_tokens"] == 108 and "max_tokens" not in newer


@pytest.mark.parametrize(
    ("config", "field", "value"),
    [
        ({"chat_template_kwargs": {"enable_thinking": False}}, "chat_template_kwargs", {"enable_thinking": False}),
        ({"extra_body": {"priority": 3}}, "priority", 3),
    ],
)
def test_a_further_setting_reaches_the_wire(config: dict[str, Any], field: str, value: Any) -> None:
    assert asked(**config)[0][field] == value


@pytest.mark.parametrize(
    ("fields", "sent"),
    [
        ({"seed": 2**53 - 1}, {"seed": 2**53 - 1}),
        ({"choice": ["A", "B"]}, {"structured_outputs": {"choice": ["A", "B"]}}),
        ({"top_logprobs": 20}, {"logprobs": True, "top_logprobs": 20}),
        (
            {"schema": {"type": "object"}},
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "answer", "schema": {"type": "object"}, "strict": True},
                }
            },
        ),
        (
            {"prefix": "Answer:"},
            {
                "messages": [{"role": "user", "content": "Hello?"}, {"role": "assistant", "content": "Answer:"}],
                "continue_final_message": True,
                "add_generation_prompt": False,
            },
        ),
        ({"body": {"tools": []}}, {"tools": []}),
    ],
)
def test_what_a_request_asks_for_reaches_the_wire(fields: dict[str, Any], sent: dict[str, Any]) -> None:
    body, _ = asked(Request(HELLO, **fields), answer_prefix=True)
    assert {key: body[key] for key in sent} == sent


def test_the_model_s_name_is_sent_so_that_an_adapter_is_asked_for_by_its_own() -> None:
    async def run() -> Any:
        server = Server()
        async with serving(server):
            client = OpenAIServerClient(name="my-lora", url=server.url, answers_as="tiny")
            await client.complete(Request(HELLO))
            await client.close()
        return server.bodies[0]["model"]

    assert asyncio.run(run()) == "my-lora"


def test_an_answer_of_another_model_is_no_answer() -> None:
    async def run() -> None:
        server = Server()
        server.answers = [{**completion(), "model": "other"}, {**completion("Dated."), "model": "tiny-2025-01"}]
        async with serving(server):
            client = client_of(server, pool={"attempts": 2})
            answer = await client.complete(Request(HELLO))
            assert (answer.text, answer.model, answer.faults) == ("Dated.", "tiny-2025-01", f"wrong_model@{server.url}")
            server.always = {**completion(), "model": "other"}
            with pytest.raises(SessionError, match=r"answers as 'other'; set model\.answers_as") as caught:
                await client.complete(Request(HELLO))
            assert caught.value.kind == "wrong_model"
            server.always = {**completion(), "model": "tiny-distill-1b"}  # begins alike and is another
            with pytest.raises(SessionError, match="answers as 'tiny-distill-1b'"):
                await client.complete(Request(HELLO))
            await client.close()

    asyncio.run(run())


def test_a_model_that_knows_max_completion_tokens_alone_is_never_sent_the_older_name() -> None:
    bodies = Bodies(parse_model({"name": "o", "url": "http://h", "sampling": {"max_completion_tokens": 300}}))
    choice = Request(HELLO, sampling={"max_tokens": 1, "max_completion_tokens": None})  # as choices ask
    for request, longest in ((Request(HELLO), 300), (choice, 1)):
        encoded, weight = bodies.encode(request)
        body = json.loads(encoded)
        assert body["max_completion_tokens"] == longest == weight - len(encoded) // BYTES_PER_TOKEN
        assert "max_tokens" not in body


@pytest.mark.parametrize(
    "rest", ["-2024-08-06", "-20240806", "@20240806", "-0806", "-2025-01", ":latest", "-0806:free"]
)
def test_a_date_or_tag_after_the_name_is_the_same_model(rest: str) -> None:
    assert is_version_of(f"llama-8b{rest}", "llama-8b")


@pytest.mark.parametrize("rest", ["", "-instruct", "-70b", "x", "-20", "0", "-2024-instruct", "-distill-1b:latest"])
def test_anything_else_after_the_name_is_another_model(rest: str) -> None:
    assert not is_version_of(f"llama-8b{rest}", "llama-8b")


def test_one_request_is_one_sequence_of_bytes() -> None:
    async def run() -> list[bytes]:
        server = Server()
        async with serving(server):
            client = client_of(server, sampling={"temperature": 0.5})
            for _ in range(2):
                await client.complete(Request([Message("system", "é\n"), *HELLO], seed=3))
            await client.close()
        return server.raw

    first, second = asyncio.run(run())
    assert first == second


@pytest.mark.parametrize(
    ("request_", "config", "line"),
    [
        (Request(HELLO, sampling={"temprature": 1}), {}, "temperature"),
        (Request(HELLO, prefix="A:"), {}, "answer_prefix"),
        (Request(HELLO, choice=["A"]), {"structured_choice": False}, "structured_choice"),
    ],
)
def test_what_the_configuration_does_not_provide_is_one_line(
    request_: Request, config: dict[str, Any], line: str
) -> None:
    with pytest.raises(UserError, match=line):
        asked(request_, **config)


@pytest.mark.parametrize(
    ("config", "line"),
    [
        ({"temprature": 1}, r"model\.temprature: unknown key"),
        ({"sampling": {"temprature": 1}}, r"model\.sampling\.temprature: unknown key \(did you mean 'temperature'\?\)"),
        ({"sampling": {"temperature": "hot"}}, r"model\.sampling\.temperature: .*number"),
        ({"pool": {"atempts": 1}}, r"did you mean 'attempts'"),
        ({"roles": {"system": "drop"}}, r"model\.roles\.system"),
        ({"name": None}, r"model\.name"),
        ({"url": None}, r"'url'.*'endpoints'"),
        ({"endpoints": "file"}, r"'url'.*'endpoints'"),
        ({"url": "localhost:8000"}, r"http://host:port"),
        ({"extra_body": {"temperature": 1}}, r"model\.sampling\.temperature"),
        ({"extra_body": {"stream": True}}, r"sets this field itself"),
    ],
)
def test_a_wrong_configuration_is_one_line(config: dict[str, Any], line: str) -> None:
    with pytest.raises(UserError, match=line) as caught:
        OpenAIServerClient(**{"name": "tiny", "url": "http://localhost:1/v1", **config})
    assert "\n" not in str(caught.value)


def composed(model: str) -> dict[str, Any]:
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    with initialize_config_dir(str(resource_root("conf") / "model"), version_base=None):
        content = OmegaConf.to_container(compose(model))
    assert isinstance(content, dict)
    return {str(key): value for key, value in content.items()}


@pytest.mark.parametrize("path", sorted((resource_root("conf") / "model").glob("[a-z]*.yaml")), ids=lambda p: p.stem)
def test_every_shipped_model_makes_a_client(path: Path) -> None:
    content = composed(path.stem)
    content["name"] = content["name"] or "given"
    client = ModelClients().get({**content, "endpoints": "endpoints.json"}, "model")
    assert isinstance(client, OpenAIServerClient) and client.settings.sampling.max_tokens is not None
    if "serving" in content:
        assert content["serving"]["model"] == content["name"]


def test_every_key_can_be_set_on_the_command_line_and_the_shipped_defaults_are_the_code_s() -> None:
    content = composed("_client")
    assert content.pop("_target_") == "simulator.models.openai.OpenAIServerClient"
    defaults = ModelSettings(name="x", url="http://h").model_dump(mode="json")
    assert set(content) == set(defaults) - {"serving"}
    assert content.pop("pool") == defaults["pool"]
    assert set(content.pop("sampling")) == set(defaults["sampling"])
    assert set(content.pop("roles")) == set(defaults["roles"])
    assert {key: value for key, value in content.items() if key not in ("name", "url")} == {
        key: defaults[key] for key in content if key not in ("name", "url")
    }


def test_every_client_setting_is_covered_by_some_test() -> None:
    """A knob that does nothing cannot be added unnoticed: the lists below name where each is tested."""
    here = {"name", "url", "sampling", "chat_template_kwargs", "extra_body", "answer_prefix", "structured_choice",
            "answers_as", "reasoning_tags", "logprobs", "context_length", "price",
            "thinking_tokens"}  # fmt: skip
    elsewhere = {"endpoints", "pool", "roles", "cache", "revision", "api_key_env"}
    assert here | elsewhere | {"serving"} == set(ModelSettings.model_fields)
    pool = {"attempts", "deadline", "backoff", "backoff_limit", "in_flight", "spill_requests", "spill_factor",
            "eject_after", "probe_seconds", "patience"}  # fmt: skip
    assert pool == set(PoolSettings.model_fields)


def test_an_answer_is_read_with_its_usage() -> None:
    usage = {"prompt_tokens": 30, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 16}}
    answer = read(completion("Yes.", usage=usage, choice={"finish_reason": "length"}))
    assert (answer.text, answer.finish_reason, answer.model) == ("Yes.", "length", "tiny")
    assert (answer.prompt_tokens, answer.completion_tokens, answer.cached_tokens) == (30, 4, 16)
    assert answer.retries == 0 and answer.replica and answer.replica.startswith("http://") and answer.seconds > 0


@pytest.mark.parametrize("missing", [{"usage": None}, {"usage": {"prompt_tokens": 3, "prompt_tokens_details": None}}])
def test_a_server_that_counts_little_is_understood(missing: dict[str, Any]) -> None:
    assert read(completion(**missing)).cached_tokens is None


@pytest.mark.parametrize(
    ("fields", "text", "reasoning"),
    [
        ({"text": "Hi.", "reasoning_content": "They greet me."}, "Hi.", "They greet me."),
        ({"text": "Hi.", "reasoning": "They greet me."}, "Hi.", "They greet me."),
        ({"text": "<think>\nThey greet me.\n</think>\n\nHi."}, "Hi.", "They greet me."),
        ({"text": " <think>a</think> b </think> Hi."}, "Hi.", "a</think> b"),
        ({"text": "They greet me.\n</think>\nHi."}, "Hi.", "They greet me."),
        ({"text": "<think>They greet me and"}, "", "They greet me and"),
        ({"text": "<think></think>Hi."}, "Hi.", None),
        ({"text": None}, "", None),
        ({"text": "I think so."}, "I think so.", None),
    ],
)
def test_reasoning_is_kept_apart_from_what_is_said(fields: dict[str, Any], text: str, reasoning: str | None) -> None:
    answer = read(completion(fields.pop("text"), **fields))
    assert (answer.text, answer.reasoning) == (text, reasoning)


def test_a_model_may_have_reasoning_tags_of_its_own() -> None:
    answer = read(completion("[plan]x[/plan]Hi."), reasoning_tags=["[plan]", "[/plan]"])
    assert (answer.text, answer.reasoning) == ("Hi.", "x")


def test_top_log_probabilities_are_read() -> None:
    answer = read(completion("A", choice=distribution(A=0.75, B=0.25)))
    assert answer.tokens is not None
    assert [one.token for one in answer.tokens[0].top_logprobs] == ["A", "B"]


def test_a_price_gives_each_answer_its_cost() -> None:
    price = parse_model({"name": "m", "url": "http://h", "price": {"prompt": 2, "cached": 1, "completion": 10}}).price
    assert price is not None
    assert price.cost(1_000_000, 100_000, 500_000) == pytest.approx(1.0 + 0.5 + 1.0)
    assert price.cost(10, 0, None) == pytest.approx(2e-5)
    client = OpenAIServerClient(name="m", url="http://h", price={"prompt": 2, "completion": 10})
    answer = Completion("", "stop", "m", prompt_tokens=100, completion_tokens=10, cached_tokens=50)
    assert client.cost(answer) == pytest.approx(3e-4)
    answer.from_cache = True
    assert client.cost(answer) == 0.0
    assert OpenAIServerClient(name="m", url="http://h").cost(answer) is None


def test_the_context_s_length_is_configured_or_asked_of_the_server() -> None:
    messages: Sequence[LLMMessage] = [UserMessage(content="x" * 400, source="user")]
    assert 300 < OpenAIServerClient(name="m", url="http://h", context_length=420).remaining_tokens(messages) < 320

    async def run() -> int:
        server = Server()
        async with serving(server):
            client = client_of(server)
            with pytest.raises(UserError, match="context_length"):
                client.remaining_tokens(messages)
            await client.check()
            await client.close()
        return client.remaining_tokens(messages)

    assert 3900 < asyncio.run(run()) < 4096


class Verdict(BaseModel):
    good: bool


def test_autogen_s_messages_tools_and_schemas_are_translated() -> None:
    def weather(city: str) -> str:
        """The weather."""
        return city

    tool = FunctionTool(weather, description="The weather.")
    messages: list[LLMMessage] = [
        SystemMessage(content="S"),
        UserMessage(content="U", source="client"),
        AssistantMessage(content=[FunctionCall(id="1", name="weather", arguments="{}")], source="a"),
        FunctionExecutionResultMessage(content=[FunctionExecutionResult(content="rain", name="weather", call_id="1")]),
        AssistantMessage(content="It rains.", thought="hidden", source="a"),
        UserMessage(content=["more", "parts"], source="client"),
    ]

    async def run() -> tuple[list[dict[str, Any]], Any, Any]:
        server = Server()
        call = {"id": "9", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
        server.answers = [completion(None, tool_calls=[call], choice={"finish_reason": "tool_calls"})]
        async with serving(server):
            client = client_of(server, sampling={"temperature": 0.1})
            first = await client.create(
                messages, tools=[tool], tool_choice=tool, extra_create_args={"temperature": 0.9, "priority": 1},
                cancellation_token=CancellationToken(),
            )  # fmt: skip
            second = await client.create(messages[:2], json_output=Verdict)
            await client.create(messages[:2], json_output=True)
            parts = [part async for part in client.create_stream(messages[:2])]
            await client.close()
        assert parts[0] == "Hello." and parts[1].content == "Hello."  # type: ignore[union-attr]
        assert client.actual_usage().prompt_tokens == 44
        return server.bodies, first, second

    bodies, first, second = asyncio.run(run())
    roles = [message["role"] for message in bodies[0]["messages"]]
    assert roles == ["system", "user", "assistant", "tool", "assistant", "user"]
    assert bodies[0]["messages"][3] == {"role": "tool", "tool_call_id": "1", "content": "rain"}
    assert "hidden" not in str(bodies[0])
    assert bodies[0]["tools"][0]["function"]["name"] == "weather"
    assert bodies[0]["tool_choice"] == {"type": "function", "function": {"name": "weather"}}
    assert (bodies[0]["temperature"], bodies[0]["priority"]) == (0.9, 1)
    assert bodies[1]["response_format"]["json_schema"]["schema"]["properties"]["good"]["type"] == "boolean"
    assert bodies[2]["response_format"] == {"type": "json_object"}
    assert first.finish_reason == "function_calls"
    assert first.content == [FunctionCall(id="9", name="weather", arguments='{"city": "Oslo"}')]
    assert second.content == "Hello." and second.usage.completion_tokens == 7


def test_reasoning_reaches_autogen_as_a_thought_only() -> None:
    async def run() -> Any:
        server = Server()
        server.always = completion("<think>secret</think>Hi.", choice=distribution(Hi=1.0))
        async with serving(server):
            client = client_of(server)
            result = await client.create([UserMessage(content="U", source="u")])
            await client.close()
        return result

    result = asyncio.run(run())
    assert (result.content, result.thought) == ("Hi.", "secret")
    assert result.logprobs[0].token == "Hi"


def test_a_cancelled_token_ends_the_call() -> None:
    async def run() -> None:
        server = Server()
        async with serving(server):
            client = client_of(server)
            token = CancellationToken()
            token.cancel()
            with pytest.raises(asyncio.CancelledError):
                await client.create([UserMessage(content="U", source="u")], cancellation_token=token)
            await client.close()

    asyncio.run(run())
