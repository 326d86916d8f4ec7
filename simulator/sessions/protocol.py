"""The protocol of a session: who is in it, who opens, when it ends, what is put in from outside."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from simulator.errors import nearest
from simulator.resources import resource_root
from simulator.sessions.guard_policy import GuardPolicy
from simulator.sessions.schedule import CourseProtocol

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


class _Config(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Intervention(_Config):
    """A named text that is put into a session. It stands in the place of a turn of `role` (visible), or is told to that
    role alone before it speaks (hidden)."""

    role: str
    """Whose turn it replaces (visible) or who is told (hidden)."""
    text: Annotated[str, Field(min_length=1)]
    """What is said; in a configuration also `file`, a text file (shipped ones by their name alone)."""
    turn: Annotated[int, Field(ge=0)]
    """The first turn of that role at or after this index, counted from 0; with `session`, of that session."""
    session: Annotated[int, Field(ge=0)] = 0
    visible: bool = True
    order: int = 0
    """Among stimuli due at one turn the smallest comes first; the others wait for the role's next turn."""
    goodbye: bool = False
    """Whether the text takes leave: the session then ends by the rules for goodbyes."""

    @model_validator(mode="before")
    @classmethod
    def _read_file(cls, content: Any) -> Any:
        if not isinstance(content, dict) or "file" not in content:
            return content
        if "text" in content:
            raise ValueError("give either 'text' or 'file', not both")
        rest = {key: value for key, value in content.items() if key != "file"}
        shipped = resource_root("conf") / "stimuli" / str(content["file"])
        path = shipped if shipped.is_file() else Path(str(content["file"])).expanduser()
        try:
            return {**rest, "text": path.read_text(encoding="utf-8").strip()}
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"file: cannot read '{path}' ({error}); name a UTF-8 text file") from None


class SessionProtocol(_Config):
    """How every session of a study runs."""

    roles: Annotated[list[Name], Field(min_length=2)] = ["client", "therapist"]
    """The cast in speaking order; roles alternate in this order, starting from `opener`."""
    opener: Name = "therapist"
    last_word: Name = "therapist"
    """Who answers a goodbye once more before the session ends."""
    max_turns: Annotated[int, Field(ge=1)] = 120
    end_on_goodbye: bool = True
    goodbye_loop: Annotated[int, Field(ge=2)] = 4
    """This many goodbyes in a row end a session in which goodbyes alone do not."""
    course: CourseProtocol = CourseProtocol()
    """How many sessions a client has with a therapist, and what lies between them (docs/courses.md)."""
    guards: GuardPolicy = GuardPolicy()
    """What is done when a language model steps out of its part (docs/guards.md)."""
    interventions: dict[Name, Intervention] = {}
    arms: Annotated[dict[Name, list[str]], Field(min_length=1)] = {"plain": []}
    """Arms of the study by name: which stimuli each one has. An arm without stimuli is the control."""

    @model_validator(mode="after")
    def _names_agree(self) -> Self:
        if len(set(self.roles)) < len(self.roles):
            raise ValueError("roles: a role stands twice; give each chair its own name")
        for field, role in (("opener", self.opener), ("last_word", self.last_word)):
            if role not in self.roles:
                raise ValueError(f"{field}: '{role}' is not in the cast{nearest(role, self.roles)}")
        for name, stimulus in self.interventions.items():
            if stimulus.role not in self.roles:
                raise ValueError(
                    f"interventions.{name}.role: '{stimulus.role}' is not in the cast"
                    f"{nearest(stimulus.role, self.roles)}"
                )
        for arm, names in self.arms.items():
            for name in names:
                if name not in self.interventions:
                    raise ValueError(f"arms.{arm}: no intervention '{name}'{nearest(name, self.interventions)}")
        return self

    def speaker(self, turn: int) -> str:
        """The role whose turn it is."""
        return self.roles[(self.roles.index(self.opener) + turn) % len(self.roles)]


Ending = Literal["goodbye", "goodbye_loop", "turn_limit", "guard", "context", "empty"]
"""Why a session ended; `context`: a model's context was full. A failure is no ending: the course stops and can be taken
up again."""
