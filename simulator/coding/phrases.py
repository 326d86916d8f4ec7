"""Phrases, word scope and negation: what the patterns of a rule-based coder are made of.

A phrase is a line such as ``(want|hope) to {quitting}``: words in order, each a word, a choice in round brackets, or
a named list in curly ones. ``?`` after an element makes it optional, ``*`` at a word's end stands for any ending,
``..`` for up to three words between, and ``^`` before the phrase asks for the beginning of a sentence. Fillers ("um",
"really") may stand between the words of any phrase. A phrase never runs across the end of a sentence.

Negation follows NegEx (Chapman et al., J Biomed Inform 34:301-310, 2001) in spirit: a negator counts when it stands
inside the matched words or at most `window` words before them in the same clause; clauses end at punctuation and at
words such as "but" and "because"; fixed expressions that only look negative ("not only") do not count; two negators
cancel. A phrase that itself contains a negator ("cannot imagine") is read as it stands, and only negators before it
count.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

_TOKEN = re.compile(r"\w+(?:'\w+)*|[.?!;:,\n\u2013\u2014]|-(?!\w)")
_ELEMENT = re.compile(r"\(([^()]*)\)(\?)?|\{(\w+)\}(\?)?|(\.\.)|([\w'*]+)(\?)?")
_GAP = r"(?:[\w']+[^\w.?!;]+){0,3}"
_SENTENCE_ENDS = frozenset(".?!\n")
_QUOTES = str.maketrans({"\u2019": "'", "\u2018": "'", "\u02bc": "'"})


class Scope(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What counts as negation, as filler and as the beginning of a sentence; the `scope.yaml` of a pattern set."""

    sources: list[str]
    negators: list[str]
    window: int
    clause_ends: list[str]
    not_negation: list[str]
    fillers: list[str]
    openers: list[str]


class Tokens(NamedTuple):
    """A text cut into words. `low` has the text's own length, so offsets in it are offsets in the text.

    `words`, `starts`: the words and where they begin. `heads`: whether only openers ("so", "well") stand between the
    word and the beginning of its sentence. `clauses`: number of the clause each word stands in. `negators`: indices of
    negating words. `questions`: how many sentences end in a question mark; `final_question`: whether the last one does.
    """

    low: str
    words: list[str]
    starts: list[int]
    heads: list[bool]
    clauses: list[int]
    negators: list[int]
    questions: int
    final_question: bool


class Phrase(NamedTuple):
    """A compiled phrase. `family` is whatever the owner files it under; `anchors` the words it may begin with."""

    family: int
    anchors: frozenset[str]
    match: Callable[[str, int], re.Match[str] | None]
    at_head: bool
    negative: bool


class Hit(NamedTuple):
    """A family found in a text: from `start` to `end`, negated or not."""

    family: int
    start: int
    end: int
    negated: bool


