"""A chair's light handle on a shared model client.

An agent from elsewhere calls `create` without our arguments and must carry derived seeds all the same. The handle knows
where the chair stands (the engine tells it before each turn), adds the seed and the session's affinity, and notes how
each call went, failed ones too. The n-th call within one turn has a purpose of its own, so that an agent that calls
twice does not get one seed twice. Our own agents call `complete`, which works on any AutoGen client.
"""

import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn

from autogen_core import CancellationToken
from autogen_core.models import (
    ChatCompletionClient,
    CreateResult,
    LLMMessage,
    ModelCapabilities,
    ModelInfo,
    RequestUsage,
)
from autogen_core.tools import Tool, ToolSchema
from pydantic import BaseModel

from simulator.errors import SessionError, UserError
from simulator.models.autogen_messages import from_result, to_llm_messages, without_thoughts
from simulator.models.messages import Completion, Request
from simulator.models.openai import CALL_CONTEXT, CallContext, OpenAIServerClient
from simulator.secrets import struck


@dataclass(slots=True)
class Call:
    """How one call to a model went; times in seconds, `started` as Unix time."""

    turn: int
    purpose: str
    started: float
    seconds: float
    prompt_tokens: int
    completion_tokens: int
    retries: int = 0
    replica: str | None = None
    """Address of the server that answered; `cache` for the response cache; None where a foreign client does not say."""
    model: str | None = None
    cached_tokens: int | None = None
    error: str | None = None
    """The attempts that failed (`kind@replica; ...`), and `failed: kind` where no answer came."""
    cost: float | None = None
    """In the currency of the model's price, where one is configured."""
    seed: int | None = None
    finish_reason: str | None = None


