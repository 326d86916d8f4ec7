"""Whether a model knows a public transcript by heart, so that its validity on it says little about other texts.

The model sees the first part of a session and is asked how it goes on. Counted are runs of `RUN` words of its answer
that stand in the recording's next part. Runs that stand in the part shown do not count, because copying is not knowing;
the same answers against the next parts of other sessions show how much stock phrases alone would give. Overlap above
that is a sign of contamination; none is no proof of its absence, because a model may know more than it says.

The idea of guided continuation: Golchin & Surdeanu, Time Travel in LLMs, ICLR 2024.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import jinja2

from simulator.coding.base import CodedTurn
from simulator.errors import SessionError, UserError
from simulator.models.messages import Completer, Message, Request
from simulator.records.seeds import key64, turn_seed

RUN = 8
"""Words in a row that count as verbatim."""

SHOWN_TURNS, SHOWN_WORDS, NEXT_WORDS = 12, 400, 200
"""At most so many turns and words are shown, and so many words of what follows are compared."""

IN_FLIGHT = 16
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
_PROMPT = Path(__file__).parent / "prompts" / "continuation.jinja"


class Excerpt(NamedTuple):
    """A session cut in two: the turns that are shown, and the words that follow."""

    shown: Sequence[CodedTurn]
    after: Sequence[str]


def words_of(text: str) -> list[str]:
    """Its words in small letters; punctuation does not count."""
    return _WORD.findall(text.lower().replace("\u2019", "'"))


def cut(turns: Sequence[CodedTurn]) -> Excerpt | None:
    """A session cut after its first half, or earlier where that is long; None where it is too short."""
    shown: list[CodedTurn] = []
    count = 0
    for turn in turns[: min(SHOWN_TURNS, len(turns) // 2)]:
        count += len(words_of(turn.text))
        if shown and count > SHOWN_WORDS:
            break
        shown.append(turn)
    after = [word for turn in turns[len(shown) :] for word in words_of(turn.text)][:NEXT_WORDS]
    return Excerpt(shown, after) if shown and len(after) >= 2 * RUN else None


def prompt(excerpt: Excerpt) -> str:
    """What the model is asked."""
    return _template().render(turns=[turn._asdict() for turn in excerpt.shown]).strip()


def runs(words: Sequence[str]) -> set[tuple[str, ...]]:
    """All runs of `RUN` words."""
    return {tuple(words[start : start + RUN]) for start in range(len(words) - RUN + 1)}


def longest(said: Sequence[str], meant: Sequence[str]) -> int:
    """Words in the longest run that both have."""
    best, before = 0, [0] * (len(meant) + 1)
    for word in said:
        row = [0] * (len(meant) + 1)
        for place, other in enumerate(meant, 1):
            if word == other:
                row[place] = before[place - 1] + 1
                best = max(best, row[place])
        before = row
    return best


async def contamination(
    client: Completer, sessions: Sequence[Sequence[CodedTurn]], size: int = 50, seed: int = 0
) -> dict[str, Any]:
    """Ask a model to continue sessions, and compare.

    Args:
        sessions: public transcripts; those too short to cut are left out.
        size: how many of them, drawn by the seed.

    Returns:
        `sessions` asked and answered, `failed`; `overlap`: the mean share of an answer's runs of `run` words that
        stand in what follows; `overlap_elsewhere`: the same against other sessions; `verbatim`: the share of answers
        with such a run; `longest`: words of the longest verbatim stretch; `median_longest` over sessions. A short
        answer without a single run of that length has an overlap of 0.

    Raises:
        UserError: fewer than two sessions can be cut, or the model answered none.
    """
    cuts = [(key64(f"contamination {seed}:{number}"), number, cut(turns)) for number, turns in enumerate(sessions)]
    chosen = [one for _, _, one in sorted(cuts, key=lambda entry: entry[:2]) if one is not None][: max(2, size)]
    if len(chosen) < 2:
        raise UserError("contamination: fewer than two sessions are long enough to be continued")
    gate = asyncio.Semaphore(IN_FLIGHT)
    sampling = {"temperature": 0.0, "max_tokens": 2 * NEXT_WORDS}

    async def ask(number: int, excerpt: Excerpt) -> str | SessionError:
        async with gate:
            request = Request(
                [Message("user", prompt(excerpt))],
                seed=turn_seed(key64(f"contamination {seed}"), number, "coder", "continuation"),
                purpose="contamination",
                sampling=sampling,
            )
            try:
                return (await client.complete(request)).text
            except SessionError as error:
                return error

    answers = await asyncio.gather(*(ask(number, excerpt) for number, excerpt in enumerate(chosen)))
    told = [(one, words_of(said)) for one, said in zip(chosen, answers, strict=True) if isinstance(said, str)]
    if len(told) < 2:
        failed = next((said for said in answers if isinstance(said, SessionError)), "no answers")
        raise UserError(f"contamination: the model continued fewer than two sessions ({failed})")
    own = [_overlap(said, one, one.after) for one, said in told]
    other = [_overlap(said, one, told[place - 1][0].after) for place, (one, said) in enumerate(told)]
    stretches = sorted(longest(said, one.after) for one, said in told)
    return {
        "sessions": len(told),
        "failed": len(answers) - len(told),
        "run": RUN,
        "overlap": sum(own) / len(own),
        "overlap_elsewhere": sum(other) / len(other),
        "verbatim": sum(share > 0 for share in own) / len(own),
        "longest": stretches[-1],
        "median_longest": stretches[len(stretches) // 2],
    }


def _overlap(said: Sequence[str], excerpt: Excerpt, after: Sequence[str]) -> float:
    """Share of an answer's runs of words that stand in `after`, those in the part shown aside."""
    shown = runs([word for turn in excerpt.shown for word in words_of(turn.text)])
    found = runs(said) - shown
    return len(found & runs(after)) / len(found) if found else 0.0


@lru_cache(maxsize=1)
def _template() -> jinja2.Template:
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(_PROMPT.read_text(encoding="utf-8"))
