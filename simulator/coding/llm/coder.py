"""The coder that asks a language model, one session at a time, any number of them at once.

Its fingerprint covers all that can change a judgment: the codebook, the prompt, the options and what counts of the
model. Addresses, connections and the number of sessions in flight do not.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

from simulator.codebooks import load_codebook
from simulator.codebooks.flows import walk
from simulator.codebooks.parts import UNITS
from simulator.codebooks.schema import Code
from simulator.coding.base import CodedTurn, Judgment
from simulator.coding.llm.asking import PROMPT, Asking, Found, Keep, Kept
from simulator.coding.llm.units import UnitPlace, asked_codes, places
from simulator.coding.units import Units, check_units, units_fingerprint
from simulator.errors import UserError
from simulator.models.choice import LEAST_SHARE, Order
from simulator.models.clients import ModelClients
from simulator.models.handle import CallLog, SeatedModelClient, Usage
from simulator.models.messages import Completer
from simulator.records.fingerprints import fingerprint, text_fingerprint
from simulator.records.text import transcript_fingerprint

VERSION = 2
"""Of what this package asks and does with answers; part of the fingerprint."""
Layout = Literal["choice", "joint"]


class LLMCoder:
    """A language model applies a codebook.

    Args:
        model: configuration of the model client (`coders.model`, by default the study's `model`).
        codebook: name of the library, or a file of one's own.
        codes: only these; by default all that are read from text.
        layout: `choice` asks code by code, with probabilities; `joint` asks all codes of a unit at once, without.
        order: of the options' labels: shuffled by a seed, averaged over two orders (twice the requests), or given.
        least_share: below this share of the mass a value is missing.
        samples: answers that are drawn where a server gives no probabilities.
        evidence: whether the words that show a code must be quoted and found, where it is judged present.
        units: what codes of utterances are asked of: `utterance` (the parts of a turn), or `turn` (the whole turn, for
            data whose people judged whole turns).
        sessions_in_flight: sessions that are coded at the same time.
        prompt: a prompt file of one's own.

    Raises:
        UserError: the codebook, a code, the model or an option is wrong.
    """

    def __init__(
        self,
        model: Mapping[str, Any],
        codebook: str = "bolt",
        codes: Sequence[str] | None = None,
        layout: Layout = "choice",
        order: Order = "shuffled",
        least_share: float = LEAST_SHARE,
        samples: int = 10,
        evidence: bool = False,
        units: Units = "utterance",
        sessions_in_flight: int = 16,
        prompt: str | None = None,
    ) -> None:
        for field, value, choices in (
            ("layout", layout, ("choice", "joint")), ("order", order, ("given", "shuffled", "averaged")),
        ):  # fmt: skip
            if value not in choices:
                raise UserError(f"coders.llm.{field}: no choice '{value}' (choices: {', '.join(choices)})")
        self._whole_turns = check_units(units, "coders.llm") == "turn"
        from simulator.studies.chairs import counted_model

        self.book = load_codebook(codebook)
        self.codes = asked_codes(self.book, codes)
        if not self.codes:
            raise UserError(f"coders.llm.codes: {self.book.name} has no code that is read from text")
        self._at_once = layout == "joint"
        if self._at_once and (self.book.flow is not None or evidence):
            why = "evidence is asked code by code" if evidence else f"{self.book.name} asks by the answers before"
            raise UserError(f"coders.llm.layout: {why}, not all codes at once; give layout=choice")
        path = Path(prompt).expanduser() if prompt else PROMPT
        self.asking = Asking(
            self.book, self.codes, order=order, least_share=least_share, samples=samples, evidence=evidence,
            joint=self._at_once, whole_turns=self._whole_turns, prompt=path,
        )  # fmt: skip
        self.sessions_in_flight, self.model = sessions_in_flight, dict(model)
        self.name = "llm"
        self.codebook, self.codebook_version = self.book.name, self.book.version
        self.fingerprint = fingerprint([
            VERSION, self.book.fingerprint, [code.id for code in self.codes], layout, order, least_share, samples,
            evidence, text_fingerprint(path.read_bytes()), counted_model(self.model, "coders"),
            [units, *units_fingerprint(units)] if any(code.unit == "utterance" for code in self.codes) else None,
        ])  # fmt: skip
        self._log = CallLog()
        self.usage = Usage()
        """What it has cost so far."""

    def code_session(self, turns: Sequence[CodedTurn]) -> list[Judgment]:
        """The judgments of one session, whose turns come in order; asks the model anew.

        Raises:
            SessionError: the model gives no answer.
            UserError: the model is not there.
        """
        return self.code_sessions([list(turns)])[0]

    def code_sessions(self, sessions: Sequence[list[CodedTurn]]) -> list[list[Judgment]]:
        """The judgments of many sessions; see `code_session`."""

        async def all_of_them() -> list[list[Judgment]]:
            return [judgments async for _, judgments in self.code(sessions, {}, lambda key, answer: None)]

        return asyncio.run(all_of_them())

    async def code(
        self, sessions: Iterable[list[CodedTurn]], known: Mapping[str, Found], keep: Keep,
        only: Collection[str] | None = None,
    ) -> AsyncIterator[tuple[list[CodedTurn], list[Judgment]]]:  # fmt: skip
        """Sessions with their judgments, in order, `sessions_in_flight` at a time.

        Args:
            sessions: of whole courses, in order (codes of a course are judged with its last session).
            known: answers by key that are not asked for again.
            keep: told every new answer.
            only: ask these codes alone, and what they follow from; the requests are those of a whole coding. Where
                one answer gives all codes, or one question leads to the next, all are asked.

        Raises:
            SessionError: the model gives no answer.
            UserError: the model is not there.
        """
        codes = self._needed(only)
        clients = ModelClients()
        client = clients.get(self.model, "coders.model")
        try:
            await clients.check()
            waiting: list[asyncio.Task[list[tuple[list[CodedTurn], list[Judgment]]]]] = []
            try:
                for course in self._courses(sessions):
                    model = self._seated(client, clients, course[0])
                    waiting.append(asyncio.ensure_future(self.judge(model, course, known, keep, codes)))
                    if len(waiting) >= self.sessions_in_flight:
                        for pair in await waiting.pop(0):
                            yield pair
                while waiting:
                    for pair in await waiting.pop(0):
                        yield pair
            finally:
                for task in waiting:
                    task.cancel()
                await asyncio.gather(*waiting, return_exceptions=True)
        finally:
            await clients.close()

    def _needed(self, only: Collection[str] | None) -> list[Code]:
        if only is None or self._at_once or self.book.flow is not None:
            return self.codes
        wanted, new = set(only), set(only)
        while new:
            new = {one for code in self.codes if code.id in new for one in code.depends_on} - wanted
            wanted |= new
        return [code for code in self.codes if code.id in wanted]

    @staticmethod
    def _courses(sessions: Iterable[list[CodedTurn]]) -> Iterator[list[list[CodedTurn]]]:
        for _, group in groupby(sessions, key=lambda session: session[0].course_id):
            yield list(group)

    async def judge(
        self, model: Completer, sessions: list[list[CodedTurn]], known: Mapping[str, Found], keep: Keep,
        asked: Sequence[Code] | None = None,
    ) -> list[tuple[list[CodedTurn], list[Judgment]]]:  # fmt: skip
        """The sessions of one course with their judgments.

        Args:
            model: who is asked.
            sessions: in order.
            known, keep: as in `code`.
            asked: which codes; all by default.

        Raises:
            SessionError: the model gives no answer.
        """
        asked = self.codes if asked is None else asked
        whole = [turn for session in sessions for turn in session]
        around: dict[str, str | None] = {}
        ends: list[tuple[UnitPlace, dict[str, Found]]] = []
        of_course = [code for code in asked if code.unit == "course"]
        if of_course:
            ends = await self._units(model, whole, of_course, known, keep, around)
        pairs = []
        for number, session in enumerate(sessions):
            own = dict(around)
            found: list[tuple[UnitPlace, dict[str, Found]]] = []
            for unit in reversed(UNITS[:-1]):  # the larger unit first: smaller ones may follow from it
                codes = [code for code in asked if code.unit == unit]
                found += await self._units(model, session, codes, known, keep, own)
            if number == len(sessions) - 1:
                found += ends
            pairs.append((session, [judgment for place, answers in found for judgment in self._judged(place, answers)]))
        for call in self._log.take():
            self.usage.take(call)
        return pairs

    def _seated(self, client: Any, clients: ModelClients, turns: Sequence[CodedTurn]) -> Completer:
        first = turns[0]
        return SeatedModelClient(
            client, lambda turn, purpose, regeneration=0: 0, "coder", self._log, clients.sends_seed(client),
            f"{first.course_id}:{first.session}",
        )  # fmt: skip

    async def _units(
        self, model: Completer, turns: list[CodedTurn], codes: Sequence[Code], known: Mapping[str, Found], keep: Keep,
        around: dict[str, str | None],
    ) -> list[tuple[UnitPlace, dict[str, Found]]]:  # fmt: skip
        """The units of codes of one kind, those of the same roles together; session and course values join `around`."""
        transcript = transcript_fingerprint((turn.role, turn.text) for turn in turns)
        found = []
        by_roles: dict[tuple[str, ...], list[Code]] = {}
        for code in codes:
            for roles in (
                [tuple(code.roles)] if code.unit in ("session", "course") else [(role,) for role in code.roles]
            ):
                by_roles.setdefault(roles, []).append(code)
        pairs = [
            (place, mine)
            for roles, mine in by_roles.items()
            for place in places(turns, mine[0].unit, roles, self._whole_turns)
        ]
        for place, mine in sorted(pairs, key=lambda pair: pair[0].upto):  # the transcript grows: prefixes are kept hot
            prefix = f"{transcript}|{place.key}|"

            def kept(name: str, prefix: str = prefix) -> Found | None:
                return known.get(prefix + name)

            def put(name: str, answer: Found, prefix: str = prefix) -> None:
                keep(prefix + name, answer)

            answers = await self._unit(model, turns, place, mine, kept, put, around)
            if place.turn is None:
                around.update({name: answer.get("value") for name, answer in answers.items()})
            found.append((place, answers))
        return found

    async def _unit(
        self, model: Completer, turns: list[CodedTurn], place: UnitPlace, codes: Sequence[Code], kept: Kept, keep: Keep,
        around: dict[str, str | None],
    ) -> dict[str, Found]:  # fmt: skip
        if self.book.flow is None or place.unit != "session":
            return await self.asking.unit(model, turns, place, codes, kept, keep, around)
        by_id = {code.id: code for code in codes}
        found: dict[str, Found] = {}
        while True:  # one question after the other, each by the answers before it
            said = {name: answer.get("value") for name, answer in found.items()}
            step = walk(self.book.flow, said)
            name = step.asked[-1]
            if step.finished or name in found or name not in by_id:
                return found
            found.update(await self.asking.unit(model, turns, place, [by_id[name]], kept, keep, around | said))

    def _judged(self, place: UnitPlace, answers: Mapping[str, Found]) -> Iterator[Judgment]:
        for code, found in answers.items():
            evidence = found.get("evidence") or (None, None)
            yield Judgment(
                place.turn, place.role, code, found.get("value"), place.start, place.end, place.unit,
                found.get("missing_reason"), found.get("probability"), evidence[0], evidence[1],
                found.get("expected"), found.get("outside"), found.get("method"),
            )  # fmt: skip