@dataclass(slots=True)
class Usage:
    """What calls to a model cost: their number, tries again, tokens, seconds of waiting summed over calls."""

    calls: int = 0
    retries: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0
    cost: float | None = None
    """In the price's currency; None where no model has a price."""

    def take(self, call: Call) -> None:
        """Count one call."""
        if call.cost is not None:
            self.cost = (self.cost or 0.0) + call.cost
        self.calls += 1
        self.retries += call.retries
        self.prompt_tokens += call.prompt_tokens
        self.cached_tokens += call.cached_tokens or 0
        self.completion_tokens += call.completion_tokens
        self.seconds += call.seconds

    @property
    def words(self) -> str:
        """In a line."""
        again = f", {self.retries} tries again" if self.retries else ""
        cost = "" if self.cost is None else f", cost {self.cost:.4g}"
        return (
            f"{self.calls:,} requests{again}; {self.cached_tokens:,} of {self.prompt_tokens:,} prompt tokens from the "
            f"server's cache, {self.completion_tokens:,} generated{cost}"
        )


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
        seed: `(turn, purpose, regeneration=0) -> seed` of the chair.
        role: the chair's role.
        log: where calls are noted.
        sends_seed: whether to pass the seed on as the creation argument `seed`.
        affinity: requests with one affinity stay on one replica: the course and session.
    """

    component_type = "model"

    def __init__(
        self,
        client: ChatCompletionClient,
        seed: Callable[..., int],
        role: str,
        log: CallLog,
        sends_seed: bool = True,
        affinity: str = "",
    ) -> None:
        self._client, self._seed, self._sends_seed = client, seed, sends_seed
        self._ours = client if isinstance(client, OpenAIServerClient) else None
        self._affinity = affinity
        self.role, self.log = role, log
        self._turn, self._regeneration, self._calls_in_turn = -1, 0, 0

    def at_turn(self, turn: int, regeneration: int = 0) -> None:
        """The engine says which turn the chair is about to speak, and the how-manieth new answer it asks for."""
        self._turn, self._regeneration, self._calls_in_turn = turn, regeneration, 0

    def _derived(self, purpose: str) -> int:
        if self._regeneration:
            return self._seed(self._turn, purpose, self._regeneration)
        return self._seed(self._turn, purpose)

    @property
    def gives_logprobs(self) -> bool:
        """Whether the most probable tokens can be asked for."""
        return self._ours is not None and self._ours.gives_logprobs

    @property
    def takes_prefix(self) -> bool:
        """Whether a begun answer can be continued."""
        return self._ours is not None and self._ours.takes_prefix

    @property
    def takes_choice(self) -> bool:
        """Whether the answer can be held to stated texts."""
        return self._ours is not None and self._ours.takes_choice

    async def complete(self, request: Request) -> Completion:
        """The model's answer to our own agents. What stands empty in the request is filled in: seed, affinity, purpose.

        A client that is not ours is asked by its `create`: it gets messages, seed and sampling, and a schema as a
        demand for JSON; choices and log-probabilities it cannot be asked for.

        Raises:
            SessionError: with boundary `model`, when there is no answer.
        """
        request.purpose = request.purpose or self._next_purpose()
        if request.seed is None:
            request.seed = self._derived(request.purpose)
        request.affinity = request.affinity or self._affinity
        started, clock = time.time(), time.perf_counter()
        try:
            if self._ours is not None:
                completion = await self._ours.complete(request)
            else:
                completion = await self._complete_elsewhere(request)
                completion.started, completion.seconds = started, time.perf_counter() - clock
        except Exception as error:
            self._fail(request.purpose, started, clock, error)
        self._note(request.purpose, completion)
        return completion

    async def _complete_elsewhere(self, request: Request) -> Completion:
        result = await self._client.create(
            to_llm_messages(request.messages, self.role),
            json_output=True if request.schema is not None and self._client.model_info["json_output"] else None,
            extra_create_args={
                **({"seed": request.seed} if self._sends_seed else {}),
                **{name: value for name, value in (request.sampling or {}).items() if value is not None},
            },
        )
        return from_result(without_thoughts(result), request.seed)

    def _next_purpose(self) -> str:
        self._calls_in_turn += 1
        return "turn" if self._calls_in_turn == 1 else f"turn:{self._calls_in_turn}"

    def _arguments(self, given: Mapping[str, Any], purpose: str, context: CallContext) -> dict[str, Any]:
        arguments = dict(given)
        if self._sends_seed:
            arguments.setdefault("seed", self._derived(purpose))
        if self._ours is not None:
            arguments[CALL_CONTEXT] = context
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
        purpose, context = self._next_purpose(), CallContext(self._affinity)
        arguments = self._arguments(extra_create_args, purpose, context)
        started, clock = time.time(), time.perf_counter()
        try:
            result = await self._client.create(
                messages,
                tools=tools,
                tool_choice=tool_choice,
                json_output=json_output,
                extra_create_args=arguments,
                cancellation_token=cancellation_token,
            )
        except Exception as error:
            self._fail(purpose, started, clock, error)
        self._note_result(purpose, started, clock, result, context, arguments)
        return result if self._ours is not None else without_thoughts(result)

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
        purpose, context = self._next_purpose(), CallContext(self._affinity)
        arguments = self._arguments(extra_create_args, purpose, context)
        started, clock = time.time(), time.perf_counter()
        try:
            async for part in self._client.create_stream(
                messages,
                tools=tools,
                tool_choice=tool_choice,
                json_output=json_output,
                extra_create_args=arguments,
                cancellation_token=cancellation_token,
            ):
                if isinstance(part, CreateResult):
                    self._note_result(purpose, started, clock, part, context, arguments)
                    yield part if self._ours is not None else without_thoughts(part)
                else:
                    yield part
        except Exception as error:
            self._fail(purpose, started, clock, error)

    def _note_result(
        self,
        purpose: str,
        started: float,
        clock: float,
        result: CreateResult,
        context: CallContext,
        arguments: Mapping[str, Any],
    ) -> None:
        completion = context.completion
        if completion is None:
            completion = from_result(result, arguments.get("seed"))
            completion.started, completion.seconds = started, time.perf_counter() - clock
        self._note(purpose, completion)

    def _note(self, purpose: str, completion: Completion) -> None:
        cost = self._ours.cost(completion) if self._ours is not None else None
        self.log.calls.append(
            Call(
                self._turn, purpose, completion.started, completion.seconds, completion.prompt_tokens,
                completion.completion_tokens, completion.retries, completion.replica, completion.model or None,
                completion.cached_tokens, completion.faults, cost, completion.seed, completion.finish_reason,
            )
        )  # fmt: skip

    def _fail(self, purpose: str, started: float, clock: float, error: Exception) -> NoReturn:
        """Note a call without an answer, and raise the failure of the model that it is.

        Raises:
            SessionError: with boundary `model`.
            Exception: the error itself where it is a bug of ours, which keeps its name.
        """
        kind = error.kind if isinstance(error, SessionError) else type(error).__name__
        faults = "; ".join(filter(None, (getattr(error, "faults", None), f"failed: {kind}")))
        self.log.calls.append(
            Call(
                self._turn, purpose, started, time.perf_counter() - clock, 0, 0, getattr(error, "retries", 0),
                getattr(error, "replica", None), error=faults,
            )
        )  # fmt: skip
        if isinstance(error, SessionError) or (self._ours is not None and not isinstance(error, UserError)):
            raise error
        raise SessionError("model", kind, f"{self.role}: {struck(' '.join(str(error).split()))[:300]}") from error

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
