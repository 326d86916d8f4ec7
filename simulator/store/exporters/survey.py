"""What a run holds, counted in one pass over a few columns: what a data card says and what a release must leave out."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from simulator.store.exporters.parts import files_of, read_batches
from simulator.store.runs import RunFolder

RECORDED = ("recorded", "replayed")
"""`finish_reason` of turns that were not made in this run but taken from a transcript."""


@dataclass(slots=True)
class Survey:
    """Counts over a whole run.

    `models` counts turns by role and model; `personas` by provenance and licence; `wordings` answers by instrument,
    version and wording; `human` holds the courses that are transcripts of people, `replayed` those of simulating runs
    with turns that were taken from a transcript; `started` and `ended` are Unix seconds of the first and the last
    execution, None for imports.
    """

    courses: int = 0
    sessions: int = 0
    turns: int = 0
    words: int = 0
    origins: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    conditions: Counter[str] = field(default_factory=Counter)
    roles: Counter[str] = field(default_factory=Counter)
    models: Counter[tuple[str, str]] = field(default_factory=Counter)
    personas: Counter[tuple[str, str]] = field(default_factory=Counter)
    populations: Counter[str] = field(default_factory=Counter)
    wordings: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    coders: Counter[tuple[str, str]] = field(default_factory=Counter)
    human: set[str] = field(default_factory=set)
    replayed: set[str] = field(default_factory=set)
    started: float | None = None
    ended: float | None = None


def survey(run: RunFolder) -> Survey:
    """Count.

    Raises:
        UserError: the run has no tables yet, or a file of it cannot be read.
    """
    found = Survey()
    for batch in _batches(run, "courses", ["course_id", "condition", "client", "therapist", "origin", "status"]):
        found.courses += batch.num_rows
        _count(found.origins, batch, "origin")
        _count(found.statuses, batch, "status")
        _count(found.conditions, batch, "condition")
        found.human |= _where(batch, "origin", ["human"])
        for role, names in replay_options(run.meta).items():
            if role in batch.schema.names:
                found.replayed |= _where(batch, role, sorted(names))
    for batch in _batches(run, "sessions", ["course_id"]):
        found.sessions += batch.num_rows
    for batch in _batches(run, "turns", ["course_id", "role", "model", "words", "finish_reason"]):
        found.turns += batch.num_rows
        found.words += int(pc.sum(batch["words"]).as_py() or 0)
        _count(found.roles, batch, "role")
        _count_together(found.models, batch, "role", "model")
        if run.meta.get("kind") != "import":
            found.replayed |= _where(batch, "finish_reason", list(RECORDED)) - found.human
    for batch in _batches(run, "personas", ["provenance", "licence", "population"]):
        _count_together(found.personas, batch, "provenance", "licence")
        _count(found.populations, batch, "population")
    for batch in _batches(run, "administrations", ["instrument", "version", "wording"]):
        _count_together(found.wordings, batch, "instrument", "version", "wording")
    for batch in _batches(run, "codings", ["coder", "codebook"]):
        _count_together(found.coders, batch, "coder", "codebook")
    for batch in _batches(run, "executions", ["started", "seconds"]):
        _span(found, batch)
    return found


def replay_options(meta: dict[str, Any]) -> dict[str, set[str]]:
    """Names of the agents, by role, whose turns are another dataset's: those whose class is a replay, by the run's
    configuration."""
    found: dict[str, set[str]] = {}
    for role, options in (meta.get("config") or {}).items():
        for name, option in options.items() if isinstance(options, dict) else ():
            if isinstance(option, dict) and "replay" in str(option.get("_target_", "")).lower():
                found.setdefault(role, set()).add(name)
    return found


def _batches(run: RunFolder, table: str, columns: list[str]) -> Iterator[pa.RecordBatch]:
    for file in files_of(run, table):
        yield from read_batches(file, columns)


def _count(counter: Counter[str], batch: pa.RecordBatch, column: str) -> None:
    for entry in pc.value_counts(_plain(batch[column])).to_pylist():
        if entry["values"] is not None:
            counter[entry["values"]] += entry["counts"]


def _count_together(counter: Counter[Any], batch: pa.RecordBatch, *columns: str) -> None:
    table = pa.table({name: _plain(batch[name]) for name in columns})
    for row in table.group_by(list(columns)).aggregate([([], "count_all")]).to_pylist():
        counter[tuple(row[name] or "" for name in columns)] += row["count_all"]


def _where(batch: pa.RecordBatch, column: str, values: list[str]) -> set[str]:
    mask = pc.is_in(batch[column], value_set=pa.array(values, pa.string()))
    return set(pc.unique(batch["course_id"].filter(mask)).to_pylist())


def _plain(column: pa.Array) -> pa.Array:
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def _span(found: Survey, batch: pa.RecordBatch) -> None:
    first = pc.min(batch["started"]).as_py()
    last = pc.max(pc.add(batch["started"], pc.fill_null(batch["seconds"], 0.0))).as_py()
    if first is not None:
        found.started = first if found.started is None else min(found.started, first)
    if last is not None:
        found.ended = last if found.ended is None else max(found.ended, last)
