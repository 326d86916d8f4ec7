"""What the realism scorecard measures: one session-level number per line, defined here and in docs/realism.md.

A line says how sessions look, not whether they are good. `fitted` marks what the scripted reference dyad was fitted to
(its numbers come from high-quality AnnoMI sessions, see experiments/reference_dyad, or were set by looking at this
scorecard): agreement there shows that the
fitting worked, so such lines are headed "construction check" and count for nothing.
"""

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

SHORT_WORDS = 5
"""A client turn of this many words or fewer is a short answer."""
LEAST_CLIENT_TURNS = 3
"""Sessions with fewer client turns have no variation of length."""
OPENING_TURNS = 10
"""Repeated openings are counted in the first so many therapist turns, because repetition grows with length."""
OPENING_TOKENS = 2
DISTINCT_TOKENS = 200
"""Distinct-3 is counted in the first so many tokens of a role, because it falls with length; 74 % of the high-quality
AnnoMI sessions have them on the client's side, 41 % would have 400."""
DISCLOSURE_WORDS = 12
"""A disclosure is a client turn of at least this many words in which the client speaks of themselves."""

TRANSITIONS = "transitions"
"""The one line that is a matrix and not a number per session."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A line of the scorecard.

    Args:
        name: the column of the session table.
        title: what readers see.
        kind: `form` for how the text looks, `content` for what it says.
        fitted: whether the scripted reference dyad was fitted to it.
        digits: decimals that make sense when it is printed.
        top: the largest possible value; the smallest is 0.
    """

    name: str
    title: str
    kind: Literal["form", "content"]
    fitted: bool = False
    digits: int = 2
    top: float = math.inf


MEASURES: tuple[Measure, ...] = (
    Measure("client_words_median", "client words per turn, median", "form", True, 1),
    Measure("client_words_mean", "client words per turn, mean", "form", True, 1),
    Measure("client_short_share", f"client turns of {SHORT_WORDS} words or fewer", "form", True, top=1.0),
    Measure("client_words_variation", "SD / mean of client words per turn", "form", True),
    Measure("therapist_words_median", "therapist words per turn, median", "form", True, 1),
    Measure("therapist_words_mean", "therapist words per turn, mean", "form", True, 1),
    Measure("therapist_word_share", "therapist's share of words", "form", True, top=1.0),
    Measure("question_rate", 'therapist turns with "?"', "form", True, top=1.0),
    Measure("session_turns", "turns per session", "form", True, 0),
    Measure("opening_commonest", f"commonest opening, first {OPENING_TURNS} therapist turns", "form", True, top=1.0),
    Measure("opening_repeated", f"repeated openings, first {OPENING_TURNS} therapist turns", "form", top=1.0),
    Measure("client_distinct_3", f"client distinct-3, first {DISTINCT_TOKENS} tokens", "form", False, 3, top=1.0),
    Measure("therapist_distinct_3", f"therapist distinct-3, first {DISTINCT_TOKENS} tokens", "form", False, 3, top=1.0),
    Measure("client_agrees", "client turns that open with agreement", "content", True, top=1.0),
    Measure("client_thanks", "client turns with thanks", "content", True, 3, top=1.0),
    Measure("sustain_talk", "client turns coded sustain talk", "content", True, top=1.0),
    Measure("first_disclosure", "first disclosure, counted in client turns", "content", False, 1),
)
"""All lines with a number per session, in the order in which they are printed."""

TRANSITION_LINE = Measure(TRANSITIONS, "behaviour transitions, client talk and therapist behaviour", "form", True)

FITTED = frozenset(measure.name for measure in (*MEASURES, TRANSITION_LINE) if measure.fitted)
"""What the scripted dyad was fitted to: lengths, questions and transitions, from which shares of talk follow, and the
commonest opening, agreement and thanks, whose chances were set by hand until these lines came near people's."""


def fitted_lines(origins: Collection[str]) -> frozenset[str]:
    """The lines that a run was fitted to, by the `origin` of its courses: none where nothing is scripted."""
    return FITTED if "scripted" in origins else frozenset()
