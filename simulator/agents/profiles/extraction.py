"""A model reads a client's profile out of a recorded session, field by field, with evidence for each.

Every field is one request by JSON schema, quotation before answer. A quotation must stand in a turn of a speaker whose
words may serve; an answer without one is missing with that reason, and so is an answer that breaks its schema three
times. Nothing is filled in.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from autogen_agentchat.messages import BaseChatMessage

from simulator.agents.base import Seat
from simulator.agents.model_agent import ModelAgent
from simulator.agents.profiles.fields import UNKNOWN, Field, profile_fields
from simulator.agents.prompting import FOLDER, load_prompt
from simulator.agents.reading import recording_of
from simulator.errors import SessionError
from simulator.models.messages import Completer, Message, Request
from simulator.records.journal_records import Extracted
from simulator.records.quotes import locate_quote

ATTEMPTS = 3
"""Answers that are asked for, each with a seed of its own, before one counts as broken for good."""
LONGEST = 300
"""Letters of a quotation or of a free answer."""
ANSWER_TOKENS = 220


class ProfileExtraction(ModelAgent):
    """Reads the profile of the client of the recording that the seat was given; holds no session.

    Args:
        seat: the chair, with a recording.
        model_client: the model.
        temperature: of the answers (ClientCAST: 0).
        answer_tokens: that an answer may have (ClientCAST: 256); a longer one breaks its schema.
    """

    def __init__(
        self, seat: Seat, model_client: Completer, temperature: float = 0.0, answer_tokens: int = ANSWER_TOKENS
    ) -> None:
        self._recording = recording_of(seat)
        self._said_before: Sequence[Any] = self._recording["turns"]
        self._prompt = load_prompt(FOLDER / "profile.jinja", ("system", "question"))
        system = self._prompt.render(
            "system", turns=[(said.role, said.text) for said in self._said_before], unknown=UNKNOWN
        )
        super().__init__(seat, model_client, system, "", "", description="reads a client's profile out of a session")
        self._sampling = {"temperature": temperature, "max_tokens": answer_tokens}

    @property
    def fields(self) -> Sequence[str]:
        """Names of all fields of a profile."""
        return list(profile_fields())

    def recall(self, turns: Sequence[BaseChatMessage]) -> None:
        """Nothing: the recording stands in the instructions."""

    async def read(self, field: str) -> Extracted:
        """One field: its value, with evidence, or why there is none.

        Raises:
            SessionError: the model has no answer.
        """
        asked = profile_fields()[field]
        text = self._prompt.render("question", asks=asked.asks, kind=asked.kind, options=asked.options, unknown=UNKNOWN)
        messages = [*self.conversation, Message("user", text)]
        found = Extracted(self.seat.course, 0, field, self._recording["source"], self._recording["transcript"])
        problem = ""
        for attempt in range(ATTEMPTS):
            found.seed = self.seat.seed(-1, f"profile:{field}", attempt)
            try:
                completion = await self.model.complete(
                    Request(
                        messages, seed=found.seed, purpose=f"profile:{field}", schema=schema_of(asked),
                        sampling=self._sampling,
                    )
                )  # fmt: skip
            except SessionError as error:
                if error.kind != "context_overflow":
                    raise
                found.missing_reason = "the model's context is full"
                return found
            found.raw_text = completion.text[: 2 * LONGEST]
            try:
                quote, answer = _parts(completion.text)
            except ValueError as error:
                problem = str(error)
                continue
            return self._judged(found, asked, quote, answer)
        found.missing_reason = f"{ATTEMPTS} answers broke the schema, the last one: {problem}"
        return found

    def _judged(self, found: Extracted, field: Field, quote: str, answer: str) -> Extracted:
        unknown = answer.strip().casefold() == UNKNOWN or (field.kind == "percent" and answer == "-1")
        if unknown or not answer.strip():
            found.missing_reason = UNKNOWN
            return found
        value = answer.strip()[:LONGEST]
        if field.options and value not in field.options:
            found.missing_reason = "the answer is none of the options"
            return found
        if field.kind == "percent" and not (value.isdigit() and int(value) <= 100):
            found.missing_reason = "the answer is no percentage"
            return found
        for turn, said in enumerate(self._said_before):
            if field.speaker not in ("anyone", said.role):
                continue
            place = locate_quote(quote, said.text)
            if place is not None:
                found.value, found.number = value, field.number(value)
                found.evidence_turn, (found.evidence_start, found.evidence_end) = turn, place
                return found
        found.missing_reason = "the quoted words do not stand in the transcript"
        return found


def schema_of(field: Field) -> dict[str, Any]:
    """The JSON schema of one answer."""
    answer: dict[str, Any] = {"type": "string", "maxLength": LONGEST}
    if field.kind == "percent":
        answer = {"type": "integer", "minimum": -1, "maximum": 100}
    elif field.options:
        answer = {"type": "string", "enum": [*field.options, UNKNOWN]}
    return {
        "type": "object",
        "properties": {"quote": {"type": "string", "maxLength": LONGEST}, "answer": answer},
        "required": ["quote", "answer"],
        "additionalProperties": False,
    }


def _parts(text: str) -> tuple[str, str]:
    begin, end = text.find("{"), text.rfind("}")
    try:
        document = msgspec.json.decode(text[begin : end + 1] if begin >= 0 else text)
    except msgspec.DecodeError:
        raise ValueError("no JSON object") from None
    if not isinstance(document, dict) or not isinstance(document.get("quote"), str) or "answer" not in document:
        raise ValueError("no object with 'quote' and 'answer'")
    answer = document["answer"]
    if isinstance(answer, bool) or not isinstance(answer, str | int):
        raise ValueError("'answer' is no text and no number")
    return document["quote"], str(answer)
