"""From journal to dataset: a pure function of what the journal holds.

Rows are sorted by course, session and turn within fixed ranges of course ids. The number of ranges follows from the
number of planned courses and belongs to the format, not to shards or workers, so two runs of one identity on
deterministic models give the same bytes (`executions` apart). Each file is replaced atomically, and one shard is in
memory at a time.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from itertools import starmap
from pathlib import Path
from typing import Any

import msgspec

from simulator.instruments.schema import Instrument
from simulator.instruments.scoring import score
from simulator.records.history import History
from simulator.records.journal_records import (
    Administration,
    Decided,
    Event,
    Execution,
    Extracted,
    Failed,
    Header,
    Lived,
    Noted,
    SessionEnded,
    Turn,
)
from simulator.records.text import count_words
from simulator.store.histories import read_shard
from simulator.store.journal import shard_of
from simulator.store.parquet import TableWriter, write_rows
from simulator.store.runs import RunFolder
from simulator.store.tables import TABLES

COURSES_PER_RANGE = 2048

Row = dict[str, Any]
Writers = Mapping[str, TableWriter]
CoursesOf = Callable[[int, int], Iterable[Row]]


def ranges_for(courses: int) -> int:
    """Number of id ranges (a power of two) that a dataset of `courses` planned courses is split into."""
    ranges = 1
    while ranges * COURSES_PER_RANGE < courses:
        ranges *= 2
    return ranges


def units_of(courses: int, shards: int) -> int:
    """How many parts of a dataset can be compacted apart from each other, each by itself."""
    return min(ranges_for(courses), shards)


def _own_ranges(courses: int, shards: int, unit: int) -> range:
    ranges, units = ranges_for(courses), units_of(courses, shards)
    return range(unit * ranges // units, (unit + 1) * ranges // units)


def _tables() -> list[str]:
    """The tables that compaction writes part by part."""
    return [table for table in TABLES if table not in ("personas", "codings")]


def files_of(courses: int, shards: int, unit: int) -> list[str]:
    """The files that `compact_unit` writes, as paths within the dataset."""
    return [f"{table}/part-{index:05d}.parquet" for index in _own_ranges(courses, shards, unit) for table in _tables()]


def write_personas(run: RunFolder, personas: Iterable[Row]) -> None:
    """Write the table `personas`."""
    write_rows(run.dataset, "personas", sorted(personas, key=lambda row: str(row["persona_id"])))


def compact_unit(
    run: RunFolder,
    courses: int,
    shards: int,
    rows_of: CoursesOf,
    instruments: Mapping[str, Instrument],
    unit: int,
) -> None:
    """Write the files of one of `units_of(courses, shards)` parts of the dataset from the journal.

    Args:
        run: the run's folder.
        courses: number of planned courses.
        shards: number of shards of the run.
        rows_of: `(range, ranges) ->` one row per planned course of a range of ids, sorted by id (columns of the table
            `courses` without `sessions` and `status`).
        instruments: the instruments of the run by name, by which administrations are scored.
        unit: which part.

    Raises:
        DamageError: a journal file is damaged.
    """
    ranges = ranges_for(courses)
    reader = _ShardReader(run.journal, shards)
    for index in _own_ranges(courses, shards, unit):
        with ExitStack() as stack:
            writers = {
                table: stack.enter_context(TableWriter(run.dataset, table, f"part-{index:05d}")) for table in _tables()
            }
            for course in rows_of(index, ranges):
                history, executions = reader.take(str(course["course_id"]))
                _add_course(writers, course, history, instruments)
                writers["executions"].extend(starmap(_execution_row, executions))


class _ShardReader:
    """The journal's courses in the order of their ids, one shard in memory at a time."""

    def __init__(self, journal: Path, shards: int) -> None:
        self._journal, self._shards = journal, shards
        self._shard = -1
        self._histories: dict[str, History] = {}
        self._executions: dict[str, list[tuple[Header, Execution]]] = {}

    def take(self, course: str) -> tuple[History, list[tuple[Header, Execution]]]:
        """A course's history, and its executions by place and time."""
        shard = shard_of(course, self._shards)
        if shard != self._shard:
            reading = read_shard(self._journal, shard)
            self._shard, self._histories, self._executions = shard, reading.histories, defaultdict(list)
            for header, execution in reading.executions:
                self._executions[execution.course].append((header, execution))
        executions = self._executions.pop(course, [])
        executions.sort(key=lambda entry: (entry[1].session, entry[1].turn or 0, entry[1].started))
        return self._histories.pop(course, History(course)), executions


