"""From a request to the bytes that are sent.

What the configuration fixes is encoded once; messages carry their own bytes; only what differs from request to
request is encoded when it is sent. Keys stand in a fixed order, so that one request is one sequence of bytes.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from simulator.errors import UserError, nearest
from simulator.models.messages import Message, Request
from simulator.models.settings import ModelSettings, Sampling

ANSWER_ESTIMATE = 256
"""Tokens that an answer without a stated maximum is taken to have, when work is spread over replicas."""
BYTES_PER_TOKEN = 4
"""Bytes of text per token, when work is spread over replicas (English text, common tokenizers)."""

_NEUTRAL = {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}
"""What switches a setting off where a request does so: left out, vLLM fills it in from the model's own configuration.
Sent where the model is configured to have one, so that the server surely knows it."""


def _longest(fields: Mapping[str, Any]) -> int:
    longest: int = fields.get("max_tokens") or fields.get("max_completion_tokens") or ANSWER_ESTIMATE
    return longest


class Bodies:
    """Encodes requests of one configuration."""

    def __init__(self, settings: ModelSettings) -> None:
        sampling = settings.sampling.model_dump(exclude_none=True)
        self._fixed: dict[str, Any] = {"model": settings.name, **sampling}
        if settings.chat_template_kwargs is not None:
            self._fixed["chat_template_kwargs"] = settings.chat_template_kwargs
        self._fixed.update(settings.extra_body or {})
        self._head = orjson.dumps(self._fixed)[:-1]
        self._roles = settings.roles
        self._counts_completion = "max_tokens" not in sampling and "max_completion_tokens" in sampling
        """The server knows the longest answer by its newer name alone; a request's own goes by that name too."""
        self._takes_prefix = settings.answer_prefix
        self._thinks = settings.thinking_tokens or 0
        self._takes_choice = settings.structured_choice
        self._name = settings.name
        self._longest = _longest(self._fixed)

    def encode(self, request: Request) -> tuple[bytes, int]:
        """(the body, its weight in tokens, estimated).

        Raises:
            UserError: `request.sampling` names no setting, or asks for a prefix or choice that the server does
                not take.
        """
        messages = self._roles.apply(request.messages)
        parts = [message.encoded for message in messages]
        head, longest = self._head, self._longest
        if request.sampling or request.body:
            merged = self._merged(request)
            head, longest = orjson.dumps(merged)[:-1], _longest(merged)
        extra = self._extra(request, parts)
        tail = b"]," + orjson.dumps(extra)[1:] if extra else b"]}"
        body = b"".join((head, b',"messages":[', b",".join(parts), tail))
        return body, len(body) // BYTES_PER_TOKEN + longest

    def _merged(self, request: Request) -> dict[str, Any]:
        sampling = request.sampling or {}
        for name in sampling:
            if name not in Sampling.model_fields:
                raise UserError(f"sampling: unknown setting '{name}'{nearest(name, Sampling.model_fields)}")
        merged = {**self._fixed, **sampling, **(request.body or {})}
        for name in ("max_tokens", "max_completion_tokens"):
            if sampling.get(name) is not None:
                merged[name] = sampling[name] + self._thinks
        for name, neutral in _NEUTRAL.items():
            if name in sampling and merged[name] is None and self._fixed.get(name) is not None:
                merged[name] = neutral
        if self._counts_completion and sampling.get("max_tokens") is not None:
            merged["max_completion_tokens"] = merged.pop("max_tokens")
        return {name: value for name, value in merged.items() if value is not None}

    def _extra(self, request: Request, parts: list[bytes]) -> dict[str, Any]:
        extra: dict[str, Any] = {}
        if request.seed is not None:
            extra["seed"] = request.seed
        if request.top_logprobs:
            extra["logprobs"], extra["top_logprobs"] = True, request.top_logprobs
        if request.choice is not None:
            if not self._takes_choice:
                raise UserError(f"model '{self._name}' cannot be held to a choice (model.structured_choice is false)")
            extra["structured_outputs"] = {"choice": list(request.choice)}
        if request.schema is not None:
            document = {"name": "answer", "schema": request.schema, "strict": True}
            extra["response_format"] = {"type": "json_schema", "json_schema": document}
        if request.prefix:
            if not self._takes_prefix:
                raise UserError(f"model '{self._name}' takes no answer prefix; set model.answer_prefix where it does")
            parts.append(Message("assistant", request.prefix).encoded)
            extra["continue_final_message"], extra["add_generation_prompt"] = True, False
        return extra

    def decides_answer(self, request: Request) -> bool:
        """Whether the same bytes are meant to have the same answer: a seed, or temperature 0."""
        sampling = {**self._fixed, **(request.sampling or {})}
        return request.seed is not None or sampling.get("temperature") == 0
