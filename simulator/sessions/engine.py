"""One conversation, from its opening to its typed ending.

Agents take turns in the order of the cast; the engine calls `on_messages` itself and gives each agent what was said
since it last spoke. A turn is journalled before the next one is asked for. Whatever goes wrong inside a chair becomes
a `SessionError` with the boundary that was crossed; the engine never swallows one.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autogen_agentchat.agents import BaseChatAgent
from autogen_agentchat.base import Response
from autogen_agentchat.messages import BaseChatMessage, TextMessage
from autogen_core import CancellationToken

from simulator.agents.base import STIMULUS, Rebuilt, Regenerates, TurnMessage
from simulator.errors import SessionError
from simulator.models.handle import Call
from simulator.models.messages import EMPTY_ANSWER
from simulator.records.journal_records import Event, SavedState, SessionEnded, Turn
from simulator.sessions.blame import AgentsOwn
from simulator.sessions.goodbyes import takes_leave
from simulator.sessions.guarding import Watch
from simulator.sessions.protocol import Ending, Intervention, SessionProtocol

Fact = Turn | Event | SavedState | SessionEnded
BeforeTurn = Callable[[int, int], None]
"""Told the turn and the regeneration before an agent speaks."""
LastCall = Callable[[int], Call | None]
"""The last call to a model in a turn."""
CONTEXT_OVERFLOW = "context_overflow"
"""Kind of the failure of a model whose context is full: a session that has begun ends with it."""


class Chair:
    """One role's agent in one session, and how much of the conversation it has heard.

    Args:
        role: the chair's role.
        agent: who sits in it.
        before_turn: told before the agent speaks.
        may_retry: whether a turn may have to be said again; a foreign agent's state is then kept before it speaks.
        last_call: the agent's last call to a model in a turn, where it made one.
    """

    def __init__(
        self,
        role: str,
        agent: BaseChatAgent,
        before_turn: BeforeTurn | None = None,
        may_retry: bool = False,
        last_call: LastCall = lambda turn: None,
    ) -> None:
        self.role = role
        self.agent = agent
        self._before_turn, self._last_call = before_turn, last_call
        self._unheard: list[BaseChatMessage] = []
        self._token = CancellationToken()
        self._agents_own = AgentsOwn(role)
        self.is_foreign = not isinstance(agent, Rebuilt)
        self._keeps_state = may_retry and self.is_foreign
        self._before: tuple[Mapping[str, Any], list[BaseChatMessage]] | None = None

    def hear(self, message: BaseChatMessage) -> None:
        """Keep a message for the agent's next turn."""
        self._unheard.append(message)

    def take_unheard(self) -> list[BaseChatMessage]:
        """What the agent has yet to hear; it counts as heard from now on."""
        unheard, self._unheard = self._unheard, []
        return unheard

    async def recall(self, told: Sequence[tuple[int, BaseChatMessage]], saved: SavedState | None) -> None:
        """Bring the agent to where the journal left it.

        Our own agents hear again what was said until their last turn; a foreign one gets back what it saved of itself.
        Both hear at their next turn what was said since.

        Args:
            told: all that this chair heard and said, with the turn at which it did, in order.
            saved: what a foreign agent saved last.
        """
        if isinstance(self.agent, Rebuilt):
            own = [place for place, (_, message) in enumerate(told) if _speaker(message) == self.role]
            heard = own[-1] + 1 if own else 0
            self.agent.recall([message for _, message in told[:heard]])
            self._unheard = [message for _, message in told[heard:]]
            return
        if saved is not None:
            await self.agent.load_state(saved.state)
        already = -1 if saved is None else saved.turn
        self._unheard = [message for turn, message in told if turn > already and message.source != self.role]

    def hear_out(self) -> None:
        """Let an agent of our own hear what was said after its last turn; the session is over."""
        if isinstance(self.agent, Rebuilt):
            self.agent.recall(self.take_unheard())

    async def speak(self, turn: int) -> TurnMessage:
        """The agent's next contribution.

        Raises:
            SessionError: the model server or the agent's own code failed.
        """
        if self._keeps_state:
            self._before = await self.agent.save_state(), list(self._unheard)
        message = await self._ask(self.agent.on_messages(self._unheard, self._token), turn, 0)
        self._unheard = []
        return message

    async def speak_again(self, turn: int, regeneration: int) -> TurnMessage | None:
        """Another answer in place of the one just given; None where the agent cannot take a turn back.

        Raises:
            SessionError: the model server or the agent's own code failed; the last answer stands.
        """
        if isinstance(self.agent, Regenerates):
            return await self._ask(self.agent.again(regeneration), turn, regeneration)
        if self._before is None:
            return None
        state, heard = self._before
        said = await self.agent.save_state()
        await self.agent.load_state(state)
        try:
            return await self._ask(self.agent.on_messages(heard, self._token), turn, regeneration)
        except SessionError:
            await self.agent.load_state(said)
            raise

    @property
    def instructions(self) -> Sequence[str]:
        """What the agent was told to do, part by part; empty where it does not say."""
        told = getattr(self.agent, "instructions", ())
        return (told,) if isinstance(told, str) else tuple(told)

    async def _ask(self, answer: Awaitable[Response | TurnMessage], turn: int, regeneration: int) -> TurnMessage:
        if self._before_turn is not None:
            self._before_turn(turn, regeneration)
        with self._agents_own:
            given = await answer
        message = given.chat_message if isinstance(given, Response) else given
        if isinstance(message, TurnMessage):
            message.turn, message.role = turn, self.role
            if not message.content.strip() and (call := self._last_call(turn)) is not None:
                raise _said_nothing(self.role, turn, call)
            return message
        text, call = message.to_model_text(), self._last_call(turn)
        if call is not None and not text.strip():
            raise _said_nothing(self.role, turn, call)
        reason = call.finish_reason if call is not None and call.finish_reason else "stop"
        return TurnMessage(
            content=text, source=self.role, turn=turn, role=self.role, finish_reason=reason, regeneration=regeneration
        )


