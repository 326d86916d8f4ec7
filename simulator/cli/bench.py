"""`dyad bench NAME`: the project's benchmarks. They lie in `benchmarks/`, so they run in a clone of the repository."""

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

import simulator
from simulator.cli.output import show
from simulator.errors import UserError, nearest

BENCHMARKS = {
    "coding": ("coding_cost", "what coding by a language model costs on real vLLM, beside other layouts"),
    "engine": ("engine", "CPU, memory and time per turn of everything but the model, beside AutoGen's group chat"),
    "administration": ("administration", "108 items about a session on real vLLM, with the shared prefix and without"),
    "coding-speed": ("coding_speed", "CPU per turn and memory of the trained and the rule-based coder"),
    "coders": ("coders", "trained coders out of fold, beside a floor rerun on the same folds"),
    "units": ("units", "boundaries of the utterance parser beside MIBOT's"),
    "footprint": ("footprint", "bytes and calls on the shared file system of one array task of 1,000,000 sessions"),
    "guards": ("guards", "precision and recall of the guards on labelled turns, and false alarms among people's"),
    "large": ("large", "100,000 scripted sessions: time, memory, tables, status and report"),
    "tracking": ("tracking", "CPU of tracking a run with W&B, its service counted, beside that of the run"),
    "http": ("http_layer", "CPU and memory per turn of sessions on a model server, beside a bare loop and AutoGen"),
    "vllm": ("vllm_layer", "tokens per second on real vLLM beside a bare loop, and what affinity saves of its cache"),
}
"""Benchmarks by name: the module of `benchmarks/` with `main(arguments) -> exit code`, and what it measures."""


def main(arguments: Sequence[str]) -> int:
    """Run the benchmark that is named first."""
    if not arguments or arguments[0] in ("-h", "--help"):
        show("usage: dyad bench NAME ...\n")
        for name, (_, text) in BENCHMARKS.items():
            show(f"  {name:<16}{text}")
        return 0 if arguments else 2
    name = arguments[0]
    if name not in BENCHMARKS:
        raise UserError(f"dyad bench: no benchmark '{name}'{nearest(name, BENCHMARKS)}")
    root = Path(simulator.__file__).resolve().parent.parent
    module = BENCHMARKS[name][0]
    if not (root / "benchmarks" / f"{module}.py").is_file():
        raise UserError(
            "dyad bench: the benchmarks are not part of an installed Dyad; run it in a clone of the repository"
        )
    sys.path.insert(0, str(root))
    return int(importlib.import_module(f"benchmarks.{module}").main(arguments[1:]))
