"""One unit put to a model, code after code: what was judged, how surely, and why something was not.

Every code is a choice by the rules of `models.choice`: labels none of which begins another, an option's probability
summed over all tokens that begin it, mass outside the options read unconstrained and kept; where the options hold less
than the stated share, the value is missing with that reason. The first request about a unit is answered before the
others are sent, so that what they share is in the server's cache. In the joint layout situations are asked so too, and
one JSON answer gives the values of all codes that are live.
"""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from simulator.agents.prompting import load_prompt
from simulator.codebooks.gates import ALWAYS, is_live
from simulator.codebooks.schema import Code, Codebook
from simulator.coding.base import CodedTurn
from simulator.coding.llm.units import UnitPlace
from simulator.errors import SessionError
from simulator.models.choice import Option, Order, choose
from simulator.models.messages import Completer, Message, Request
from simulator.records.fingerprints import text_fingerprint
from simulator.records.quotes import locate_quote
from simulator.records.seeds import turn_seed

PROMPT = Path(__file__).parent / "prompts" / "coding.jinja"
BLOCKS = ("system", "transcript", "unit", "code", "situation", "joint", "evidence")
OVERFLOW = "the model's context is full"
NOT_KNOWN_LIVE = "it is not known whether the code is live here"
YES, NO = "yes", "no"
JOINT_TOKENS, EVIDENCE_TOKENS, LONGEST_QUOTE = 800, 200, 300

Found = dict[str, Any]
"""One judgment as it is kept: `value`, and where they are known `probability`, `expected`, `outside`, `method`,
`missing_reason`, `evidence` (start and end in the turn's text)."""

_Ask = tuple[str, Code | None, str]
"""Its name, and the code or the situation that is asked about."""
Kept = Callable[[str], Found | None]
Keep = Callable[[str, Found], None]