def _said_nothing(role: str, turn: int, call: Call) -> SessionError:
    """A model's answer without a word is no turn: the failure that it is, and what to do."""
    if call.finish_reason == "length":
        advice = (
            "its thoughts used all tokens up; raise model.sampling.max_tokens, or let it not think "
            "(model.chat_template_kwargs.enable_thinking=false where its template knows that)"
        )
    else:
        advice = "see what the server answers, or name another model"
    said = f"finish_reason {call.finish_reason or 'unknown'}, {call.completion_tokens} tokens"
    return SessionError("model", EMPTY_ANSWER, f"{role}: turn {turn} came without a word ({said}); {advice}")


def _speaker(message: BaseChatMessage) -> str:
    return message.role if isinstance(message, TurnMessage) else message.source


@dataclass(slots=True)
class Session:
    """What `converse` needs: the place, the cast, the rules, the past and where to write."""

    course: str
    index: int
    protocol: SessionProtocol
    interventions: Mapping[str, Intervention]
    chairs: Mapping[str, Chair]
    journal: Callable[[Fact], None]
    history: list[Turn]
    drained: Callable[[], bool]
    seed: Callable[[str, int], int]
    day: float = 0.0
    delivered: frozenset[str] = frozenset()
    watch: Watch | None = None
    """The guards, where any look."""
    stopped_by: str | None = None
    """The role with whose last turn a guard ended the session."""


class Drained(Exception):
    """The run is being drained: the session stops between two turns and goes on when the run is resumed."""


async def converse(session: Session) -> SessionEnded:
    """Hold the conversation, from its first turn or from where the journal left it, to its end.

    Raises:
        SessionError: it cannot go on; what was said so far is in the journal.
        Drained: the run was asked to stop.
    """
    protocol, history = session.protocol, session.history
    pending = _pending(session)
    while True:
        ending = ("guard", session.stopped_by) if session.stopped_by else _ending(protocol, history)
        if ending is not None:
            return _end(session, *ending)
        if session.drained():
            raise Drained
        turn = len(history)
        speaker = session.chairs[protocol.speaker(turn)]
        stimulus = _due(pending, speaker.role, turn)
        if stimulus is not None and stimulus[1].visible:
            message = _say_stimulus(session, speaker, turn, *stimulus)
        else:
            if stimulus is not None:
                _tell_stimulus(session, speaker, turn, *stimulus)
            try:
                message = await speaker.speak(turn)
                if session.watch is not None and message.model not in session.watch.unwatched:
                    message, stops = await session.watch.over(speaker, message, history)
                    session.stopped_by = speaker.role if stops else None
            except SessionError as error:
                if error.kind != CONTEXT_OVERFLOW or not history:
                    raise
                return _end(session, "context", speaker.role)
        if speaker.is_foreign:  # before the turn: a state without its turn is ignored, a turn is never lost
            saved = await speaker.agent.save_state()
            session.journal(SavedState(session.course, session.index, turn, speaker.role, dict(saved)))
        _take_down(session, message, stimulus[0] if stimulus else _answered_probe(history, session))
        for role, chair in session.chairs.items():
            if role != speaker.role:
                chair.hear(message)