class Reader:
    """Cuts texts into words under a `Scope` and compiles phrases for it."""

    def __init__(self, scope: Scope, lists: Mapping[str, Sequence[str]]) -> None:
        self._negators = frozenset(word for word in scope.negators if " " not in word)
        self._openers = frozenset(scope.openers)
        self._clause_ends = frozenset(scope.clause_ends)
        self._window = scope.window
        self._lists = lists
        skipped = "|".join(_words(word) for word in sorted({*scope.fillers, *self._negators}, key=len, reverse=True))
        self._gap = rf"[^\w.?!;]+(?:(?:{skipped})(?![\w'])[^\w.?!;]+)*"
        pseudo = "|".join(_words(phrase) for phrase in sorted(scope.not_negation, key=len, reverse=True))
        self._pseudo = re.compile(rf"(?:{pseudo})(?![\w'])") if pseudo else None

    def tokens(self, text: str) -> Tokens:
        """`text` cut into words; an empty text has none."""
        low = text.translate(_QUOTES) if "\u2019" in text or "\u2018" in text or "\u02bc" in text else text
        low = low.lower() if len(low.lower()) == len(low) else "".join(_lower(letter) for letter in low)
        words: list[str] = []
        starts: list[int] = []
        heads: list[bool] = []
        clauses: list[int] = []
        negators: list[int] = []
        head, clause, questions, final = True, 0, 0, False
        openers, ends, negating = self._openers, self._clause_ends, self._negators
        for found in _TOKEN.finditer(low):
            word = found.group()
            if word[0].isalnum() or word[0] == "_":
                if word in ends:
                    clause += 1
                if word in negating and not (self._pseudo and self._pseudo.match(low, found.start())):
                    negators.append(len(words))
                words.append(word)
                starts.append(found.start())
                heads.append(head)
                clauses.append(clause)
                head = head and word in openers
                final = False
            else:
                clause += 1
                if word in _SENTENCE_ENDS:
                    head = True
                    if word == "?":
                        questions += not final
                        final = True
        return Tokens(low, words, starts, heads, clauses, negators, questions, final)

    def phrase(self, line: str, family: int) -> Phrase:
        """Compile one line.

        Raises:
            ValueError: on an element that cannot be read, an unknown list, or a beginning that is not a whole word.
        """
        source, at_head = (line[1:].strip(), True) if line.startswith("^") else (line.strip(), False)
        pattern, anchors, negative, gap_next = "", frozenset[str](), False, False
        for position, (choices, optional, gap) in enumerate(self._elements(source)):
            if gap:
                gap_next = True
                continue
            separator = self._gap + (_GAP if gap_next else "") if pattern else ""
            body = "|".join(_words(choice, self._gap) for choice in sorted(choices, key=len, reverse=True))
            part = rf"{separator}(?:{body})(?![\w'])"
            pattern += f"(?:{part})?" if optional else part
            negative = negative or any(word in self._negators for choice in choices for word in choice.split())
            if position == 0:
                anchors = frozenset(choice.split()[0] for choice in choices)
                if optional or any("*" in anchor for anchor in anchors):
                    raise ValueError(f"'{line}' must begin with whole words that are not optional")
            gap_next = False
        if not anchors:
            raise ValueError(f"'{line}' holds no words")
        return Phrase(family, anchors, re.compile(pattern).match, at_head, negative)

    def _elements(self, source: str) -> Iterator[tuple[list[str], bool, bool]]:
        rest = source
        while rest := rest.lstrip():
            found = _ELEMENT.match(rest)
            if found is None:
                raise ValueError(f"cannot read '{rest}'")
            choice, choice_optional, name, name_optional, gap, word, word_optional = found.groups()
            if name is not None and name not in self._lists:
                raise ValueError(f"unknown list '{name}'")
            if gap:
                yield [], False, True
            elif word is not None:
                yield [word], word_optional is not None, False
            elif name is not None:
                yield [str(entry) for entry in self._lists[name]], name_optional is not None, False
            else:
                yield [part.strip() for part in choice.split("|")], choice_optional is not None, False
            rest = rest[found.end() :]

    def negated(self, tokens: Tokens, first: int, end: int, negative: bool) -> bool:
        """Whether words from index `first` up to offset `end` are negated: an odd number of negators counts."""
        if not tokens.negators:
            return False
        count = 0
        for index in tokens.negators:
            if index < first:
                count += index >= first - self._window and tokens.clauses[index] == tokens.clauses[first]
            elif tokens.starts[index] < end and not negative:
                count += 1
        return count % 2 == 1


def index_phrases(phrases: Sequence[Phrase]) -> dict[str, list[Phrase]]:
    """Phrases by the words they may begin with, in the order given."""
    index: dict[str, list[Phrase]] = {}
    for phrase in phrases:
        for anchor in sorted(phrase.anchors):
            index.setdefault(anchor, []).append(phrase)
    return index


def find_hits(reader: Reader, index: Mapping[str, Sequence[Phrase]], tokens: Tokens) -> list[Hit]:
    """Every family found, in the order of the text; at one word a family is found once, and hits of one family do not
    overlap."""
    hits: list[Hit] = []
    last: dict[int, int] = {}
    for position, word in enumerate(tokens.words):
        candidates = index.get(word)
        if candidates is None:
            continue
        start = tokens.starts[position]
        for phrase in candidates:
            if (phrase.at_head and not tokens.heads[position]) or last.get(phrase.family, -1) > start:
                continue
            found = phrase.match(tokens.low, start)
            if found is not None:
                end = found.end()
                last[phrase.family] = end
                negated = reader.negated(tokens, position, end, phrase.negative)
                hits.append(Hit(phrase.family, start, end, negated))
    return hits


def _words(text: str, gap: str = r"[^\w.?!;]+") -> str:
    return gap.join(re.escape(word).replace(r"\*", r"\w*") for word in text.split())


def _lower(letter: str) -> str:
    lowered = letter.lower()
    return lowered if len(lowered) == 1 else letter
