"""What a mock server reads in a request: its text in tokens, the rule it meets, the constraint it asks for.

A token is four characters, everywhere: in the counts, the limits, the log-probabilities and `/tokenize`.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from simulator.serving.mock_options import MockOptions, Rule

TOKEN = 4
"""Characters per token."""


class Refused(Exception):
    """The request gets an error of the given status.

    Args:
        status: the HTTP status.
        message: the error's message.
        kind: its type, as vLLM names it.
    """

    def __init__(self, status: int, message: str, kind: str = "BadRequestError") -> None:
        super().__init__(message)
        self.status, self.kind = status, kind


def pieces(text: str) -> list[str]:
    """A text's tokens."""
    return [text[start : start + TOKEN] for start in range(0, len(text), TOKEN)]


def count(text: str) -> int:
    """How many tokens a text has."""
    return -(-len(text) // TOKEN)


def text_of(message: Mapping[str, Any]) -> str:
    """A message's text, be it a string or a list of parts."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return ""


def find_rule(rules: Sequence[Rule], messages: Sequence[Mapping[str, Any]]) -> Rule | None:
    """The first rule whose pattern is found."""
    for rule in rules:
        if rule.within == "last":
            searched = question_of(messages)
        else:
            searched = "\n".join(text_of(m) for m in messages if rule.within == "any" or m.get("role") == "system")
        if re.search(rule.match, searched):
            return rule
    return None


def question_of(messages: Sequence[Mapping[str, Any]]) -> str:
    """The last user message."""
    return next((text_of(message) for message in reversed(messages) if message.get("role") == "user"), "")


def constraint_of(body: Mapping[str, Any]) -> tuple[str, Any] | None:
    """What the answer must be: `("choice", labels)`, `("json", schema)`, or nothing.

    Raises:
        Refused: a kind of constraint that the mock does not know.
    """
    structured = body.get("structured_outputs")
    if isinstance(structured, dict):
        if structured.get("choice") is not None:
            return "choice", [str(label) for label in structured["choice"]]
        if structured.get("json") is not None:
            schema = structured["json"]
            return "json", orjson.loads(schema) if isinstance(schema, str) else schema
        if structured.get("json_object"):
            return "json", {"type": "object"}
        raise Refused(400, f"the mock knows no structured output of {sorted(structured)}: choice, json, json_object")
    shape = body.get("response_format")
    if isinstance(shape, dict) and shape.get("type") == "json_schema":
        return "json", shape.get("json_schema", {}).get("schema", {})
    if isinstance(shape, dict) and shape.get("type") == "json_object":
        return "json", {"type": "object"}
    return None


def seed_key(seed: int) -> bytes:
    """A seed as a key of a keyed hash."""
    return (seed % 2**64).to_bytes(8, "little")


def parse_body(raw: bytes) -> dict[str, Any]:
    """A request's body, as far as it is needed checked.

    Raises:
        Refused: it is no chat completion request.
    """
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise Refused(400, f"the body is no JSON: {error}") from None
    if not isinstance(body, dict) or not isinstance(body.get("messages"), list) or not body["messages"]:
        raise Refused(400, "'messages' must be a list of at least one message")
    if not all(isinstance(message, dict) and "role" in message for message in body["messages"]):
        raise Refused(400, "every message must be an object with a 'role'")
    if not isinstance(body.get("model"), str):
        raise Refused(400, "'model' must be a string")
    return body


def room_for(options: MockOptions, body: dict[str, Any], prompt_tokens: int) -> int:
    """Tokens that the context leaves for the answer.

    Raises:
        Refused: none; the errors' words are vLLM's, since clients read them.
    """
    limit = options.max_model_len
    for name in ("max_completion_tokens", "max_tokens"):
        if (body.get(name) or 0) > limit:
            raise Refused(400, f"{name}={body[name]} cannot be greater than max_model_len={limit}.")
    if prompt_tokens >= limit:
        raise Refused(
            400,
            f"This model's maximum context length is {limit} tokens. However, your prompt contains {prompt_tokens} "
            f"input tokens, which exceeds this limit even without any output tokens.",
        )
    return limit - prompt_tokens
