"""One course: its sessions in order, with the instruments given before, between and after them.

A course begins empty or from its history in the journal; both ways lead through the same lines, so that an interrupted
course ends exactly like an uninterrupted one.
"""

import asyncio
import itertools
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from autogen_agentchat.messages import BaseChatMessage, TextMessage

from simulator.agents.base import STIMULUS, Seat
from simulator.agents.between_sessions import COURSE, Memory
from simulator.agents.reading import SOURCE, ReadsRecordings, said_in
from simulator.agents.seating import ChairFactory
from simulator.errors import SessionError, UserError
from simulator.instruments.schema import Moment
from simulator.models.clients import ModelClients
from simulator.models.handle import Call, SeatedModelClient
from simulator.personas.schema import Persona
from simulator.records.history import Fact, History
from simulator.records.journal_records import (
    Answer,
    Answered,
    CourseEnded,
    CourseRecord,
    Event,
    Execution,
    Extracted,
    SavedState,
    Turn,
)
from simulator.sessions.administration import AT_ONCE, InstrumentChoice, administer
from simulator.sessions.blame import failure_of
from simulator.sessions.engine import Chair, Drained, Session, converse, message_of
from simulator.sessions.guarding import Watch, ended_by_guard
from simulator.sessions.protocol import Intervention, SessionProtocol


@dataclass(frozen=True, slots=True)
class CourseSpec:
    """One planned course: everything that tells it apart from its neighbours."""

    course: str
    pairing_key: str
    condition: str
    arm: str
    chairs: Mapping[str, str]
    """Name of the configuration in each chair, by role."""
    persona: Persona | None
    replicate: int
    cluster: str | None = None
    """What intervals are clustered by, where it is not the persona."""
    memory: Mapping[str, Any] = field(default_factory=dict)
    """What the plan hands the seats, for instance recorded turns under `replay`."""
    stratum: str | None = None
    """A declared grouping, of the recording that the course is made from."""


@dataclass(slots=True)
class CourseSetting:
    """What all courses of a study share."""

    protocol: SessionProtocol
    factories: Mapping[tuple[str, str], ChairFactory]
    """Chair factories by (role, configuration's name)."""
    instruments: Sequence[InstrumentChoice]
    drained: Callable[[], bool]
    models: ModelClients | None = None
    """The model clients behind the chairs, to be checked before the first course and closed after the last."""
    persona_roles: frozenset[str] = frozenset({"client"})
    """Roles that know the persona; the others learn of it only what they hear."""


@dataclass(slots=True)
class SeatedSession:
    """Who sits where: seats and chairs by role, and the handles on the models behind them."""

    seats: dict[str, Seat] = field(default_factory=dict)
    chairs: dict[str, Chair] = field(default_factory=dict)
    handles: list[SeatedModelClient] = field(default_factory=list)


async def run_course(
    spec: CourseSpec, setting: CourseSetting, past: Sequence[Fact], journal: Callable[[CourseRecord], None]
) -> None:
    """Run a course to its end, continuing from `past`.

    Raises:
        SessionError: a session cannot go on.
        Drained: the run was asked to stop; what was finished is in the journal.
    """
    history = History(spec.course, list(past))
    if "replay" in spec.memory:
        setting = replace(setting, protocol=replaying(setting.protocol, spec.memory["replay"]["turns"]))

    def record(fact: CourseRecord) -> None:
        journal(fact)
        if not isinstance(fact, Execution):
            history.facts.append(fact)  # type: ignore[arg-type]

    if setting.protocol.course.several:
        from simulator.sessions.several import run_several  # which holds its sessions by what stands below

        record(CourseEnded(spec.course, await run_several(spec, setting, history, record)))
        return
    index = 0
    source = spec.memory.get(SOURCE)
    if source is not None:
        setting = replace(setting, protocol=_from_recording(setting.protocol, source))
    seated = seat_all(spec, setting, index)
    if source is not None and source["use"] == "read":
        await _read_all(spec, setting, seated, history, record)
        record(CourseEnded(spec.course, 0))
        return
    if source is not None and source["use"] == "rate":
        for chair in seated.chairs.values():
            await chair.recall(list(enumerate(said_in(source))), None)
            chair.hear_out()
    else:
        await administer_all(spec, setting, seated, history, "course_start", index, record)
        await administer_all(spec, setting, seated, history, "session_start", index, record)
        await hold_session(spec, setting, seated, history, index, record)
    await administer_all(spec, setting, seated, history, "session_end", index, record)
    await administer_all(spec, setting, seated, history, "course_end", index, record)
    record(CourseEnded(spec.course, index + 1))


def replaying(protocol: SessionProtocol, turns: Sequence[tuple[str, str]]) -> SessionProtocol:
    """The protocol of a session that follows a recorded one: its opener, its length, and no end before."""
    return protocol.model_copy(
        update={
            "opener": turns[0][0],
            "max_turns": len(turns) + 1,
            "end_on_goodbye": False,
            "goodbye_loop": len(turns) + 2,
        }
    )


