"""A chair's light handle on a shared model client.

An agent from elsewhere calls `create` without our arguments and must carry derived seeds all the same. The handle knows
where the chair stands (the engine tells it before each turn), adds the seed, and notes how each call went. The n-th call
within one turn has a purpose of its own, so that an agent that calls twice does not get one seed twice.
"""

import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from autogen_core import CancellationToken
from autogen_core.models import ChatCompletionClient, CreateResult, LLMMessage, ModelCapabilities, ModelInfo, RequestUsage
from autogen_core.tools import Tool, ToolSchema
from pydantic import BaseModel


@dataclass(slots=True)
class Call:
    """How one call to a model went; times in seconds."""

    turn: int
    purpose: str
    started: float
    seconds: float
    prompt_tokens: int
    completion_tokens: int


@dataclass(slots=True)
class CallLog:
    """The calls of one chair in one session, in order, until they are taken."""

    calls: list[Call] = field(default_factory=list)

    def take(self) -> list[Call]:
        """The calls since the last time; the log is empty afterwards."""
        taken, self.calls = self.calls, []
        return taken


class SeatedModelClient(ChatCompletionClient):
    """A `ChatCompletionClient` bound to one chair of one session.

    Args:
        client: the shared client that does the work.
        seed: `(turn, purpose) -> seed` of the chair.
        role: the chair's role.
        log: where calls are noted.
        sends_seed: whether to pass the seed on as the creation argument `seed`.
    """

    component_type = "model"

    def __init__(
        self,
        client: ChatCompletionClient,
        seed: Callable[[int, str], int],
        role: str,
        log: CallLog,
        sends_seed: bool = True,
    ) -> None:
        self._client, self._seed, self._sends_seed = client, seed, sends_seed
        self.role, self.log = role, log
        self._turn, self._calls_in_turn = -1, 0

    def at_turn(self, turn: int) -> None:
        """The engine says which turn the chair is about to speak."""
        self._turn, self._calls_in_turn = turn, 0

    def _next_purpose(self) -> str:
        self._calls_in_turn += 1
        return "turn" if self._calls_in_turn == 1 else f"turn:{self._calls_in_turn}"

    def _arguments(self, given: Mapping[str, Any], purpose: str) -> dict[str, Any]:
        arguments = dict(given)
        if self._sends_seed:
            arguments.setdefault("seed", self._seed(self._turn, purpose))
        return arguments

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
        purpose = self._next_purpose()
        started, clock = time.time(), time.perf_counter()
        result = await self._client.create(
            messages,
            tools=tools,
            tool_choice=tool_choice,
            json_output=json_output,
            extra_create_args=self._arguments(extra_create_args, purpose),
            cancellation_token=cancellation_token,
        )
        self._note(purpose, started, clock, result.usage)
        return result

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
        purpose = self._next_purpose()
        started, clock = time.time(), time.perf_counter()
        async for part in self._client.create_stream(
            messages,
            tools=tools,
            tool_choice=tool_choice,
            json_output=json_output,
            extra_create_args=self._arguments(extra_create_args, purpose),
            cancellation_token=cancellation_token,
        ):
            if isinstance(part, CreateResult):
                self._note(purpose, started, clock, part.usage)
            yield part

    def _note(self, purpose: str, started: float, clock: float, usage: RequestUsage) -> None:
        seconds = time.perf_counter() - clock
        self.log.calls.append(
            Call(self._turn, purpose, started, seconds, usage.prompt_tokens, usage.completion_tokens)
        )

    async def close(self) -> None:
        """Nothing: the shared client is closed by whoever made it."""

    def actual_usage(self) -> RequestUsage:
        return self._client.actual_usage()

    def total_usage(self) -> RequestUsage:
        return self._client.total_usage()

    def count_tokens(self, messages: Sequence[LLMMessage], *, tools: Sequence[Tool | ToolSchema] = ()) -> int:
        return self._client.count_tokens(messages, tools=tools)

    def remaining_tokens(self, messages: Sequence[LLMMessage], *, tools: Sequence[Tool | ToolSchema] = ()) -> int:
        return self._client.remaining_tokens(messages, tools=tools)

    @property
    def capabilities(self) -> ModelCapabilities:
        return self._client.capabilities

    @property
    def model_info(self) -> ModelInfo:
        return self._client.model_info
