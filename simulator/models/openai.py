"""The model client: an AutoGen `ChatCompletionClient` for servers that speak OpenAI's chat completions (vLLM,
llama.cpp, Ollama, OpenAI itself).

Our own agents call `complete`, which joins bytes, posts them and reads typed structures; AutoGen's agents call
`create`, which is mapped onto it. One client serves any number of sessions at once.
"""

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
from autogen_core import CancellationToken
from autogen_core.models import (
    ChatCompletionClient,
    CreateResult,
    LLMMessage,
    ModelCapabilities,
    ModelFamily,
    ModelInfo,
    RequestUsage,
)
from autogen_core.tools import Tool, ToolSchema
from pydantic import BaseModel

from simulator.errors import UserError, nearest
from simulator.models.autogen_messages import to_messages, to_request, to_result
from simulator.models.bodies import BYTES_PER_TOKEN, Bodies
from simulator.models.cache import ResponseCache
from simulator.models.faults import Fault, ModelError
from simulator.models.messages import Completion, Request
from simulator.models.pools import Pools
from simulator.models.replies import Reply, read_reply, split_reasoning
from simulator.models.settings import parse_model, read_key

_VERSION = re.compile(r"[-@](\d{4}-\d\d(-\d\d)?|\d{8}|\d{6}|\d{4})(:.*)?|:.*")
"""What may follow a model's name in an answer: a date (gpt-4o-2024-08-06), a tag (llama3:latest)."""
CALL_CONTEXT = "dyad_call"
"""Name of the creation argument that a seated handle adds and this client takes out again; it is never sent."""


def is_version_of(answered: str, name: str) -> bool:
    """Whether a name in an answer is `name` with a date or tag; what merely begins alike is another model."""
    return answered.startswith(name) and _VERSION.fullmatch(answered, len(name)) is not None


@dataclass(slots=True)
class CallContext:
    """What a seated handle tells the client about a call, and what the client tells it back."""

    affinity: str = ""
    completion: Completion | None = None


