"""Whether a turn takes leave again after both sides have taken leave.

A turn closes when nothing but leave-taking, thanks and small courtesies is said in it, a few words aside. A goodbye is
answered by a goodbye; that is manners. The third in a row, counted over both sides, is the loop's first turn.
"""

import re
from collections.abc import Sequence

LEFT_OVER_NOW = 3
"""Words beside leave-taking that the turn itself may hold."""
LEFT_OVER_BEFORE = 7
"""Words beside leave-taking that the two turns before may hold."""
MOST_WORDS = 30
"""Words beyond which no turn counts as leave-taking alone."""
LONGEST = 220
"""Letters beyond which no turn counts as leave-taking alone."""

_LEAVE = re.compile(
    r"""\b(?:good\s?-?bye(?:\ for\ (?:now|today))?|bye(?:[\s-]bye)?(?:\ (?:now|then|for\ now))?
    |farewell|so\ long(?!\ as)
    |take\ (?:good\ )?care(?:\ of\ yourself)?|take\ it\ easy|see\ ya|catch\ you(?:\ \w+){0,2}|later
    |(?:i'll\ )?see\ you(?:\ (?:soon|then|later|around|tomorrow|next\ \w+|on\ \w+|\w+day))?
    |(?:until|till)\ (?:next\ \w+|then|\w+day)|talk\ (?:to\ you\ )?soon
    |good\ night|night[\s-]night|sleep\ well|rest\ well
    |have\ an?\ (?:good|lovely|great|nice|wonderful|safe)\ \w+|all\ the\ best|be\ well|be\ kind\ to\ yourself
    |(?:the\ )?same\ to\ you|wishing\ you\ .{0,30}
    |(?:got\ to|gotta|have\ to|need\ to|better)\ go(?:\ now)?|i'm\ off)\b""",
    re.VERBOSE,
)
_COURTESY = re.compile(
    r"""\b(?:thank\ you|thanks|cheers|(?:you're|you\ are)\ (?:very\ |most\ )?welcome|my\ pleasure|you\ too
    |to\ you(?:\ too)?
    |will\ do|i'll\ try|good\ luck|looking\ forward\ to\ .{0,40}|so\ much|very\ much|again
    |for\ (?:everything|today|coming|now)|okay|ok|alright|all\ right|well|yes|yeah|sure|wonderful|great|lovely
    |too|so|much|really|doc|doctor)\b""",
    re.VERBOSE,
)
_WORD = re.compile(r"[\w']+")
_MARKS = (
    "bye", "farewell", "so long", "take", "see y", "catch you", "later", "until", "till", "talk", "night", " well",
    "have a", "all the best", "be kind", "same to you", "wishing", " go", "gotta", "i'm off",
)  # fmt: skip
"""What stands in every leave-taking: a turn without any of them is not searched."""


def _left_over(text: str) -> int:
    return len(_WORD.findall(_COURTESY.sub(" ", _LEAVE.sub(" ", text))))


def takes_leave_alone(text: str, left_over: int = LEFT_OVER_BEFORE) -> bool:
    """Whether a turn takes leave and does next to nothing else."""
    if len(text) > LONGEST or "?" in text:
        return False
    plain = text.lower()
    if not any(mark in plain for mark in _MARKS) or plain.count(" ") >= MOST_WORDS or not _LEAVE.search(plain):
        return False
    return _left_over(plain) <= left_over


def repeats_goodbye(text: str, role: str, earlier: Sequence[tuple[str, str]]) -> bool:
    """Whether the turn is leave-taking or courtesy alone, after the other side and before it the speaker took leave.

    Args:
        text: the turn.
        role: its speaker.
        earlier: (role, text) of the turns before, in order.
    """
    if len(earlier) < 2 or len(text) > LONGEST or "?" in text or not takes_leave_alone(earlier[-1][1]):
        return False
    own = next((said for speaker, said in reversed(earlier) if speaker == role), "")
    return takes_leave_alone(own) and _left_over(text.lower()) <= LEFT_OVER_NOW
