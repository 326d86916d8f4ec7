"""What an agent on a model keeps of a session, is told of earlier ones, and decides between two."""

import re
from collections.abc import Sequence

from simulator.agents.base import Seat
from simulator.agents.between_sessions import QUESTIONS, Decision, course_memory, question_of
from simulator.agents.deciding import LEAST_SHARE
from simulator.agents.prompting import FOLDER, load_prompt
from simulator.models.choice import Option, choose
from simulator.models.messages import Completer, Message, Request
from simulator.records.journal_records import Note

MOST_NOTES = 6
"""Notes that are kept of one session."""
LONGEST_NOTE = 300
"""Letters of a note."""

_BULLET = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s*")


def earlier_text(seat: Seat, who: str) -> str:
    """What a prompt says of earlier sessions; empty in a course of one."""
    memory = course_memory(seat)
    if memory is None:
        return ""
    prompt = load_prompt(FOLDER / "_earlier.jinja", ())
    return prompt.render_all(sessions=memory.sessions, day=round(memory.day), notes=memory.notes, who=who)


async def take_notes(model: Completer, conversation: Sequence[Message], who: str, seed: int) -> list[Note]:
    """What a model writes down of a session that is over; the first notes weigh most.

    Raises:
        SessionError: the model has no answer.
    """
    text = load_prompt(FOLDER / "between.jinja", ("notes",)).render("notes", who=who, most=MOST_NOTES)
    completion = await model.complete(Request([*conversation, Message("user", text)], seed=seed, purpose="notes"))
    lines = [_BULLET.sub("", line).strip()[:LONGEST_NOTE] for line in completion.text.splitlines()]
    notes = [line for line in lines if line][:MOST_NOTES]
    return [Note("note", line, 1.0 - place / (2 * MOST_NOTES)) for place, line in enumerate(notes)]


async def decide_between(
    model: Completer, conversation: Sequence[Message], who: str, options: Sequence[str], seed: int
) -> Decision:
    """One of the options of a question of `QUESTIONS`, drawn from the model's probabilities; the first of them, without
    probabilities, where the model names none.

    Raises:
        SessionError: the model has no answer.
    """
    words = QUESTIONS[question_of(options)]
    offered = [Option(option, words[option]) for option in options]
    question = load_prompt(FOLDER / "between.jinja", ("decision",)).render("decision", who=who)
    chosen = await choose(
        model,
        conversation,
        offered,
        seed=seed,
        question=question,
        purpose="decision",
        least_share=LEAST_SHARE,
        fallback="forced",
    )
    if chosen.value is None:
        return Decision(options[0])
    shares = chosen.probabilities
    return Decision(chosen.value, [shares[option] for option in options] if shares else None)
