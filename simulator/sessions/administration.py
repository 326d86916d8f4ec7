"""Giving an instrument to somebody, outside the transcript, at a stated moment.

Every item is asked by itself with a seed of its own. An agent that cannot be asked gives missing answers with that
reason: there are no silent defaults.
"""

import asyncio
import itertools
from collections.abc import Callable, Mapping
from functools import cache
from typing import Literal, Self

from autogen_agentchat.agents import BaseChatAgent
from pydantic import BaseModel, ConfigDict, Field, model_validator

from simulator.agents.base import Respondent, Seat
from simulator.agents.questionnaires import ChoosesByLabels
from simulator.errors import SessionError
from simulator.instruments.loading import load_instrument
from simulator.instruments.schema import Instrument, Item, Moment
from simulator.records.journal_records import Administration, Answer
from simulator.sessions.blame import AgentsOwn


class InstrumentChoice(BaseModel):
    """One instrument of a study: which, in which form, to whom and when."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    instrument: str
    form: str = "official"
    moments: list[Moment] = []
    every_days: float | None = Field(default=None, gt=0)
    """In a course of several sessions: given at simulated days d, 2 d, ..., whether the client still comes or not."""
    respondent: str = "client"
    item_order: Literal["printed", "shuffled"] = "printed"
    """Shuffled: the items are asked in the order of their seeds, another one for every administration; the table's
    column `seed` therefore tells at which place an item stood."""
    label_order: Literal["averaged", "shuffled"] = "averaged"
    """Of the options that a model sees: two requests in opposite orders, averaged, or one in an order that the item's
    seed decides."""
    adapted: bool = False
    """Given at a moment or interval that its authors do not provide for; the mark stands beside every score."""

    @model_validator(mode="after")
    def _is_given(self) -> Self:
        if not self.moments and self.every_days is None:
            raise ValueError("moments: name at least one moment, or days by every_days")
        return self

    @property
    def name(self) -> str:
        """The instrument's own name, which records carry, however the choice spells it."""
        return _name_of(self.instrument)


@cache
def _name_of(instrument: str) -> str:
    return load_instrument(instrument).name


AT_ONCE = 8
"""Items of a rated recording that are asked at the same time, once the first has put their shared prefix into the
cache."""


async def administer(
    choice: InstrumentChoice,
    agent: BaseChatAgent,
    seat: Seat,
    moment: str,
    day: float = 0.0,
    session: int | None = None,
    known: Mapping[str, Answer] = {},
    answered: Callable[[Answer], None] = lambda answer: None,
    at_once: int = 1,
) -> Administration:
    """Ask every item of an instrument.

    Args:
        choice: the instrument and its form.
        agent: who answers; missing answers with a reason where the agent cannot be asked.
        seat: the respondent's seat, for the derived seeds.
        moment: when, within the course: a `Moment`, or a date as `day 28`.
        day: simulated day of the course.
        session: the session that it is recorded under; the seat's by default.
        known: answers that were given before an interruption, by item.
        answered: is told every new answer as soon as it is there.
        at_once: how many items are asked at the same time, after the first.
    """
    instrument: Instrument = load_instrument(choice.instrument)
    asked = [
        (seat.seed(-1, f"administration:{moment}:{instrument.name}:{item.id}"), item)
        for item in instrument.items_of(choice.form)
    ]
    if choice.item_order == "shuffled":
        asked.sort(key=lambda entry: entry[0])
    answers = dict(known)
    waiting = iter([(seed, item) for seed, item in asked if item.id not in known])

    async def ask(most: int | None) -> None:
        for seed, item in itertools.islice(waiting, most):
            with AgentsOwn(choice.respondent):
                answer = await _answer(choice, agent, instrument, item, seed)
            if not isinstance(answer, Answer):
                what = f"answered {item.id} by a {type(answer).__name__}; return an Answer"
                raise SessionError("agent", "bad_answer", f"{choice.respondent} {what}")
            answer.seed = seed
            answers[item.id] = answer
            answered(answer)

    await ask(1 if at_once > 1 else None)
    if at_once > 1:
        ends = await asyncio.gather(*(ask(None) for _ in range(at_once)), return_exceptions=True)
        for end in ends:
            if isinstance(end, BaseException):
                raise end
    place = seat.session if session is None else session
    return Administration(
        seat.course, place, moment, instrument.name, str(instrument.version), choice.form, instrument.wording,
        choice.respondent, [answers[item.id] for _, item in asked], day, choice.adapted,
    )  # fmt: skip


async def _answer(
    choice: InstrumentChoice, agent: BaseChatAgent, instrument: Instrument, item: Item, seed: int
) -> Answer:
    if choice.label_order != "averaged" and isinstance(agent, ChoosesByLabels):
        return await agent.answer_item(instrument, item, choice.form, seed, order=choice.label_order)
    if isinstance(agent, Respondent):
        return await agent.answer_item(instrument, item, choice.form, seed)
    return Answer(item.id, missing_reason=f"{type(agent).__name__} cannot be asked")
