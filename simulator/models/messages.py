"""What is asked of a model and what comes back, as lean as it can be.

A `Message` is encoded once, when it is made; a request over a long history joins bytes and never serialises the history
again. AutoGen's message types are mapped onto these at the door (`autogen_messages`), never on the hot path.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

import orjson

if TYPE_CHECKING:
    from simulator.models.replies import TokenDistribution

EMPTY_ANSWER = "empty_answer"
"""Kind of the failure of a model that says nothing."""
ASKED_AGAIN = "turn:empty:"
"""Beginning of the purpose of a call that follows an answer without a word."""

Role = Literal["system", "user", "assistant", "tool"]


_HEADS: dict[Role, bytes] = {role: b'{"role":"%s","content":' % role.encode() for role in get_args(Role)}


class Message:
    """One chat message: its role and its JSON. A message that is not plain (tool calls and their results) is never
    merged."""

    __slots__ = ("encoded", "is_plain", "role")

    def __init__(self, role: Role, text: str) -> None:
        self.role: Role = role
        self.is_plain = True
        # joined and not dumped whole: what orjson returns keeps the kilobytes that it was written into
        self.encoded = b"".join((_HEADS[role], orjson.dumps(text), b"}"))

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Message:
        """A message with more than plain text, as the server is to see it."""
        message = cls.__new__(cls)
        message.role, message.is_plain, message.encoded = document["role"], False, orjson.dumps(document)
        return message

    @property
    def text(self) -> str | None:
        """What it says, read back out of its JSON: long texts are kept once. None for what is not plain."""
        if not self.is_plain:
            return None
        said: str = orjson.loads(self.encoded[len(_HEADS[self.role]) : -1])
        return said

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Message) and self.encoded == other.encoded

    def __hash__(self) -> int:
        return hash(self.encoded)

    def __repr__(self) -> str:
        return self.encoded.decode()


@dataclass(slots=True)
class Request:
    """One question to a model.

    Nothing here depends on where the request is sent: the same request gives the same bytes on every replica and at
    every retry.
    """

    messages: Sequence[Message]
    seed: int | None = None
    """Sent to the server; a seated client fills in the chair's derived seed where it is None."""
    affinity: str = ""
    """Requests with one key stay with one replica as long as it is well; a seated client fills in the session."""
    purpose: str = ""
    """What the call is for, in the accounting and in the derived seed."""
    sampling: Mapping[str, Any] | None = None
    """Settings that replace configured ones for this request; None as a value leaves a setting out."""
    prefix: str = ""
    """Beginning of the answer, which the model continues; the completion's text does not repeat it."""
    choice: Sequence[str] | None = None
    """The server is held to one of these texts (vLLM's structured outputs)."""
    schema: Mapping[str, Any] | None = None
    """The server is held to this JSON schema."""
    top_logprobs: int = 0
    """How many of the most probable tokens are returned for every token of the answer."""
    deadline: float | None = None
    """Seconds that one attempt may take, instead of the configured ones."""
    body: Mapping[str, Any] | None = None
    """Further fields of the request's body, for instance tools."""


@dataclass(slots=True)
class Completion:
    """An answer, and how it came about. Times in seconds, `started` as Unix time."""

    text: str
    finish_reason: str
    model: str
    reasoning: str | None = None
    """What the model thought aloud; never part of `text`, never to be shown to the other chair."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int | None = None
    """Prompt tokens that the server took from its prefix cache; None where it does not say."""
    tokens: list[TokenDistribution] | None = None
    """For every token of the answer the most probable ones, where they were asked for and the server gives them."""
    tool_calls: list[Any] = field(default_factory=list)
    seed: int | None = None
    replica: str | None = None
    retries: int = 0
    faults: str | None = None
    """The attempts that failed, as `kind@replica; ...`, in order."""
    started: float = 0.0
    seconds: float = 0.0
    from_cache: bool = False
    """Answered by the response cache, without a server."""


class Completer(Protocol):
    """Whatever completes requests: a client of ours, or a seated handle on any AutoGen client."""

    async def complete(self, request: Request) -> Completion:
        """The model's answer.

        Raises:
            SessionError: with boundary `model`, when there is none.
        """
        ...

    @property
    def gives_logprobs(self) -> bool:
        """Whether the most probable tokens can be asked for."""
        ...

    @property
    def takes_prefix(self) -> bool:
        """Whether a begun answer can be continued."""
        ...

    @property
    def takes_choice(self) -> bool:
        """Whether the answer can be held to stated texts."""
        ...
