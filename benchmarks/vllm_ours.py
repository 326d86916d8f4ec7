"""The arm of `dyad bench vllm` that is Dyad: a study of model clients against vLLM servers.

    python -m benchmarks.vllm_ours FOLDER SESSIONS TURNS TOKENS SPREAD URL...

SPREAD is `affinity` or `round_robin`, which takes no notice of what a replica's cache holds. Prints one JSON object;
`working_set` is what a cache must hold so that no session's next request has to be computed anew, in tokens;
`requests_s` runs from the first request to the last answer, after a short study on a mock server, so that the time to
load Python and prompts does not count.
"""

import gc
import itertools
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.http_ours import play
from benchmarks.http_template import Recorder
from simulator.models.pool import Pool
from simulator.models.replica import Replica
from simulator.serving.commands import free_ports
from simulator.studies.composing import compose
from simulator.studies.config import StudyConfig
from simulator.studies.running import run_study


def study(urls: list[str], out: Path, sessions: int, turns: int, tokens: int) -> StudyConfig:
    """The benchmark's study: all sessions in flight at once, every answer of `tokens` tokens."""
    return compose(
        "model=endpoint", "model.name=tiny", f"model.url=[{','.join(map(json.dumps, urls))}]",
        f"model.sampling.max_tokens={tokens}", "model.sampling.ignore_eos=true", "model.roles.system=keep",
        "model.chat_template_kwargs={enable_thinking: false}",
        "client=[static]", "therapist=[lm_supportive]", "instruments=[]", "coders=[]",
        "personas=population", f"personas.sample={sessions}", "replicates=1",
        f"session.max_turns={turns}", "session.end_on_goodbye=false", "session.goodbye_loop=1000000",
        f"limits.concurrency={sessions}", "limits.workers=1", f"out={out}", "report=false",
    )  # fmt: skip


def working_set(run: Path) -> int:
    """Tokens of all conversations at their ends, as both chairs send them; what was found in a cache at a chair's
    first call is shared by others and counts once."""
    import polars as pl

    calls = pl.read_parquet(run / "dataset" / "executions" / "*.parquet").filter(scope="call").sort("turn")
    total = pl.col("prompt_tokens") + pl.col("completion_tokens")
    chairs = calls.group_by("course_id", "role").agg(total.max().alias("all"), pl.col("cached_tokens").first())
    shared = chairs.group_by("role").agg(pl.col("cached_tokens").max())["cached_tokens"].sum()
    return int((chairs["all"] - chairs["cached_tokens"]).sum() + shared)


def span(run: Path) -> float:
    """Seconds from the first request to the last answer."""
    import polars as pl

    calls = pl.read_parquet(run / "dataset" / "executions" / "*.parquet").filter(scope="call")
    return float((calls["started"] + calls["seconds"]).max() - calls["started"].min())  # type: ignore[operator]


def round_robin() -> None:
    """Have every pool of this process send each request to the next replica in turn."""
    turns = itertools.count()

    def pick(self: Pool, key: int | None, avoided: Replica | None) -> Replica | None:
        return self._well[next(turns) % len(self._well)]

    Pool._pick = pick  # type: ignore[method-assign]


def warm_up(folder: Path) -> None:
    """Play a little against a mock server, so that what is loaded when it is first needed is there, and is not looked
    through for garbage again: either costs as much as a hundred turns, once per run of any length."""
    with Recorder(free_ports("127.0.0.1", 1)[0], "tiny") as server:
        run_study(study([server.base_url], folder, 2, 4, 8))
    gc.collect()
    gc.freeze()


def main(words: list[str]) -> dict[str, Any]:
    """Play it."""
    folder, sessions, turns, tokens, spread, *urls = words
    warm_up(Path(f"{folder}-warm-up"))
    if spread == "round_robin":
        round_robin()
    run = Path(folder)
    found = play(study(urls, run, int(sessions), int(turns), int(tokens)))
    return {**found, "requests_s": span(run), "working_set": working_set(run)}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1:])))
