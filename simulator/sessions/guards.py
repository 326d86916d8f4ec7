"""Guards: what language models do in a chair that no client and no therapist would do.

Each definition stands here once and at length in docs/guards.md:

- *role reversal*: a client does a helper's work, a therapist speaks as the one who came for help, or a turn holds the
  other side's lines as well;
- *sanitised persona*: a client whose difficulty is refused, denied, dissolved at once or talked about from outside,
  against what the persona says;
- *goodbye loop*: both sides have taken leave, and the turn takes leave again and does nothing else;
- *prompt echo*: a turn repeats its instructions, or speaks of them, instead of acting on them;
- *reasoning leak*: a turn holds what the model thinks about its task, beside or in place of what is said.

Detection is by documented rules (`guard_rules.yaml`, `goodbye_loops`, runs of words shared with the prompt), the same
for every model. How well the rules find what the definitions mean is measured on labelled turns: `dyad bench guards`.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import msgspec

from simulator.resources import read_yaml
from simulator.sessions.goodbye_loops import repeats_goodbye
from simulator.sessions.guard_features import FEATURES, WORD, one_sided, words_of

GUARDS = ("role_reversal", "sanitised_persona", "goodbye_loop", "prompt_echo", "reasoning_leak")

FIRES_AT = 2
"""Sum of the weights of a guard's rules at which it fires."""

SHARED_WORDS = 8
"""A run of so many words that also stands in the speaker's instructions is an echo of them."""


class Finding(NamedTuple):
    """A guard that fired: which rules, and the words that set them off."""

    guard: str
    rules: tuple[str, ...]
    evidence: str


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a guard may know beside the turn's text."""

    role: str
    plays_persona: bool
    earlier: Sequence[tuple[str, str]] = ()
    """(role, text) of the turns before, in order."""
    own_turn: int = 1
    """The how-manieth of the speaker's turns this is, from 1."""
    severity: int | None = None
    """PHQ-9 plus GAD-7 of the persona, 0-48; None where there is no persona."""
    resistance: float = 0.0
    high_risk: bool = False
    instructions: Sequence[str] = ()
    """What the speaker was told to do, without the persona's own words, part by part (what many speakers share apart
    from what is one's own); empty where it does not say."""


