"""Hearing a goodbye in the words of an agent that does not say by itself whether it takes leave.

Only the last sentences count, and only leave-taking for good: 'goodbye', 'bye', 'take care', 'see you next week', 'have
to go now'. A mention inside a story ('I said goodbye to my aunt') is no leave-taking.
"""

import re

_LEAVE = re.compile(
    r"""(?:^|[.!?,;\u2014-]\s*|\b(?:ok(?:ay)?|well|so|and|alright|thanks|thank\ you)[,.!]?\s+)
        (?:good\s?bye|bye(?:[\s-]bye)?|farewell|take\ care(?:\ of\ yourself)?|so\ long
         |see\ you(?:\ (?:soon|then|later|around|next\ \w+|on\ \w+day|tomorrow))?
         |(?:until|till)\ (?:next\ (?:time|week)|then)
         |i\ (?:(?:really\ )?(?:have|need|ought)\ to|must|should|'ve\ got\ to|better)\ (?:go|leave|get\ going|head\
         (?:off|out))(?:\ now)?(?=\s*(?:[.!?,]|$))
         |i'?ll\ (?:let\ you\ go|leave\ it\ (?:there|here))
         |talk\ to\ you\ (?:soon|later|next\ \w+|then))
        \b[^.!?]{0,40}[.!?\s]*$""",
    re.IGNORECASE | re.VERBOSE,
)


_SIGNS = (
    "bye", "farewell", "take care", "so long", "see you", "until next ", "until then", "till next ", "till then",
    "let you go", "leave it ", "talk to you",
    *(f"{needs} {leaves}" for needs in ("to", "must", "should", "better") for leaves in ("go", "leave", "get", "head")),
)  # fmt: skip
"""Without one of these there is no leave-taking; looking for them costs a twentieth of the expression above."""


def takes_leave(text: str) -> bool:
    """Whether `text` closes by taking leave for good."""
    tail = text.strip()[-240:]
    lowered = tail.lower()
    return any(sign in lowered for sign in _SIGNS) and bool(_LEAVE.search(tail))
