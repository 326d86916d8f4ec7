"""`dyad bench coding`: what coding by a language model costs on real vLLM, by the server's own counters.

BOLT's 19 codes over sessions of 40 turns of the scripted dyad, on vLLM's CPU build with a tiny model and blocks of 32
tokens (the smallest it takes). What is counted is prompt tokens that were computed, not found in the prefix cache;
beside it stands the prefix tree of all prompts, the fewest tokens that any server could compute, with what rounding to
whole blocks adds. Baselines, each with a cache salt of its own: (a) one context-free prompt per turn and code, as
BOLT's authors send, cache on; (b) our prompts with the cache off; (c) one joint JSON answer per turn.
"""

import asyncio
import itertools
import json
import os
import tempfile
import time
import urllib.request
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.vllm_servers import ON_CPU, prefix_tokens, served
from simulator.cli.main import OneLineParser
from simulator.cli.output import say, show, show_json
from simulator.codebooks import load_codebook
from simulator.coding.base import CodedTurn, sessions_of
from simulator.coding.llm.asking import options_of
from simulator.coding.llm.coder import LLMCoder
from simulator.errors import UserError
from simulator.models.choice import choose
from simulator.models.messages import Completion, Message, Request
from simulator.models.openai import OpenAIServerClient
from simulator.studies.composing import compose
from simulator.studies.running import run_study

BLOCK = 32
LENGTH = 20_000
"""Tokens of the model's context, as it is served."""
CONTEXT_FREE = (
    "You decide whether one turn of a counselling session shows one behaviour. {name}: {definition}\n{examples}"
)


WHY = (
    "ours is the default: every code has a probability and can be missing by itself, behind one shared prefix;",
    "(a) costs as much and judges each turn without what was said before it; (c) computes fewer prompt tokens, but its "
    "answers are generated token by token, lean on each other and have no probability",
)
"""Why the default is the default, whatever the figures of one machine."""


class Watched:
    """A model client that notes what it is asked; with `salts`, every request gets a cache of its own."""

    def __init__(self, client: OpenAIServerClient, salts: bool) -> None:
        self._client, self._salts, self._count = client, salts, itertools.count()
        self.asked: list[Request] = []
        self.gives_logprobs, self.takes_prefix = client.gives_logprobs, client.takes_prefix
        self.takes_choice = client.takes_choice

    async def complete(self, request: Request) -> Completion:
        self.asked.append(request)
        if self._salts:
            request = replace(request, body={"cache_salt": f"none-{next(self._count)}"})
        return await self._client.complete(request)


def main(arguments: Sequence[str]) -> int:
    """Run the benchmark; see the module's docstring."""
    parser = OneLineParser("dyad bench coding", description=__doc__)
    parser.add_argument("--sessions", type=int, default=1, help="sessions of 40 turns")
    parser.add_argument("--turns", type=int, default=40, help="turns per session")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    python = os.environ.get("DYAD_VLLM_PYTHON")
    if not python:
        raise UserError("dyad bench coding: DYAD_VLLM_PYTHON is not set; `export DYAD_VLLM_PYTHON=$(.ci/vllm-env)`")
    with tempfile.TemporaryDirectory(prefix="dyad-bench-") as name:
        folder = Path(name)
        sessions = _sessions(folder / "run", options.sessions, options.turns)
        say("starting vLLM")
        words = [*ON_CPU, f"serving.args.block_size={BLOCK}", f"serving.args.max_num_batched_tokens={LENGTH}"]
        with served(python, folder, None, words, 1, LENGTH) as vllm:
            result = measure(str(vllm.entries[0]["url"]), sessions)
    result |= {"sessions": options.sessions, "turns": options.turns, "block_tokens": BLOCK}
    if options.json:
        show_json(result)
    else:
        for line in lines_of(result):
            show(line)
    return 0


def _sessions(out: Path, count: int, turns: int) -> list[list[CodedTurn]]:
    run_study(
        compose("therapist=[mi_consistent]", f"personas.limit={count}", "replicates=1", f"session.max_turns={turns}",
                "session.end_on_goodbye=false", "session.goodbye_loop=1000", "instruments=[]", "coders=[]",
                "limits.workers=1", f"out={out}")
    )  # fmt: skip
    table = pl.read_parquet(out / "dataset/turns/*.parquet", columns=["course_id", "session", "turn", "role", "text"])
    return list(sessions_of(table))


