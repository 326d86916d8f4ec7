"""A model client without a server: its answers are a function of the request, and it keeps what it was asked."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from autogen_core.models import CreateResult, LLMMessage, RequestUsage
from autogen_ext.models.replay import ReplayChatCompletionClient

from simulator.records.fingerprints import text_fingerprint

ASKED: list[tuple[list[LLMMessage], Mapping[str, Any]]] = []
"""Every request: messages and creation arguments, in order."""


class Answering(ReplayChatCompletionClient):
    """Says a sentence that depends on messages and seed; one letter to a choice; numbers to a demand for JSON.

    Args:
        says: what is said in every turn, in place of the sentence.
        breaks: answers every demand for JSON with something else.
        odd: what is said in turns whose seed is odd.
    """

    def __init__(self, says: str = "", breaks: bool = False, odd: str = "") -> None:
        super().__init__(["x"])
        self.says, self.breaks, self.odd = says, breaks, odd

    async def create(self, messages: Sequence[LLMMessage], **arguments: Any) -> CreateResult:  # type: ignore[override]
        given = arguments.get("extra_create_args", {})
        ASKED.append((list(messages), given))
        text = self._answer(str(messages[-1].content), messages, int(given["seed"]))
        return CreateResult(finish_reason="stop", content=text, usage=RequestUsage(10, 5), cached=False)

    def _answer(self, last: str, messages: Sequence[LLMMessage], seed: int) -> str:
        mark = int(text_fingerprint("\n".join(str(message.content) for message in messages) + str(seed))[:8], 16)
        if "Answer with one letter" in last:
            letters = re.findall(r"(?m)^([A-Z])\. ", last)
            return letters[mark % len(letters)]
        if 'whose key "notes"' in last:
            return f'{{"notes": [{{"kind": "promise", "text": "Call on day {mark % 7}."}}, {{"kind": "fact", "te'
        if "JSON object" in last:
            keys = re.findall(r"(?m)^- (\w+) \(now", last)
            return "well, no" if self.breaks else "{" + ", ".join(f'"{key}": {mark % 11}' for key in keys) + "}"
        if self.odd and seed % 2:
            return self.odd
        return self.says or f"Heard {len(messages)}, {mark % 9973}."


class Quiet(Answering):
    """Another model: says something else."""

    def _answer(self, last: str, messages: Sequence[LLMMessage], seed: int) -> str:
        return "Mm." if "Answer" not in last and "JSON" not in last else super()._answer(last, messages, seed)
