"""Which guards look at a session, and what is done when one fires."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from simulator.sessions.guards import GUARDS

GuardAction = Literal["off", "record", "retry", "end"]
"""`off`: not looked for. `record`: an event. `retry`: an event, and the turn is said once more with regeneration 1; a
second answer stands, whatever it is. `end`: an event, the turn stands, and the session ends (ending `guard`)."""


class GuardPolicy(BaseModel):
    """What is done about each guard (docs/guards.md defines them)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    role_reversal: GuardAction = "record"
    sanitised_persona: GuardAction = "record"
    goodbye_loop: GuardAction = "record"
    prompt_echo: GuardAction = "record"
    reasoning_leak: GuardAction = "record"
    scripted: bool = False
    """Whether turns of the scripted dyad are looked at as well."""

    @property
    def watched(self) -> tuple[str, ...]:
        """The guards that look."""
        return tuple(guard for guard in GUARDS if getattr(self, guard) != "off")

    @property
    def may_retry(self) -> bool:
        """Whether some guard may have a turn said again."""
        return any(getattr(self, guard) == "retry" for guard in GUARDS)

    @property
    def acting(self) -> Mapping[str, Any]:
        """What of the policy can change a transcript; recording alone cannot."""
        return {guard: getattr(self, guard) for guard in GUARDS if getattr(self, guard) in ("retry", "end")}
