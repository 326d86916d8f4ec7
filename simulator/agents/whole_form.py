"""A whole questionnaire in one request, as most published studies give it.

It costs one request in place of one per item, and pays for it: an answer can lean on the ones before it, and has no
probability, so that only the sampled reading exists. Items are isolated by default (`questionnaires`).
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from simulator.agents.prompting import FOLDER, load_prompt
from simulator.agents.questionnaires import KEPT, steps_of
from simulator.errors import SessionError, UserError
from simulator.models.messages import Completer, Message, Request
from simulator.records.journal_records import Answer

if TYPE_CHECKING:
    from simulator.instruments.schema import Instrument, Item, Person

FORM_PROMPT = "form.jinja"
_TOKENS_PER_ITEM = 16


async def ask_form(
    model: Completer,
    conversation: Sequence[Message],
    who: str,
    instrument: Instrument,
    form: str,
    seed: int,
    *,
    person: Person = "first",
) -> list[Answer]:
    """The answers to all items of a form, in the form's order; items are put in an order that the seed decides.

    Args:
        model: who is asked.
        conversation: what stands before the questionnaire, persona included.
        who: the respondent's name in the question.
        instrument: the instrument.
        form: the form's name.
        seed: of this administration.
        person: whether items are put in the first or in the third person.

    Raises:
        SessionError: the model has no answer.
    """
    answers: dict[str, Answer] = {}
    asked: list[tuple[Item, str]] = []
    for item in instrument.items_of(form):
        try:
            asked.append((item, instrument.question(item, person)))
        except UserError as error:  # the wording is the user's to supply: the item cannot be asked, and says so
            answers[item.id] = Answer(item.id, missing_reason=str(error)[:KEPT])
    random.Random(seed).shuffle(asked)
    if asked:
        request = Request(
            [*conversation, Message("user", _question(who, instrument, form, asked, person))], seed,
            purpose=f"administration:{instrument.name}", schema=_schema(instrument, form, asked),
            sampling={"max_tokens": _TOKENS_PER_ITEM * (len(asked) + 2)},
        )  # fmt: skip
        try:
            text = (await model.complete(request)).text
        except SessionError as error:
            if error.kind != "context_overflow":
                raise
            reason = "the model's context is full"
            answers |= {item.id: Answer(item.id, missing_reason=reason) for item, _ in asked}
        else:
            answers |= {item.id: _answer(text, instrument, item, form) for item, _ in asked}
    return [answers[item.id] for item in instrument.items_of(form)]


def _question(
    who: str, instrument: Instrument, form: str, asked: Sequence[tuple[Item, str]], person: Person
) -> str:  # fmt: skip
    items = []
    for item, text in asked:
        scale = instrument.options_of(item, form)
        steps = [
            option.value if option.text == option.value else f"{option.value} = {option.text}"
            for option in steps_of(instrument, item, form)
        ]
        items.append({
            "id": item.id, "text": text, "low": item.low, "high": item.high, "steps": steps,
            "minimum": f"{scale.minimum:g}", "maximum": f"{scale.maximum:g}",
        })  # fmt: skip
    return load_prompt(FOLDER / FORM_PROMPT, ("question",)).render(
        "question", who=who, introduction=instrument.introduction.get(person), look_back=instrument.look_back,
        items=items,
    )  # fmt: skip


def _schema(instrument: Instrument, form: str, asked: Sequence[tuple[Item, str]]) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    for item, _ in asked:
        scale, steps = instrument.options_of(item, form), steps_of(instrument, item, form)
        properties[item.id] = (
            {"enum": [_plain(float(step.value)) for step in steps]}
            if steps
            else {"type": "number", "minimum": scale.minimum, "maximum": scale.maximum}
        )
    return {
        "type": "object", "properties": properties, "required": list(properties), "additionalProperties": False
    }  # fmt: skip


def _plain(value: float) -> float | int:
    return int(value) if value.is_integer() else value


def _answer(text: str, instrument: Instrument, item: Item, form: str) -> Answer:
    """The item's answer in what was replied; missing with the raw text where there is none that the scale has."""
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        return Answer(item.id, missing_reason="the reply is no JSON object", raw_text=text[:KEPT])
    value = found.get(item.id)
    raw = json.dumps(value)[:KEPT]
    if value is None:
        return Answer(item.id, missing_reason="the reply leaves the item out", raw_text=raw)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return Answer(item.id, missing_reason="no number of the scale", raw_text=raw)
    steps = {float(step.value) for step in steps_of(instrument, item, form)}
    if not instrument.options_of(item, form).accepts(float(value)) or (steps and float(value) not in steps):
        return Answer(item.id, missing_reason="no number of the scale", raw_text=raw)
    return Answer(item.id, float(value), raw_text=raw)
