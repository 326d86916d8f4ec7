"""A course of several sessions: its clock, the client's life and decisions between sessions, memory on both sides.

The schedule (see `schedule`) is walked from its start, whether the course begins or goes on: a step that is in the
journal is taken from there, any other is taken now and journalled. So an interrupted course ends exactly like an
uninterrupted one. Sessions are numbered in the order in which they are held.

A course that begins is followed to its last day. A client that left, or waits on a list, still lives, decides about
other help and contacts every week, and fills in questionnaires at the same simulated dates.
"""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from simulator.agents.between_sessions import QUESTIONS, Decides, Decision, Kept, Lives, Memory, TakesNotes
from simulator.agents.life_events import LIFE_EVENTS, draw_event
from simulator.errors import SessionError
from simulator.instruments.schema import Moment
from simulator.records.encoding import readable
from simulator.records.history import Fact, History
from simulator.records.journal_records import CourseEnded, CourseRecord, Decided, Failed, Lived, Note, Noted
from simulator.records.seeds import derive_seed
from simulator.sessions import course as single
from simulator.sessions.administration import administer
from simulator.sessions.blame import AgentsOwn
from simulator.sessions.engine import Drained
from simulator.sessions.memory import remembered
from simulator.sessions.schedule import CourseProtocol, Step, dates_of, timeline

IN_COURSE, LEFT, WAITLIST = "in_course", "left", "waitlist"
"""Where a client stands: it comes (or may), it decided not to come any more, it waits and has no sessions."""

BEFORE_ALL = -1
"""The session that seeds of the time between sessions belong to: they do not depend on how many were held."""


async def run_several(
    spec: single.CourseSpec,
    setting: single.CourseSetting,
    history: History,
    record: Callable[[CourseRecord], None],
) -> int:
    """Walk a course from its first day to its last; returns how many sessions were held.

    Raises:
        SessionError: a session, a decision or a questionnaire cannot go on.
        Drained: the run was asked to stop; what was finished is in the journal.
    """
    course = _Course(spec, setting, history, record)
    dates = sorted({day for choice in setting.instruments for day in dates_of(choice, setting.protocol.course)})
    await course.begin()
    for step in timeline(setting.protocol.course, dates):
        await course.take(step)
    await course.end()
    return course.held


