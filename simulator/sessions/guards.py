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
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import msgspec
import yaml

from simulator.sessions.goodbye_loops import repeats_goodbye

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
    instructions: str = ""
    """What the speaker was told to do, without the persona's own words; empty where it does not say."""


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
    rule: Rule
    find: Callable[[str], str | None]


@lru_cache(maxsize=1)
def load_rules() -> dict[str, list[_Compiled]]:
    """The rules by guard, compiled once per process."""
    document = yaml.safe_load((Path(__file__).parent / "guard_rules.yaml").read_text(encoding="utf-8"))
    rules = msgspec.convert(document, dict[str, list[Rule]])
    flags = re.IGNORECASE | re.MULTILINE | re.DOTALL
    return {guard: [_Compiled(rule, _finder(rule, flags)) for rule in group] for guard, group in rules.items()}


def _finder(rule: Rule, flags: re.RegexFlag) -> Callable[[str], str | None]:
    if rule.feature is not None:
        return FEATURES[rule.feature]
    search = re.compile(rule.pattern or "", flags).search

    def find(text: str) -> str | None:
        match = search(text)
        return match[0].strip() if match else None

    return find


_WORD = re.compile(r"[\w']+")
_FIRST = re.compile(r"\b(?:i|i'm|i've|i'd|i'll|me|my|mine|myself)\b", re.IGNORECASE)
_SECOND = re.compile(r"\b(?:you|you're|you've|you'd|you'll|your|yours|yourself)\b", re.IGNORECASE)
_GLOW = re.compile(
    r"\b(?:wonderful\w*|confiden\w+|positiv\w+|journey|grateful|gratitude|empower\w*|compassion\w*|validated|growth"
    r"|resilien\w+|strength\w*|self-(?:love|care|compassion)|support(?:ive|ed)?|insight\w*|healthy|inspir\w+|joy\w*|thriv\w+|hopeful"
    r"|uplift\w*|motivated|blessed|embrac\w+|healing|peaceful|balanced)\b",
    re.IGNORECASE,
)
_SHADE = re.compile(r"\b(?:not|no|never|nobody|nothing|but|if|\w+n't|hate|sure)\b|\.\.\.", re.IGNORECASE)


_ABOUT_LIFE = re.compile(
    r"\byou(?:'re|'ve| are| have| were)? (?:\w+ )?(?:feel|feeling|felt|want|wanted|think|thinking|worried|notice|noticed|struggl\w+|tried|need"
    r"|care|cope|coping|see|having|dealing|sleep\w*)\b|\byour\b",
    re.IGNORECASE,
)
_QUESTION = re.compile(
    r"\b(?:what|how|when|where|who|why|do|does|did|have|has|are|were|is|was|would|could|can|will)\b[^.?!]{0,60}"
    r"\b(?:you|your|you're|you've)\b[^.!?]*\?",
    re.IGNORECASE,
)
_YOU_KNOW = re.compile(r"\byou know\b", re.IGNORECASE)
_OF_MACHINES = re.compile(r"\b(?:ai|human|person|machine|computer|program|robot|bot|model)\b", re.IGNORECASE)
FEWEST_WORDS = 8
"""Shorter turns say too little about who speaks."""


def _persons(text: str) -> tuple[int, int]:
    """How often a turn of at least `FEWEST_WORDS` words speaks of (oneself, the other); (-1, -1) for a shorter one."""
    plain = _YOU_KNOW.sub(" ", text)
    if len(_WORD.findall(plain)) < FEWEST_WORDS:
        return -1, -1
    return len(_FIRST.findall(plain)), len(_SECOND.findall(plain))


def _of_the_other(text: str, least: int = 3) -> str | None:
    own, others = _persons(text)
    return f"you {others} times, no I" if own == 0 and others >= least else None


def _of_itself(text: str, least: int = 3) -> str | None:
    own, others = _persons(text)
    return f"I {own} times, no you" if others == 0 and own >= least and not _OF_MACHINES.search(text) else None


def _question(text: str) -> str | None:
    plain = _YOU_KNOW.sub(" ", text)
    match = _QUESTION.search(plain)
    return match[0] if match and _persons(text)[0] == 0 and not _OF_MACHINES.search(plain) else None


def _question_about_life(text: str) -> str | None:
    asked = _question(text)
    return asked if asked and _ABOUT_LIFE.search(asked) else None


def _glow(text: str) -> str | None:
    """At least three different words of uplift and no shade of doubt."""
    words = {word.lower() for word in _GLOW.findall(text)}
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


def look(text: str, given: Circumstances, guards: Sequence[str] = GUARDS) -> list[Finding]:
    """What the guards find in a turn, in the order of `GUARDS`; usually nothing."""
    plain = text.replace("’", "'").replace("“", '"').replace("”", '"')
    lowered = plain.lower()
    forms = {"text": plain}
    found = []
    for guard in guards:
        if guard == "goodbye_loop":
            if repeats_goodbye(plain, given.role, given.earlier):
                found.append(Finding(guard, ("takes leave again",), text[:200]))
            continue
        weight, names, evidence = 0, [], []
        for rule, find in load_rules()[guard]:
            if not any(hint in lowered for hint in rule.hints) or not rule.holds(given):
                continue
            if rule.searches not in forms:
                forms[rule.searches] = own_speech(plain) if rule.searches == "speech" else _QUOTED.sub(" ", plain)
            match = find(forms[rule.searches])
            if match is not None:
                weight += rule.weight
                names.append(rule.name)
                evidence.append(match)
        if guard == "prompt_echo" and given.instructions:
            shared = shared_run(plain, given.instructions)
            if shared:
                weight += FIRES_AT
                names.append("shared words")
                evidence.append(shared)
        if weight >= FIRES_AT:
            found.append(Finding(guard, tuple(names), " | ".join(evidence)[:300]))
    return found


_QUOTED = re.compile(r"\"[^\"]{2,}\"|(?<![\w'])'(?=\w)[^\"]{2,}?(?<=[\w.,!?])'(?!\w)")
_SENTENCE = re.compile(r"[^.!?\n]*[.!?\n]*")
_REPORTS = re.compile(
    r"\b(?:say|says|said|saying|told|tells?|telling|asked (?:yourself|me|myself|you)|asks me|goes|went|called? it|word)"
    r"\b",
    re.IGNORECASE,
)
_REFERRED = re.compile(
    r"\b(?:what|everything|things|all)(?: that)? you(?:'ve)? (?:just )?(?:said|say|told me)\b", re.IGNORECASE
)


def own_speech(text: str) -> str:
    """A turn without quotations and without sentences that report what somebody says, said or would say."""
    without = _QUOTED.sub(" ", text)
    without = _REFERRED.sub(" ", without)
    return "".join(part for part in _SENTENCE.findall(without) if not _REPORTS.search(part))


@lru_cache(maxsize=256)
def _runs(instructions: str) -> frozenset[tuple[str, ...]]:
    words = _WORD.findall(instructions.lower().replace("’", "'"))
    return frozenset(tuple(words[i : i + SHARED_WORDS]) for i in range(len(words) - SHARED_WORDS + 1))


def shared_run(text: str, instructions: str) -> str:
    """The first run of `SHARED_WORDS` words that stands in both; empty where there is none."""
    words = _WORD.findall(text.lower())
    if len(words) < SHARED_WORDS:
        return ""
    runs = _runs(instructions)
    for start in range(len(words) - SHARED_WORDS + 1):
        run = tuple(words[start : start + SHARED_WORDS])
        if run in runs:
            return " ".join(run)
    return ""
