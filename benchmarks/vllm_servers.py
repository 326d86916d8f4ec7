"""Replicas of real vLLM, started by `dyad serve`: for `dyad bench vllm` and for tests.

By default of the tiny model with random weights that tests/tiny_model.py makes, on vLLM's CPU build.
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from simulator.errors import UserError

ROOT = Path(__file__).resolve().parent.parent
DYAD = [sys.executable, "-c", "from simulator.cli.main import main; main()"]
LENGTH = 4096
"""Tokens of the model's context, as it is served."""
READY_SECONDS = 400.0
ON_CPU = ("serving=cpu", "serving.env={VLLM_CPU_KVCACHE_SPACE: '1', HF_HUB_OFFLINE: '1', VLLM_SERVER_DEV_MODE: '1'}")
"""How the tiny model is served; the development mode lets the prefix cache be emptied."""


class Vllm:
    """A running `dyad serve`."""

    def __init__(self, folder: Path, process: subprocess.Popen[bytes]) -> None:
        self.folder, self.process, self.file = folder, process, folder / "endpoints.json"

    @property
    def entries(self) -> list[dict[str, Any]]:
        """What the endpoint file names now."""
        try:
            found: list[dict[str, Any]] = json.loads(self.file.read_text())
        except FileNotFoundError:
            return []
        return found

    def until(self, holds: Callable[[], bool], seconds: float) -> None:
        """Wait until something holds.

        Raises:
            UserError: it did not within so many seconds, or the servers are gone; with the ends of their logs.
        """
        deadline = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > deadline or self.process.poll() is not None:
                logs = [self.folder / "said", *sorted((self.folder / "serve-logs").glob("*.log"))]
                said = "\n".join(log.read_text(errors="replace")[-1500:] for log in logs)
                raise UserError(f"vLLM did not come to that within {seconds:g} s: {said}")
            time.sleep(0.1)


@contextlib.contextmanager
def served(
    python: str,
    folder: Path,
    weights: str | None,
    words: Sequence[str],
    replicas: int,
    length: int = LENGTH,
    size: str = "tiny",
) -> Iterator[Vllm]:
    """Serve a model on so many replicas, wait until all are ready; drain in the end.

    Args:
        python: the interpreter that has vLLM.
        folder: where logs, endpoints and the tiny model go.
        weights: what is served under the name `tiny`; by default the tiny model, which is made first.
        words: further overrides of `dyad serve`.
        replicas: how many.
        length: tokens of the model's context.
        size: of the tiny model, see tests/tiny_model.py.
    """
    if weights is None:
        weights = str(folder / "tiny")
        made = [python, str(ROOT / "tests" / "tiny_model.py"), weights, size]
        subprocess.run(made, check=True, timeout=300, stdout=subprocess.DEVNULL)  # ours is for the figures alone
    overrides = [
        "serve", "model=endpoint", "model.name=tiny", f"model.serving.model={weights}",
        f"model.serving.max_model_len={length}", f"serving.replicas={replicas}", f"serving.python={python}",
        f"serving.ready_seconds={READY_SECONDS:g}", "serving.drain_seconds=5", *words,
    ]  # fmt: skip
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen(
            [*DYAD, *overrides], cwd=folder, stdout=said, stderr=said, env={**os.environ, "PYTHONPATH": str(ROOT)}
        )
    serving = Vllm(folder, process)
    try:
        serving.until(lambda: len(serving.entries) == replicas, READY_SECONDS)
        yield serving
    finally:
        for _ in range(2):  # the first signal drains, the second stops everything at once
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(45)
                break


@contextlib.contextmanager
def stopped(entry: dict[str, Any]) -> Iterator[None]:
    """Stop a replica that has nothing to do, with its own processes: even idle it takes a core now and then."""
    os.killpg(entry["pid"], signal.SIGSTOP)
    try:
        yield
    finally:
        os.killpg(entry["pid"], signal.SIGCONT)


def empty_caches(urls: Sequence[str]) -> None:
    """Empty the prefix cache of every server; they must run in development mode."""
    for url in urls:
        request = urllib.request.Request(f"{url.removesuffix('/v1')}/reset_prefix_cache", method="POST")
        urllib.request.urlopen(request, timeout=30).close()


def block_tokens(url: str) -> int:
    """Tokens of a block of a server's KV cache, by its metrics."""
    with urllib.request.urlopen(f"{url.removesuffix('/v1')}/metrics", timeout=30) as response:
        found = re.search(r'vllm:cache_config_info\{[^}]*\bblock_size="(\d+)"', response.read().decode())
    return int(found[1]) if found else 0


def prefix_tokens(urls: Sequence[str]) -> tuple[float, float]:
    """Prompt tokens that were looked up in the prefix caches so far, and those that were found, by vLLM's metrics."""
    sums = {"queries": 0.0, "hits": 0.0}
    for url in urls:
        with urllib.request.urlopen(f"{url.removesuffix('/v1')}/metrics", timeout=30) as response:
            for line in response.read().decode().splitlines():
                for name in sums:
                    if line.startswith(f"vllm:prefix_cache_{name}_total{{"):
                        sums[name] += float(line.rpartition(" ")[2])
    return sums["queries"], sums["hits"]
