"""What an agent may do between the sessions of a course: keep notes, live through days, decide.

Every part is optional and found by what the agent's class offers: an agent that takes no notes remembers nothing, one
that does not live has no state that moves, one that does not decide keeps every appointment. An agent gets back what
it kept under `Seat.memory` (see `Memory`), which is rebuilt from the journal; what it does here must depend on nothing
else, so that a course that was interrupted goes on unchanged.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, runtime_checkable

from simulator.agents.base import Seat
from simulator.records.journal_records import Note

COURSE = "course"
"""Key of `Seat.memory` under which a `Memory` stands."""

NOTE_KINDS = ("name", "topic", "fact", "person", "promise", "homework", "note", "event")
"""What a note can be about: the client's name, what change would be about, something the client told, a person in its
life, a promise, homework, a remark of one's own, something that happened outside sessions."""

QUESTIONS: Mapping[str, Mapping[str, str]] = {
    "attendance": {
        "return": "go to the next session as arranged",
        "skip": "miss this one session",
        "stop": "not go any more",
    },
    "leaving": {
        "stay_away": "stay away",
        "come_back": "go to the sessions again",
    },
    "between": {
        "wait": "wait for the next arranged session",
        "extra_session": "ask for a session outside the schedule, now",
    },
    "outside": {
        "as_before": "leave contacts and other help as they are",
        "seek_help": "take up other help (a doctor, a counsellor, a group)",
        "drop_help": "give up other help",
        "seek_contact": "get in touch with somebody close",
        "drop_contact": "call off or let go of a contact with somebody close",
    },
}
"""The decisions of a client and the options of each, in words. No option belongs to two questions; the first of each is
what an agent that does not decide is taken to do."""


class Decision(NamedTuple):
    """What was decided, and with which probability each option would have been, in their order (None: not known)."""

    option: str
    probabilities: Sequence[float] | None = None


class Remembered(NamedTuple):
    """A note that was not forgotten. `strength` is its weight, halved with every half-life since `day`."""

    kind: str
    text: str
    session: int
    day: float
    strength: float


@dataclass(slots=True)
class Kept:
    """What an agent keeps of a session: notes, and the state in which it goes on, where it has one."""

    notes: list[Note] = field(default_factory=list)
    state: dict[str, float] | None = None


@dataclass(frozen=True, slots=True)
class Memory:
    """What a chair knows of its course so far.

    `day` is the simulated day, `sessions` how many sessions were held, `notes` what was not forgotten, oldest first,
    `state` the agent's state as it last was (empty where it has none).
    """

    day: float = 0.0
    sessions: int = 0
    notes: tuple[Remembered, ...] = ()
    state: Mapping[str, float] = field(default_factory=dict)

    def texts(self, kind: str) -> list[str]:
        """The notes of one kind, oldest first."""
        return [note.text for note in self.notes if note.kind == kind]

    def text(self, kind: str) -> str:
        """The newest note of a kind; empty where there is none."""
        return next((note.text for note in reversed(self.notes) if note.kind == kind), "")


def course_memory(seat: Seat) -> Memory | None:
    """What a chair knows of its course; None where the course is one session and there is nothing to remember."""
    memory: Memory | None = seat.memory.get(COURSE)
    return memory


@runtime_checkable
class TakesNotes(Protocol):
    """An agent that keeps something of a session."""

    async def take_notes(self, seed: int) -> Kept:
        """What it keeps, asked once when the session is over and everything said was heard."""
        ...


@runtime_checkable
class Lives(Protocol):
    """An agent whose state moves outside sessions."""

    def live(self, days: float, happened: Sequence[str], seed: int) -> dict[str, float]:
        """Move the state over `days` in which `happened` (life events, own decisions) and return it whole."""
        ...


@runtime_checkable
class Decides(Protocol):
    """An agent that decides between sessions."""

    async def decide(self, options: Sequence[str], seed: int) -> Decision:
        """One of the options of a question of `QUESTIONS`, drawn with the seed from the probabilities given back."""
        ...


def question_of(options: Sequence[str]) -> str:
    """The question that options belong to.

    Raises:
        ValueError: they belong to none.
    """
    for question, known in QUESTIONS.items():
        if all(option in known for option in options):
            return question
    raise ValueError(f"no question has the options {', '.join(options)}")
