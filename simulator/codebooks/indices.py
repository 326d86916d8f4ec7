"""Indices that manuals derive from codes: what is counted over what, in which unit, and the thresholds they publish.

An index is data of a codebook. It names the unit whose judgments are counted, because the same name gives different
figures otherwise: reflections to questions by main class of a turn and by parts of turns are two indices.
"""

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import BaseModel, model_validator

from simulator.codebooks.parts import STRICT, Term, Text, Unit


class _Part(BaseModel):
    model_config = STRICT


class Threshold(_Part):
    """A published bar: reached at `at_least`, and, where `each_at_least` is given, only if every term reaches that."""

    name: Text
    at_least: float
    each_at_least: float | None = None
    source: Text


class Index(_Part):
    """One derived figure.

    `kind`: `ratio` (counts over other counts, 0 upwards), `share` (counts over counts that contain them, 0-1), `count`
    (a sum of counts), `sum` and `mean` (of ratings). `unit` is the unit whose judgments enter, `per` what the index
    describes. `numerator` lists codes (their presence) or `code=value`.
    """

    name: Text
    kind: Literal["ratio", "share", "count", "sum", "mean"]
    unit: Unit
    per: Literal["session", "course"] = "session"
    numerator: list[Term]
    denominator: list[Term] = []
    thresholds: list[Threshold] = []
    source: Text
    note: Text | None = None

    @model_validator(mode="after")
    def _terms_fit_the_kind(self) -> Self:
        if not self.numerator:
            raise ValueError("an index needs at least one code in its numerator")
        if (self.kind in ("ratio", "share")) != bool(self.denominator):
            raise ValueError(f"a {self.kind} {'needs' if not self.denominator else 'has no'} denominator")
        outside = [term for term in self.numerator if term not in self.denominator]
        if self.kind == "share" and outside:
            raise ValueError(f"'{outside[0]}' is in the numerator of a share and not in its denominator")
        return self

    @property
    def terms(self) -> tuple[str, ...]:
        """Everything the index needs, each once."""
        return tuple(dict.fromkeys((*self.numerator, *self.denominator)))

    def value(self, figures: Mapping[str, float]) -> float | None:
        """The index from counts or ratings by term; None where a term has no figure or the denominator is 0."""
        if any(term not in figures for term in self.terms):
            return None
        total = sum(figures[term] for term in self.numerator)
        if self.kind == "mean":
            return total / len(self.numerator)
        if not self.denominator:
            return total
        below = sum(figures[term] for term in self.denominator)
        return total / below if below else None

    def reached(self, figures: Mapping[str, float]) -> str | None:
        """The highest threshold that the figures reach; None where there is no value or none is reached."""
        value = self.value(figures)
        if value is None:
            return None
        lowest = min(figures[term] for term in self.numerator)
        for threshold in sorted(self.thresholds, key=lambda each: each.at_least, reverse=True):
            if value >= threshold.at_least and (threshold.each_at_least is None or lowest >= threshold.each_at_least):
                return threshold.name
        return None
