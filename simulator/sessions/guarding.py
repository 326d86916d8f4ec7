"""Guards at work in a session: a turn is looked at before it is journalled, and what was found becomes events.

An event stands in the journal before its turn, under the guard's name, with the rules, the words that set them off and
what was done. An answer that was taken back stands in its event in full, so that nothing a model said is lost.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Any, Protocol

from simulator.agents.base import TurnMessage
from simulator.errors import SessionError
from simulator.personas.schema import Persona
from simulator.records.journal_records import Event, Turn
from simulator.sessions.guard_policy import GuardPolicy
from simulator.sessions.guards import Circumstances, Finding, look

PLANNED = frozenset({"stimulus", "replay"})
"""Models whose turns nobody generated: they are never looked at."""

EARLIER = 6
"""Turns before that a guard may know."""


class Speaks(Protocol):
    """A chair that may be asked to say its turn again."""

    @property
    def role(self) -> str:
        """The chair's role."""
        ...

    @property
    def instructions(self) -> Sequence[str]:
        """What the chair's agent was told to do, part by part; empty where it does not say."""
        ...

    async def speak_again(self, turn: int, regeneration: int) -> TurnMessage | None:
        """Another answer in place of the last one; None where the agent cannot take a turn back.

        Raises:
            SessionError: there is none; the last one stands.
        """
        ...


class Watch:
    """The guards of one session.

    Args:
        policy: which guards look and what is done.
        persona: of those who play one.
        persona_roles: roles that play the persona.
        roles: how many speak in turn.
        course, session: where the session stands.
        journal: where events go.
    """

    def __init__(
        self,
        policy: GuardPolicy,
        persona: Persona | None,
        persona_roles: Collection[str],
        roles: int,
        course: str,
        session: int,
        journal: Callable[[Event], None],
    ) -> None:
        self._policy, self._watched = policy, policy.watched
        self.unwatched = PLANNED if policy.scripted else PLANNED | {"scripted"}
        """Models whose turns are not looked at."""
        self._persona, self._persona_roles, self._roles = persona, persona_roles, roles
        self._course, self._session, self._journal = course, session, journal

    async def over(self, speaker: Speaks, message: TurnMessage, history: Sequence[Turn]) -> tuple[TurnMessage, bool]:
        """Look at a turn; returns the turn that stands and whether the session ends with it."""
        found = self._look(speaker, message, history)
        if not found:
            return message, False
        actions = [getattr(self._policy, finding.guard) for finding in found]
        if "end" not in actions and "retry" in actions:
            again, failure = None, None
            try:
                again = await speaker.speak_again(message.turn, 1)
            except SessionError as error:  # no second answer: the first one stands
                failure = f"{error.boundary}: {error.kind}"
            self._note(found, message, "retry" if again is not None else "record", again is not None, failure)
            if again is None:
                return message, False
            message = again
            found = self._look(speaker, message, history)
            actions = [getattr(self._policy, finding.guard) for finding in found]
        ends = "end" in actions
        self._note(found, message, "end" if ends else "record")
        return message, ends

    def _look(self, speaker: Speaks, message: TurnMessage, history: Sequence[Turn]) -> list[Finding]:
        plays = speaker.role in self._persona_roles
        persona = self._persona if plays else None
        earlier = [(said.role, said.text) for said in history[-EARLIER:]]
        own = 1 + message.turn // self._roles
        given = Circumstances(
            speaker.role,
            plays,
            earlier,
            own,
            None if persona is None else persona.severity.phq9_total + persona.severity.gad7_total,
            0.0 if persona is None else persona.traits.resistance,
            persona is not None and persona.high_risk,
            speaker.instructions,
        )
        return look(message.content, given, self._watched)

    def _note(
        self,
        found: Sequence[Finding],
        message: TurnMessage,
        done: str,
        taken_back: bool = False,
        failure: str | None = None,
    ) -> None:
        for finding in found:
            own = getattr(self._policy, finding.guard)
            payload: dict[str, Any] = {
                "rules": list(finding.rules),
                "evidence": finding.evidence,
                "action": done if own != "record" or taken_back else "record",
                "regeneration": message.regeneration,
            }
            if taken_back:
                payload["text"] = message.content
            if failure is not None:
                payload["no_second_answer"] = failure
            self._journal(
                Event(self._course, self._session, message.turn, finding.guard, "guard", message.role, payload)
            )


def ended_by_guard(events: Sequence[Event], last_turn: int) -> str | None:
    """The role whose last turn a guard ended the session with, as the journal tells it; None where none did."""
    for event in events:
        if event.event == "guard" and event.turn == last_turn and (event.payload or {}).get("action") == "end":
            return event.role
    return None
