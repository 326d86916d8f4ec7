"""Which roles a model's chat template takes, and how a conversation is put into them.

Open models' templates refuse system messages, or later ones, or roles that do not alternate, or a conversation in
which no user has spoken. A role mapping is data of the model's configuration; the agents know nothing of it. The
mapping of a conversation that grows is a conversation that grows at its end, so that prefix caching goes on working.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

from pydantic import BaseModel, ConfigDict

from simulator.models.messages import Message

SEPARATOR = "\n\n"
"""Between texts that are merged into one message."""


class Roles(BaseModel):
    """A model's role mapping."""

    model_config = ConfigDict(extra="forbid")

    system: Literal["keep", "first", "fold"] = "keep"
    """`keep`: system messages stay where they are. `first`: one at the start stays, later ones become user text.
    `fold`: none stays; the opening one becomes the beginning of the first user message."""
    alternate: bool = False
    """Neighbours of one role are merged, so that user and assistant alternate; implies `first` where `system` is
    `keep`."""
    opener: str | None = "The conversation begins."
    """What the user is made to say where an assistant would otherwise speak first; None where the template allows
    that."""

    def apply(self, messages: Sequence[Message]) -> Sequence[Message]:
        """The messages as the template takes them. Unchanged messages are the same objects."""
        opening = _opening(self.opener) if self.opener else None
        strict = self.alternate or self.system != "keep"
        if not strict and (opening is None or _user_speaks_first(messages)):
            return messages
        head = _lead(messages)
        system, rest = list(messages[:head]), list(messages[head:])
        if opening is not None and (not rest or rest[0].role != "user"):
            rest.insert(0, opening)
        if strict:
            rest = [_as_user(message) for message in rest]
        if self.system == "fold":
            rest, system = [*_merged([*map(_as_user, system), *rest[:1]]), *rest[1:]], []
        elif strict:
            system = _merged(system)
        return [*system, *(_merged(rest) if self.alternate else rest)]


@lru_cache(maxsize=64)
def _opening(text: str) -> Message:
    return Message("user", text)


def _lead(messages: Sequence[Message]) -> int:
    """How many system messages stand at the start."""
    for index, message in enumerate(messages):
        if message.role != "system":
            return index
    return len(messages)


def _user_speaks_first(messages: Sequence[Message]) -> bool:
    for message in messages:
        if message.role != "system":
            return message.role == "user"
    return False


def _as_user(message: Message) -> Message:
    if message.role != "system" or not message.is_plain:
        return message
    return Message("user", message.text or "")


def _merged(messages: Sequence[Message]) -> list[Message]:
    """Neighbours of one role as one message; what is not plain text stays by itself."""
    merged: list[Message] = []
    run: list[Message] = []

    def close() -> None:
        if len(run) > 1:
            merged[-1] = Message(run[0].role, SEPARATOR.join(message.text or "" for message in run))

    for message in messages:
        if run and message.role == run[0].role and message.is_plain:
            run.append(message)
            continue
        close()
        merged.append(message)
        run = [message] if message.is_plain else []
    close()
    return merged
