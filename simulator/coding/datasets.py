"""Coding a stored or imported run: the turns are read, codings are written beside them, nothing else changes.

A coder that asks a model keeps every answer as soon as it is there (`RUN/coding/<coder>-<fingerprint>/`), by what was
said, which unit and which code: an interrupted coding goes on where it was, and transcripts that were coded before are
not asked about again. These answers are held in memory while it runs.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from simulator.coding.base import CodedTurn, Coder, Judgment, coded_frame, coded_sessions, sessions_of
from simulator.errors import SessionError, UserError
from simulator.locate import locate
from simulator.models.handle import Usage
from simulator.store.answers import AnswerLog
from simulator.store.parquet import write_table
from simulator.store.runs import open_run
from simulator.store.tables import TABLES

Progress = Callable[[int], None]
"""Told how many sessions were coded."""


@runtime_checkable
class AsksModel(Protocol):
    """A coder that asks a model, many sessions at once (see `coding.llm.coder.LLMCoder.code`)."""

    name: str
    usage: Usage
    model: dict[str, Any]
    """Its configuration."""

    def code(
        self, sessions: Any, known: Mapping[str, Any], keep: Callable[[str, Any], None],
        only: Collection[str] | None = None,
    ) -> Any: ...  # fmt: skip


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

    Streamed by part of the dataset, each part replaced atomically, so memory does not grow with the run; with a coder
    that asks a model it grows with the answers kept.

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
            pairs = asked_sessions(coder, sessions_of(turns), run.path / "coding" / label, progress)
            coded = coded_frame(coder, pairs)
        else:
            coded = coded_frame(coder, coded_sessions(coder, sessions_of(turns)))
        judgments += coded.height
        table = coded.to_arrow().select(TABLES["codings"].names).cast(TABLES["codings"])
        write_table(run.dataset, "codings", table, f"{label}-{part.stem.removeprefix('part-')}")
    return Coded(judgments, coder.usage if isinstance(coder, AsksModel) else None)


def asked_sessions(
    coder: AsksModel, sessions: Iterable[list[CodedTurn]], folder: Path | None = None,
    progress: Progress = lambda sessions: None, only: Collection[str] | None = None,
) -> list[tuple[list[CodedTurn], list[Judgment]]]:  # fmt: skip
    """Sessions with their judgments by a coder that asks a model.

    Args:
        sessions: of whole courses, in order.
        folder: where every answer is kept as soon as it is there, and found again; None keeps none.
        only: ask these codes alone (see `LLMCoder.code`).

    Raises:
        UserError: the model is not there or gives no answer, or another process writes into the folder.
    """
    kept = ""

    async def code(known: Mapping[str, Any], keep: Callable[[str, Any], None]) -> list[Any]:
        pairs = []
        async for pair in coder.code(sessions, known, keep, only):
            pairs.append(pair)
            progress(1)
        return pairs

    try:
        if folder is None:
            return asyncio.run(code({}, lambda key, answer: None))
        with AnswerLog(folder) as log:
            try:
                return asyncio.run(code(log.known, log.put))
            finally:
                kept = f"; {len(log.known)} answers are kept, the same command goes on from there"
    except SessionError as error:
        raise UserError(f"{coder.name}: {error}{kept}") from None
