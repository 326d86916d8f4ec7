"""A therapist's place on a waiting list: no sessions take place, the clock, the client's life and instruments go on."""

from collections.abc import Sequence

from autogen_agentchat.agents import BaseChatAgent
from autogen_agentchat.base import Response
from autogen_agentchat.messages import BaseChatMessage, TextMessage
from autogen_core import CancellationToken

from simulator.agents.base import Seat


class Waitlist(BaseChatAgent):
    """Nobody. A course with it in a chair has no sessions; it stands in client decisions and instruments alone.

    Args:
        seat: the chair that stays empty.
    """

    holds_sessions = False

    def __init__(self, seat: Seat) -> None:
        super().__init__(seat.role, "nobody yet: the client is on a waiting list")

    @property
    def produced_message_types(self) -> Sequence[type[BaseChatMessage]]:
        return (TextMessage,)

    async def on_messages(self, messages: Sequence[BaseChatMessage], cancellation_token: CancellationToken) -> Response:
        """Never asked in a course of several sessions.

        Raises:
            RuntimeError: somebody holds a session with nobody.
        """
        raise RuntimeError("a waiting list holds no session; give it a course (session.course.sessions of 2 or more)")

    async def on_reset(self, cancellation_token: CancellationToken) -> None:
        """There is nothing to forget."""
