"""Coding a stored or imported run: the turns are read, codings are written beside them, nothing else changes.

A coder that asks a model keeps every answer as soon as it is there (`RUN/coding/<coder>-<fingerprint>/`), by what was
said, which unit and which code: an interrupted coding goes on where it was, and transcripts that were coded before are
not asked about again.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from simulator.coding.base import Coder, coded_frame, coded_sessions, sessions_of
from simulator.errors import SessionError, UserError
from simulator.locate import locate
from simulator.models.handle import Usage
from simulator.store.answers import AnswerLog
from simulator.store.parquet import write_table
from simulator.store.runs import open_run
from simulator.store.tables import TABLES

if TYPE_CHECKING:
    import polars as pl

Progress = Callable[[int], None]
"""Told how many sessions were coded."""


@runtime_checkable
class AsksModel(Protocol):
    """A coder that asks a model, many sessions at once (see `coding.llm.coder.LLMCoder.code`)."""

    usage: Usage

    def code(self, sessions: Any, known: Mapping[str, Any], keep: Callable[[str, Any], None]) -> Any: ...


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


@dataclass(frozen=True, slots=True)
class Coded:
    """What came of a coding: judgments, and what was asked of a model for those that were not kept from before."""

    judgments: int
    usage: Usage | None = None


def code_run(folder: Path, name: str, options: Mapping[str, Any], progress: Progress = lambda sessions: None) -> Coded:
    """Code all turns of a run with one coder.

    Streamed by part of the dataset, each part replaced atomically, so memory does not grow with the run.

    Raises:
        UserError: no such coder, a model that is not there or gives no answer, or another process codes this run with
            the same coder.
    """
    import polars as pl

    run = open_run(folder)
    coder = make_coder(name, options)
    label = f"{name}-{coder.fingerprint[:8]}"
    judgments = 0
    for part in sorted((run.dataset / "turns").glob("part-*.parquet")):
        turns = pl.read_parquet(part, columns=["course_id", "session", "turn", "role", "text"])
        if isinstance(coder, AsksModel):
            coded = _asked(run.path / "coding" / label, coder, turns, progress)
        else:
            coded = coded_frame(coder, coded_sessions(coder, sessions_of(turns)))
        judgments += coded.height
        table = coded.to_arrow().select(TABLES["codings"].names).cast(TABLES["codings"])
        write_table(run.dataset, "codings", table, f"{label}-{part.stem.removeprefix('part-')}")
    return Coded(judgments, coder.usage if isinstance(coder, AsksModel) else None)


def _asked(folder: Path, coder: Any, turns: "pl.DataFrame", progress: Progress) -> "pl.DataFrame":
    """The codings of a part by a coder that asks a model, every answer kept."""

    async def code(log: AnswerLog) -> list[Any]:
        pairs = []
        async for pair in coder.code(sessions_of(turns), log.known, log.put):
            pairs.append(pair)
            progress(1)
        return pairs

    with AnswerLog(folder) as log:
        try:
            return coded_frame(coder, asyncio.run(code(log)))
        except SessionError as error:
            raise UserError(
                f"{coder.name}: {error}; {len(log.known)} answers are kept, the same command goes on from there"
            ) from None
