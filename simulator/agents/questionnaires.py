"""Filling in a questionnaire with a model, in character and outside the talk.

A scale with at most 26 steps is asked by choice with probabilities, averaged over the scale's order and its reverse.
The answer is drawn from them by the item's seed; the most probable step, the expected value and the mass outside the
steps are kept beside it. A continuous scale is asked
as a number. What is no answer is missing, with the reason and the raw text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from simulator.agents.prompting import FOLDER, load_prompt
from simulator.errors import SessionError, UserError
from simulator.models.choice import LETTERS, Option, Order, choose
from simulator.models.messages import Completer, Message, Request
from simulator.records.journal_records import Answer

if TYPE_CHECKING:
    from simulator.instruments.schema import Instrument, Item, Person


@runtime_checkable
class ChoosesByLabels(Protocol):
    """A respondent that sees an item's options in an order that can be asked for."""

    label_orders: Sequence[Order]

    async def answer_item(
        self, instrument: Instrument, item: Item, form: str, seed: int, *, order: Order = "averaged"
    ) -> Answer:
        """The answer in character, before keying."""
        ...


KEPT = 200
"""Letters of an answer's raw text that are kept."""
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


async def ask_item(
    model: Completer,
    conversation: Sequence[Message],
    who: str,
    instrument: Instrument,
    item: Item,
    form: str,
    seed: int,
    *,
    person: Person = "first",
    order: Order = "averaged",
) -> Answer:
    """The answer to one item: raw value before keying, its probability and the expected value where they can be had.

    Args:
        model: who is asked.
        conversation: what stands before the question, persona included.
        who: the respondent's name in the question.
        instrument: the instrument that the item belongs to.
        item: the item.
        form: the form's name.
        seed: of this item.
        person: whether the item is put in the first or in the third person.
        order: of the options: averaged over the scale's order and its reverse, or shuffled by the seed.

    Raises:
        SessionError: the model has no answer.
    """
    try:
        return await _ask(model, conversation, who, instrument, item, form, seed, person, order)
    except SessionError as error:
        if error.kind != "context_overflow":
            raise
        return Answer(item.id, missing_reason="the model's context is full")


async def _ask(
    model: Completer,
    conversation: Sequence[Message],
    who: str,
    instrument: Instrument,
    item: Item,
    form: str,
    seed: int,
    person: Person,
    order: Order,
) -> Answer:
    purpose = f"administration:{instrument.name}:{item.id}"
    options = steps_of(instrument, item, form)
    try:
        question = item_question(who, instrument, item, form, person)
    except UserError as error:  # the wording is the user's to supply: the item cannot be asked, and says so
        return Answer(item.id, missing_reason=str(error)[:KEPT])
    if not options:
        completion = await model.complete(Request([*conversation, Message("user", question)], seed, purpose=purpose))
        return _number_in(completion.text, instrument, item, form)
    chosen = await choose(model, conversation, options, seed=seed, question=question, purpose=purpose, order=order)
    raw = (chosen.raw_text or "")[:KEPT]
    if chosen.value is None:
        return Answer(item.id, missing_reason=chosen.missing_reason, raw_text=raw, outside=chosen.outside)
    return Answer(
        item.id, float(chosen.value), expected=chosen.expected, probability=chosen.probability, raw_text=raw,
        most_probable=None if chosen.most_probable is None else float(chosen.most_probable), outside=chosen.outside,
    )  # fmt: skip


def steps_of(instrument: Instrument, item: Item, form: str) -> list[Option]:
    """The steps of an item's scale as options, in ascending order; none where it is continuous or has too many."""
    scale = instrument.options_of(item, form)
    steps = int(scale.maximum - scale.minimum) + 1
    if scale.continuous or steps > len(LETTERS):
        return []
    values = [scale.minimum + step for step in range(steps)]
    texts = list(scale.labels) or [f"{value:g}" for value in values]
    if not scale.labels and item.low and item.high:
        texts[0], texts[-1] = f"{texts[0]} ({item.low})", f"{texts[-1]} ({item.high})"
    return [Option(f"{value:g}", text, value) for value, text in zip(values, texts, strict=True)]


def item_question(who: str, instrument: Instrument, item: Item, form: str, person: Person = "first") -> str:
    """What is asked, without the options.

    Raises:
        UserError: the instrument's wording is the user's to supply.
    """
    scale = instrument.options_of(item, form)
    return load_prompt(FOLDER / "item.jinja", ("question",)).render(
        "question",
        who=who,
        introduction=instrument.introduction.get(person),
        look_back=instrument.look_back,
        item=instrument.question(item, person),
        low=item.low,
        high=item.high,
        minimum=f"{scale.minimum:g}",
        maximum=f"{scale.maximum:g}",
        by_choice=bool(steps_of(instrument, item, form)),
    )


def _number_in(text: str, instrument: Instrument, item: Item, form: str) -> Answer:
    found = _NUMBER.search(text)
    if found is None or not instrument.options_of(item, form).accepts(float(found[0])):
        return Answer(item.id, missing_reason="no number of the scale", raw_text=text[:KEPT])
    return Answer(item.id, float(found[0]), raw_text=text[:KEPT])
