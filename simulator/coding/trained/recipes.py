"""How a coder is trained: every number that decides it, stored with the coder.

The two recipes were set by hand on the shared development parts of AnnoMI and EPITOME and are never searched for while
a coder is trained. What is chosen in training (how strongly rare values are favoured, the temperature) is chosen on
folds inside the training sessions.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from simulator.coding.trained.examples import Examples

Part = Literal[
    "letters",
    "context",
    "measures",
    "said_back",
    "rules",
    "meaning",
    "odds",
    "sentences",
    "neighbours",
]
PARTS: dict[Part, str] = {
    "letters": "stretches of 2 to 5 letters beside words and word pairs",
    "context": "words of the turns before and after",
    "measures": "length, marks, persons, first and last word, place in the session",
    "said_back": "content words and word pairs of the other side said back",
    "rules": "phrase families of the rule-based coder",
    "meaning": "latent dimensions of the turn's words and of those of the turn before",
    "odds": "logistic scores of features weighed by how they speak for each value",
    "sentences": "scores of single sentences, learnt from the stretches that people named as evidence",
    "neighbours": "scores of the turns around, and of the other codes of the turn",
}
"""What can be left out of a recipe, for an ablation."""


class Recipe(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Args:
    fewest: a feature must stand in so many training texts, by kind (`words`, `letters`).
    context: how many steps away a turn's words are read, and their weight.
    weights: weight of each group of measures beside the vectors, whose rows have length 1.
    penalty: of the ridge regression.
    neighbours: so many turns before and after give their scores.
    summary: measures that are seen again where scores are joined.
    strength: penalty of the logistic regression that joins the scores.
    only: groups of measures (and `odds`) that serve some roles only; others serve all.
    folds: folds inside the training sessions.
    dimensions: of the latent space of words; 0 for none.
    without: parts left out.
    """

    fewest: dict[str, int]
    context: list[tuple[int, float]]
    weights: dict[str, float]
    penalty: float
    neighbours: int
    summary: list[str]
    strength: float
    only: dict[str, list[str]] = {}
    folds: int = 5
    dimensions: int = 0
    without: list[str] = []

    def has(self, part: Part) -> bool:
        """Whether the recipe uses this part."""
        return part not in self.without

    def serves(self, group: str, role: str) -> bool:
        """Whether a group of measures (or `odds`) is read for turns of this role."""
        return role in self.only.get(group, [role])


DIALOGUE = Recipe(
    fewest={"words": 1, "letters": 2},
    context=[(-2, 0.1), (-1, 0.3), (1, 0.3), (2, 0.1)],
    weights={"surface": 0.2, "position": 0.2, "said_back": 0.5, "rules": 0.35, "meaning": 1.0, "meaning_before": 0.3},
    penalty=5.0,
    neighbours=2,
    summary=[],
    strength=100.0,
    dimensions=50,
    without=["letters"],
    only={name: ["client"] for name in ("position", "meaning", "meaning_before", "odds")},
)
"""For sessions of many turns."""

PAIR = Recipe(
    fewest={"words": 1, "letters": 2},
    context=[],
    weights={"surface": 0.2, "said_back": 0.2},
    penalty=3.0,
    neighbours=0,
    summary=["log_words", "mark ?", "sentences"],
    strength=10.0,
)
"""For single exchanges: one post, one reply."""


def recipe_for(examples: Examples) -> Recipe:
    """`PAIR` where sessions have two turns or fewer on average, else `DIALOGUE`."""
    turns = sum(len(session.turns) for session in examples.sessions)
    return PAIR if turns <= 2 * len(examples.sessions) else DIALOGUE
