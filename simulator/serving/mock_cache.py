"""A simulated prefix cache: which blocks of a prompt an engine like vLLM would find again.

Only whole blocks are kept; a block is known by itself and everything before it; the least recently used goes first.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

from simulator.serving.mock_requests import TOKEN, count, text_of


def render(messages: Sequence[Mapping[str, Any]]) -> str:
    """The prompt that a chat template would make of messages."""
    return "".join(f"<|{message.get('role', '')}|>\n{text_of(message)}" for message in messages) + "<|assistant|>\n"


class PrefixCache:
    """Counts in tokens.

    Args:
        blocks: how many blocks fit.
        block_tokens: tokens per block.
    """

    def __init__(self, blocks: int, block_tokens: int) -> None:
        self._blocks, self._block_tokens = blocks, block_tokens
        self._known: OrderedDict[bytes, None] = OrderedDict()
        self.queries = 0
        """Tokens of prompts that were looked up."""
        self.hits = 0
        """Tokens that were found."""

    def look_up(self, prompt: str, model: str) -> int:
        """How many of the prompt's tokens are cached; afterwards all its whole blocks are."""
        width = self._block_tokens * TOKEN
        self.queries += count(prompt)
        chain, found, missed = model.encode(), 0, False
        # The last token is always computed, so that the final block of a prompt is never a hit in full.
        last = (len(prompt) - 1) // width
        for place in range(len(prompt) // width):
            block = prompt[place * width : (place + 1) * width].encode()
            chain = hashlib.blake2b(block, digest_size=16, key=chain[:64]).digest()
            if chain in self._known:
                self._known.move_to_end(chain)
                if not missed and place < last:
                    found += self._block_tokens
            else:
                missed = True
                self._known[chain] = None
                if len(self._known) > self._blocks:
                    self._known.popitem(last=False)
        self.hits += found
        return found
