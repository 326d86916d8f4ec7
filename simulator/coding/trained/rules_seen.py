"""What the rule-based coder finds in a turn, as counts: each family of phrases, plain and negated.

The rules of one code for one role are looked up in turns of that role only. Which pattern set is read follows from the
codebook: there may be none.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from simulator.coding.rules import PATTERNS, CodeRules, RuleCoder
from simulator.coding.trained.turns import Turns

Floats = npt.NDArray[np.floating[Any]]

_REMEMBERED = 50_000


class RuleHits:
    """Counts of the families of one pattern set; an unknown set has none.

    Args:
        patterns: name of a shipped pattern set, which is also that of its codebook.
    """

    def __init__(self, patterns: str) -> None:
        coder = _shipped(patterns)
        self.rules: list[CodeRules] = coder.rules if coder else []
        self.fingerprint = coder.fingerprint if coder else ""
        self._memory: dict[tuple[int, str], list[int]] = {}

    @property
    def names(self) -> list[str]:
        """What the columns count."""
        return [
            f"{rules.rules.code}.{family.name}{end}"
            for rules in self.rules
            for family in rules.rules.families
            for end in ("", " negated")
        ]

    def count(self, turns: Turns) -> Floats:
        """(turns, names), float32."""
        found = np.zeros((len(turns), len(self.names)), np.float32)
        first = 0
        for number, rules in enumerate(self.rules):
            for row in np.flatnonzero(turns.role == rules.rules.role):
                for column in self._hits(number, turns.turns[row].text):
                    found[row, first + column] += 1
            first += 2 * len(rules.rules.families)
        return found

    def _hits(self, number: int, text: str) -> list[int]:
        key = (number, text)
        known = self._memory.get(key)
        if known is None:
            if len(self._memory) >= _REMEMBERED:
                self._memory.clear()
            known = [2 * hit.family + hit.negated for hit in self.rules[number].hits(text)]
            self._memory[key] = known
        return known


@lru_cache(maxsize=8)
def _shipped(patterns: str) -> RuleCoder | None:
    """The rules of a pattern set that ships; None where there is none of this name."""
    return RuleCoder(patterns) if (PATTERNS / patterns).is_dir() else None