class Asking:
    """Asks a model about units with one codebook.

    Args:
        book: the codebook.
        codes: the codes that are asked.
        order: of the options' labels.
        least_share: below this share of the mass a value is missing.
        samples: how many answers are drawn where a server gives no probabilities.
        evidence: whether the words that show a code are asked for, and must be found, where it is judged present.
        joint: whether one JSON answer gives all codes that are live in a unit.
        whole_turns: whether codes of utterances are asked of whole turns.
        prompt: the prompt file.
    """

    def __init__(
        self, book: Codebook, codes: Sequence[Code], *, order: Order, least_share: float, samples: int, evidence: bool,
        joint: bool = False, whole_turns: bool = False, prompt: Path = PROMPT,
    ) -> None:  # fmt: skip
        self.book, self.codes = book, codes
        self._order, self._least, self._samples, self._evidence = order, least_share, samples, evidence
        self._joint, self._prompt = joint, load_prompt(prompt, BLOCKS)
        names = sorted({code.live for code in codes if code.live != ALWAYS})
        situations = [(name, book.situation(name)) for name in names]
        system = self._prompt.render(
            "system", book=book, codes=codes, situations=situations, whole_turns=whole_turns
        )  # fmt: skip
        self._system = Message("system", system)

    def messages(self, turns: Sequence[CodedTurn], place: UnitPlace) -> tuple[list[Message], str]:
        """What all requests about a unit begin with: the messages before the last one, and how that one begins."""
        numbered = [(number, turn.role, turn.text) for number, turn in enumerate(turns[: place.upto + 1])]
        shown = self._prompt.render("transcript", turns=numbered)
        words = turns[place.upto].text[place.start : place.end] if place.part else None
        return [self._system], f"{shown}\n{self._prompt.render('unit', unit=place.words, words=words)}\n"

    async def unit(
        self, model: Completer, turns: Sequence[CodedTurn], place: UnitPlace, codes: Sequence[Code], kept: Kept,
        keep: Keep, around: dict[str, str | None],
    ) -> dict[str, Found]:  # fmt: skip
        """Judge `codes` in a unit. Situations and codes that others follow from are asked first; what is not live is
        not asked and has no judgment; what was kept before is not asked again.

        Args:
            around: judgments of the session and course around the unit.

        Raises:
            SessionError: the model gives no answer.
        """
        before, opening = self.messages(turns, place)
        found: dict[str, Found] = {}
        situations = sorted({code.live for code in codes if code.live != ALWAYS})
        asks: list[_Ask] = [(f"live.{name}", None, name) for name in situations]
        answers = await self._ask_all(model, before, opening, place, asks, kept, keep)
        found.update(answers)
        said = {name: answers[f"live.{name}"].get("value") for name in situations}
        holding = {name: None if value is None else value == YES for name, value in said.items()}
        values: dict[str, str | None] = dict(around)
        waiting = list(codes)
        while waiting:
            ready = [code for code in waiting if not any(other.id in code.depends_on for other in waiting)]
            if not ready:  # a circle of codes that follow from each other: none can be asked first
                ready = waiting
            waiting = [code for code in waiting if code not in ready]
            live = {code.id: is_live(self.book, code.id, holding, values) for code in ready}
            for code in ready:
                if live[code.id] is None:
                    found[code.id] = {"value": None, "missing_reason": NOT_KNOWN_LIVE}
            asked = [code for code in ready if live[code.id]]
            if self._joint:
                answers = await self._ask_at_once(model, before, opening, place, asked, kept, keep)
            else:
                asks = [(code.id, code, "") for code in asked]
                answers = await self._ask_all(model, before, opening, place, asks, kept, keep)
            found.update(answers)
            values.update({name: answer.get("value") for name, answer in answers.items()})
        if self._evidence:
            for code in codes:
                if code.id in found and self._shows(code, found[code.id]):
                    found[code.id] = await self._shown(
                        model, turns, before, opening, place, code, found[code.id], kept, keep
                    )
        return found

    async def _ask_all(
        self, model: Completer, before: list[Message], opening: str, place: UnitPlace,
        asks: Sequence[_Ask], kept: Kept, keep: Keep,
    ) -> dict[str, Found]:  # fmt: skip
        found = {name: known for name, _, _ in asks if (known := kept(name)) is not None}
        rest = [ask for ask in asks if ask[0] not in found]

        async def one(ask: _Ask) -> None:
            name, code, situation = ask
            found[name] = await self._choice(model, before, opening, place, name, code, situation)
            keep(name, found[name])

        for first in rest[:1]:
            await one(first)
        for end in await asyncio.gather(*(one(ask) for ask in rest[1:]), return_exceptions=True):
            if isinstance(end, BaseException):
                raise end
        return {name: found[name] for name, _, _ in asks}

    async def _choice(
        self, model: Completer, before: list[Message], opening: str, place: UnitPlace, name: str, code: Code | None,
        situation: str,
    ) -> Found:  # fmt: skip
        if code is None:
            question = self._prompt.render("situation", name=situation)
            options = [Option(NO, "no", 0.0), Option(YES, "yes", 1.0)]
        else:
            question = self._prompt.render("code", code=code)
            options = options_of(code)
        try:
            chosen = await choose(
                model, before, options, seed=_seed(before, opening, place, name), question=opening + question,
                purpose=f"coding:{name}", order=self._order, least_share=self._least, samples=self._samples,
            )  # fmt: skip
        except SessionError as error:
            return _overflow(error)
        found: Found = {"value": chosen.most_probable, "method": chosen.method, "outside": chosen.outside}
        if chosen.value is None:
            return {**found, "value": None, "missing_reason": chosen.missing_reason}
        if chosen.probabilities and chosen.most_probable is not None:
            found["probability"] = chosen.probabilities[chosen.most_probable]
        found["expected"] = chosen.expected
        return found

    def _shows(self, code: Code, found: Found) -> bool:
        value = found.get("value")
        if value is None:
            return False
        return code.present(value) if code.scale.kind == "binary" or code.scale.present_values else True

    async def _shown(
        self, model: Completer, turns: Sequence[CodedTurn], before: list[Message], opening: str, place: UnitPlace,
        code: Code, found: Found, kept: Kept, keep: Keep,
    ) -> Found:  # fmt: skip
        """The judgment with the place of the words that show it; missing where they do not stand in the unit."""
        name = f"evidence.{code.id}"
        known = kept(name)
        if known is None:
            text = opening + self._prompt.render("evidence", code=code, value=found["value"])
            schema = {
                "type": "object", "properties": {"quote": {"type": "string", "maxLength": LONGEST_QUOTE}},
                "required": ["quote"], "additionalProperties": False,
            }  # fmt: skip
            request = Request(
                [*before, Message("user", text)], seed=_seed(before, opening, place, name), purpose=f"coding:{name}",
                schema=schema, sampling={"max_tokens": EVIDENCE_TOKENS, "temperature": 0.0},
            )  # fmt: skip
            try:
                known = {"quote": _quote((await model.complete(request)).text)}
            except SessionError as error:
                known = _overflow(error)
            keep(name, known)
        if "quote" not in known:
            return {**found, "value": None, "missing_reason": known["missing_reason"]}
        within = turns if place.turn is None else [turns[place.upto]]
        for turn in within:
            shift = place.start or 0
            stretch = locate_quote(str(known["quote"]), turn.text[shift : place.end])
            if stretch is not None:
                return {**found, "evidence": [shift + end for end in stretch] if place.turn is not None else None}
        return {**found, "value": None, "missing_reason": "the quoted words do not stand in the unit"}

    async def _ask_at_once(
        self, model: Completer, before: list[Message], opening: str, place: UnitPlace, codes: Sequence[Code],
        kept: Kept, keep: Keep,
    ) -> dict[str, Found]:  # fmt: skip
        """Codes of a unit by one JSON answer; no probabilities, and nothing of what lies outside the options."""
        found = {code.id: known for code in codes if (known := kept(code.id)) is not None}
        if len(found) < len(codes):  # the answer is one: what was kept of it before an end is asked again
            found = await self._at_once(model, before, opening, place, codes)
            for name, answer in found.items():
                keep(name, answer)
        return found

    async def _at_once(
        self, model: Completer, before: list[Message], opening: str, place: UnitPlace, codes: Sequence[Code]
    ) -> dict[str, Found]:
        text = opening + self._prompt.render("joint", ids=[code.id for code in codes])
        schema = {
            "type": "object", "properties": {code.id: {"type": "string", "enum": list(code.values)} for code in codes},
            "required": [code.id for code in codes], "additionalProperties": False,
        }  # fmt: skip
        request = Request(
            [*before, Message("user", text)], seed=_seed(before, opening, place, f"joint.{codes[0].id}"),
            purpose="coding:joint",
            schema=schema, sampling={"max_tokens": JOINT_TOKENS},
        )  # fmt: skip
        try:
            answer = await model.complete(request)
        except SessionError as error:
            missing = _overflow(error)
            return {code.id: missing for code in codes}
        try:
            document = msgspec.json.decode(answer.text[answer.text.find("{") : answer.text.rfind("}") + 1])
        except msgspec.DecodeError:
            document = None
        found: dict[str, Found] = {}
        for code in codes:
            value = document.get(code.id) if isinstance(document, dict) else None
            if value in code.values:
                found[code.id] = {"value": value, "method": "joint"}
            else:
                reason = "the answer is no JSON object" if document is None else "the answer is none of the values"
                found[code.id] = {"value": None, "missing_reason": reason, "method": "joint"}
        return found


