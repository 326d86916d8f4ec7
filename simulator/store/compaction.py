"""From journal to dataset: a pure function of what the journal holds.

Rows are sorted by course, session and turn within fixed ranges of course ids. The number of ranges follows from the
number of planned courses and belongs to the format, not to shards or workers, so two runs of one identity on
deterministic models give the same bytes (`executions` apart). Each file is replaced atomically, and one shard is in
memory at a time.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from simulator.instruments.schema import Instrument
from simulator.instruments.scoring import score
from simulator.records.history import History
from simulator.records.journal_records import (
    Administration,
    Event,
    Execution,
    Failed,
    Header,
    SessionEnded,
    Turn,
)
from simulator.records.text import count_words
from simulator.store.histories import read_shard
from simulator.store.journal import shard_of
from simulator.store.runs import RunFolder
from simulator.store.tables import FORMAT_VERSION, TABLES

COURSES_PER_RANGE = 2048
ROWS_PER_GROUP = 65536

Row = dict[str, Any]
Rows = dict[str, list[Row]]


def ranges_for(courses: int) -> int:
    """Number of id ranges (a power of two) that a dataset of `courses` planned courses is split into."""
    ranges = 1
    while ranges * COURSES_PER_RANGE < courses:
        ranges *= 2
    return ranges


def write_rows(folder: Path, table: str, rows: Sequence[Mapping[str, Any]], part: str = "part-00000") -> Path:
    """Write one Parquet file of a table, atomically. Columns that a row lacks are null."""
    schema = TABLES[table]
    columns = [
        pa.array([row.get(field.name) for row in rows], type=_plain(field.type)).cast(field.type) for field in schema
    ]
    return write_table(folder, table, pa.Table.from_arrays(columns, schema=schema), part)


def write_table(folder: Path, table: str, content: pa.Table, part: str = "part-00000") -> Path:
    """Write an Arrow table that has the schema of `table`, atomically."""
    target = folder / table
    target.mkdir(parents=True, exist_ok=True)
    path = target / f"{part}.parquet"
    staged = target / f".{part}.staged"
    metadata = {"dyad": json.dumps({"format": FORMAT_VERSION, "writer": f"pyarrow {pa.__version__}"})}
    pq.write_table(
        content.replace_schema_metadata(metadata), staged, compression="zstd", row_group_size=ROWS_PER_GROUP
    )
    staged.replace(path)
    return path


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def compact(
    run: RunFolder,
    courses: Iterable[Row],
    personas: Iterable[Row],
    shards: int,
    instruments: Mapping[str, Instrument],
) -> None:
    """Write all tables of a run from its journal.

    Args:
        run: the run's folder.
        courses: one row per planned course (columns of the table `courses` without `sessions` and `status`).
        personas: rows of the table `personas`.
        shards: number of shards of the run's plan.
        instruments: the instruments of the run by name, by which administrations are scored.

    Raises:
        DamageError: a journal file is damaged.
    """
    planned = sorted(courses, key=lambda row: str(row["course_id"]))
    ranges = ranges_for(len(planned))
    by_range: dict[int, list[Row]] = defaultdict(list)
    for row in planned:
        by_range[shard_of(row["course_id"], ranges)].append(row)
    write_rows(run.dataset, "personas", sorted(personas, key=lambda row: str(row["persona_id"])))
    histories = _HistoryReader(run, shards)
    for index in range(ranges):
        rows: Rows = {name: [] for name in TABLES if name not in ("personas", "codings")}
        for course in by_range[index]:
            _add_course(rows, course, histories.of(course["course_id"]), instruments)
        rows["executions"] = histories.executions(index, ranges)
        for name, content in rows.items():
            write_rows(run.dataset, name, content, f"part-{index:05d}")
    _remove_stale_parts(run.dataset, ranges)


def _remove_stale_parts(dataset: Path, ranges: int) -> None:
    for path in dataset.glob("*/part-*.parquet"):
        if path.parent.name not in ("personas", "codings") and int(path.stem.removeprefix("part-")) >= ranges:
            path.unlink()


class _HistoryReader:
    """Histories by course id, reading each shard once, in order."""

    def __init__(self, run: RunFolder, shards: int) -> None:
        self._run, self._shards = run, shards
        self._shard = -1
        self._histories: dict[str, History] = {}
        self._executions: list[tuple[Header, Execution]] = []

    def of(self, course: str) -> History:
        self._read_up_to(shard_of(course, self._shards))
        return self._histories.get(course) or History(course)

    def _read_up_to(self, shard: int) -> None:
        while self._shard < shard:
            self._shard += 1
            reading = read_shard(self._run.journal, self._shard)
            self._histories = reading.histories
            self._executions += reading.executions

    def executions(self, index: int, ranges: int) -> list[Row]:
        """The executions of one range of ids, sorted by place and time."""
        self._read_up_to(((index + 1) * self._shards - 1) // ranges)
        mine = [entry for entry in self._executions if shard_of(entry[1].course, ranges) == index]
        self._executions = [entry for entry in self._executions if shard_of(entry[1].course, ranges) > index]
        mine.sort(key=lambda entry: (entry[1].course, entry[1].session, entry[1].turn or 0, entry[1].started))
        return [_execution_row(header, record) for header, record in mine]


def _execution_row(header: Header, record: Execution) -> Row:
    row = msgspec.structs.asdict(record)
    row["course_id"] = row.pop("course")
    return row | {
        "shard": header.shard, "attempt": header.attempt, "host": header.host, "process": header.process,
    }  # fmt: skip


def _add_course(rows: Rows, course: Row, history: History, instruments: Mapping[str, Instrument]) -> None:
    sessions = 0
    words: dict[int, int] = defaultdict(int)
    for fact in history.facts:
        if isinstance(fact, Turn):
            count = count_words(fact.text)
            words[fact.session] += count
            rows["turns"].append(_turn_row(fact, count))
        elif isinstance(fact, SessionEnded):
            sessions += 1
            rows["sessions"].append(_session_row(fact, words[fact.session]))
        elif isinstance(fact, Administration):
            rows["administrations"] += _answer_rows(fact)
            rows["scores"] += _score_rows(fact, instruments[fact.instrument])
        elif isinstance(fact, Event):
            rows["events"].append(_event_row(fact))
        elif isinstance(fact, Failed) and history.failure is fact:
            rows["failures"].append(_failure_row(fact))
    status = "ended" if history.ended else "failed" if history.failure else "unfinished"
    rows["courses"].append({**course, "sessions": sessions, "status": status})


def _json(value: Any) -> str | None:
    return None if value is None else msgspec.json.encode(value).decode()


def _turn_row(turn: Turn, words: int) -> Row:
    return {
        "course_id": turn.course, "session": turn.session, "turn": turn.turn, "role": turn.role,
        "speaker": turn.speaker, "text": turn.text, "words": words, "finish_reason": turn.finish_reason,
        "model": turn.model, "seed": turn.seed, "regeneration": turn.regeneration, "probe": turn.probe,
        "planted": _json(turn.planted), "state": _json(turn.state),
    }  # fmt: skip


def _session_row(end: SessionEnded, words: int) -> Row:
    return {
        "course_id": end.course, "session": end.session, "opened_by": end.opened_by, "ending": end.ending,
        "ended_by": end.ended_by, "turns": end.turns, "words": words, "day": end.day,
    }  # fmt: skip


def _event_row(event: Event) -> Row:
    return {
        "course_id": event.course, "session": event.session, "turn": event.turn, "kind": event.event,
        "name": event.name, "role": event.role, "payload": _json(event.payload),
    }  # fmt: skip


def _failure_row(failure: Failed) -> Row:
    return {
        "course_id": failure.course, "session": failure.session, "turn": failure.turn,
        "boundary": failure.boundary, "kind": failure.failure, "message": failure.message,
    }  # fmt: skip


def _administration_columns(administration: Administration) -> Row:
    return {
        "course_id": administration.course, "session": administration.session, "moment": administration.moment,
        "day": administration.day, "instrument": administration.instrument, "version": administration.version,
        "respondent": administration.respondent,
    }  # fmt: skip


def _answer_rows(administration: Administration) -> Iterator[Row]:
    shared = _administration_columns(administration) | {
        "form": administration.form, "wording": administration.wording, "adapted": administration.adapted,
    }  # fmt: skip
    for answer in administration.answers:
        yield shared | msgspec.structs.asdict(answer)


def _score_rows(administration: Administration, instrument: Instrument) -> Iterator[Row]:
    shared = _administration_columns(administration)
    answers = {answer.item: answer.value for answer in administration.answers}
    for result in score(
        instrument, answers, administration.form, adapted=administration.adapted, wording=administration.wording
    ):
        yield shared | {
            "scale": result.scale, "score": result.score, "items": result.items,
            "missing_items": result.missing_items, "missing_reason": result.missing_reason, "band": result.band,
            "marks": "; ".join(result.marks), "flagged": result.flagged,
        }  # fmt: skip
