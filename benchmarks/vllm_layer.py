"""`dyad bench vllm`: sessions on real vLLM beside the floor, and what affinity saves of its prefix cache.

Two replicas are started by `dyad serve`, each with a KV cache of --blocks blocks: enough for what half of the sessions
have said, too small for all of them. In five rounds the floor (benchmarks/floor.py, which sends Dyad's requests) and
Dyad play half of the sessions on one replica, each twice and crosswise, from an empty cache: tokens per second, the
client's CPU, and the hit rate of one replica. Then all sessions are played on both replicas, with Dyad's affinity and
round-robin: as many sessions per replica and as much cache per session as one replica had. Affinity has to
keep its hit rate; round-robin has every replica see every session, and loses what does not fit. Nothing is compared
where arms did not play the same turns, or prompts of the same number of tokens.

Without further words: vLLM's CPU build (DYAD_VLLM_PYTHON) with a small model of random weights, which computes on one
core and leaves another one to its server's Python and to the client, as a GPU would. With --weights any model, for
instance on two GPUs of 80 GB, or on one:

    dyad bench vllm --weights Qwen/Qwen3-8B --serving default --blocks 22000 --sessions 256 --turns 8 --tokens 64
    dyad bench vllm --weights Qwen/Qwen3-8B --serving default --blocks 7000 --sessions 64 --turns 8 --tokens 64 \\
        --serve 'serving.gpus=[0,0]' serving.args.gpu_memory_utilization=0.45
"""

import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.http_layer import run_arm
from benchmarks.vllm_servers import LENGTH, ON_CPU, Vllm, block_tokens, empty_caches, prefix_tokens, served, stopped
from simulator.cli.main import OneLineParser
from simulator.cli.output import say, show, show_json
from simulator.errors import UserError
from simulator.serving.commands import free_ports