def measure(url: str, sessions: list[list[CodedTurn]]) -> dict[str, Any]:
    """All arms: computed prompt tokens, the prefix tree of their prompts, seconds."""
    arms: dict[str, tuple[bool, Callable[[Watched], Awaitable[None]]]] = {
        "ours": (False, lambda model: _coded(url, sessions, model, "choice")),
        "a": (False, lambda model: _context_free(sessions, model)),
        "b": (True, lambda model: _coded(url, sessions, model, "choice")),
        "c": (False, lambda model: _coded(url, sessions, model, "joint")),
    }
    found: dict[str, dict[str, Any]] = {}
    trees: dict[str, tuple[int, int]] = {}
    for name, (salts, play) in arms.items():
        found[name], asked = asyncio.run(_arm(url, name, salts, play))
        tree = trees.get("ours") if name == "b" else None
        trees[name] = tree or prefix_tree([_tokens(url, request) for request in asked])
        found[name]["prefix_tree_tokens"], found[name]["prefix_tree_blocks_tokens"] = trees[name]
        say(f"{name}: {found[name]}")
    return {**found.pop("ours"), "baselines": found}


async def _arm(
    url: str, name: str, salts: bool, play: Callable[[Watched], Awaitable[None]]
) -> tuple[dict[str, Any], list[Request]]:
    client = OpenAIServerClient(url=url, name="tiny", extra_body={"cache_salt": f"arm-{name}"})
    model = Watched(client, salts)
    try:
        queries, hits = prefix_tokens([url])
        started = time.perf_counter()
        await play(model)
        seconds = time.perf_counter() - started
        later = prefix_tokens([url])
    finally:
        await client.close()
    prompt, cached = later[0] - queries, later[1] - hits
    return {
        "computed_prompt_tokens": int(prompt - cached), "prompt_tokens": int(prompt), "requests": len(model.asked),
        "wall_s": seconds,
    }, model.asked  # fmt: skip


async def _coded(url: str, sessions: list[list[CodedTurn]], model: Watched, layout: Any) -> None:
    coder = LLMCoder({"_target_": "simulator.models.openai.OpenAIServerClient", "url": url, "name": "tiny"},
                     codebook="bolt", layout=layout)  # fmt: skip
    await asyncio.gather(*(coder.judge(model, [session], {}, lambda key, answer: None) for session in sessions))


async def _context_free(sessions: list[list[CodedTurn]], model: Watched) -> None:
    gate = asyncio.Semaphore(16)

    async def one(turn: CodedTurn, code: Any) -> None:
        examples = "\n".join(f"{json.dumps(one.text)}: {one.value}" for one in (*code.positive, *code.negative))
        system = CONTEXT_FREE.format(name=code.name, definition=code.definition, examples=examples)
        async with gate:
            await choose(
                model, [Message("system", system)], options_of(code), seed=1, question=json.dumps(turn.text),
                order="given",
            )  # fmt: skip

    codes = load_codebook("bolt").codes
    await asyncio.gather(
        *(one(turn, code) for session in sessions for turn in session for code in codes if turn.role in code.roles)
    )


def _tokens(url: str, request: Request) -> list[int]:
    """A request's prompt as the server reads it."""
    messages = [json.loads(message.encoded) for message in request.messages]
    body = json.dumps({"model": "tiny", "messages": messages, "add_generation_prompt": True}).encode()
    asked = urllib.request.Request(
        f"{url.removesuffix('/v1')}/tokenize", data=body, headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(asked, timeout=60) as response:
        tokens: list[int] = json.load(response)["tokens"]
    return tokens


def prefix_tree(prompts: list[list[int]]) -> tuple[int, int]:
    """Tokens that must be computed for prompts at least once: to the token, and where only whole blocks are shared."""
    exact = blocks = 0
    before: list[int] = []
    for prompt in sorted(prompts):
        shared = next(
            (place for place, (one, other) in enumerate(zip(before, prompt, strict=False)) if one != other),
            min(len(before), len(prompt)),
        )
        exact += len(prompt) - shared
        blocks += len(prompt) - min(shared, len(prompt) - 1) // BLOCK * BLOCK
        before = prompt
    return exact, blocks


def lines_of(result: dict[str, Any]) -> list[str]:
    """The figures in words."""
    names = {"a": "one context-free prompt per turn and code", "b": "our prompts, cache off", "c": "one joint answer"}
    rows = [("ours", result), *((f"({key}) {names[key]}", arm) for key, arm in result["baselines"].items())]
    lines = [f"{result['sessions']} sessions of {result['turns']} turns, BOLT's 19 codes, blocks of {BLOCK} tokens"]
    for name, arm in rows:
        lines.append(
            f"{name}: {arm['computed_prompt_tokens']:,} of {arm['prompt_tokens']:,} prompt tokens computed "
            f"({arm['computed_prompt_tokens'] / arm['prefix_tree_tokens']:.2f} times the prefix tree's "
            f"{arm['prefix_tree_tokens']:,}; {arm['prefix_tree_blocks_tokens']:,} in whole blocks), "
            f"{arm['requests']} requests, {arm['wall_s']:.0f} s"
        )
    return [*lines, *WHY]
