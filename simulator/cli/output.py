"""What commands print: figures to stdout (one JSON object with `--json`), everything else to stderr."""

import json
import math
import sys
from collections.abc import Mapping
from typing import Any

from tqdm import tqdm


def say(text: str) -> None:
    """A line for people, on stderr."""
    tqdm.write(text, file=sys.stderr)


def show(text: str) -> None:
    """A line of the command's result, on stdout."""
    sys.stdout.write(text + "\n")


def show_json(content: Mapping[str, Any]) -> None:
    """The command's result as exactly one JSON object on stdout; figures that do not exist are null."""
    sys.stdout.write(json.dumps(_finite(content), allow_nan=False) + "\n")


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return value


def progress_bar(total: int, what: str, quiet: bool = False) -> "tqdm[Any]":
    """A progress bar on stderr; silent where stderr is no terminal, unless work is long enough to be wondered about."""
    return tqdm(total=total, desc=what, unit="course", file=sys.stderr, disable=True if quiet else None, leave=False)