def _end(session: Session, reason: Ending, role: str | None) -> SessionEnded:
    opener, turns = session.protocol.opener, len(session.history)
    end = SessionEnded(session.course, session.index, opener, reason, turns, role, session.day)
    session.journal(end)
    return end


def _ending(protocol: SessionProtocol, history: Sequence[Turn]) -> tuple[Ending, str | None] | None:
    """The reason to end here and the role that ended it, or None to go on."""
    if not history:
        return None
    if not history[-1].text.strip():
        return "empty", history[-1].role
    taker = _leave_taker(protocol, history)
    if taker is not None:
        return "goodbye", taker
    latest = history[-protocol.goodbye_loop :]
    if not protocol.end_on_goodbye and len(latest) == protocol.goodbye_loop and all(m.goodbye for m in latest):
        return "goodbye_loop", history[-1].role
    if len(history) >= protocol.max_turns:
        return "turn_limit", None
    return None


def _leave_taker(protocol: SessionProtocol, history: Sequence[Turn]) -> str | None:
    """Who took leave, once the role with the last word has answered (or took leave itself)."""
    if not protocol.end_on_goodbye:
        return None
    if history[-1].goodbye and history[-1].role == protocol.last_word:
        earlier = next((m for m in history[-len(protocol.roles) : -1] if m.goodbye), history[-1])
        return earlier.role
    if history[-1].role == protocol.last_word:
        for message in history[-len(protocol.roles) : -1]:
            if message.goodbye:
                return message.role
    return None


def _pending(session: Session) -> dict[str, Intervention]:
    ordered = sorted(session.interventions.items(), key=lambda item: (item[1].turn, item[1].order, item[0]))
    return {name: s for name, s in ordered if s.session == session.index and name not in session.delivered}


def _due(pending: dict[str, Intervention], role: str, turn: int) -> tuple[str, Intervention] | None:
    for name, stimulus in pending.items():
        if stimulus.role == role and stimulus.turn <= turn:
            return name, pending.pop(name)
    return None


def _say_stimulus(session: Session, speaker: Chair, turn: int, name: str, stimulus: Intervention) -> TurnMessage:
    """Put the stimulus in the place of the role's turn; its agent hears it as its own words."""
    session.journal(Event(session.course, session.index, turn, name, "stimulus", speaker.role, {"visible": True}))
    message = TurnMessage(
        content=stimulus.text, source=speaker.role, turn=turn, role=speaker.role, model="stimulus",
        seed=session.seed(speaker.role, turn), planted={"probe": {"name": name}}, goodbye=stimulus.goodbye,
    )  # fmt: skip
    if isinstance(speaker.agent, Rebuilt):
        speaker.agent.recall([*speaker.take_unheard(), message])
    else:
        speaker.hear(message)
    return message


def _tell_stimulus(session: Session, speaker: Chair, turn: int, name: str, stimulus: Intervention) -> None:
    """Tell the role alone; the other chairs never see it."""
    session.journal(Event(session.course, session.index, turn, name, "stimulus", speaker.role, {"visible": False}))
    speaker.hear(TextMessage(content=stimulus.text, source=STIMULUS))


def _answered_probe(history: Sequence[Turn], session: Session) -> str | None:
    """The visible stimulus that the turn now spoken answers: the one said since the speaker's last turn."""
    for message in reversed(history[-(len(session.protocol.roles) - 1) :]):
        if message.planted and "probe" in message.planted:
            return str(message.planted["probe"]["name"])
    return None


def _take_down(session: Session, message: TurnMessage, probe: str | None) -> None:
    """Journal the turn, then let it count."""
    if message.goodbye is None:
        message.goodbye = takes_leave(message.content)
    turn = Turn(
        session.course, session.index, message.turn, message.role, message.source, message.content,
        message.finish_reason, message.model, message.seed, message.regeneration, probe, message.goodbye,
        message.planted, message.state,
    )  # fmt: skip
    session.journal(turn)
    session.history.append(turn)


def message_of(turn: Turn) -> TurnMessage:
    """A journalled turn as the message that the agents heard."""
    return TurnMessage(
        content=turn.text, source=turn.speaker, turn=turn.turn, role=turn.role, finish_reason=turn.finish_reason,
        model=turn.model, seed=turn.seed, regeneration=turn.regeneration, planted=turn.planted, state=turn.state,
        goodbye=turn.goodbye,
    )  # fmt: skip