def _from_recording(protocol: SessionProtocol, source: Mapping[str, Any]) -> SessionProtocol:
    """The protocol of a session that is made from a recorded one: its first turns, and its length as a ratio."""
    changes: dict[str, Any] = {}
    first = source["turns"][: source["seed_turns"]]
    if first:
        said = {
            f"recorded_{turn}": Intervention(role=one.role, text=one.text, turn=turn) for turn, one in enumerate(first)
        }
        changes["interventions"] = {**protocol.interventions, **said}
        changes["arms"] = {arm: [*said, *names] for arm, names in protocol.arms.items()}
        changes["opener"] = first[0].role
    if source["turn_ratio"] is not None:
        changes["max_turns"] = max(1, len(first) + int(len(source["turns"]) * source["turn_ratio"]))
    return protocol.model_copy(update=changes) if changes else protocol


READ_AT_ONCE = 8
"""Fields of one recording that are read at the same time, once the first has put their shared prefix into the cache."""


async def _read_all(
    spec: CourseSpec,
    setting: CourseSetting,
    seated: SeatedSession,
    history: History,
    record: Callable[[CourseRecord], None],
) -> None:
    """Have every reading agent read what it has not read yet. What was found is journalled as soon as it is known.

    Raises:
        Drained: the run was asked to stop; what was read is in the journal.
    """
    known = {fact.field for fact in history.facts if isinstance(fact, Extracted)}
    for chair in seated.chairs.values():
        agent = chair.agent
        if not isinstance(agent, ReadsRecordings):
            continue
        waiting = iter([name for name in agent.fields if name not in known])

        async def read(agent: ReadsRecordings, waiting: Iterator[str], most: int | None) -> None:
            for name in itertools.islice(waiting, most):
                if setting.drained():
                    raise Drained
                try:
                    found = await agent.read(name)
                finally:
                    note_calls(spec.course, 0, seated, record)
                record(found)

        await read(agent, waiting, 1)
        tasks = [asyncio.ensure_future(read(agent, waiting, None)) for _ in range(READ_AT_ONCE)]
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        for end in ends:
            if isinstance(end, BaseException):
                raise end


async def hold_session(
    spec: CourseSpec,
    setting: CourseSetting,
    seated: SeatedSession,
    history: History,
    index: int,
    record: Callable[[CourseRecord], None],
    day: float = 0.0,
) -> None:
    """Hold a session, from its first turn or from where the history left it; agents hear again what was said."""
    turns = history.turns(index)
    for role, chair in seated.chairs.items():
        await chair.recall(_told(role, turns, history, index, setting.protocol), _saved(role, turns, history, index))
    if history.session_end(index) is not None:
        return
    started, clock = time.time(), time.perf_counter()
    stimuli = {name: setting.protocol.interventions[name] for name in setting.protocol.arms[spec.arm]}

    def seed(role: str, turn: int) -> int:
        return seated.seats[role].seed(turn)

    def journal(fact: Fact) -> None:
        record(fact)
        if isinstance(fact, Turn):  # what a turn cost is kept with it: whoever is killed has paid all the same
            note_calls(spec.course, index, seated, record)

    session = Session(
        spec.course, index, setting.protocol, stimuli, seated.chairs, journal, list(turns),
        setting.drained, seed, day, delivered=_delivered(history, index), watch=_watch(spec, setting, index, record),
        stopped_by=_stopped_by(history, index, len(turns) - 1),
    )  # fmt: skip
    try:
        await converse(session)
    finally:
        note_calls(spec.course, index, seated, record)
        record(Execution(spec.course, index, "session", started, time.perf_counter() - clock))


def _watch(
    spec: CourseSpec, setting: CourseSetting, index: int, record: Callable[[CourseRecord], None]
) -> Watch | None:
    policy = setting.protocol.guards
    if not policy.watched:
        return None
    roles = len(setting.protocol.roles)
    return Watch(policy, spec.persona, setting.persona_roles, roles, spec.course, index, record)


def _stopped_by(history: History, index: int, last_turn: int) -> str | None:
    events = [fact for fact in history.facts if isinstance(fact, Event) and fact.session == index]
    return ended_by_guard(events, last_turn)


def seat_all(
    spec: CourseSpec, setting: CourseSetting, index: int, memories: Mapping[str, Memory] | None = None
) -> SeatedSession:
    """Fresh agents in all chairs of a session; in a course of several in those of `memories`, with what each knows."""
    seated = SeatedSession()
    roles = setting.protocol.roles
    for role in roles if memories is None else memories:
        seat = Seat(
            role=role,
            partner_roles=tuple(other for other in roles if other != role),
            course=spec.course,
            pairing_key=spec.pairing_key,
            session=index,
            persona=spec.persona if role in setting.persona_roles else None,
            condition=spec.condition,
            memory=_memory_of(role, spec, setting, None if memories is None else memories[role]),
        )
        try:
            agent, handles = setting.factories[role, spec.chairs[role]].seat(seat)
        except (SessionError, UserError):
            raise
        except Exception as error:
            raise failure_of(role, error) from error
        seated.seats[role] = seat
        seated.handles += handles
        may_retry = setting.protocol.guards.may_retry
        seated.chairs[role] = Chair(role, agent, _turn_teller(handles), may_retry, _last_call_of(handles))
    return seated


