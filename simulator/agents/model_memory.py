"""What an agent on a model keeps of a session, is told of earlier ones, and decides between two."""

import json
import re
from collections.abc import Sequence
from typing import Any

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
_PIECE = re.compile(r'(?:"kind"\s*:\s*"(\w+)"\s*,\s*)?"text"\s*:\s*"((?:[^"\\]|\\.)+)', re.DOTALL)
_HALF_ESCAPE = re.compile(r"\\u[0-9a-fA-F]{0,3}\Z")


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
    """The notes of an answer, in their order, of kind `note` where it names none: of a JSON document every object with
    a text, of anything else whatever stands behind a key `text`."""
    found: list[tuple[str, str]] = []
    for kind, said in _of_document(text) or _of_pieces(text):
        plain = " ".join(said.encode(errors="replace").decode().split())[:LONGEST_NOTE]
        if plain:
            found.append((kind if kind in KINDS else "note", plain))
    kept = found[:MOST_NOTES]
    return [Note(kind, said, 1.0 - place / (2 * MOST_NOTES)) for place, (kind, said) in enumerate(kept)]


def _of_document(text: str) -> list[tuple[str, str]]:
    try:
        document = json.loads(text[text.find("{") : text.rfind("}") + 1], strict=False)
    except ValueError:
        return []
    notes = document.get("notes")
    objects = [note for note in notes if isinstance(note, dict)] if isinstance(notes, list) else []
    return [(str(note.get("kind")), str(note.get("text") or "")) for note in objects]


def _of_pieces(text: str) -> list[tuple[str, str]]:
    found = []
    for kind, said in _PIECE.findall(text):
        try:
            found.append((kind, str(json.loads(f'"{_HALF_ESCAPE.sub("", said)}"', strict=False))))
        except ValueError:  # an escape that JSON does not know
            continue
    return found


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
