"""Filling in a questionnaire with a model, in character and outside the talk.

A scale with at most 26 steps is asked by choice with probabilities: by its digits where each has one, else by letters. A
continuous scale is asked as a number. What is no answer is missing, with the reason and the raw text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from simulator.agents.deciding import ask_choice, letters
from simulator.agents.prompting import FOLDER, load_prompt
from simulator.errors import UserError
from simulator.models.messages import Completer, Message, Request
from simulator.records.journal_records import Answer

if TYPE_CHECKING:
    from simulator.instruments.schema import Instrument, Item

MOST_STEPS = 26
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


async def ask_item(
    model: Completer,
    conversation: Sequence[Message],
    who: str,
    instrument: Instrument,
    item: Item,
    form: str,
    seed: int,
) -> Answer:
    """The answer to one item: raw value before keying, its probability and the expected value where they can be had.

    Args:
        model: who is asked.
        conversation: what stands before the question, persona included.
        who: the respondent's name in the question.
        instrument: the instrument, its item and the form given.
        item: the item.
        form: the form's name.
        seed: of this item.

    Raises:
        SessionError: the model has no answer.
    """
    try:
        question, values = _question(who, instrument, item, form)
    except UserError as error:  # the wording is the user's to supply: the item cannot be asked, and says so
        return Answer(item.id, missing_reason=str(error)[:200])
    purpose = f"administration:{instrument.name}:{item.id}"
    messages = [*conversation, Message("system", question)]
    if values is None:
        completion = await model.complete(Request(messages, seed=seed, purpose=purpose))
        return _free_answer(item, instrument, form, completion.text)
    labels = _labels(values)
    chosen = await ask_choice(model, messages, labels, seed, purpose)
    if chosen.label is None:
        return Answer(item.id, missing_reason="no option of the scale", raw_text=chosen.raw)
    value = values[labels.index(chosen.label)]
    if chosen.probabilities is None:
        return Answer(item.id, value, raw_text=chosen.raw)
    expected = sum(values[labels.index(label)] * share for label, share in chosen.probabilities.items())
    return Answer(
        item.id, value, expected=expected, probability=chosen.probabilities[chosen.label], raw_text=chosen.raw
    )


def _labels(values: Sequence[float]) -> list[str]:
    digits = [f"{value:g}" for value in values]
    return digits if all(len(label) == 1 for label in digits) else letters(len(values))


def _question(who: str, instrument: Instrument, item: Item, form: str) -> tuple[str, tuple[float, ...] | None]:
    options = instrument.options_of(item, form)
    steps = int(options.maximum - options.minimum) + 1
    by_choice = not options.continuous and steps <= MOST_STEPS
    values = tuple(options.minimum + step for step in range(steps)) if by_choice else None
    meanings = options.labels or [f"{value:g}" for value in values or ()]
    text = load_prompt(FOLDER / "item.jinja", ("question",)).render(
        "question",
        who=who,
        introduction=instrument.introduction.get("first"),
        look_back=instrument.look_back,
        item=instrument.question(item, "first"),
        low=item.low,
        high=item.high,
        options=list(zip(_labels(values), meanings, strict=True)) if values is not None else None,
        minimum=f"{options.minimum:g}",
        maximum=f"{options.maximum:g}",
    )
    return text, values


def _free_answer(item: Item, instrument: Instrument, form: str, text: str) -> Answer:
    found = _NUMBER.search(text)
    if found is None or not instrument.options_of(item, form).accepts(float(found[0])):
        return Answer(item.id, missing_reason="no number of the scale", raw_text=text[:200])
    return Answer(item.id, float(found[0]), raw_text=text[:200])
