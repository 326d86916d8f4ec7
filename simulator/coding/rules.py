"""A coder that works by rules alone: no model, no training, every judgment explained by the phrases that made it.

A *pattern set* is a folder of YAML files: `scope.yaml` says what negates, and every other file holds the rules of one
code for one role. Rules are families of phrases, each with its source and its weights, and shapes of the turn (its
length, a question mark, what the other side has just been coded as).

Scoring: a value's score is its base, plus the weight of every family found (each hit, up to the family's cap), plus
the weight of every shape that holds. A negated hit counts with the family's `negated` weights instead, which for client
talk mostly move it to the other side. The highest score wins; equal scores go to the value that stands first in
`priority`. Scores are sums of small integers and not probabilities, so `probability` stays empty.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal

import msgspec
import yaml

from simulator.codebooks import Codebook, load_codebook
from simulator.coding.base import CodedTurn, Judgment
from simulator.coding.phrases import Hit, Phrase, Reader, Scope, Tokens, find_hits, index_phrases
from simulator.coding.units import back_in_turns, check_units, in_utterances, units_fingerprint, whole_turns
from simulator.errors import UserError, nearest
from simulator.records.fingerprints import fingerprint, text_fingerprint
from simulator.resources import read_yaml

PATTERNS = Path(__file__).parent / "patterns"
"""Where the shipped pattern sets lie."""

Measure = Literal["words", "questions", "final_question", "second_person", "turn", "previous", "previous_words"]


class Family(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Phrases that speak for the same thing.

    `source` names the manual or paper that motivates the cue. `weights` maps values to small integers. `negated` does
    so for negated hits: empty where a negated cue says nothing, left out where negation makes no difference. At most
    `cap` hits of each kind count.
    """

    name: str
    source: str
    phrases: list[str]
    weights: dict[str, int]
    negated: dict[str, int] | None = None
    cap: int = 1


