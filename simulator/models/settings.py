"""The typed configuration of a model on an OpenAI-compatible server: `conf/model/*.yaml`.

An unknown key is one line that names the nearest valid one; values are never echoed, so that a key pasted into the
wrong field is not printed. What is not set is not sent: the server's own default then holds.
"""

import os
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from simulator.errors import UserError, nearest
from simulator.models.replies import THOUGHT_TAGS
from simulator.models.roles import Roles

Positive = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", protected_namespaces=(), hide_input_in_errors=True)


class Sampling(_Settings):
    """How answers are drawn; the names are those of the wire (OpenAI's, and vLLM's further ones)."""

    temperature: Annotated[float, Field(ge=0)] | None = None
    top_p: Share | None = None
    top_k: Annotated[int, Field(ge=-1)] | None = None
    min_p: Share | None = None
    max_tokens: Positive | None = None
    """Longest answer in tokens, reasoning included."""
    max_completion_tokens: Positive | None = None
    """The same, as OpenAI's newer models call it."""
    min_tokens: Annotated[int, Field(ge=0)] | None = None
    stop: list[str] | None = None
    stop_token_ids: list[int] | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repetition_penalty: Annotated[float, Field(gt=0)] | None = None
    logit_bias: dict[str, float] | None = None
    ignore_eos: bool | None = None
    """Go on to `max_tokens` whatever the model says (benchmarks)."""
    reasoning_effort: str | None = None


class PoolSettings(_Settings):
    """How requests are spread over replicas and what is done when one fails. None of it changes what is said."""

    attempts: Positive = 8
    """Attempts at one request. At 17 % faults, fewer than one request in a million runs out of eight."""
    deadline: Seconds = 300.0
    """Seconds that one attempt may take."""
    backoff: Seconds = 0.5
    """The n-th retry waits a uniform share of backoff x 2^(n-1) seconds (full jitter), at most `backoff_limit`."""
    backoff_limit: Seconds = 30.0
    in_flight: Positive = 2048
    """Requests in flight per replica; lowered when it answers 429, raised again slowly."""
    spill_requests: Positive = 32
    """A session's home replica is never left while it has fewer requests than this in flight."""
    spill_factor: Annotated[float, Field(ge=1)] = 1.5
    """Beyond that, requests spill once home has this many times the replicas' mean of outstanding tokens."""
    eject_after: Positive = 5
    """Failures in a row after which a replica is left out until a probe finds it well."""
    probe_seconds: Seconds = 2.0
    """How often silent or ejected replicas are probed and the endpoint file is looked at."""
    patience: Seconds = 120.0
    """How long a request waits when every replica of a pool that has worked is ejected."""


class Price(_Settings):
    """Price per million tokens, in any one currency."""

    prompt: Annotated[float, Field(ge=0)]
    completion: Annotated[float, Field(ge=0)]
    cached: Annotated[float, Field(ge=0)] | None = None
    """For prompt tokens served from the prefix cache; the prompt's price where it is not given."""

    def cost(self, prompt_tokens: int, completion_tokens: int, cached_tokens: int | None) -> float:
        """Cost of one call in the price's currency."""
        cached = cached_tokens or 0
        rate = self.prompt if self.cached is None else self.cached
        return ((prompt_tokens - cached) * self.prompt + cached * rate + completion_tokens * self.completion) / 1e6


_OURS = frozenset(
    {"model", "messages", "seed", "stream", "n", "logprobs", "top_logprobs", "structured_outputs", "response_format"}
    | {"continue_final_message", "add_generation_prompt", "chat_template_kwargs"}
)