def main(arguments: Sequence[str]) -> int:
    """Run the benchmark; see the module's docstring."""
    parser = OneLineParser("dyad bench vllm", description=__doc__)
    parser.add_argument("--sessions", type=int, default=64, help="sessions on two replicas; half as many on one")
    parser.add_argument("--turns", type=int, default=8, help="turns per session")
    parser.add_argument("--tokens", type=int, default=32, help="tokens of every answer")
    parser.add_argument("--blocks", type=int, default=560, help="blocks of each replica's KV cache (CPU: 128 tokens)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of floor and Dyad")
    parser.add_argument("--weights", help="repository or folder of a model, in place of the small one")
    parser.add_argument("--serving", default="cpu", help="how it is served: a file of conf/serving")
    parser.add_argument("--serve", nargs="*", default=[], metavar="OVERRIDE", help="further overrides of dyad serve")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    python = os.environ.get("DYAD_VLLM_PYTHON") or (sys.executable if options.weights else None)
    if not python:
        raise UserError("dyad bench vllm: DYAD_VLLM_PYTHON is not set; `export DYAD_VLLM_PYTHON=$(.ci/vllm-env)`")
    served_as = [*ON_CPU, "serving.env.VLLM_CPU_OMP_THREADS_BIND='0'"]
    if options.serving != "cpu":
        served_as = [f"serving={options.serving}", "serving.env={VLLM_SERVER_DEV_MODE: '1'}"]
    words = [*served_as, f"serving.args.num_gpu_blocks_override={options.blocks}", *options.serve]
    with tempfile.TemporaryDirectory(prefix="dyad-bench-") as name:
        folder = Path(name)
        say("recording what Dyad sends")
        template = folder / "template.json"
        port = free_ports("127.0.0.1", 1)[0]
        numbers = [str(options.sessions // 2), str(options.turns), str(options.tokens)]
        run_arm(["-m", "benchmarks.vllm_template", str(template), str(port), *numbers])
        say("starting two replicas")
        said = options.turns * options.tokens
        length = LENGTH if said <= LENGTH // 4 else LENGTH + said
        with served(python, folder, options.weights, words, 2, length, "small") as vllm:
            result = measure(vllm, template, folder, options)
    if options.json:
        show_json(result)
    else:
        for line in lines_of(result):
            show(line)
    return 0


def measure(vllm: Vllm, template: Path, folder: Path, options: Any) -> dict[str, Any]:
    """All arms."""
    urls = [str(entry["url"]) for entry in vllm.entries]
    half = options.sessions // 2

    def ours(name: str, sessions: int, spread: str, urls: list[str]) -> dict[str, Any]:
        numbers = [str(sessions), str(options.turns), str(options.tokens)]
        words = ["-m", "benchmarks.vllm_ours", str(folder / name), *numbers, spread, *urls]
        found = _arm(words, urls, options.tokens)
        if found["failures"]:
            raise UserError(f"dyad bench vllm: sessions failed ({found['failures']}); nothing is compared")
        return found

    def floor() -> dict[str, Any]:
        words = ["benchmarks/floor.py", urls[0], str(template), str(folder / "floor.jsonl")]
        return _arm(words, urls[:1], options.tokens)

    floors: list[dict[str, Any]] = []
    one: list[dict[str, Any]] = []
    with stopped(vllm.entries[1]):
        ours("warm-up", half, "affinity", urls[:1])
        for number in range(options.rounds):
            halves: dict[str, list[dict[str, Any]]] = {"floor": [], "ours": []}
            for place, arm in enumerate(
                ("floor", "ours", "ours", "floor") if number % 2 else ("ours", "floor", "floor", "ours")
            ):
                halves[arm].append(
                    floor() if arm == "floor" else ours(f"one-{number}-{place}", half, "affinity", urls[:1])
                )
            _check_same_work([*halves["floor"], *halves["ours"]], half * options.turns)
            floors.append(_together(halves["floor"]))
            one.append(_together(halves["ours"]))
            bare, mine = floors[-1]["tokens_per_s"], one[-1]["tokens_per_s"]
            say(f"round {number + 1}: floor {bare:.1f}, Dyad {mine:.1f} tokens/s")
    two: dict[str, dict[str, Any]] = {}
    for spread in ("affinity", "round_robin"):
        two[spread] = ours(spread, options.sessions, spread, urls)
        say(f"two replicas, {spread}: {two[spread]['hit_rate']:.1%} of prompt tokens found")
    result = summary(floors, one, two, options)
    result["cache_to_working_set"] = options.blocks * block_tokens(urls[0]) / result["working_set_tokens"]
    if not 0.5 <= result["cache_to_working_set"] <= 1.0:
        say(
            f"a replica's cache holds {result['cache_to_working_set']:.2f} of the working set: below .5 sessions do "
            "not fit where they belong, above 1 they fit anywhere; choose --blocks in between"
        )
    return result


def summary(
    floors: list[dict[str, Any]], one: list[dict[str, Any]], two: dict[str, dict[str, Any]], options: Any
) -> dict[str, Any]:
    """Medians over rounds, and the range of the ratio round by round."""

    def median(arm: list[dict[str, Any]], key: str) -> float:
        return statistics.median(found[key] for found in arm)

    ratios = sorted(mine["tokens_per_s"] / bare["tokens_per_s"] for mine, bare in zip(one, floors, strict=True))
    return {
        "tokens_per_s": median(one, "tokens_per_s"),
        "floor_tokens_per_s": median(floors, "tokens_per_s"),
        "ratio_to_floor": statistics.median(ratios),
        "ratio_range": [ratios[0], ratios[-1]],
        "client_cpu_ms_per_turn": median(one, "cpu_ms"),
        "floor_cpu_ms_per_turn": median(floors, "cpu_ms"),
        "prefix_hit_rate": two["affinity"]["hit_rate"],
        "prefix_hit_rate_one_replica": median(one, "hit_rate"),
        "prefix_hit_rate_round_robin": two["round_robin"]["hit_rate"],
        "tokens_per_s_two_replicas": two["affinity"]["tokens_per_s"],
        "tokens_per_s_round_robin": two["round_robin"]["tokens_per_s"],
        "working_set_tokens": two["affinity"]["working_set"],
        "blocks_per_replica": options.blocks,
        "sessions": options.sessions,
        "turns": options.turns,
        "rounds": options.rounds,
    }


def lines_of(result: dict[str, Any]) -> list[str]:
    """The figures in words."""
    low, high = result["ratio_range"]
    one = result["prefix_hit_rate_one_replica"]
    return [
        f"one replica, {result['sessions'] // 2} sessions of {result['turns']} turns at once: "
        f"{result['tokens_per_s']:.1f} tokens/s, the floor {result['floor_tokens_per_s']:.1f}; "
        f"{result['ratio_to_floor']:.1%} of it ({low:.1%}-{high:.1%} over {result['rounds']} rounds)",
        f"the client's CPU per turn: {result['client_cpu_ms_per_turn']:.2f} ms; "
        f"the floor {result['floor_cpu_ms_per_turn']:.2f} ms",
        f"prompt tokens found in the prefix cache: one replica {one:.1%}; two with affinity "
        f"{result['prefix_hit_rate']:.1%} ({result['prefix_hit_rate'] / one:.1%} of that), two by round-robin "
        f"{result['prefix_hit_rate_round_robin']:.1%} ({result['prefix_hit_rate_round_robin'] / one:.1%})",
        f"working set of {result['sessions']} sessions: {result['working_set_tokens']:,} tokens; each replica's cache: "
        f"{result['blocks_per_replica']} blocks, {result['cache_to_working_set']:.2f} of it",
    ]


def _check_same_work(arms: list[dict[str, Any]], turns: int) -> None:
    """Refuse to compare arms that did not play every turn with the same prompts.

    Raises:
        UserError: they did not.
    """
    played = {arm["turns"] for arm in arms}
    if played != {turns}:
        raise UserError(f"dyad bench vllm: {sorted(played)} turns were played in place of {turns}; nothing is compared")
    prompts = sorted(arm["prompt_tokens"] for arm in arms)
    if prompts[0] < 0.99 * prompts[-1]:
        raise UserError(
            f"dyad bench vllm: {prompts[0]:.0f} against {prompts[-1]:.0f} prompt tokens; nothing is compared"
        )


def _together(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """An arm's parts of a round as one: a machine's slow spells meet both arms where their parts stand crosswise."""
    seconds = sum(part["requests_s"] for part in parts)
    return {
        "tokens_per_s": sum(part["tokens_per_s"] * part["requests_s"] for part in parts) / seconds,
        "cpu_ms": statistics.mean(part["cpu_ms"] for part in parts),
        "hit_rate": statistics.mean(part["hit_rate"] for part in parts),
    }


def _arm(words: list[str], urls: list[str], tokens: int) -> dict[str, Any]:
    """Play one arm from empty caches; its own figures with vLLM's."""
    empty_caches(urls)
    queries, hits = prefix_tokens(urls)
    found = run_arm(words, pinned=False)
    after, found_after = prefix_tokens(urls)
    return {
        **found,
        "cpu_ms": 1000 * found["cpu_s"] / found["turns"],
        "tokens_per_s": found["turns"] * tokens / found["requests_s"],
        "prompt_tokens": after - queries,
        "hit_rate": (found_after - hits) / max(after - queries, 1),
    }
