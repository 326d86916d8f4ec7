"""Finding a quotation in a text: the same words in the same order, whatever the case, spacing and typographic marks."""

import re

_WORD = re.compile(r"[^\W_]+")
FEWEST_WORDS = 2
"""A shorter quotation could stand anywhere."""


def locate_quote(quote: str, text: str, fewest_words: int = FEWEST_WORDS) -> tuple[int, int] | None:
    """Offsets (start, end) of the first stretch of `text` whose words are those of `quote`; None where there is none.

    Words are runs of letters and digits, compared without case; apostrophes part them on both sides alike. A quotation
    of fewer words than `fewest_words` is not looked for, unless it is the whole text.
    """
    wanted = [match[0].casefold() for match in _WORD.finditer(quote)]
    found = [(match[0].casefold(), match.start(), match.end()) for match in _WORD.finditer(text)]
    words = [word for word, _, _ in found]
    if not wanted or (len(wanted) < fewest_words and wanted != words):
        return None
    for place in range(len(words) - len(wanted) + 1):
        if words[place] == wanted[0] and words[place : place + len(wanted)] == wanted:
            return found[place][1], found[place + len(wanted) - 1][2]
    return None
