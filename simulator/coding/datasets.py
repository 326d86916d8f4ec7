"""Coding a stored or imported run: the turns are read, codings are written beside them, nothing else changes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simulator.coding.base import Coder, code_dataset
from simulator.errors import UserError
from simulator.locate import locate
from simulator.store.parquet import write_table
from simulator.store.runs import open_run
from simulator.store.tables import TABLES


def make_coder(name: str, options: Mapping[str, Any]) -> Coder:
    """A coder from its configuration (`_target_` and arguments).

    Raises:
        UserError: the class cannot be made from these options.
    """
    arguments = dict(options)
    target = arguments.pop("_target_", None)
    if target is None:
        raise UserError(f"coders.{name}: the key '_target_' is missing; name the coder's class there")
    try:
        coder = locate(str(target), f"coders.{name}")(**arguments)
    except TypeError as error:
        raise UserError(f"coders.{name}: {error}") from None
    if not isinstance(coder, Coder):
        raise UserError(f"coders.{name}: {target} is no coder")
    return coder


def code_run(folder: Path, name: str, options: Mapping[str, Any]) -> int:
    """Code all turns of a run with one coder; returns the number of judgments.

    Streamed by part of the dataset, each part replaced atomically, so memory does not grow with the run.
    """
    import polars as pl

    run = open_run(folder)
    coder = make_coder(name, options)
    judgments = 0
    for part in sorted((run.dataset / "turns").glob("part-*.parquet")):
        turns = pl.read_parquet(part, columns=["course_id", "session", "turn", "role", "text"])
        coded = code_dataset(turns, coder)
        judgments += coded.height
        table = coded.to_arrow().select(TABLES["codings"].names).cast(TABLES["codings"])
        write_table(run.dataset, "codings", table, f"{name}-{coder.fingerprint[:8]}-{part.stem.removeprefix('part-')}")
    return judgments
