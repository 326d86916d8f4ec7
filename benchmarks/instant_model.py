"""A model in the process that answers at once: what is left of a session's cost is the framework's.

To our agents it is a client of ours whose server takes no time (no request body, no network); to AutoGen's agents a
`ChatCompletionClient` that returns its result without waiting. Answers are ordinary sentences that do not end a
session, chosen by the seed, about as long as a turn of counselling.
"""

import time
from collections.abc import Sequence
from typing import Any

from autogen_core.models import CreateResult, LLMMessage, RequestUsage

from simulator.models.messages import Completion, Request
from simulator.models.openai import OpenAIServerClient

OPENINGS = (
    "It has been a long week and most of the evenings went by without much happening",
    "There was a moment on Tuesday when it felt a little lighter than before",
    "The mornings are still the hardest part, mostly before anybody else is up",
    "We talked about the job again at home and it ended the way it usually does",
    "Some of the things on the list got done and others stayed where they were",
    "The noise from the street kept coming back and sleep was short again",
    "A neighbour asked how things were going and the answer came out too quickly",
    "Going for the walk helped on two days and did nothing on the third",
)
CLOSINGS = (
    "and it is hard to say what made the difference that time.",
    "so the plan for the coming days is still quite open.",
    "which is more than would have been possible a month ago.",
    "and then the old worry about money came up once more.",
    "even though nothing about the situation itself had changed.",
    "because there was nobody around to talk it over with.",
    "and the feeling stayed in the chest for the rest of the day.",
)
SAID = tuple(f"{opening}, {closing}" for opening in OPENINGS for closing in CLOSINGS)
PROMPT_TOKENS, COMPLETION_TOKENS = 600, 30


class InstantModel(OpenAIServerClient):
    """Answers with one of `SAID`, by the request's seed."""

    def __init__(self, pools: Any = None) -> None:
        super().__init__(pools, url="http://127.0.0.1:9/v1", name="instant")
        self._next = 0

    async def check(self) -> None:
        """It is there."""

    async def complete(self, request: Request) -> Completion:
        """One of the answers, at once."""
        return Completion(
            SAID[(request.seed or 0) % len(SAID)], "stop", "instant", prompt_tokens=PROMPT_TOKENS,
            completion_tokens=COMPLETION_TOKENS, seed=request.seed, replica="instant", started=time.time(),
        )  # fmt: skip

    async def create(self, messages: Sequence[LLMMessage], **arguments: Any) -> CreateResult:
        """One of the answers in turn, for AutoGen's agents."""
        self._next += 1
        usage = RequestUsage(PROMPT_TOKENS, COMPLETION_TOKENS)
        return CreateResult(content=SAID[self._next % len(SAID)], finish_reason="stop", usage=usage, cached=False)
