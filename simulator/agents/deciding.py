"""What an agent asks its model besides words: one of a few options, or numbers that fit a schema."""

import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from simulator.errors import SessionError
from simulator.models.messages import Completer, Message, Request

ATTEMPTS = 3
"""Answers that are asked for, each with a seed of its own, before a schema counts as broken for good."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """One of the options, or None where the answer is none of them; probabilities of all options where they can be had."""

    label: str | None
    probabilities: Mapping[str, float] | None
    raw: str


async def ask_choice(
    model: Completer, messages: Sequence[Message], labels: Sequence[str], seed: int, purpose: str
) -> Chosen:
    """One of `labels`, none of which begins another.

    Raises:
        SessionError: there is no answer at all.
    """
    completion = await model.complete(Request(messages, seed=seed, purpose=purpose, choice=labels))
    said = completion.text.strip().strip("\"'*().: ")
    return Chosen(next((label for label in labels if _opens_with(said, label)), None), None, completion.text[:200])


def _opens_with(said: str, label: str) -> bool:
    return said[: len(label)] == label and not said[len(label) : len(label) + 1].isalnum()


async def decide(
    model: Completer, messages: Sequence[Message], labels: Sequence[str], seed: Callable[[int], int], purpose: str
) -> str:
    """One of `labels`; an answer that is none of them is asked for again with the next seed.

    Args:
        model: who is asked.
        messages: the question, with all that stands before it.
        labels: the options.
        seed: the seed of the n-th attempt, from 0.
        purpose: what for, in the accounting.

    Raises:
        SessionError: three answers were no option (boundary `model`, kind `bad_choice`), or there is no answer.
    """
    raw = ""
    for attempt in range(ATTEMPTS):
        chosen = await ask_choice(model, messages, labels, seed(attempt), purpose)
        if chosen.label is not None:
            return chosen.label
        raw = chosen.raw
    raise SessionError(
        "model", "bad_choice", f"{purpose}: {ATTEMPTS} answers were no option, the last one: {raw[:80]!r}"
    )


def letters(count: int) -> list[str]:
    """`count` labels (at most 26), none of which begins another."""
    return list(string.ascii_uppercase[:count])


async def numbers(
    model: Completer,
    messages: Sequence[Message],
    keys: Sequence[str],
    largest: int,
    seed: Callable[[int], int],
    purpose: str,
) -> dict[str, int]:
    """Whole numbers from 0 to `largest` under the given keys, asked for by JSON schema.

    Args:
        model: who is asked.
        messages: the question, with all that stands before it.
        keys: the object's keys.
        largest: the largest number.
        seed: the seed of the n-th attempt, from 0.
        purpose: what for, in the accounting.

    Raises:
        SessionError: three answers broke the schema (boundary `model`, kind `bad_schema`), or there is no answer.
    """
    number = {"type": "integer", "minimum": 0, "maximum": largest}
    schema: dict[str, Any] = {
        "type": "object",
        "properties": dict.fromkeys(keys, number),
        "required": list(keys),
        "additionalProperties": False,
    }
    problem = ""
    for attempt in range(ATTEMPTS):
        request = Request(messages, seed=seed(attempt), purpose=purpose, schema=schema)
        completion = await model.complete(request)
        try:
            return _checked(completion.text, keys, largest)
        except ValueError as error:
            problem = str(error)
    raise SessionError(
        "model", "bad_schema", f"{purpose}: {ATTEMPTS} answers broke the schema, the last one: {problem}"
    )


def _checked(text: str, keys: Sequence[str], largest: int) -> dict[str, int]:
    begin, end = text.find("{"), text.rfind("}")
    try:
        document = msgspec.json.decode(text[begin : end + 1])
    except msgspec.DecodeError as error:
        raise ValueError(f"no JSON object ({error})") from None
    if not isinstance(document, Mapping):
        raise ValueError("no JSON object")
    found = {}
    for key in keys:
        value = document.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= largest:
            raise ValueError(f"'{key}' is {value!r}, not a number from 0 to {largest}")
        found[key] = round(value)
    return found