class Shape(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A property of the turn or of what came before it.

    `measure`: `words` (their number), `questions` (sentences ending in a question mark), `final_question` (0 or 1),
    `second_person` (percent of words that address the listener), `turn` (index in the session), `previous` (1 where the
    turn before, by another role, was given the value `value` by these rules), `previous_words`.
    """

    name: str
    source: str
    measure: Measure
    weights: dict[str, int]
    at_least: int | None = None
    at_most: int | None = None
    value: str | None = None


class RuleFile(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The rules of one code for one role. `priority` lists every value, the winner of a tie first."""

    codebook: str
    code: str
    role: str
    priority: list[str]
    base: dict[str, int]
    families: list[Family]
    shapes: list[Shape] = []
    lists: dict[str, list[str]] = {}
    about: str = ""


class CodeRules:
    """One rule file, compiled."""

    def __init__(self, rules: RuleFile, scope: Scope, unit: str) -> None:
        self.rules = rules
        self.unit = unit
        self.reader = Reader(scope, rules.lists)
        self.phrases: list[Phrase] = [
            self.reader.phrase(line, number) for number, family in enumerate(rules.families) for line in family.phrases
        ]
        self._index = index_phrases(self.phrases)
        self._base = [rules.base.get(value, 0) for value in rules.priority]
        self._weights = [self._row(family.weights) for family in rules.families]
        self._negated = [
            self._row(family.weights if family.negated is None else family.negated) for family in rules.families
        ]
        self._shapes = [(shape, self._row(shape.weights)) for shape in rules.shapes]
        self._needs_share = any(shape.measure == "second_person" for shape in rules.shapes)
        self._read = lru_cache(maxsize=8192)(self._read_text)

    def _row(self, weights: Mapping[str, int]) -> tuple[int, ...]:
        return tuple(weights.get(value, 0) for value in self.rules.priority)

    def _read_text(self, text: str) -> tuple[tuple[int, ...], dict[str, int], tuple[tuple[int, int] | None, ...]]:
        """Scores by families alone, the measures of the text, and for each value the stretch that spoke most for it."""
        tokens = self.reader.tokens(text)
        scores = list(self._base)
        seen: dict[tuple[int, bool], int] = {}
        best: list[tuple[int, tuple[int, int] | None]] = [(0, None)] * len(scores)
        for hit in find_hits(self.reader, self._index, tokens):
            key = (hit.family, hit.negated)
            seen[key] = seen.get(key, 0) + 1
            if seen[key] > self.rules.families[hit.family].cap:
                continue
            for place, weight in enumerate((self._negated if hit.negated else self._weights)[hit.family]):
                scores[place] += weight
                if weight > best[place][0]:
                    best[place] = (weight, (hit.start, hit.end))
        return tuple(scores), _measures(tokens, self._needs_share), tuple(stretch for _, stretch in best)

    def hits(self, text: str) -> list[Hit]:
        """Every family found in `text`, for people who ask why."""
        return find_hits(self.reader, self._index, self.reader.tokens(text))

    def judge(self, turn: int, text: str, previous: str | None, previous_words: int) -> Judgment:
        """The value of one turn; `previous` is what the turn before, by another role, was coded as."""
        base, measures, stretches = self._read(text)
        scores = list(base)
        for shape, weights in self._shapes:
            if _holds(shape, measures, turn, previous, previous_words):
                for place, weight in enumerate(weights):
                    scores[place] += weight
        place = scores.index(max(scores))
        rules = self.rules
        start, end = stretches[place] or (None, None)
        return Judgment(
            turn, rules.role, rules.code, rules.priority[place], 0, len(text), self.unit, None, None, start, end
        )


class RuleCoder:
    """The rules of a pattern set as a `Coder`. The shipped set is called `rules`, others `rules-` and their folder.

    Args:
        patterns: name of a shipped pattern set, or a folder that holds one.
        units: `turn` codes turns whole, `utterance` the utterances in them.

    Raises:
        UserError: unknown set, a file that does not read, a value that the codebook does not know.
    """

    def __init__(self, patterns: str | Path = "annomi", units: str = "turn") -> None:
        folder = _find(patterns)
        self.units = check_units(units, "coders.rules.units")
        self.name = "rules" if folder == PATTERNS / "annomi" else f"rules-{folder.name}"
        self._files = {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.yaml"))}
        if "scope.yaml" not in self._files:
            raise UserError(f"the pattern set {folder} lacks scope.yaml, which says what negates")
        scope = _convert(self._files["scope.yaml"], Scope, folder / "scope.yaml")
        files = {
            folder / name: _convert(text, RuleFile, folder / name)
            for name, text in self._files.items()
            if name != "scope.yaml"
        }
        books = {rules.codebook for rules in files.values()}
        if len(books) != 1:
            raise UserError(f"the pattern set {folder} must name exactly one codebook, not {sorted(books)}")
        book = load_codebook(books.pop())
        self.codebook, self.codebook_version = book.name, book.version
        self._codes: dict[str, list[CodeRules]] = {}
        for path, rules in files.items():
            _check(rules, book, path)
            try:
                compiled = CodeRules(rules, scope, whole_turns(book.code(rules.code).unit))
            except ValueError as error:
                raise UserError(f"{path}: families: {error}") from None
            self._codes.setdefault(rules.role, []).append(compiled)

    @cached_property
    def fingerprint(self) -> str:
        """Stands for patterns, codebook version and the code that applies them."""
        code = [text_fingerprint((Path(__file__).parent / name).read_bytes()) for name in ("phrases.py", "rules.py")]
        return fingerprint([self._files, self.codebook, self.codebook_version, code, *units_fingerprint(self.units)])

    @property
    def rules(self) -> list[CodeRules]:
        """The compiled rules, one entry per code and role."""
        return [rules for role in self._codes.values() for rules in role]

    def code_session(self, turns: Sequence[CodedTurn]) -> list[Judgment]:
        """One judgment per unit and code of the turn's role, in order. Other roles get none."""
        if self.units == "utterance":
            parted, places = in_utterances(turns)
            return back_in_turns(self._code_turns(parted), places)
        return self._code_turns(turns)

    def _code_turns(self, turns: Sequence[CodedTurn]) -> list[Judgment]:
        judgments: list[Judgment] = []
        previous_role, previous_value, previous_words = "", None, 0
        for turn in turns:
            value, context = None, previous_value if previous_role != turn.role else None
            for rules in self._codes.get(turn.role, ()):
                judgment = rules.judge(turn.turn, turn.text, context, previous_words)
                judgments.append(judgment)
                value = judgment.value
            previous_role, previous_value, previous_words = turn.role, value, turn.text.count(" ") + 1
        return judgments


def _find(patterns: str | Path) -> Path:
    folder = Path(patterns)
    if (PATTERNS / folder).is_dir():
        return PATTERNS / folder
    if folder.is_dir():
        return folder
    shipped = [path.name for path in PATTERNS.iterdir() if path.is_dir()]
    raise UserError(f"no pattern set '{patterns}'{nearest(str(patterns), shipped)}")


def _convert(text: str, kind: type[Any], path: Path) -> Any:
    try:
        return msgspec.convert(read_yaml(text), kind)
    except yaml.YAMLError as error:
        raise UserError(f"{path} is no YAML: {str(error).splitlines()[0]}") from None
    except msgspec.ValidationError as error:
        raise UserError(f"{path}: {error}; its fields are {', '.join(kind.__struct_fields__)}") from None


def _check(rules: RuleFile, book: Codebook, path: Path) -> None:
    """`priority` holds exactly the codebook's values, and every weight speaks of one of them."""
    try:
        values = book.code(rules.code).values
    except UserError as error:
        raise UserError(f"{path}: code: {error}") from None
    if sorted(values) != sorted(rules.priority):
        raise UserError(f"{path}: priority: must list the codebook's values {', '.join(values)}, each once")
    named = [("base", rules.base)]
    named += [(f"families.{family.name}", {**family.weights, **(family.negated or {})}) for family in rules.families]
    named += [(f"shapes.{shape.name}", shape.weights) for shape in rules.shapes]
    for field, weights in named:
        for value in weights:
            if value not in values:
                raise UserError(f"{path}: {field}: unknown value '{value}'{nearest(value, values)}")


def _measures(tokens: Tokens, share: bool) -> dict[str, int]:
    words = len(tokens.words)
    you = sum(1 for word in tokens.words if word.startswith("you")) if share else 0
    return {
        "words": words,
        "questions": tokens.questions,
        "final_question": int(tokens.final_question),
        "second_person": round(100 * you / words) if words else 0,
    }


def _holds(shape: Shape, measures: Mapping[str, int], turn: int, previous: str | None, previous_words: int) -> bool:
    if shape.measure == "previous":
        return previous == shape.value
    number = {"turn": turn, "previous_words": previous_words}.get(shape.measure)
    if number is None:
        number = measures[shape.measure]
    return (shape.at_least is None or number >= shape.at_least) and (shape.at_most is None or number <= shape.at_most)
