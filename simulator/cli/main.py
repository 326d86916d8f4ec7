"""The command `dyad`: finds the subcommand, prints errors as one line, gives exit codes.

0: done. 1: done, but a check failed. 2: a user's mistake (one line says what to do). 3: a run was drained and can be
continued. 130: interrupted.
"""

import argparse
import importlib
import sys
from collections.abc import Sequence

import simulator
from simulator.errors import UserError, nearest

COMMANDS = {
    "run": "simulate, code and report a study (a Hydra application)",
    "submit": "send a study to a SLURM cluster, or through the same chain here",
    "status": "how far a run is, and whether its journal is sound",
    "snapshot": "tables of what a run holds by now, while it goes on",
    "report": "write report.html, or print its figures",
    "track": "tell Weights & Biases about a run, or lay out its dashboard",
    "compare": "runs side by side, with paired differences",
    "import": "bring human transcripts into the same tables",
    "export": "write a run for other tools: chat JSONL, Hugging Face, Inspect, CSV",
    "code": "apply coders to a stored or imported run",
    "sample-for-humans": "blind coding sheets of a random or stratified sample",
    "administer": "have a model fill in instruments about stored or imported sessions",
    "personas": "check and describe persona sets",
    "instruments": "list and check instruments, score answers",
    "codebooks": "list and check codebooks",
    "coders": "train a coder on coded sessions, show one",
    "validate": "a trained coder against people's codes on sessions it has not seen",
    "contamination": "whether a model knows public transcripts by heart",
    "serve": "start vLLM replicas, or a mock server",
    "bench": "benchmarks of the engine, the HTTP layer and coders",
    "coverage": "how often intervals cover the planted truth",
}
"""Subcommands by name; each is the module `simulator.cli.<name>` (`_` for `-`) with `main(arguments) -> exit code`."""


def _usage() -> str:
    lines = [f"  {name:<19}{text}" for name, text in COMMANDS.items()]
    return "\n".join(["usage: dyad COMMAND ...", "", *lines, "", "`dyad COMMAND --help` says more; `dyad --version`."])


def _module_of(command: str) -> str:
    name = command.replace("-", "_")
    return f"simulator.cli.{name}_" if name == "import" else f"simulator.cli.{name}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point; never returns."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        sys.exit(_dispatch(given))
    except UserError as error:
        print(f"dyad: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(2)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except KeyboardInterrupt:
        print("dyad: interrupted; the same command goes on from here", file=sys.stderr)  # noqa: T201
        sys.exit(130)


def _dispatch(given: list[str]) -> int:
    if not given or given[0] in ("-h", "--help", "help"):
        print(_usage())  # noqa: T201
        return 0 if given else 2
    if given[0] == "--version":
        print(f"dyad {simulator.__version__}")  # noqa: T201
        return 0
    command = given[0]
    if command not in COMMANDS:
        raise UserError(f"no command '{command}'{nearest(command, COMMANDS)}")
    module = importlib.import_module(_module_of(command))
    return int(module.main(given[1:]))


class OneLineParser(argparse.ArgumentParser):
    """An argument parser whose errors are one line with the way out."""

    def error(self, message: str) -> None:  # type: ignore[override]
        """Raise instead of printing the usage."""
        raise UserError(f"{self.prog}: {message}; see `{self.prog} --help`")
