"""Reading a server's answer.

Only what Dyad uses is decoded, straight from the bytes into typed structures. A body that is cut off, or that is no
chat completion, raises `msgspec.DecodeError`, which the pool counts as a fault that may pass. Reasoning is taken out
of the text here, so that nothing after this module can show it to the other chair.
"""

from typing import Any

import msgspec

THOUGHT_TAGS = ("<think>", "</think>")
"""What stands around thoughts by default."""


class TokenProbability(msgspec.Struct):
    """A token's text and its natural-log probability."""

    token: str
    logprob: float


class TokenDistribution(msgspec.Struct):
    """A generated token, and the most probable ones at its place."""

    token: str
    logprob: float
    top_logprobs: list[TokenProbability] = []


class _Logprobs(msgspec.Struct):
    content: list[TokenDistribution] | None = None


class FunctionDocument(msgspec.Struct):
    """A function that the model wants called; `arguments` is JSON text."""

    name: str
    arguments: str | None = None


class ToolCall(msgspec.Struct):
    """A tool call of an answer."""

    function: FunctionDocument
    id: str | None = None


class _Message(msgspec.Struct):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[ToolCall] | None = None


class _Choice(msgspec.Struct):
    message: _Message
    finish_reason: str | None = None
    logprobs: _Logprobs | None = None


class _CachedTokens(msgspec.Struct):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int = 0
    completion_tokens: int | None = 0
    prompt_tokens_details: _CachedTokens | None = None


class Reply(msgspec.Struct):
    """A chat completion as servers send it."""

    choices: list[_Choice]
    model: str = ""
    usage: _Usage | None = None


class Served(msgspec.Struct):
    """One entry of a server's list of models; `max_model_len` is vLLM's."""

    id: str
    max_model_len: int | None = None


class _ServedList(msgspec.Struct):
    data: list[Served]


_REPLY = msgspec.json.Decoder(Reply)
_SERVED = msgspec.json.Decoder(_ServedList)


def read_reply(body: bytes) -> Reply:
    """A reply that holds at least one choice.

    Raises:
        msgspec.DecodeError: the body is cut off, or is something else.
    """
    reply = _REPLY.decode(body)
    if not reply.choices:
        raise msgspec.ValidationError("the reply holds no choice")
    return reply


def read_served(body: bytes) -> list[Served]:
    """The models that a server lists.

    Raises:
        msgspec.DecodeError: the body is no such list.
    """
    return _SERVED.decode(body).data


def split_reasoning(message: _Message, tags: tuple[str, str]) -> tuple[str, str | None]:
    """(what is said, what was thought aloud or None).

    A server with a reasoning parser gives the two apart. Without one the text begins with the tagged thoughts, of which
    the opening tag may stand in the prompt, or the closing one may be missing because the answer was cut.
    """
    text, thought = split_thoughts(message.content or "", tags)
    thoughts = [message.reasoning_content or message.reasoning, thought]
    return text, "\n".join(part for part in thoughts if part) or None


def split_thoughts(text: str, tags: tuple[str, str] = THOUGHT_TAGS) -> tuple[str, str | None]:
    """The same for a text alone."""
    opening, closing = tags
    begun = text.lstrip()
    if closing in text:
        thinking, _, text = text.rpartition(closing)
        return text.lstrip(), thinking.strip().removeprefix(opening).strip() or None
    if begun.startswith(opening):
        return "", begun.removeprefix(opening).strip() or None
    return text, None


def error_code(body: bytes) -> int | None:
    """The number of the error that a body reports; 0 where it gives none, None where it reports no error."""
    try:
        document: Any = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return None
    error = document.get("error") if isinstance(document, dict) else None
    if not error:
        return None
    code = str(error.get("code") if isinstance(error, dict) else "")
    return int(code) if code.isdecimal() else 0


def error_text(body: bytes) -> str:
    """What a server says about an error, as one line of at most 300 characters."""
    try:
        document: Any = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return " ".join(body.decode(errors="replace").split())[:300]
    for key in ("error", "message", "detail"):
        while isinstance(document, dict) and key in document:
            document = document[key]
    return " ".join(str(document).split())[:300]
