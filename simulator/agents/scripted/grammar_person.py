"""From the client's words to the therapist's: first person becomes second, verbs of being follow.

`to_second_person('I was late and my boss saw me')` is `you were late and your boss saw you`. Words inside a clause keep
their case; a leading 'You' is lower-cased, because callers put the clause inside a sentence.
"""

import re
from functools import lru_cache

_WORDS = {
    "i": "you", "me": "you", "my": "your", "mine": "yours", "myself": "yourself",
    "we": "you", "us": "you", "our": "your", "ours": "yours", "ourselves": "yourselves",
    "i'm": "you're", "i've": "you've", "i'd": "you'd", "i'll": "you'll",
    "we're": "you're", "we've": "you've", "we'd": "you'd", "we'll": "you'll",
}  # fmt: skip
_BEING = {"am": "are", "was": "were", "wasn't": "weren't"}
_ADVERB = (
    r"(?:\w+ly|always|never|still|just|often|also|even|once|already|sometimes|only|now|almost|not|kind of|sort of)"
)
_AFTER_I = re.compile(rf"\b(I(?: {_ADVERB}){{0,2}}) (am|was|wasn't)\b")
_BEFORE_I = re.compile(r"\b(am|was|wasn't) I\b", re.IGNORECASE)
_SHARED_SUBJECT = re.compile(
    r"\b(I(?:'\w+)? [^,;]*?\b(?:and|but|or|then)(?: then)?(?: \w+ly| still| just)?) (am|was|wasn't)\b"
)
_AND_I = re.compile(
    r"(^|[,;] |\b(?:that|because|when|since|if) )((?:my|our) [\w-]+|[A-Z][\w-]+) and I\b(?! (?:am|was)\b)"
)
_ME_AND = re.compile(r"\bme and ((?:my|our) [\w-]+|[A-Z][\w-]+)")
_TOKEN = re.compile(
    r"\b(?:I'm|I've|I'd|I'll|we're|we've|we'd|we'll|I|me|(?<!\bthe )(?<!\ba )mine|myself|my|we|us|ours|ourselves"
    r"|our)\b",
    re.IGNORECASE,
)
_NEW_SUBJECT = re.compile(r"\b(?:he|she|it|they|that|this|there|who|which|my [\w-]+|the [\w-]+)\b", re.IGNORECASE)


def _being(match: re.Match[str]) -> str:
    return f"{match[1]} {_BEING[match[2]]}"


def _shared(match: re.Match[str]) -> str:
    # 'I got home and my head was full': the verb after 'and' belongs to the last subject, here not to 'I'
    since = match[1].rsplit(" and ", 1)[-1].rsplit(" but ", 1)[-1]
    return match[0] if _NEW_SUBJECT.search(since) else _being(match)


def _token(match: re.Match[str]) -> str:
    return _WORDS[match[0].lower()]


_CUT = re.compile(r" (?:because|but|when|and|since|although|so (?=you\b|I\b|they\b|he\b|she\b|it\b|we\b)) ?")


@lru_cache(maxsize=16384)
def first_clause(text: str) -> str:
    """The statement up to its first conjunction, where that leaves a statement; otherwise the whole.

    'I have a shop to run and I eat standing' gives 'I have a shop to run'.
    """
    match = _CUT.search(text)
    if match is None:
        return text
    head = text[: match.start()].rstrip(",")
    words = head.split()
    whole = len(words) >= 5 or (len(words) >= 3 and words[0] in ("I", "you", "we", "they", "he", "she", "it"))
    return head if whole else text


@lru_cache(maxsize=16384)
def to_second_person(clause: str) -> str:
    """The clause as its listener says it back."""
    text = clause.replace("’", "'")
    text = _AND_I.sub(r"\1you and \2", text)
    text = _ME_AND.sub(r"you and \1", text)
    text = _SHARED_SUBJECT.sub(_shared, text)
    text = _AFTER_I.sub(_being, text)
    text = _BEFORE_I.sub(lambda match: f"{_BEING[match[1].lower()]} I", text)
    return _TOKEN.sub(_token, text)
