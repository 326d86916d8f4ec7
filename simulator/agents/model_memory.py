"""What an agent on a model keeps of a session, is told of earlier ones, and decides between two."""

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from simulator.agents.base import Seat
from simulator.agents.between_sessions import QUESTIONS, Decision, course_memory, question_of
from simulator.agents.deciding import ATTEMPTS, LEAST_SHARE
from simulator.agents.prompting import FOLDER, load_prompt
from simulator.errors import SessionError
from simulator.models.choice import Option, choose
from simulator.models.messages import Completer, Message, Request
from simulator.records.journal_records import Note
from simulator.records.seeds import turn_seed

MOST_NOTES = 6
"""Notes that are kept of one session."""
LONGEST_NOTE = 300
"""Letters of a note."""
KINDS = ("fact", "person", "promise", "homework", "topic", "note")
"""What a model's note can be about (see `between_sessions.NOTE_KINDS`)."""

_NOTE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "kind": {"enum": list(KINDS)},
        "text": {"type": "string", "minLength": 1, "maxLength": LONGEST_NOTE},
    },
    "required": ["kind", "text"],
    "additionalProperties": False,
}
_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"notes": {"type": "array", "items": _NOTE, "minItems": 1, "maxItems": MOST_NOTES}},
    "required": ["notes"],
    "additionalProperties": False,
}
_OBJECT = re.compile(r"\{[^{}]*\}")
_CUT_OFF = re.compile(r'\{\s*"kind"\s*:\s*"(\w+)"\s*,\s*"text"\s*:\s*"((?:[^"\\]|\\.)+)\Z', re.DOTALL)


def earlier_text(seat: Seat, who: str) -> str:
    """What a prompt says of earlier sessions; empty in a course of one."""
    memory = course_memory(seat)
    if memory is None:
        return ""
    prompt = load_prompt(FOLDER / "_earlier.jinja", ())
    return prompt.render_all(sessions=memory.sessions, day=round(memory.day), notes=memory.notes, who=who)


async def take_notes(model: Completer, conversation: Sequence[Message], who: str, seed: int) -> list[Note]:
    """What a model writes down of a session that is over, asked for by JSON schema; the first notes weigh most.

    Of an answer that was cut off, what there is of its last note counts as one.

    Raises:
        SessionError: three answers held no note (boundary `model`, kind `bad_schema`), or there is no answer.
    """
    words = load_prompt(FOLDER / "between.jinja", ("notes",)).render("notes", who=who, most=MOST_NOTES, kinds=KINDS)
    messages = [*conversation, Message("user", words)]
    for attempt in range(ATTEMPTS):
        own = turn_seed(seed, attempt, "notes", "again") if attempt else seed
        completion = await model.complete(Request(messages, seed=own, purpose="notes", schema=_SCHEMA))
        notes = notes_in(completion.text)
        if notes:
            return notes
    raise SessionError("model", "bad_schema", f"notes: {ATTEMPTS} answers held no note, the last: {completion.text!r}")


def notes_in(text: str) -> list[Note]:
    """The notes of an answer, in their order: every object with a text, of kind `note` where it names none."""
    found: list[tuple[str, str]] = []
    cut_off = _CUT_OFF.search(text)
    last = [f'{{"kind":"{cut_off[1]}","text":"{cut_off[2]}"}}'] if cut_off else []
    for part in [*_OBJECT.findall(text), *last]:
        try:
            document = msgspec.json.decode(part)
        except msgspec.DecodeError:
            continue
        said = " ".join(str(document.get("text") or "").split())[:LONGEST_NOTE]
        if said:
            kind = document.get("kind")
            found.append((kind if kind in KINDS else "note", said))
    kept = found[:MOST_NOTES]
    return [Note(kind, said, 1.0 - place / (2 * MOST_NOTES)) for place, (kind, said) in enumerate(kept)]


async def decide_between(
    model: Completer, conversation: Sequence[Message], who: str, options: Sequence[str], seed: int
) -> Decision:
    """One of the options of a question of `QUESTIONS`, drawn from the model's probabilities.

    Where the options hold too little of its probability, it is asked once more, held to the options if the server can
    do that: such a decision has no probabilities.

    Raises:
        SessionError: the model names no option (boundary `model`, kind `bad_choice`), or there is no answer.
    """
    words = QUESTIONS[question_of(options)]
    offered = [Option(option, words[option]) for option in options]
    question = load_prompt(FOLDER / "between.jinja", ("decision",)).render("decision", who=who)
    for logprobs in (True, False):
        chosen = await choose(
            model,
            conversation,
            offered,
            seed=seed,
            question=question,
            purpose="decision",
            least_share=LEAST_SHARE,
            fallback="forced",
            logprobs=logprobs,
        )
        if chosen.value is not None:
            shares = chosen.probabilities
            return Decision(chosen.value, [shares[option] for option in options] if shares else None)
    raise SessionError("model", "bad_choice", f"decision: no option was named ({chosen.missing_reason})")