def finish_compaction(run: RunFolder, courses: int) -> None:
    """Remove the parts that a dataset of this size does not have."""
    for path in run.dataset.glob("*/part-*.parquet"):
        if path.parent.name in ("personas", "codings"):
            continue
        if int(path.stem.removeprefix("part-")) >= ranges_for(courses):
            path.unlink()


def _execution_row(header: Header, record: Execution) -> Row:
    return _of_course(record) | {
        "shard": header.shard, "attempt": header.attempt, "host": header.host, "process": header.process,
    }  # fmt: skip


def _of_course(record: Execution | Extracted) -> Row:
    row = msgspec.structs.asdict(record)
    row["course_id"] = row.pop("course")
    return row


def _add_course(writers: Writers, course: Row, history: History, instruments: Mapping[str, Instrument]) -> None:
    sessions = 0
    words: dict[int, int] = defaultdict(int)
    read = sorted((fact for fact in history.facts if isinstance(fact, Extracted)), key=lambda fact: fact.field)
    writers["extractions"].extend(map(_of_course, read))
    for fact in history.facts:
        if isinstance(fact, Turn):
            count = count_words(fact.text)
            words[fact.session] += count
            writers["turns"].add(_turn_row(fact, count))
        elif isinstance(fact, SessionEnded):
            sessions += 1
            writers["sessions"].add(_session_row(fact, words[fact.session]))
        elif isinstance(fact, Administration):
            writers["administrations"].extend(answer_rows(fact))
            writers["scores"].extend(score_rows(fact, instruments[fact.instrument]))
        elif isinstance(fact, Event):
            writers["events"].add(_event_row(fact))
        elif isinstance(fact, Noted):
            writers["notes"].extend(_note_rows(fact))
        elif isinstance(fact, Lived):
            writers["life"].add(_life_row(fact))
        elif isinstance(fact, Decided):
            writers["decisions"].add(_decision_row(fact))
        elif isinstance(fact, Failed) and history.failure is fact:
            writers["failures"].add(_failure_row(fact))
    status = "ended" if history.ended else "failed" if history.failure else "unfinished"
    writers["courses"].add({**course, "sessions": sessions, "status": status})


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


def _note_rows(noted: Noted) -> Iterator[Row]:
    for note in noted.notes:
        yield {
            "course_id": noted.course, "session": noted.session, "role": noted.role, "day": noted.day,
            "kind": note.kind, "text": note.text, "weight": note.weight,
        }  # fmt: skip


def _life_row(lived: Lived) -> Row:
    return {
        "course_id": lived.course, "week": lived.week, "day": lived.day, "status": lived.status,
        "sessions": lived.sessions, "event": lived.event, "state": _json(lived.state),
    }  # fmt: skip


def _decision_row(decided: Decided) -> Row:
    chances = None
    if decided.probabilities is not None and len(decided.probabilities) == len(decided.options):
        chances = dict(zip(decided.options, decided.probabilities, strict=True))
    return {
        "course_id": decided.course, "week": decided.week, "day": decided.day, "role": decided.role,
        "question": decided.question, "option": decided.option,
        "probability": None if chances is None else chances[decided.option], "probabilities": _json(chances),
        "seed": decided.seed,
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


def answer_rows(administration: Administration) -> Iterator[Row]:
    """The rows of a filling-in in the table `administrations`."""
    shared = _administration_columns(administration) | {
        "form": administration.form, "wording": administration.wording, "adapted": administration.adapted,
    }  # fmt: skip
    for answer in administration.answers:
        yield shared | msgspec.structs.asdict(answer)


def score_rows(administration: Administration, instrument: Instrument) -> Iterator[Row]:
    """The rows of a filling-in in the table `scores`."""
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
