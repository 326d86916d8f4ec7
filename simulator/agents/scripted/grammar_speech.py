"""How a client talks, and how sentences are put together.

`Voice` holds what a persona's speech needs, worked out once per persona: the phrase book in the persona's manner
(register and language level), fillers, habits, and the persona's clauses ready for a sentence. `Utterance` grows a text
sentence by sentence and counts its words. `Dice` splits one seeded draw into as many small choices as a turn needs.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from simulator.agents.scripted.grammar_phrases import Phrasebook
from simulator.personas.schema import Persona
from simulator.records.seeds import Draws, mix64

_MASK = 0xFFFFFFFFFFFFFFFF
_LCG_A = 6364136223846793005
_LCG_C = 1442695040888963407


class Dice:
    """Many small choices from one draw: a 64-bit linear congruential generator (Knuth's MMIX constants), high bits."""

    __slots__ = ("_state",)

    def __init__(self, draws: Draws) -> None:
        self._state = mix64(int(draws.uniform() * 9007199254740992.0))

    def roll(self) -> int:
        """An integer in [0, 2**33), to be taken modulo a small number."""
        self._state = state = (self._state * _LCG_A + _LCG_C) & _MASK
        return state >> 31

    def chance(self, percent: int) -> bool:
        """True in `percent` of 100 cases."""
        self._state = state = (self._state * _LCG_A + _LCG_C) & _MASK
        return (state >> 31) % 100 < percent


class Utterance:
    """A text that grows. A sentence is closed with a full stop when the next begins, unless it ends in punctuation."""

    __slots__ = ("text", "words")

    def __init__(self) -> None:
        self.text = ""
        self.words = 0

    def sentence(self, clause: str, joiner: str = "") -> None:
        """Add a clause as a sentence of its own, or after `joiner` (', and') in the sentence before."""
        self.words += clause.count(" ") + 1
        text = self.text
        if not text:
            self.text = clause
        elif text[-1] == ",":
            self.text = f"{text} {clause}"
        elif joiner and text[-1] not in ".?!":
            self.words += 1
            self.text = f"{text}{joiner} {clause}"
        elif text[-1] in ".?!":
            self.text = f"{text} {clause[0].upper()}{clause[1:]}"
        else:
            self.text = f"{text}. {clause[0].upper()}{clause[1:]}"

    def tail(self, clause: str) -> None:
        """Add words to the sentence before; they bring their own comma where they need one."""
        if self.text[-1:] in ".?!":
            self.text = self.text[:-1]
        self.text += clause if clause[0] == "," else f" {clause}"
        self.words += clause.count(" ") + (clause[0] != ",") + (clause[0] == ",")

    def finish(self, stop: str = ".") -> str:
        """The whole text, begun with a capital and closed."""
        text = self.text.rstrip(",")
        if text[-1] not in ".?!":
            text += stop
        return text[0].upper() + text[1:]


_LONG_FORMS = {
    "won't": "will not", "can't": "cannot", "let's": "let us", "n't": " not", "'re": " are", "'ve": " have",
    "'ll": " will", "'m": " am", "'d better": " had better", "'d": " would", "'s been": " has been", "'s got": " has",
    "'s": " is", "yeah": "yes", "kind of": "rather", "okay": "all right", "a bit of a": "rather a", "a bit of": "some",
    "a bit": "a little",
}  # fmt: skip
_CONTRACTED = re.compile(
    r"\b(?:won't|can't|let's|yeah|okay|a bit of a|a bit of|a bit|kind of(?! you))\b|n't\b|'(?:re|ve|ll|m)\b"
    r"|'d better\b|'d\b"
    r"|(?<=\bit)'s been\b|(?<=\bthat)'s been\b|(?<=\bnothing)'s been\b|(?<=\bit)'s got\b"
    r"|(?<=\b(?:it|he))'s\b|(?<=\bthat)'s\b|(?<=\bwhat)'s\b|(?<=\bthere)'s\b|(?<=\bshe)'s\b|(?<=\bwho)'s\b"
    r"|(?<=\bnothing)'s\b|(?<=\bwhere)'s\b|(?<=\bhow)'s\b|(?<=\bhere)'s\b",
    re.IGNORECASE,
)
_EASY_FORMS = {
    "going to": "gonna", "want to": "wanna", "kind of": "kinda", "because": "cause", "yes": "yeah", "very": "really",
    "I don't know": "I dunno", "I have to": "I gotta", "a lot of": "loads of", "sort of": "sorta",
}  # fmt: skip
_STIFF = re.compile(
    r"\b(?:going to(?! (?:my|the|a|bed|work|it)\b)|want to|kind of(?! you)|because|yes|very|I don't know|I have to"
    r"|a lot of|sort of)\b"
)
_KEEP_ARTICLE = (
    r"(?!lot|bit|little|few|while|couple|day|week|month|year|time|whole|way|point|kind|sort|same|other|good)"
)
_ARTICLE = re.compile(rf"(?<![\w'])(?:the|an|a) {_KEEP_ARTICLE}(?=[a-z])")


def _formal(source: str) -> str:
    return _CONTRACTED.sub(lambda match: _LONG_FORMS[match[0].lower()], source)


def _casual(source: str) -> str:
    return _STIFF.sub(lambda match: _EASY_FORMS[match[0]], source)


def _basic(source: str) -> str:
    return _ARTICLE.sub("", _formal(source))


def _intermediate(source: str) -> str:
    dropped = 0

    def every_third(match: re.Match[str]) -> str:
        nonlocal dropped
        dropped += 1
        return "" if dropped % 3 == 0 else match[0]

    return _ARTICLE.sub(every_third, source)


_STYLES: dict[str, Callable[[str], str] | None] = {
    "plain": None, "formal": _formal, "casual": _casual, "basic": _basic, "intermediate": _intermediate,
}  # fmt: skip
_books: dict[str, Phrasebook] = {}


def client_book(style: str) -> Phrasebook:
    """The client's phrases in one of the styles plain, formal, casual, basic, intermediate."""
    book = _books.get(style)
    if book is None:
        book = _books[style] = Phrasebook("client", _STYLES[style])
    return book


@dataclass(frozen=True, slots=True)
class Clause:
    """One of a persona's own clauses and its number of words."""

    text: str
    words: int


def _clauses(lines: list[str]) -> tuple[Clause, ...]:
    return tuple(Clause(line, line.count(" ") + 1) for line in lines)


_SUFFIX_ONLY = frozenset(("whatever", "innit", "mind", "eh", "yeah", "right", "there we are", "fair play", "man"))
_PREFIX_ONLY = frozenset(
    ("um", "uh", "er", "erm", "hmm", "well", "so", "now", "see", "look", "oh", "let's say", "how to say", "honestly")
)
_OPENER_CHANCE = {"plain": 60, "formal": 55, "casual": 60, "terse": 45, "rambling": 65}
_FILLER_CHANCE = {"plain": 22, "formal": 15, "casual": 35, "terse": 12, "rambling": 40}
_JOINER_CHANCE = {"plain": 14, "formal": 8, "casual": 20, "terse": 0, "rambling": 45}


class Voice:
    """What realising one persona's turns needs, worked out once."""

    __slots__ = (
        "after", "before", "book", "facts", "filler_chance", "first_name", "for_duration", "goals", "habits_after",
        "joiner_chance", "opener_chance", "people", "persona", "sensitive", "short", "target", "terse", "thoughts",
        "triggers",
    )  # fmt: skip

    def __init__(self, persona: Persona) -> None:
        identity, problem, speech = persona.identity, persona.problem, persona.speech
        self.persona = persona
        register = speech.register_
        level = identity.language_level
        style = (
            level if level in ("basic", "intermediate") else register if register in ("formal", "casual") else "plain"
        )
        self.book = client_book(style)
        self.facts = _clauses(problem.facts)
        self.sensitive = _clauses(problem.sensitive)
        self.triggers = _clauses(problem.triggers)
        self.thoughts = _clauses(persona.cognitive_model.automatic_thoughts)
        self.goals = _clauses(persona.goals)
        self.target = Clause(problem.target_behaviour, problem.target_behaviour.count(" ") + 1)
        self.short = Clause(problem.short, problem.short.count(" ") + 1)
        duration = problem.duration
        if duration.split()[0].lower() not in ("since", "on", "from", "for", "ever", "all", "off", "my"):
            duration = f"for {duration}"
        self.for_duration = Clause(duration, duration.count(" ") + 1)
        self.first_name = identity.name.split()[0]
        named = [f"my {person.relation}" for person in identity.people]
        self.people = _clauses(named)
        fillers = [*speech.fillers]
        self.before = tuple(f"{filler}," for filler in fillers if filler.lower() not in _SUFFIX_ONLY)
        self.after = tuple(f", {filler}" for filler in fillers if filler.lower() not in _PREFIX_ONLY)
        self.habits_after = tuple(f", {habit}" for habit in speech.habits)
        self.opener_chance = _OPENER_CHANCE[register]
        self.filler_chance = _FILLER_CHANCE[register]
        self.joiner_chance = _JOINER_CHANCE[register]
        self.terse = register == "terse"


_voices: dict[int, Voice] = {}
_MOST_VOICES = 4096


def voice_of(persona: Persona) -> Voice:
    """The persona's voice, remembered by the object's identity (a voice keeps its persona alive, so ids stay true)."""
    voice = _voices.get(id(persona))
    if voice is None:
        if len(_voices) >= _MOST_VOICES:
            _voices.clear()
        voice = _voices[id(persona)] = Voice(persona)
    return voice
