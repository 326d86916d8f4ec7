"""Giving an instrument to somebody, outside the transcript, at a stated moment.

Every item is asked by itself with a seed of its own. An agent that cannot be asked gives missing answers with that
reason: there are no silent defaults.
"""

from autogen_agentchat.agents import BaseChatAgent
from pydantic import BaseModel, ConfigDict, Field

from simulator.agents.base import Respondent, Seat
from simulator.errors import UserError
from simulator.instruments.loading import load_instrument
from simulator.instruments.schema import Instrument, Moment
from simulator.instruments.scoring import adaptation
from simulator.records.journal_records import Administration, Answer


class InstrumentChoice(BaseModel):
    """One instrument of a study: which, in which form, to whom and when."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    instrument: str
    form: str = "official"
    moments: list[Moment] = Field(min_length=1)
    respondent: str = "client"
    adapted: bool = False
    """Given at a moment that its authors do not provide for; the mark stands beside every score."""


def check_choice(choice: InstrumentChoice) -> None:
    """Refuse what the instrument does not provide for.

    Raises:
        UserError: no such instrument or form, or a moment at which it may not be given unless it is marked adapted.
    """
    instrument = load_instrument(choice.instrument)
    instrument.form(choice.form)
    for moment in choice.moments:
        reason = adaptation(instrument, moment, None)
        if reason and not choice.adapted:
            raise UserError(f"instruments: {reason}; set adapted=true to give it all the same, marked")


async def administer(
    choice: InstrumentChoice, agent: BaseChatAgent, seat: Seat, moment: Moment, day: float = 0.0
) -> Administration:
    """Ask every item of an instrument.

    Args:
        choice: the instrument and its form.
        agent: who answers; missing answers with a reason where the agent cannot be asked.
        seat: the respondent's seat, for the derived seeds.
        moment: when, within the course.
        day: simulated day of the course.
    """
    instrument: Instrument = load_instrument(choice.instrument)
    answers = []
    for item in instrument.items_of(choice.form):
        seed = seat.seed(-1, f"administration:{moment}:{instrument.name}:{item.id}")
        if isinstance(agent, Respondent):
            answer = await agent.answer_item(instrument, item, choice.form, seed)
        else:
            answer = Answer(item.id, missing_reason=f"{type(agent).__name__} cannot be asked")
        answer.seed = seed
        answers.append(answer)
    return Administration(
        seat.course, seat.session, moment, instrument.name, str(instrument.version), choice.form, instrument.wording,
        choice.respondent, answers, day, choice.adapted,
    )  # fmt: skip
