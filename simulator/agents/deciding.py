"""What an agent asks its model besides words: one of a few options, or numbers that fit a schema."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from simulator.errors import SessionError
from simulator.models.choice import Option, choose
from simulator.models.messages import Completer, Message, Request

ATTEMPTS = 3
"""Answers that are asked for, each with a seed of its own, before a choice or a schema counts as broken for good."""

LEAST_SHARE = 0.05
"""Share of the probability that the options must hold together. A client has to decide something, so this is far below
what a measurement asks for."""


async def decide(
    model: Completer,
    messages: Sequence[Message],
    question: str,
    options: Sequence[str],
    seed: Callable[[int], int],
    purpose: str,
) -> int:
    """The index of the option that is drawn from the model's probabilities (or, without those, of the one it names).

    Args:
        model: who is asked.
        messages: what stands before the question.
        question: asked above the options.
        options: what can be chosen, in words.
        seed: the seed of the n-th attempt, from 0; it also decides the order of the options.
        purpose: what for, in the accounting.

    Raises:
        SessionError: three answers were no option (boundary `model`, kind `bad_choice`), or there is no answer.
    """
    offered = [Option(str(index), text) for index, text in enumerate(options)]
    reason: str | None = None
    for attempt in range(ATTEMPTS):
        chosen = await choose(
            model,
            messages,
            offered,
            seed=seed(attempt),
            question=question,
            purpose=purpose,
            least_share=LEAST_SHARE,
            fallback="forced",
        )
        if chosen.value is not None:
            return int(chosen.value)
        reason = chosen.missing_reason
    raise SessionError("model", "bad_choice", f"{purpose}: {ATTEMPTS} answers were no option, the last one: {reason}")


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
    message = f"{purpose}: {ATTEMPTS} answers broke the schema, the last one: {problem}"
    raise SessionError("model", "bad_schema", message)


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