@dataclass(slots=True)
class _Course:
    """Where a course stands, and how it takes its next step."""

    spec: single.CourseSpec
    setting: single.CourseSetting
    history: History
    record: Callable[[CourseRecord], None]
    held: int = 0
    status: str = IN_COURSE
    _lived: float = 0.0
    """The day up to which the client's state is known."""
    _states: dict[str, dict[str, float]] = field(default_factory=dict)
    _noted: dict[str, list[Noted]] = field(default_factory=dict)
    _happened: list[str] = field(default_factory=list)
    """What the client did since its state last moved."""
    _seated: single.SeatedSession | None = None
    """Who answers and decides between two sessions."""
    _lives: dict[float, Lived] = field(default_factory=dict)
    _decisions: dict[tuple[float, str], Decided] = field(default_factory=dict)
    _notes: dict[tuple[int, str], Noted] = field(default_factory=dict)

    _past: dict[int, list[Fact]] = field(default_factory=dict)
    """What the journal holds, by session; administrations by date stand with the session before them."""

    def __post_init__(self) -> None:
        chairs = self.spec.chairs
        if not all(self.setting.factories[role, chairs[role]].holds_sessions for role in self.setting.protocol.roles):
            self.status = WAITLIST
        for fact in self.history.facts:
            if isinstance(fact, Lived):
                self._lives[fact.day] = fact
            elif isinstance(fact, Decided):
                self._decisions[fact.day, fact.question] = fact
            elif isinstance(fact, Noted):
                self._notes[fact.session, fact.role] = fact
            elif not isinstance(fact, CourseEnded | Failed):
                self._past.setdefault(fact.session, []).append(fact)

    @property
    def _protocol(self) -> CourseProtocol:
        return self.setting.protocol.course

    @property
    def _client(self) -> str:
        """Whose life it is: the first role that knows the persona."""
        return next(role for role in self.setting.protocol.roles if role in self.setting.persona_roles)

    async def begin(self) -> None:
        """Ask what is asked before the first session."""
        await self._of_course("course_start", 0.0)

    async def end(self) -> None:
        """Ask what is asked when a course is over, of all that began one."""
        await self._of_course("course_end", self._protocol.days)

    async def _of_course(self, moment: Moment, day: float) -> None:
        if any(moment in choice.moments for choice in self.setting.instruments):
            await single.administer_all(
                self.spec, self.setting, self._on(day), self._earlier(self._last), moment, self._last, self.record,
                day, self._present,
            )  # fmt: skip

    async def take(self, step: Step) -> None:
        """Take one step of the schedule."""
        if step.kind == "date":
            await self._ask(step.day)
            return
        if step.day > 0:
            self._live(step)
        if step.kind == "session":
            if await self._comes(step):
                await self._hold(step.day)
        elif self._protocol.decisions:
            may_come = self.status == IN_COURSE and self._protocol.extra_sessions
            if may_come and await self._decide("between", step) == "extra_session":
                await self._hold(step.day)
            self._happened.append(await self._decide("outside", step))

    async def _comes(self, step: Step) -> bool:
        """Whether a session of the schedule takes place."""
        if self.status == WAITLIST:
            return False
        if step.number == 0 or not self._protocol.decisions:
            return True
        option = await self._decide("attendance" if self.status == IN_COURSE else "leaving", step)
        self._happened.append(option)
        if option in ("stop", "come_back"):
            self.status = LEFT if option == "stop" else IN_COURSE
        return option in ("return", "come_back")

    async def _hold(self, day: float) -> None:
        """Hold the next session, or the rest of it, and keep what everyone notes of it."""
        index, roles, earlier = self.held, self.setting.protocol.roles, self._earlier(self.held)
        if not all((index, role) in self._notes for role in roles):
            self._stop_if_drained()
            seated = single.seat_all(self.spec, self.setting, index, self._memories(day, roles))
            if not earlier.turns(index):
                await self._around("session_start", seated, earlier, day)
            await single.hold_session(self.spec, self.setting, seated, earlier, index, self.record, day)
            await self._around("session_end", seated, earlier, day)
            for role in roles:
                seated.chairs[role].hear_out()
            for role in roles:
                if (index, role) not in self._notes:
                    await self._note(role, seated, index, day)
        for role in roles:
            self._keep(self._notes[index, role])
        self._lived, self._seated = day, None
        self.held += 1

    async def _around(self, moment: Moment, seated: single.SeatedSession, earlier: History, day: float) -> None:
        await single.administer_all(self.spec, self.setting, seated, earlier, moment, self.held, self.record, day)

    def _earlier(self, session: int) -> History:
        """What the journal holds of a session."""
        return History(self.spec.course, self._past.get(session, []))

    async def _note(self, role: str, seated: single.SeatedSession, index: int, day: float) -> None:
        agent, kept = seated.chairs[role].agent, Kept()
        if isinstance(agent, TakesNotes):
            try:
                with AgentsOwn(role):
                    kept = await agent.take_notes(seated.seats[role].seed(-1, "notes"))
            finally:
                single.note_calls(self.spec.course, index, seated, self.record)
            if not isinstance(kept, Kept):
                raise SessionError("agent", "bad_notes", f"{role} kept a {type(kept).__name__}; return a Kept")
        noted = Noted(self.spec.course, index, role, day, kept.notes, kept.state)
        self.record(noted)
        self._notes[index, role] = noted

    def _keep(self, noted: Noted) -> None:
        self._noted.setdefault(noted.role, []).append(noted)
        if noted.state is not None:
            self._states[noted.role] = noted.state

    def _live(self, step: Step) -> None:
        """Let the client live to the day of a step; in the middle of a week something may have happened."""
        lived = self._lives.get(step.day)
        if lived is None:
            self._stop_if_drained()
            event = None
            if step.kind == "week" and self._protocol.life_events:
                event = draw_event(self._seed(f"life_event:{step.day:g}"))
            state = self._moved(step.day, [*self._happened, *([event] if event else [])])
            lived = Lived(self.spec.course, step.week, step.day, self.status, self.held, event, state)
            self.record(lived)
        if lived.state is not None:
            self._states[self._client] = lived.state
        if lived.event is not None:
            note = Note("event", LIFE_EVENTS[lived.event].text)
            self._keep(Noted(self.spec.course, self.held, self._client, lived.day, [note]))
        self._lived, self._seated = step.day, None
        self._happened.clear()

    def _moved(self, day: float, happened: Sequence[str]) -> dict[str, float] | None:
        """The client's state when it has lived to a day; None where it has no state that moves."""
        agent = self._between(self._lived).chairs[self._client].agent
        if not isinstance(agent, Lives):
            return None
        self._seated = None  # the agent has moved on
        with AgentsOwn(self._client):
            return agent.live(day - self._lived, happened, self._seed(f"life:{day:g}"))

    async def _decide(self, question: str, step: Step) -> str:
        decided = self._decisions.get((step.day, question))
        if decided is None:
            self._stop_if_drained()
            options, seed = list(QUESTIONS[question]), self._seed(f"decision:{question}:{step.day:g}")
            decision = await self._decision(options, seed, step.day)
            chances = None if decision.probabilities is None else [float(chance) for chance in decision.probabilities]
            decided = Decided(
                self.spec.course, step.week, step.day, self._client, question, options, decision.option, chances, seed
            )
            self.record(decided)
        return decided.option

    async def _decision(self, options: list[str], seed: int, day: float) -> Decision:
        seated = self._between(day)
        agent = seated.chairs[self._client].agent
        if not isinstance(agent, Decides):
            return Decision(options[0])
        try:
            with AgentsOwn(self._client):
                decision = await agent.decide(options, seed)
                wrong = _wrong_with(decision, options)
        finally:
            single.note_calls(self.spec.course, self._last, seated, self.record)
        if wrong is not None:
            raise SessionError("agent", "bad_decision", f"{self._client} {readable(wrong)}")
        return decision

    async def _ask(self, day: float) -> None:
        """Give the instruments of a date. Nothing of it touches the course: it is the same without them."""
        moment = f"day {day:g}"
        seated: single.SeatedSession | None = None
        earlier = self._earlier(self._last)
        for choice in self.setting.instruments:
            if day not in dates_of(choice, self._protocol) or choice.respondent not in self._present:
                continue
            if earlier.has_administration(self._last, moment, choice.name, choice.respondent):
                continue
            self._stop_if_drained()
            seated = seated or self._on(day)
            chair, seat = seated.chairs[choice.respondent], seated.seats[choice.respondent]
            try:
                administration = await administer(choice, chair.agent, seat, moment, day, self._last)
            finally:
                single.note_calls(self.spec.course, self._last, seated, self.record)
            self.record(administration)

    def _on(self, day: float) -> single.SeatedSession:
        """Everyone present as they would be on a day, the client's state moved to it; nothing is kept of that."""
        seated = single.seat_all(self.spec, self.setting, self.held, self._memories(day, self._present))
        agent = seated.chairs[self._client].agent
        if isinstance(agent, Lives) and day > self._lived:
            with AgentsOwn(self._client):
                agent.live(day - self._lived, self._happened, self._seed(f"life:{day:g}"))
        return seated

    def _between(self, day: float) -> single.SeatedSession:
        """The client alone, as it is between two sessions."""
        if self._seated is None:
            self._seated = single.seat_all(self.spec, self.setting, self.held, self._memories(day, [self._client]))
        return self._seated

    def _memories(self, day: float, roles: Collection[str]) -> dict[str, Memory]:
        policy = self._protocol.memory
        return {
            role: Memory(day, self.held, remembered(self._noted.get(role, ()), day, policy), self._states.get(role, {}))
            for role in self.setting.protocol.roles
            if role in roles
        }

    @property
    def _present(self) -> frozenset[str]:
        """Who can be asked: on a waiting list nobody but the client."""
        return frozenset([self._client] if self.status == WAITLIST else self.setting.protocol.roles)

    @property
    def _last(self) -> int:
        """The last session that was held; 0 before any."""
        return max(0, self.held - 1)

    def _seed(self, purpose: str) -> int:
        return derive_seed(self.spec.pairing_key, BEFORE_ALL, -1, self._client, purpose)

    def _stop_if_drained(self) -> None:
        if self.setting.drained():
            raise Drained


def _wrong_with(decision: object, options: Sequence[str]) -> str | None:
    """What keeps something that an agent handed over from being a decision between `options`; None where it is one."""
    if not isinstance(decision, Decision):
        return f"decided by a {type(decision).__name__}; return a Decision"
    if decision.option not in options:
        return f"decided for '{decision.option}', no option"
    chances = decision.probabilities
    if chances is None:
        return None
    if len(chances) != len(options):
        return f"gave {len(chances)} probabilities for {len(options)} options"
    outside = [chance for chance in chances if math.isfinite(chance) and not 0 <= chance <= 1 + 1e-9]
    return f"gave {outside[0]} as a probability" if outside else None
