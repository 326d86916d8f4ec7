"""The history of one course: its facts in the order in which they happened."""

from dataclasses import dataclass, field

from simulator.records.journal_records import (
    Administration,
    Answer,
    Answered,
    CourseEnded,
    Decided,
    Event,
    Extracted,
    Failed,
    Lived,
    Noted,
    SavedState,
    SessionEnded,
    Turn,
)

Fact = (
    Turn
    | Event
    | Administration
    | SessionEnded
    | Noted
    | Lived
    | Decided
    | Extracted
    | Answered
    | CourseEnded
    | Failed
    | SavedState
)
"""A record that belongs to a course's history (executions and take-ups do not)."""


@dataclass(slots=True)
class History:
    """What is known of one course, in the order in which it happened."""

    course: str
    facts: list[Fact] = field(default_factory=list)
    attempt: int = -1

    @property
    def ended(self) -> bool:
        """All its sessions are over."""
        return bool(self.facts) and isinstance(self.facts[-1], CourseEnded)

    @property
    def failure(self) -> Failed | None:
        """The failure at which the course stopped, if it did."""
        last = self.facts[-1] if self.facts else None
        return last if isinstance(last, Failed) else None

    @property
    def standing(self) -> list[Fact]:
        """The facts from which the course goes on: without a closing failure, and without what was noted ahead of a
        turn that was never finished (a stimulus announced, a foreign agent's state)."""
        count = len(self.facts)
        while count and isinstance(self.facts[count - 1], Event | SavedState | Failed):
            count -= 1
        return self.facts[:count]

    def turns(self, session: int) -> list[Turn]:
        """The turns of one session, in order."""
        return [fact for fact in self.facts if isinstance(fact, Turn) and fact.session == session]

    def session_end(self, session: int) -> SessionEnded | None:
        """How a session ended, or None if it did not."""
        for fact in self.facts:
            if isinstance(fact, SessionEnded) and fact.session == session:
                return fact
        return None

    def has_administration(self, session: int, moment: str, instrument: str, respondent: str) -> bool:
        """Whether an instrument was already given at a moment."""
        return any(
            isinstance(fact, Administration)
            and (fact.session, fact.moment, fact.instrument, fact.respondent)
            == (session, moment, instrument, respondent)
            for fact in self.facts
        )

    def answers(self, session: int, moment: str, instrument: str, respondent: str) -> dict[str, Answer]:
        """The answers that an interrupted administration has already, by item."""
        return {
            fact.answer.item: fact.answer
            for fact in self.facts
            if isinstance(fact, Answered)
            and (fact.session, fact.moment, fact.instrument, fact.respondent)
            == (session, moment, instrument, respondent)
        }
