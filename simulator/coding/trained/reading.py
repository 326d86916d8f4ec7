"""From sessions to features: vectors of words and letters, measures and rule hits, laid out for one task's units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from simulator.coding.trained.meaning import Meaning, fit_meaning
from simulator.coding.trained.measures import position, rows_of, said_back, surface
from simulator.coding.trained.recipes import Recipe
from simulator.coding.trained.ridge import Design
from simulator.coding.trained.rules_seen import RuleHits
from simulator.coding.trained.tokens import Lexicon, Tokens
from simulator.coding.trained.turns import Turns, rows_at
from simulator.coding.trained.vectors import Vocabulary, fit_vocabulary

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.int64]

_LEXICON_LIMIT = 200_000
_GROUPS = ("surface", "position", "said_back", "rules", "meaning", "meaning_before")
_BEFORE = 0.6
"""Weight of the words of the turn before where features are weighed by their odds."""
_PLAIN = ("meaning", "meaning_before")
"""Groups whose columns keep the sizes they have to each other."""


@dataclass(slots=True, frozen=True)
class Features:
    """Features of turns: `vectors` by kind (turns, features), `measures` by group (turns, names). `sentences` keeps, by
    role, what was cut once."""

    turns: Turns
    vectors: dict[str, Any]
    measures: dict[str, Floats]
    names: dict[str, list[str]]
    sentences: dict[str, Any] = field(default_factory=dict)

    def column(self, name: str) -> Floats:
        """One measure by name, (turns,)."""
        for group, names in self.names.items():
            if name in names:
                found: Floats = self.measures[group][:, names.index(name)]
                return found
        raise KeyError(name)


class Reader:
    """Reads sessions under a recipe. The words met are remembered between readings, up to a limit."""

    def __init__(
        self, recipe: Recipe, hits: RuleHits, vocabularies: Sequence[Vocabulary] = (), meaning: Meaning | None = None
    ) -> None:
        self.recipe = recipe
        self.meaning = meaning
        self.hits = hits
        self.vocabularies = list(vocabularies)
        self._lexicon = Lexicon()

    def tokens(self, texts: Sequence[str]) -> Tokens:
        """Texts as numbers."""
        if len(self._lexicon) > _LEXICON_LIMIT:
            self._lexicon = Lexicon()
        return self._lexicon.read(texts)

    def fit(self, turns: Turns) -> None:
        """Take the vocabularies from these turns."""
        tokens = self.tokens(turns.texts)
        kinds = ["words", *(["letters"] if self.recipe.has("letters") else [])]
        self.vocabularies = [fit_vocabulary(kind, tokens, self.recipe.fewest[kind]) for kind in kinds]
        if self.recipe.has("meaning") and self.recipe.dimensions:
            self.meaning = fit_meaning(self.vocabularies[0].vectors(tokens), self.recipe.dimensions)

    def read(self, turns: Turns) -> Features:
        """The features of these turns."""
        tokens = self.tokens(turns.texts)
        vectors = {vocabulary.kind: vocabulary.vectors(tokens) for vocabulary in self.vocabularies}
        measures: dict[str, Floats] = {}
        names: dict[str, list[str]] = {}
        parts = [("surface", surface(tokens)), ("position", position(turns))]
        if self.recipe.has("said_back"):
            parts.append(("said_back", said_back(tokens, turns)))
        if self.recipe.has("rules") and self.hits.rules:
            parts.append(("rules", (self.hits.names, self.hits.count(turns))))
        if self.meaning is not None:
            placed = self.meaning.apply(vectors["words"])
            numbers = [str(number) for number in range(placed.shape[1])]
            parts.append(("meaning", (numbers, placed)))
            parts.append(("meaning_before", (numbers, rows_at(placed, turns.beside(-1)))))
        for group, (columns, values) in parts:
            names[group], measures[group] = columns, values
        return Features(turns, vectors, measures, names)


@dataclass(slots=True, frozen=True)
class Scale:
    """Brings measures to mean 0 and a size set by the recipe: (x - middle) * factor; 0 where nothing varies."""

    middle: Floats
    factor: Floats

    def apply(self, values: Floats) -> Floats:
        """(units, measures), scaled."""
        scaled: Floats = ((values - self.middle) * self.factor).astype(np.float32)
        return scaled


def measure_groups(recipe: Recipe, features: Features, role: str) -> list[str]:
    """The groups of measures that enter the first scores of a role's turns, in a fixed order."""
    wanted = [group for group in _GROUPS if group in features.measures and group in recipe.weights]
    wanted = [group for group in wanted if recipe.serves(group, role)]
    return [group for group in wanted if group not in ("surface", "position") or recipe.has("measures")]


def fit_scale(recipe: Recipe, features: Features, rows: Ints, role: str) -> Scale:
    """The scale of the measures of these units; every group weighs as the recipe says, however many columns it has."""
    middles, factors = [np.zeros(0)], [np.zeros(0)]
    for group in measure_groups(recipe, features, role):
        values = features.measures[group][rows]
        spread = values.std(axis=0)
        if group in _PLAIN:
            middles.append(np.zeros(values.shape[1]))
            factors.append(np.full(values.shape[1], np.sqrt(recipe.weights[group])))
            continue
        varying = spread > 1e-9
        weight = recipe.weights[group] / max(int(varying.sum()), 1)
        middles.append(values.mean(axis=0))
        factors.append(np.where(varying, np.sqrt(weight) / np.where(varying, spread, 1.0), 0.0))
    return Scale(np.concatenate(middles).astype(np.float32), np.concatenate(factors).astype(np.float32))


def text_design(features: Features, rows: Ints) -> Design:
    """What is said in these units, nothing else."""
    from scipy.sparse import hstack

    own = [matrix[rows] for matrix in features.vectors.values()]
    return Design(hstack(own, format="csr"), np.zeros((len(rows), 0)))


def full_design(recipe: Recipe, features: Features, scale: Scale, rows: Ints, role: str) -> Design:
    """What is said in these units and around them, with the measures."""
    from scipy.sparse import hstack

    blocks = [matrix[rows] for matrix in features.vectors.values()]
    if recipe.has("context"):
        words = features.vectors["words"]
        for steps, weight in recipe.context:
            blocks.append(rows_of(words, features.turns.beside(steps)[rows]) * np.float32(np.sqrt(weight)))
    groups = measure_groups(recipe, features, role)
    values = [features.measures[group][rows] for group in groups]
    dense = scale.apply(np.hstack(values)) if values else np.zeros((len(rows), 0))
    return Design(hstack(blocks, format="csr"), dense)


def odds_vectors(recipe: Recipe, features: Features, rows: Ints) -> Any:
    """What is said in these units and, in dialogue, right before them."""
    from scipy.sparse import hstack

    blocks = [matrix[rows] for matrix in features.vectors.values()]
    if recipe.context and recipe.has("context"):
        before = rows_of(features.vectors["words"], features.turns.beside(-1)[rows])
        blocks.append(before * np.float32(_BEFORE))
    return hstack(blocks, format="csr")
