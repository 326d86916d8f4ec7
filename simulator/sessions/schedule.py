"""The clock of a course: on which simulated days there are sessions, decisions and questionnaires.

Day 0 is the day of the first session. A course of N sessions, d days apart, lasts N x d days. Every week of it has a
middle, at which the client's week is looked at and it decides for itself, whether it still comes or not. Where several
things fall on one day, questionnaires come first, then the week, then the session.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from simulator.errors import UserError
from simulator.instruments.loading import load_instrument
from simulator.instruments.schema import Moment
from simulator.instruments.scoring import adaptation
from simulator.sessions.administration import InstrumentChoice
from simulator.sessions.memory import MemoryPolicy

WEEK = 7.0
MIDDLE_OF_WEEK = 3.0
"""Days after a week's start at which the client decides about other things than the next session."""

Kind = Literal["date", "week", "session"]
_ORDER: tuple[Kind, ...] = ("date", "week", "session")


class CourseProtocol(BaseModel):
    """How the sessions of one client with one therapist follow each other."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sessions: Annotated[int, Field(ge=1)] = 1
    """Sessions on the schedule."""
    days_between: Annotated[float, Field(gt=0)] = 7.0
    """Simulated days from one session on the schedule to the next."""
    decisions: bool = True
    """Whether the client decides to come, to miss, to leave, to come back; without it every session takes place."""
    extra_sessions: bool = True
    """Whether the client may ask for a session outside the schedule, at most one a week."""
    life_events: bool = True
    """Whether things happen to the client outside sessions."""
    memory: MemoryPolicy = MemoryPolicy()
    """What is remembered of earlier sessions, on both sides."""

    @property
    def several(self) -> bool:
        """Whether there is a course around the session: a clock, memory, decisions."""
        return self.sessions > 1

    @property
    def days(self) -> float:
        """How long a course lasts, in simulated days."""
        return self.sessions * self.days_between

    @property
    def weeks(self) -> int:
        """Weeks of a course, the last one begun counted."""
        return ceil(self.days / WEEK)


@dataclass(frozen=True, slots=True)
class Step:
    """Something on the schedule: a date for questionnaires, the middle of a week, or a session, numbered from 0."""

    day: float
    kind: Kind
    number: int

    @property
    def week(self) -> int:
        """The simulated week, from 0."""
        return int(self.day // WEEK)


def dates_of(choice: InstrumentChoice, course: CourseProtocol) -> list[float]:
    """The simulated days at which an instrument is given by date; all lie after the first session."""
    if choice.every_days is None:
        return []
    return [choice.every_days * n for n in range(1, int(course.days / choice.every_days + 1e-9) + 1)]


def timeline(course: CourseProtocol, dates: Iterable[float] = ()) -> list[Step]:
    """Everything on the schedule of a course, in order."""
    steps = [Step(number * course.days_between, "session", number) for number in range(course.sessions)]
    steps += [Step(number * WEEK + MIDDLE_OF_WEEK, "week", number) for number in range(course.weeks)]
    steps += [Step(day, "date", number) for number, day in enumerate(sorted(set(dates)))]
    return sorted(steps, key=lambda step: (step.day, _ORDER.index(step.kind)))


def check_schedule(choices: Sequence[InstrumentChoice], course: CourseProtocol) -> None:
    """Refuse instruments that would be given at moments or at intervals that they do not provide for.

    Intervals are those of a client that comes to every session, and a session outside the schedule where there may be
    some; forms of one instrument and respondents' choices count together.

    Raises:
        UserError: no such instrument or form; a moment, a date or an interval that the instrument does not allow and
            that is not marked adapted; dates in a course of one session.
    """
    for choice in choices:
        instrument = load_instrument(choice.instrument)
        instrument.form(choice.form)
        if choice.every_days is not None and not course.several:
            raise UserError(
                f"instruments: {choice.instrument} is given every {choice.every_days:g} days, but a course has one "
                "session (session.course.sessions=1); raise that or leave out every_days"
            )
        moments: list[Moment] = list(choice.moments)
        if choice.every_days is not None:  # by date: a moment of the course and not of a session
            moments.append("course_end" if "course_end" in instrument.moments else "course_start")
        for moment in moments:
            reason = adaptation(instrument, moment, None)
            if reason and not choice.adapted:
                raise UserError(f"instruments: {reason}; set adapted=true to give it all the same, marked")
        same = [other for other in choices if (other.name, other.respondent) == (choice.name, choice.respondent)]
        days = sorted(day for other in same for day in _days_of(other, course))
        gap = min((later - earlier for earlier, later in pairwise(days)), default=None)
        reason = adaptation(instrument, moments[0], gap)
        if reason and not choice.adapted:
            raise UserError(f"instruments: {reason}; give it less often, or set adapted=true to have its scores marked")


def _days_of(choice: InstrumentChoice, course: CourseProtocol) -> list[float]:
    """The days at which an instrument would be given, one entry for each time."""
    days = dates_of(choice, course)
    sessions = [number * course.days_between for number in range(course.sessions)]
    if course.several and course.decisions and course.extra_sessions:
        sessions += [number * WEEK + MIDDLE_OF_WEEK for number in range(course.weeks)]
    for moment in choice.moments:
        if moment in ("session_start", "session_end"):
            days += sessions
        else:
            days.append(0.0 if moment == "course_start" else course.days)
    return days
