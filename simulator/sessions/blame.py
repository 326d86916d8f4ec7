"""Whose fault it was: what an agent's own code raises is a failure of that role's agent, and of its course alone."""

from simulator.errors import SessionError
from simulator.records.encoding import readable
from simulator.secrets import struck


class AgentsOwn:
    """Inside, whatever an agent raises is a `SessionError` of that role's agent."""

    __slots__ = ("_role",)

    def __init__(self, role: str) -> None:
        self._role = role

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, place: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, SessionError):
            raise failure_of(self._role, error) from error


def failure_of(role: str, error: Exception) -> SessionError:
    """What an agent raised, as the failure of its course."""
    return SessionError("agent", type(error).__name__, f"{role}: {struck(readable(error))}")