def _memory_of(role: str, spec: CourseSpec, setting: CourseSetting, course: Memory | None) -> Mapping[str, Any]:
    """What a seat is given: whoever must not know the persona does not get the recording that it was made from."""
    given = dict(spec.memory)
    if role not in setting.persona_roles and given.get(SOURCE, {}).get("use") == "simulate":
        del given[SOURCE]
    return given if course is None else {**given, COURSE: course}


def _turn_teller(handles: Sequence[SeatedModelClient]) -> Callable[[int, int], None] | None:
    if not handles:
        return None

    def tell(turn: int, regeneration: int) -> None:
        for handle in handles:
            handle.at_turn(turn, regeneration)

    return tell


def _last_call_of(handles: Sequence[SeatedModelClient]) -> Callable[[int], Call | None]:
    """The last call in a turn over all of a chair's models, until the calls are recorded."""

    def last(turn: int) -> Call | None:
        calls = [handle.log.calls[-1] for handle in handles if handle.log.calls]
        return max((call for call in calls if call.turn == turn), key=lambda call: call.started, default=None)

    return last


def _told(
    role: str, turns: Sequence[Turn], history: History, index: int, protocol: SessionProtocol
) -> list[tuple[int, BaseChatMessage]]:
    """What a role has heard and said, with the turn at which it did, in order."""
    hidden: dict[int, list[str]] = {}
    for fact in history.facts:
        if not isinstance(fact, Event) or (fact.session, fact.role, fact.event) != (index, role, "stimulus"):
            continue
        if fact.payload is not None and not fact.payload["visible"]:
            hidden.setdefault(fact.turn, []).append(protocol.interventions[fact.name].text)
    told: list[tuple[int, BaseChatMessage]] = []
    for turn in turns:
        told += [(turn.turn, TextMessage(content=text, source=STIMULUS)) for text in hidden.get(turn.turn, ())]
        told.append((turn.turn, message_of(turn)))
    return told


def _saved(role: str, turns: Sequence[Turn], history: History, index: int) -> SavedState | None:
    """The last state of a foreign agent that belongs to a finished turn."""
    latest = None
    for fact in history.facts:
        if isinstance(fact, SavedState) and (fact.session, fact.role) == (index, role) and fact.turn < len(turns):
            latest = fact
    return latest


def _delivered(history: History, index: int) -> frozenset[str]:
    return frozenset(
        fact.name
        for fact in history.facts
        if isinstance(fact, Event) and fact.session == index and fact.event == "stimulus"
    )


async def administer_all(
    spec: CourseSpec,
    setting: CourseSetting,
    seated: SeatedSession,
    history: History,
    moment: Moment,
    index: int,
    record: Callable[[CourseRecord], None],
    day: float = 0.0,
    present: Collection[str] | None = None,
) -> None:
    """Give the instruments of a moment that were not given yet, to those who are `present` (by default everyone)."""
    for choice in setting.instruments:
        if moment not in choice.moments or (present is not None and choice.respondent not in present):
            continue
        if history.has_administration(index, moment, choice.name, choice.respondent):
            continue
        chair, seat = seated.chairs[choice.respondent], seated.seats[choice.respondent]
        asks_model = any(handle.role == choice.respondent for handle in seated.handles)

        def answered(answer: Answer, choice: InstrumentChoice = choice, asks_model: bool = asks_model) -> None:
            if asks_model:  # what was paid for is kept
                record(Answered(spec.course, index, moment, choice.name, choice.respondent, answer))

        try:
            administration = await administer(
                choice, chair.agent, seat, moment, day, index,
                history.answers(index, moment, choice.name, choice.respondent), answered,
                AT_ONCE if asks_model and _rates(spec) else 1,
            )  # fmt: skip
        finally:
            note_calls(spec.course, index, seated, record)
        record(administration)


def _rates(spec: CourseSpec) -> bool:
    return bool(spec.memory.get(SOURCE, {}).get("use") == "rate")


def note_calls(course: str, index: int, seated: SeatedSession, record: Callable[[CourseRecord], None]) -> None:
    """Record the calls to models since the last time."""
    for handle in seated.handles:
        for call in handle.log.take():
            record(
                Execution(
                    course, index, "call", call.started, call.seconds, call.turn, handle.role, call.purpose,
                    call.retries, call.replica, call.model, call.prompt_tokens, call.cached_tokens,
                    call.completion_tokens, call.error, call.cost,
                )
            )  # fmt: skip
