"""What the mock server's log tells of a study that was interrupted: what it built on, and what it asked again."""

import itertools
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field

from simulator.agents.between_sessions import QUESTIONS
from simulator.records.seeds import derive_seed
from simulator.serving.mock_counters import SeenRequest
from simulator.sessions.several import BEFORE_ALL
from simulator.studies.composing import compose
from simulator.studies.plan import make_plan
from tests.killing import Place
from tests.mock_for_tests import said_before, seed_of

TALK = [
    "client=static", "therapist=[lm_supportive,lm_companion]", "personas.limit=4", "replicates=1", "instruments=[]",
    "coders=[]", "session=course", "session.course.sessions=2", "session.max_turns=4", "limits.concurrency=8",
]  # fmt: skip


@dataclass(slots=True)
class Told:
    """What the mock server's log says of the requests of one study, attempt by attempt."""

    overrides: list[str]
    course_of: dict[int, str] = field(default_factory=dict)
    """The course that a seed belongs to."""
    asked: set[str] = field(default_factory=set)
    """Every request so far."""
    repeated: int = 0

    def __post_init__(self) -> None:
        config = compose(*self.overrides)
        days = [number / 2 for number in range(2 * int(config.session.course.days) + 1)]
        for spec in make_plan(config).courses():
            for session, role in itertools.product(range(8), config.session.roles):
                places = [(turn, "turn") for turn in range(config.session.max_turns)] + [(-1, "notes")]
                for turn, purpose in places:
                    self.course_of[derive_seed(spec.pairing_key, session, turn, role, purpose)] = spec.course
            for day, question in itertools.product(days, QUESTIONS):
                seed = derive_seed(spec.pairing_key, BEFORE_ALL, -1, "client", f"decision:{question}:{day:g}")
                self.course_of[seed] = spec.course

    def take_in(self, requests: list[SeenRequest], in_flight: set[str], turns: Collection[Place]) -> None:
        """Check an attempt: what it built on is in the journal, and what it asked again had been in flight.

        Args:
            requests: all of the attempt.
            in_flight: courses that were begun and not ended when it started.
            turns: all turns in the journal after it.
        """
        journalled = {(course, text) for course, _, _, text in turns}
        again: Counter[str] = Counter()
        for request in requests:
            course = self.course_of[seed_of(request)]
            assert {(course, text) for text in said_before(request)} <= journalled
            again[course] += request.digest in self.asked
        assert max(again.values(), default=0) <= 1
        assert {course for course, count in again.items() if count} <= in_flight
        self.repeated += sum(again.values())
        self.asked |= {request.digest for request in requests}