def options_of(code: Code) -> list[Option]:
    """The values of a code as options; those of ordinal and binary codes have scores, by rank or by their number."""
    if code.scale.kind == "nominal":
        return [Option(value, value) for value in code.values]
    try:
        scores = [float(value) for value in code.values]
    except ValueError:
        scores = [float(rank) for rank in range(len(code.values))]
    return [Option(value, value, score) for value, score in zip(code.values, scores, strict=True)]


def _seed(before: Sequence[Message], opening: str, place: UnitPlace, name: str) -> int:
    """A function of what is asked: the same texts are asked with the same seed, wherever they stand."""
    turn = -1 if place.turn is None else place.turn
    return turn_seed(int(text_fingerprint(opening)[:16], 16), turn, place.role, f"coding:{name}")


def _overflow(error: SessionError) -> Found:
    """What is kept where a unit does not fit the model's context; other errors end the coding."""
    if error.kind != "context_overflow":
        raise error
    return {"value": None, "missing_reason": OVERFLOW}


def _quote(text: str) -> str:
    try:
        document = msgspec.json.decode(text[text.find("{") : text.rfind("}") + 1])
    except msgspec.DecodeError:
        return ""
    quote = document.get("quote") if isinstance(document, dict) else None
    return quote if isinstance(quote, str) else ""