class ModelSettings(_Settings):
    """A model, where it is served, and how it is asked."""

    name: Annotated[str, Field(min_length=1)]
    """The name under which the server knows the model; the name of a LoRA adapter asks for the adapter."""
    answers_as: str | None = None
    """The name that answers carry where it is not `name`, alone or with a date or tag; an answer under another is no
    answer."""
    url: str | list[str] | None = None
    """Base address(es) of the server(s), for instance http://localhost:8000/v1."""
    endpoints: str | None = None
    """A file of addresses (one per line, or a JSON list), read again when it changes, in place of `url`."""
    revision: str | None = None
    """Revision of the weights: part of a run's identity and of the response cache's key."""
    api_key_env: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None
    """Name of the environment variable that holds the key."""
    context_length: Positive | None = None
    """Tokens of the model's context, for agents that budget them; asked of the server where it is not given."""
    sampling: Sampling = Sampling()
    chat_template_kwargs: dict[str, Any] | None = None
    """Arguments of the chat template, for instance enable_thinking: false."""
    extra_body: dict[str, Any] | None = None
    """Further fields of every request's body, as the server names them."""
    roles: Roles = Roles()
    reasoning_tags: tuple[str, str] = THOUGHT_TAGS
    """What stands around reasoning that a server leaves in the text."""
    thinking_tokens: Positive | None = None
    """Tokens that the model may think for before it answers, where its thinking is not switched off: added to the
    limits of short answers (choices, forms, extractions, coding). The first token then begins the thoughts, so that no
    log-probabilities are read."""
    logprobs: bool = True
    """Whether the server gives top log-probabilities."""
    answer_prefix: bool = False
    """Whether the server continues a begun answer (vLLM's continue_final_message)."""
    structured_choice: bool = True
    """Whether the server can hold an answer to stated texts (vLLM's structured_outputs)."""
    cache: str | None = None
    """Folder of the response cache; none by default."""
    price: Price | None = None
    pool: PoolSettings = PoolSettings()
    serving: dict[str, Any] | None = None
    """How `dyad serve` starts the model; nothing to a client."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for name in self.extra_body or {}:
            if name in Sampling.model_fields:
                raise ValueError(f"extra_body.{name}: set it as model.sampling.{name}")
            if name in _OURS:
                raise ValueError(f"extra_body.{name}: Dyad sets this field itself")
        if (self.url is None) == (self.endpoints is None):
            raise ValueError("give either 'url' (an address) or 'endpoints' (a file of addresses)")
        return self


NOT_IDENTITY = ("url", "endpoints", "api_key_env", "cache", "price", "pool", "serving", "context_length", "answers_as")
"""Keys of a model's configuration that cannot change what it says."""


def parse_model(content: Mapping[str, Any]) -> ModelSettings:
    """Check a model's configuration.

    Raises:
        UserError: the first mistakes, in one line, without any value.
    """
    try:
        return ModelSettings.model_validate(dict(content))
    except ValidationError as error:
        raise UserError("; ".join(_explain(problem) for problem in error.errors()[:3])) from None


def _explain(problem: Any) -> str:
    place = [str(part) for part in problem["loc"]]
    field = ".".join(["model", *place])
    if problem["type"] == "extra_forbidden":
        return f"{field}: unknown key{nearest(place[-1], _keys(place[:-1]))}"
    if problem["type"] == "missing" or (problem.get("input") is None and problem["type"].endswith("_type")):
        return f"{field}: is missing"
    if problem["type"] == "string_pattern_mismatch":
        return f"{field}: give the name of an environment variable (letters, digits, _), not the key itself"
    message = str(problem["msg"]).removeprefix("Value error, ")
    return f"{field}: {message[0].lower()}{message[1:]}"


def _keys(place: list[str]) -> list[str]:
    model: type[BaseModel] = ModelSettings
    for part in place:
        annotation = model.model_fields[part].annotation if part in model.model_fields else None
        options = [annotation, *getattr(annotation, "__args__", ())]
        model = next((o for o in options if isinstance(o, type) and issubclass(o, BaseModel)), model)
    return list(model.model_fields)


def read_key(settings: ModelSettings) -> "Key":
    """The key that the configuration names.

    Raises:
        UserError: the environment variable is not set.
    """
    if settings.api_key_env is None:
        return Key("")
    key = os.environ.get(settings.api_key_env, "")
    if not key:
        raise UserError(f"model.api_key_env: the environment variable {settings.api_key_env} is not set; export it")
    return Key(key)


class Key:
    """A secret that prints as stars and is struck out of texts that others wrote."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def __repr__(self) -> str:
        return "Key(***)" if self._value else "Key()"

    def __reduce__(self) -> str:
        raise TypeError("a key is not written anywhere")

    def headers(self) -> dict[str, str]:
        """The header that carries the key; none where there is no key."""
        return {"Authorization": f"Bearer {self._value}"} if self._value else {}

    def struck_from(self, text: str) -> str:
        """`text` without the key."""
        return text.replace(self._value, "***") if self._value else text