class Rule(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One rule of `guard_rules.yaml`, whose header says what the fields mean."""

    name: str
    role: Literal["any", "client", "helper"]
    hints: list[str]
    weight: Annotated[int, msgspec.Meta(ge=1, le=2)]
    pattern: str | None = None
    feature: str | None = None
    """In place of a pattern: a count of words, see `FEATURES`."""
    searches: Literal["speech", "unquoted", "text"] = "speech"
    severity: int = 0
    resistance: float = 0.0
    until: int | None = None
    high_risk: bool = False

    def holds(self, given: Circumstances) -> bool:
        """Whether the rule is for such a speaker at such a place."""
        if self.role != "any" and (self.role == "client") != given.plays_persona:
            return False
        if self.until is not None and given.own_turn > self.until:
            return False
        if self.high_risk and not given.high_risk:
            return False
        return (given.severity or 0) >= self.severity and given.resistance >= self.resistance


class _Compiled(NamedTuple):
    guard: str
    rule: Rule
    find: Callable[[str], str | None]


_MOST_WORDS_KNOWN = 50_000
"""Words whose hints are remembered, before they are looked up anew."""


class RuleBook:
    """The rules, with an index of their hints: only the rules whose hints may stand in a turn are tried on it."""

    def __init__(self, rules: dict[str, list[Rule]]) -> None:
        self.rules = [_Compiled(guard, rule, _finder(rule)) for guard, group in rules.items() for rule in group]
        self._wordless: list[tuple[str, int]] = []
        self._by_letter: dict[str, list[tuple[str, bool, str, int]]] = {}
        self._hints_of: dict[str, list[tuple[str, int]]] = {}
        self._without: set[str] = set()
        for place, (_, rule, _) in enumerate(self.rules):
            for hint in rule.hints:
                word = max(WORD.findall(hint), key=len, default="")
                if word:
                    may_go_on = hint.endswith(word)
                    self._by_letter.setdefault(word[0], []).append((word, may_go_on, hint, place))
                else:
                    self._wordless.append((hint, place))

    def candidates(self, lowered: str, words: Sequence[str]) -> list[_Compiled]:
        """The rules of which a hint stands in a text, in the order of the file. A hint begins where a word begins.

        Args:
            lowered: the text in lower case.
            words: its words.
        """
        places = {place for hint, place in self._wordless if hint in lowered}
        for word in set(words) - self._without:
            for hint, place in self._hints_of.get(word) or self._learn(word):
                if hint in lowered:
                    places.add(place)
        return [self.rules[place] for place in sorted(places)]

    def _learn(self, word: str) -> list[tuple[str, int]]:
        """The hints whose longest word is this one, or its beginning where the hint may stop inside a word."""
        bare = word.lstrip("'")
        hints = [
            (hint, place)
            for longest, may_go_on, hint, place in self._by_letter.get(bare[:1], ())
            if bare == longest or (may_go_on and bare.startswith(longest))
        ]
        if len(self._without) + len(self._hints_of) >= _MOST_WORDS_KNOWN:
            self._without.clear()
            self._hints_of.clear()
        if hints:
            self._hints_of[word] = hints
        else:
            self._without.add(word)
        return hints


@lru_cache(maxsize=1)
def load_rules() -> RuleBook:
    """The rules, read once per process."""
    document = read_yaml((Path(__file__).parent / "guard_rules.yaml").read_text(encoding="utf-8"))
    return RuleBook(msgspec.convert(document, dict[str, list[Rule]]))


def _finder(rule: Rule) -> Callable[[str], str | None]:
    if rule.feature is not None:
        return FEATURES[rule.feature]

    @cache
    def search() -> Callable[[str], re.Match[str] | None]:  # most rules are never tried: compiled when one is
        return re.compile(rule.pattern or "", re.MULTILINE | re.DOTALL).search

    def find(text: str) -> str | None:
        match = search()(text)
        return match[0].strip() if match else None

    return find


def look(text: str, given: Circumstances, guards: Sequence[str] = GUARDS) -> list[Finding]:
    """What the guards find in a turn, in the order of `GUARDS`; usually nothing."""
    plain = text.replace("’", "'").replace("“", '"').replace("”", '"').lower()
    words = words_of(plain)
    forms = {"text": plain}
    hits: dict[str, list[tuple[str, str, int]]] = {}
    for guard, rule, find in load_rules().candidates(plain, words):
        if guard not in guards or not rule.holds(given):
            continue
        if rule.searches not in forms:
            forms[rule.searches] = own_speech(plain) if rule.searches == "speech" else unquoted(plain)
        match = find(forms[rule.searches])
        if match is not None:
            hits.setdefault(guard, []).append((rule.name, match, rule.weight))
    if "role_reversal" in guards and given.earlier:
        own = (said.replace("’", "'").lower() for role, said in reversed(given.earlier) if role == given.role)
        lasting = one_sided(plain, own, given.plays_persona)
        if lasting:
            hits.setdefault("role_reversal", []).append(("speaks of one side for turns", lasting, FIRES_AT))
    if "prompt_echo" in guards and given.instructions:
        shared = _shared(words, given.instructions)
        if shared:
            hits.setdefault("prompt_echo", []).append(("shared words", shared, FIRES_AT))
    if "goodbye_loop" in guards and repeats_goodbye(plain, given.role, given.earlier):
        hits["goodbye_loop"] = [("takes leave again", plain[:200], FIRES_AT)]
    return [
        Finding(
            guard, tuple(name for name, _, _ in hits[guard]), " | ".join(match for _, match, _ in hits[guard])[:300]
        )
        for guard in GUARDS
        if guard in hits and sum(weight for _, _, weight in hits[guard]) >= FIRES_AT
    ]


_QUOTED = re.compile(r"\"[^\"]{2,}\"|(?<![\w'])'(?=\w)[^\"]{2,}?(?<=[\w.,!?])'(?!\w)")
_SENTENCE = re.compile(r"[^.!?\n]*[.!?\n]*")
_REPORTS = re.compile(
    r"\b(?:say|says|said|saying|told|tells?|telling|asked (?:yourself|me|myself|you)|asks me|goes|went|called? it|word)"
    r"\b"
)
_REPORTING = ("say", "said", "told", "tell", "asked ", "asks ", "goes", "went", "call", "word")
"""What stands in every sentence that reports speech."""
_REFERRED = re.compile(r"\b(?:what|everything|things|all)(?: that)? you(?:'ve)? (?:just )?(?:said|say|told me)\b")


def unquoted(plain: str) -> str:
    """A turn, in lower case, without quotations."""
    if '"' in plain or " '" in plain or plain[:1] == "'":
        return _QUOTED.sub(" ", plain)
    return plain


def own_speech(plain: str) -> str:
    """A turn, in lower case, without quotations and without sentences that report what somebody says or would say."""
    without = unquoted(plain)
    if not (any(part in without for part in _REPORTING) and _REPORTS.search(without)):
        return without
    without = _REFERRED.sub(" ", without)
    return "".join(part for part in _SENTENCE.findall(without) if not _REPORTS.search(part))


_BLOCK = SHARED_WORDS // 2
"""Every shared run of `SHARED_WORDS` words holds a block of so many that begins at a multiple of it."""


@lru_cache(maxsize=256)
def _runs(instructions: str) -> tuple[frozenset[str], str]:
    """The runs of `_BLOCK` words of a part of a prompt, and all its words."""
    words = WORD.findall(instructions.replace("’", "'").lower())
    blocks = frozenset(" ".join(words[start : start + _BLOCK]) for start in range(len(words) - _BLOCK + 1))
    return blocks, f" {' '.join(words)} "


def _shared(words: Sequence[str], instructions: Sequence[str]) -> str:
    parts = [_runs(part) for part in instructions]
    for middle in range(0, len(words) - _BLOCK + 1, _BLOCK):
        block = " ".join(words[middle : middle + _BLOCK])
        for blocks, whole in parts:
            if block not in blocks:
                continue
            for start in range(max(0, middle - _BLOCK + 1), min(middle, len(words) - SHARED_WORDS) + 1):
                run = " ".join(words[start : start + SHARED_WORDS])
                if f" {run} " in whole:
                    return run
    return ""


def shared_run(text: str, *instructions: str) -> str:
    """The first run of `SHARED_WORDS` words that stands in the text and in one of the parts; empty where none does."""
    return _shared(WORD.findall(text.lower()), instructions)