class OpenAIServerClient(ChatCompletionClient):
    """A model on OpenAI-compatible servers.

    Args:
        pools: where connections are shared with other clients of the same servers; its own by default.
        config: the keys of `conf/model/*.yaml` (see `ModelSettings`).

    Raises:
        UserError: the configuration is wrong, or the key's environment variable is not set.
    """

    component_type = "model"

    def __init__(self, pools: Pools | None = None, **config: Any) -> None:
        self.settings = parse_model(config)
        self._bodies = Bodies(self.settings)
        self._cache = ResponseCache(self.settings.cache, self.settings.revision) if self.settings.cache else None
        self._pools, self._owns_pools = pools or Pools(), pools is None
        self.pool = self._pools.get(self.settings, read_key(self.settings))
        self._actual, self._total = RequestUsage(0, 0), RequestUsage(0, 0)
        self._answers_as = self.settings.answers_as or self.settings.name
        self._context_length = self.settings.context_length

    def __repr__(self) -> str:
        return f"OpenAIServerClient({self.settings.name})"

    @property
    def gives_logprobs(self) -> bool:
        """Whether the most probable tokens can be asked for."""
        return self.settings.logprobs and self.settings.thinking_tokens is None

    @property
    def takes_prefix(self) -> bool:
        """Whether a begun answer can be continued."""
        return self.settings.answer_prefix and self.settings.thinking_tokens is None

    @property
    def takes_choice(self) -> bool:
        """Whether the answer can be held to stated texts."""
        return self.settings.structured_choice

    async def complete(self, request: Request) -> Completion:
        """The model's answer.

        Raises:
            ModelError: there is none; the attempts stand in it.
            UserError: the request asks for what the configuration does not provide.
        """
        started, clock = time.time(), time.perf_counter()
        body, weight = self._bodies.encode(request)
        cache = self._cache if self._cache is not None and self._bodies.decides_answer(request) else None
        kept = self._kept(cache, body) if cache is not None else None
        if kept is not None:
            completion = self._completion(request, kept)
            completion.replica, completion.from_cache = "cache", True
        else:
            try:
                reply, trip = await self.pool.post(
                    body, self._read, self.settings.name, request.affinity, weight, request.deadline
                )
            except ModelError as error:
                error.seconds = time.perf_counter() - clock
                raise
            completion = self._completion(request, reply)
            completion.replica, completion.retries, completion.faults = trip.replica, trip.retries, trip.faults
            if cache is not None:
                cache.put(body, trip.body)
            self._actual.prompt_tokens += completion.prompt_tokens
            self._actual.completion_tokens += completion.completion_tokens
        self._total.prompt_tokens += completion.prompt_tokens
        self._total.completion_tokens += completion.completion_tokens
        completion.started, completion.seconds = started, time.perf_counter() - clock
        return completion

    def _read(self, body: bytes) -> Reply:
        """A reply of the right model: a router that sends requests astray must not decide a result."""
        reply = read_reply(body)
        if reply.model and reply.model != self._answers_as and not is_version_of(reply.model, self._answers_as):
            advice = f"it answers as '{reply.model}'; set model.answers_as to that where it is right"
            raise Fault("wrong_model", advice=advice)
        return reply

    def _kept(self, cache: ResponseCache, body: bytes) -> Reply | None:
        """A kept answer; None where there is none that can be read and is of this model."""
        kept = cache.get(body)
        try:
            return None if kept is None else self._read(kept)
        except (msgspec.DecodeError, Fault):
            return None

    def _completion(self, request: Request, reply: Reply) -> Completion:
        choice, usage = reply.choices[0], reply.usage
        text, reasoning = split_reasoning(choice.message, self.settings.reasoning_tags)
        completion = Completion(text, choice.finish_reason or "unknown", reply.model, reasoning, seed=request.seed)
        if usage is not None:
            completion.prompt_tokens, completion.completion_tokens = usage.prompt_tokens, usage.completion_tokens or 0
            if usage.prompt_tokens_details is not None:
                completion.cached_tokens = usage.prompt_tokens_details.cached_tokens
        if choice.logprobs is not None:
            completion.tokens = choice.logprobs.content
        if choice.message.tool_calls:
            completion.tool_calls = choice.message.tool_calls
        return completion

    def cost(self, completion: Completion) -> float | None:
        """What an answer cost, in the price's currency; None where no price is configured."""
        if self.settings.price is None:
            return None
        if completion.from_cache:
            return 0.0
        return self.settings.price.cost(
            completion.prompt_tokens, completion.completion_tokens, completion.cached_tokens
        )

    async def check(self) -> None:
        """Ask the servers whether they are there and serve the model; learn the context's length where they say it.

        Raises:
            UserError: none is there, or one refuses the key or does not serve the model.
        """
        served = await self.pool.served()
        lengths = []
        for place, models in served.items():
            mine = next((one for one in models if one.id == self.settings.name), None)
            if mine is None:
                advice = nearest(self.settings.name, [one.id for one in models])
                raise UserError(f"model.name: '{self.settings.name}' is not served at {place}{advice}")
            lengths.append(mine.max_model_len)
        self._context_length = self._context_length or min(filter(None, lengths), default=None)

    async def create(
        self,
        messages: Sequence[LLMMessage],
        *,
        tools: Sequence[Tool | ToolSchema] = (),
        tool_choice: Tool | Literal["auto", "required", "none"] = "auto",
        json_output: bool | type[BaseModel] | None = None,
        extra_create_args: Mapping[str, Any] = {},
        cancellation_token: CancellationToken | None = None,
    ) -> CreateResult:
        arguments = dict(extra_create_args)
        context: CallContext = arguments.pop(CALL_CONTEXT, None) or CallContext()
        request = to_request(messages, tools, tool_choice, json_output, arguments)
        request.affinity = context.affinity
        answer = asyncio.ensure_future(self.complete(request))
        if cancellation_token is not None:
            cancellation_token.link_future(answer)
        context.completion = await answer
        return to_result(context.completion)

    async def create_stream(
        self,
        messages: Sequence[LLMMessage],
        *,
        tools: Sequence[Tool | ToolSchema] = (),
        tool_choice: Tool | Literal["auto", "required", "none"] = "auto",
        json_output: bool | type[BaseModel] | None = None,
        extra_create_args: Mapping[str, Any] = {},
        cancellation_token: CancellationToken | None = None,
    ) -> AsyncGenerator[str | CreateResult, None]:
        """The whole answer as one piece, then the result: a simulated partner does not watch the other type."""
        result = await self.create(
            messages,
            tools=tools,
            tool_choice=tool_choice,
            json_output=json_output,
            extra_create_args=extra_create_args,
            cancellation_token=cancellation_token,
        )
        if isinstance(result.content, str):
            yield result.content
        yield result

    async def close(self) -> None:
        """Close the connections, unless they belong to shared pools, which are closed by whoever made them."""
        if self._owns_pools:
            await self._pools.close()

    def actual_usage(self) -> RequestUsage:
        """Tokens that servers counted since the client was made."""
        return self._actual

    def total_usage(self) -> RequestUsage:
        """The same, with answers from the response cache."""
        return self._total

    def count_tokens(self, messages: Sequence[LLMMessage], *, tools: Sequence[Tool | ToolSchema] = ()) -> int:
        """An estimate from the bytes, four to a token; the server alone knows."""
        return sum(len(message.encoded) for message in to_messages(messages)) // BYTES_PER_TOKEN

    def remaining_tokens(self, messages: Sequence[LLMMessage], *, tools: Sequence[Tool | ToolSchema] = ()) -> int:
        """Estimated tokens left in the context.

        Raises:
            UserError: the context's length is neither configured nor known from the server (`check`).
        """
        if self._context_length is None:
            raise UserError("model.context_length: is not set, and the server was not asked; set it")
        return self._context_length - self.count_tokens(messages, tools=tools)

    @property
    def capabilities(self) -> ModelCapabilities:
        return ModelCapabilities(vision=False, function_calling=True, json_output=True)

    @property
    def model_info(self) -> ModelInfo:
        return ModelInfo(
            vision=False,
            function_calling=True,
            json_output=True,
            structured_output=True,
            multiple_system_messages=self.settings.roles.system == "keep",
            family=ModelFamily.UNKNOWN,
        )
