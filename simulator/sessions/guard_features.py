"""What a guard's rule can count in a turn in place of searching it for a pattern.

Who speaks shows in the persons of grammar more than in any phrase. Counted in AnnoMI's turns of at least 8 words (2,023
of therapists, 1,752 of clients): a question about the other's life without a word for oneself in 10.9 % of therapists'
and 0.1 % of clients'; four words for oneself and none for the other in 28.3 % of clients' and 0.1 % of therapists'.
"""

import itertools
import re
from collections.abc import Callable, Iterable
from functools import lru_cache

WORD = re.compile(r"[\w']+")
_GAPS = {letter: " " for letter in range(128) if not WORD.match(chr(letter))}
"""What stands between words, in ASCII: parting a text by it gives what `WORD` finds, in a third of the time."""
_FIRST = frozenset(("i", "i'm", "i've", "i'd", "i'll", "me", "my", "mine", "myself"))
_SECOND = frozenset(("you", "you're", "you've", "you'd", "you'll", "your", "yours", "yourself"))
_GLOW = re.compile(
    r"\b(?:wonderful\w*|confiden\w+|positiv\w+|journey|grateful|gratitude|empower\w*|compassion\w*|validated|growth"
    r"|resilien\w+|strength\w*|self-(?:love|care|compassion)|support(?:ive|ed)?|insight\w*|healthy|inspir\w+|joy\w*"
    r"|thriv\w+|hopeful|uplift\w*|motivated|blessed|embrac\w+|healing|peaceful|balanced)\b"
)
_SHADE = re.compile(r"\b(?:not|no|never|nobody|nothing|but|if|\w+n't|hate|sure)\b|\.\.\.")
_ABOUT_LIFE = re.compile(
    r"\byou(?:'re|'ve| are| have| were)? (?:\w+ )?(?:feel|feeling|felt|want|wanted|think|thinking|worried|notice"
    r"|noticed|struggl\w+|tried|need|care|cope|coping|see|having|dealing|sleep\w*)\b|\byour\b"
)
_QUESTION = re.compile(
    r"\b(?:what|how|when|where|who|why|do|does|did|have|has|are|were|is|was|would|could|can|will)\b[^.?!]{0,60}"
    r"\b(?:you|your|you're|you've)\b[^.!?]*\?"
)
_YOU_KNOW = re.compile(r"\byou know\b")
_OF_MACHINES = re.compile(r"\b(?:ai|human|person|machine|computer|program|robot|bot|model)\b")
FEWEST_WORDS = 8
"""Shorter turns say too little about who speaks."""
LASTING = 3
"""Turns of one speaker that are looked at together."""


@lru_cache(maxsize=64)
def words_of(text: str) -> list[str]:
    """The words of a text, not to be changed; remembered, because several rules count them."""
    return text.translate(_GAPS).split() if text.isascii() else WORD.findall(text)


def _without_you_know(text: str) -> str:
    return _YOU_KNOW.sub(" ", text) if "you know" in text else text


@lru_cache(maxsize=64)
def _persons(text: str) -> tuple[int, int]:
    """How often a turn of at least `FEWEST_WORDS` words speaks of (oneself, the other); (-1, -1) for a shorter one."""
    words = words_of(_without_you_know(text))
    if len(words) < FEWEST_WORDS:
        return -1, -1
    return sum(map(_FIRST.__contains__, words)), sum(map(_SECOND.__contains__, words))


def _of_the_other(text: str, least: int = 3) -> str | None:
    own, others = _persons(text)
    return f"you {others} times, no I" if own == 0 and others >= least else None


def _of_itself(text: str, least: int = 3) -> str | None:
    own, others = _persons(text)
    return f"I {own} times, no you" if others == 0 and own >= least and not _OF_MACHINES.search(text) else None


def one_sided(plain: str, earlier: Iterable[str], plays_persona: bool) -> str | None:
    """Whether the speaker's last turns are all of the other (as a helper's are) or all of itself, against its part.

    In AnnoMI three turns in a row of at least 4 words, in which somebody speaks of the other 4 times and never of
    oneself, are 26.7 % of therapists' and 0.1 % of clients'; of oneself 4 times and never of the other 55.8 % of
    clients' and 0.1 % of therapists'.

    Args:
        plain: the turn, in lower case.
        earlier: the speaker's earlier turns, in lower case, the latest first.
        plays_persona: whether the speaker plays a client.
    """
    never, often = (_FIRST, _SECOND) if plays_persona else (_SECOND, _FIRST)
    count, turns = 0, 0
    for text in itertools.chain((plain,), earlier):
        words = words_of(_without_you_know(text))
        if len(words) < FEWEST_WORDS // 2:
            if not turns:
                return None
            continue
        if not never.isdisjoint(words):
            return None
        turns += 1
        count += sum(map(often.__contains__, words))
        if turns == LASTING:
            break
    if turns < LASTING or count < 4 or _OF_MACHINES.search(plain):
        return None
    return f"{'you' if plays_persona else 'I'} {count} times in {LASTING} turns, no {'I' if plays_persona else 'you'}"


def _question(text: str) -> str | None:
    plain = _without_you_know(text)
    match = _QUESTION.search(plain)
    return match[0] if match and _persons(text)[0] == 0 and not _OF_MACHINES.search(plain) else None


def _question_about_life(text: str) -> str | None:
    asked = _question(text)
    return asked if asked and _ABOUT_LIFE.search(asked) else None


def _glow(text: str) -> str | None:
    """At least three different words of uplift and no shade of doubt."""
    words = set(_GLOW.findall(text))
    return ", ".join(sorted(words)) if len(words) >= 3 and not _SHADE.search(text) else None


FEATURES: dict[str, Callable[[str], str | None]] = {
    "of the other": _of_the_other,
    "all of the other": lambda text: _of_the_other(text, 4),
    "of itself": _of_itself,
    "all of itself": lambda text: _of_itself(text, 4),
    "question to the other": _question,
    "question about the other's life": _question_about_life,
    "glow": _glow,
}
"""Counts of words that a rule can name in place of a pattern."""
