"""The Parquet files of a run, read a row group at a time."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from simulator.errors import UserError
from simulator.store.runs import RunFolder
from simulator.store.tables import TABLES

ROWS_PER_BATCH = 8192
PAIRED = ("courses", "sessions", "turns")
"""Tables that are read side by side to make transcripts."""


def files_of(run: RunFolder, table: str) -> list[Path]:
    """The files of a table, in order; rows are sorted by course over all of them.

    Raises:
        UserError: the run has no tables yet.
    """
    found = sorted((run.dataset / table).glob("*.parquet"))
    if not found and table in PAIRED:
        raise UserError(f"{run.path} has no tables yet: the run is unfinished; the command that began it continues it")
    return found


def read_batches(file: Path, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
    """The rows of one file in batches, so that memory does not grow with the file.

    Raises:
        UserError: the file is not readable Parquet.
    """
    try:
        with pq.ParquetFile(file, memory_map=True) as parquet:
            yield from parquet.iter_batches(batch_size=ROWS_PER_BATCH, columns=columns)
    except (pa.ArrowInvalid, OSError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"{file}: cannot be read ({reason}); `dyad run` on the same study writes the tables anew"
        ) from None


def rows_in(run: RunFolder, table: str) -> int:
    """How many rows a table has, from its files' footers."""
    return sum(int(pq.read_metadata(file).num_rows) for file in files_of(run, table))


def part_groups(run: RunFolder) -> list[dict[str, list[Path]]]:
    """Files that hold the same courses, table by table, in order of course ids.

    A compacted dataset has the same ranges of ids in every table, so that one range is in memory at a time. Where the
    names of the files differ between tables, all of them are one group.
    """
    by_name = {table: {file.name: file for file in files_of(run, table)} for table in TABLES if table in _BY_COURSE}
    names = {table: set(files) for table, files in by_name.items() if table in PAIRED}
    if len({frozenset(group) for group in names.values()}) > 1:
        return [{table: list(files.values()) for table, files in by_name.items()}]
    return [
        {table: [files[name]] for table, files in by_name.items() if name in files} for name in sorted(names["courses"])
    ]


_BY_COURSE = (*PAIRED, "events", "scores", "failures")
