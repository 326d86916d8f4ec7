"""Parts of a run that separate jobs simulate without a word to each other.

`shards=K/N` is the (K+1)-th of N parts of a run's shards: a range of course ids, fixed in the plan, written to journal
files of its own. `shards=none` simulates nothing: it merges the journals to tables once every course has ended.
"""

import re
from dataclasses import dataclass

NO_SHARDS = "none"
_PART = re.compile(r"(\d+)/(\d+)")


@dataclass(frozen=True, slots=True)
class Part:
    """The (number + 1)-th of `parts` parts; `parts` 0 is no part at all (`shards=none`)."""

    number: int
    parts: int

    def shards(self, shards: int) -> range:
        """The shards of this part, of a run with so many.

        Raises:
            ValueError: the run has fewer shards than there are parts.
        """
        if not self.parts:
            return range(0)
        if self.parts > shards:
            raise ValueError(f"shards: the run has {shards} shards, too few for {self.parts} parts; give fewer parts")
        return range(self.number * shards // self.parts, (self.number + 1) * shards // self.parts)


def parse_part(text: str) -> Part:
    """`K/N` or `none`.

    Raises:
        ValueError: it is neither, or K is no part of N.
    """
    if text == NO_SHARDS:
        return Part(0, 0)
    found = _PART.fullmatch(text)
    if found is None:
        raise ValueError(f"shards: '{text}' is not understood; write a number, K/N for a part, or none")
    part = Part(int(found[1]), int(found[2]))
    if part.number >= part.parts or part.parts > 4096:
        raise ValueError(
            f"shards: {text} is no part; the parts of {part.parts} are 0 to {part.parts - 1}, of 4096 at most"
        )
    return part
