"""Two facts about texts that every room states alike: how many words they have, and whether they are the same."""

import re
from collections.abc import Iterable

from simulator.records.fingerprints import fingerprint

_WORD = re.compile(
    r"""
    [^\W_]                       # a word begins at its first letter or digit
    (?: [^\s.\-\u2013\u2014\u2026/]++  # and runs on over what is no space, dash, ellipsis or slash
      | [.\-] (?=[^\W_])         # a hyphen or a point inside it belongs to it: well-being, 3.5
    )*+
    """,
    re.VERBOSE,
)


def count_words(text: str) -> int:
    """How many words a text has.

    A word is a run of characters without white space that holds a letter or a digit. Contractions and hyphenated
    compounds are one word ("don't", "well-being"), numbers too ("3.5", "1,000"); what a double hyphen, a dash, an
    ellipsis or a slash parts is two ("I--I", "and/or"). Punctuation, symbols and emoji alone are none. Scripts that
    are written without spaces are counted as one word per run, so word counts say nothing about them.
    Takes time proportional to the length, whatever the text.
    """
    return len(_WORD.findall(text))


def transcript_fingerprint(turns: Iterable[tuple[str, str]]) -> str:
    """32 hexadecimal characters that stand for what was said in a session: (role, text) of every turn, in order.

    Judgments are keyed by it: a changed word, order or speaker makes another transcript; ids and clocks do not.
    """
    return fingerprint([[role, text] for role, text in turns])
