"""`dyad bench administration`: 108 items about one session on real vLLM, with the shared prefix and without it.

Three arms ask the same items about one transcript (4,200 words, at which ClientCAST cuts), every answer of the same
number of tokens unless said: Dyad's way (the first request alone, then the others at once, behind one prefix that the
server keeps); one request at a time, each with a cache salt of its own, so that nothing is found in the cache; and the
latter with answers of 50 tokens, as ClientCAST asks them. Figures are of one server with a tiny model of random weights
on CPUs: ratios of one machine, no speeds of a real model.
"""

import asyncio
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.vllm_servers import ON_CPU, empty_caches, served
from simulator.agents.prompting import FOLDER, load_prompt
from simulator.agents.questionnaires import item_question, steps_of
from simulator.cli.main import OneLineParser
from simulator.cli.output import say, show, show_json
from simulator.errors import UserError
from simulator.instruments.loading import load_instrument
from simulator.models.choice import LETTERS, lettered
from simulator.models.messages import Completion, Message, Request
from simulator.models.openai import OpenAIServerClient

FORMS = (("CECS", "clientcast"), ("HAQ-II", "official"), ("SEQ", "official"), ("SRS", "steps"), ("WAI-SR", "official"))
SERVED = ("serving.args.block_size=32",)
ORIGINAL_TOKENS = 50
LENGTH = 16_384
"""Tokens of the model's context, as it is served."""


def main(arguments: Sequence[str]) -> int:
    """Run the benchmark; see the module's docstring."""
    parser = OneLineParser("dyad bench administration", description=__doc__)
    parser.add_argument("--words", type=int, default=4200, help="words of the transcript (1,200 at least)")
    parser.add_argument("--tokens", type=int, default=1, help="tokens of every answer, in both arms")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    python = os.environ.get("DYAD_VLLM_PYTHON")
    if not python:
        raise UserError("dyad bench administration: set DYAD_VLLM_PYTHON; `export DYAD_VLLM_PYTHON=$(.ci/vllm-env)`")
    if options.words < 1200:
        raise UserError("dyad bench administration: --words: 1200 at least")
    with tempfile.TemporaryDirectory(prefix="dyad-bench-") as name:
        say("starting vLLM")
        with served(python, Path(name), None, (*ON_CPU, *SERVED), 1, LENGTH) as vllm:
            result = asyncio.run(measure(str(vllm.entries[0]["url"]), options.words, options.tokens))
    if options.json:
        show_json(result)
    else:
        show(
            f"{result['items']} items, transcript of {result['words']} words: "
            f"{result['cached_prompt_token_share']:.1%} of prompt tokens from the cache; {result['seconds']:.1f} s, "
            f"one at a time without it {result['seconds_one_at_a_time']:.1f} s ({result['speedup']:.1f} x), "
            f"with answers of {ORIGINAL_TOKENS} tokens {result['seconds_original_answers']:.1f} s "
            f"({result['speedup_original_answers']:.1f} x)"
        )
    return 0


async def measure(url: str, words: int, tokens: int) -> dict[str, Any]:
    """All arms on one server."""
    client = OpenAIServerClient(name="tiny", url=url)
    lead, questions = _lead(words), _questions()
    try:
        await client.check()
        await _ask(client, lead, questions[0], tokens, "warm-up", logprobs=True)
        empty_caches([url])
        clock = time.perf_counter()
        first = await _ask(client, lead, questions[0], tokens, None, logprobs=True)
        rest = await asyncio.gather(*(_ask(client, lead, text, tokens, None, logprobs=True) for text in questions[1:]))
        ours = time.perf_counter() - clock
        answers = [first, *rest]
        say(f"with the shared prefix: {ours:.1f} s")
        alone = await _one_at_a_time(client, lead, questions, tokens, "alone")
        say(f"one at a time without it: {alone:.1f} s")
        original = await _one_at_a_time(client, lead, questions, ORIGINAL_TOKENS, "original")
    finally:
        await client.close()
    cached, prompt = (sum(getattr(one, key) or 0 for one in answers) for key in ("cached_tokens", "prompt_tokens"))
    return {
        "cached_prompt_token_share": cached / prompt, "speedup": alone / ours,
        "speedup_original_answers": original / ours, "seconds": ours, "seconds_one_at_a_time": alone,
        "seconds_original_answers": original, "prompt_tokens": prompt, "items": len(questions), "words": words,
        "answer_tokens": tokens, "original_answer_tokens": ORIGINAL_TOKENS,
    }  # fmt: skip


async def _one_at_a_time(
    client: OpenAIServerClient, lead: Message, questions: Sequence[str], tokens: int, arm: str
) -> float:
    clock = time.perf_counter()
    for number, text in enumerate(questions):
        await _ask(client, lead, text, tokens, f"{arm}-{number}", logprobs=arm != "original")
    return time.perf_counter() - clock


async def _ask(
    client: OpenAIServerClient, lead: Message, question: str, tokens: int, salt: str | None, logprobs: bool
) -> Completion:
    sampling = {"max_tokens": tokens, "min_tokens": tokens, "ignore_eos": True, "temperature": 1.0}
    answer = await client.complete(
        Request(
            [lead, Message("user", question)], seed=1, affinity="administration", purpose="administration",
            sampling=sampling, top_logprobs=20 if logprobs else 0, body=None if salt is None else {"cache_salt": salt},
        )
    )  # fmt: skip
    if answer.completion_tokens != tokens:
        raise UserError(f"dyad bench administration: {answer.completion_tokens} tokens in place of {tokens}")
    return answer


def _lead(words: int) -> Message:
    """The shared prefix about a transcript of so many words, which nobody said."""
    said = (
        "i keep going over it at night and in the morning i am too tired to start again",
        "it sounds as though the nights take away what the days would need from you",
    )
    turns: list[tuple[str, str]] = []
    while sum(len(text.split()) for _, text in turns) < words:
        turns.append((("client", "therapist")[len(turns) % 2], f"{said[len(turns) % 2]} ({len(turns)})"))
    prompt = load_prompt(FOLDER / "administer.jinja", ("system",))
    return Message("system", prompt.render("system", respondent="client", persona=None, turns=turns))


def _questions() -> list[str]:
    """The 108 items as they are sent."""
    texts = []
    for name, form in FORMS:
        instrument = load_instrument(name)
        for item in instrument.items_of(form):
            options = steps_of(instrument, item, form)
            labelled = list(zip(LETTERS, options, strict=False))
            texts.append(lettered(item_question("the client", instrument, item, form), labelled))
    return texts
