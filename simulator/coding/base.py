"""The one interface of all coders: rules, trained models, language models.

A coder reads the turns of one session and returns judgments. It sees what an outside observer would see: texts, roles
and order, never what was planted. A judgment is a value or a stated reason why there is none, and it can be keyed for
ever by the content of the texts, the coder's fingerprint and the codebook's version, so that coding again never
overwrites and never repeats work.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

from simulator.errors import UserError
from simulator.records.text import transcript_fingerprint

if TYPE_CHECKING:
    import polars as pl

CODING_COLUMNS = (
    "course_id", "session", "turn", "start", "end", "unit", "role", "codebook", "codebook_version", "code", "value",
    "missing_reason", "probability", "evidence_start", "evidence_end", "expected", "outside", "method", "coder",
    "coder_fingerprint", "transcript",
)  # fmt: skip
"""Columns of the `codings` table (simulator/store/tables.py; a test compares the two)."""


class CodedTurn(NamedTuple):
    """A turn as a coder sees it: where it stands, who speaks, what is said."""

    course_id: str
    session: int
    turn: int
    role: str
    text: str


class Judgment(NamedTuple):
    """One code's value for one unit.

    `turn` is None for session and course units. `start` and `end` are offsets in the turn's text; so are
    `evidence_start` and `evidence_end`, the stretch that decided, None where nothing in the text did. `probability` is
    None unless the coder has one that was calibrated.
    """

    turn: int | None
    role: str
    code: str
    value: str | None
    start: int | None = None
    end: int | None = None
    unit: str = "turn"
    missing_reason: str | None = None
    probability: float | None = None
    evidence_start: int | None = None
    evidence_end: int | None = None
    expected: float | None = None
    """Mean of the values of an ordered code under its probabilities (binary codes: the probability of `present`)."""
    outside: float | None = None
    """Probability that a language model gave to answers outside the code's values."""
    method: str | None = None
    """How a language model was read: `logprobs`, `samples`, `forced`, `single` or `joint`."""


@runtime_checkable
class Coder(Protocol):
    """Something that applies a codebook.

    `fingerprint` stands for everything that decides the judgments: patterns or weights or prompts, options, and the
    version of the code that applies them. Equal fingerprints on equal texts give equal judgments.
    """

    @property
    def name(self) -> str: ...

    @property
    def fingerprint(self) -> str: ...

    @property
    def codebook(self) -> str: ...

    @property
    def codebook_version(self) -> str: ...

    def code_session(self, turns: Sequence[CodedTurn]) -> list[Judgment]:
        """The judgments of one session, whose turns come in order. Turns of roles without a code get none."""
        ...


def sessions_of(turns: pl.DataFrame) -> Iterator[list[CodedTurn]]:
    """The sessions of a `turns` table, one list of turns each, in the order (course_id, session, turn).

    Raises:
        UserError: where the table lacks one of the five columns that a coder needs.
    """
    columns = list(CodedTurn._fields)
    absent = [column for column in columns if column not in turns.columns]
    if absent:
        raise UserError(f"cannot code these turns: the table lacks the column '{absent[0]}'; give it the turns table")
    ordered = turns.select(columns).sort("course_id", "session", "turn")
    rows: Iterable[CodedTurn] = map(CodedTurn._make, ordered.iter_rows())
    for _, session in groupby(rows, key=lambda row: row[:2]):
        yield list(session)


def coded_sessions(
    coder: Coder, sessions: Iterable[list[CodedTurn]], batch: int = 8000
) -> Iterator[tuple[list[CodedTurn], list[Judgment]]]:
    """Every session with its judgments, in order. A coder that has `code_sessions` (many at once, for speed; the
    judgments are the same) gets sessions of about `batch` turns together."""
    many = getattr(coder, "code_sessions", None)
    if many is None:
        for session in sessions:
            yield session, coder.code_session(session)
        return
    waiting: list[list[CodedTurn]] = []
    turns = 0
    for session in sessions:
        waiting.append(session)
        turns += len(session)
        if turns >= batch:
            yield from zip(waiting, many(waiting), strict=True)
            waiting, turns = [], 0
    if waiting:
        yield from zip(waiting, many(waiting), strict=True)


def code_dataset(turns: pl.DataFrame, coder: Coder) -> pl.DataFrame:
    """Every session of a `turns` table coded by `coder`; see `coded_frame`."""
    return coded_frame(coder, coded_sessions(coder, sessions_of(turns)))


def coded_frame(coder: Coder, pairs: Iterable[tuple[Sequence[CodedTurn], Sequence[Judgment]]]) -> pl.DataFrame:
    """Sessions with their judgments as the `codings` columns, in the order of the sessions.

    Words come as strings; the store turns them into dictionaries. `transcript` is the content hash of the session's
    texts, so that judgments of other texts can never be mistaken for these.
    """
    import polars as pl

    schema = _polars_schema()
    columns: dict[str, list[Any]] = {name: [] for name in CODING_COLUMNS}
    constant = ("codebook", "codebook_version", "coder", "coder_fingerprint")
    varying = [name for name in CODING_COLUMNS if name in Judgment._fields]
    sinks = [(columns[name].append, Judgment._fields.index(name)) for name in varying]
    for session, judgments in pairs:
        for judgment in judgments:
            for append, index in sinks:
                append(judgment[index])
        where, count = session[0], len(judgments)
        columns["course_id"].extend([where.course_id] * count)
        columns["session"].extend([where.session] * count)
        columns["transcript"].extend([transcript_fingerprint([(turn.role, turn.text) for turn in session])] * count)
    coded = pl.DataFrame(
        {name: columns[name] for name in CODING_COLUMNS if name not in constant},
        schema={name: kind for name, kind in schema.items() if name not in constant},
    )
    return coded.with_columns(
        pl.lit(coder.codebook).alias("codebook"),
        pl.lit(coder.codebook_version).alias("codebook_version"),
        pl.lit(coder.name).alias("coder"),
        pl.lit(coder.fingerprint).alias("coder_fingerprint"),
    ).select(CODING_COLUMNS)


def _polars_schema() -> dict[str, Any]:
    import polars as pl

    numbers = dict.fromkeys(("session", "turn", "start", "end", "evidence_start", "evidence_end"), pl.Int32)
    floats = dict.fromkeys(("probability", "expected", "outside"), pl.Float64)
    return {name: floats.get(name) or numbers.get(name, pl.String) for name in CODING_COLUMNS}
