"""Writing Parquet: streamed, atomic, and the same bytes for the same rows.

A file is written beside its place under a name of its process and then put there, so that two processes that write the
same table do not meet; what a killed process left is cleared by the next one (`clear_staged`).

A file consists of row groups of exactly `ROWS_PER_GROUP` rows (the last one shorter), so that memory does not grow
with a file and the bytes do not depend on how the rows came in. The versions of format and writer stand in the
metadata.
"""

import contextlib
import json
import os
import socket
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from simulator.store.leases import is_running
from simulator.store.tables import FORMAT_VERSION, TABLES

ROWS_PER_GROUP = 8192
_FORGOTTEN_SECONDS = 86_400.0


def _staged(path: Path) -> Path:
    return path.with_name(f".{path.stem}.{os.getpid()}@{socket.gethostname()}.staged")


def clear_staged(folder: Path) -> None:
    """Remove what processes that do not run any more left half written in a dataset's folder."""
    for path in folder.glob("*/.*.staged"):
        process, _, host = path.name.removesuffix(".staged")[1:].partition(".")[2].partition("@")
        with contextlib.suppress(FileNotFoundError):
            if host == socket.gethostname() and process.isdigit():
                forgotten = not is_running(int(process))
            else:
                forgotten = time.time() - path.stat().st_mtime > _FORGOTTEN_SECONDS
            if forgotten:
                path.unlink()


class TableWriter:
    """One file of one table; use as a context manager. The file appears when the block ends without an error.

    Args:
        folder: the dataset's folder.
        table: a name of `TABLES`.
        part: the file's name without its ending.
    """

    def __init__(self, folder: Path, table: str, part: str) -> None:
        self._schema = TABLES[table]
        target = folder / table
        target.mkdir(parents=True, exist_ok=True)
        self.path = target / f"{part}.parquet"
        self._staged = _staged(self.path)
        note = json.dumps({"format": FORMAT_VERSION, "writer": f"pyarrow {pa.__version__}"})
        described = self._schema.with_metadata({"dyad": note})
        self._rows: list[Mapping[str, Any]] = []
        self._file = pq.ParquetWriter(self._staged, described, compression="zstd")
        self._written = 0

    def __enter__(self) -> "TableWriter":
        return self

    def __exit__(self, kind: object, *exception: object) -> None:
        try:
            if kind is None and (self._rows or not self._written):
                self._flush()
            self._file.close()
            if kind is None:
                self._staged.replace(self.path)
        finally:
            self._staged.unlink(missing_ok=True)

    def add(self, row: Mapping[str, Any]) -> None:
        """One row, which must not change any more; columns that it lacks are null."""
        self._rows.append(row)
        if len(self._rows) == ROWS_PER_GROUP:
            self._flush()

    def extend(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Several rows."""
        for row in rows:
            self.add(row)

    def _flush(self) -> None:
        arrays = [column([row.get(field.name) for row in self._rows], field.type) for field in self._schema]
        self._file.write_table(pa.Table.from_arrays(arrays, schema=self._schema), row_group_size=ROWS_PER_GROUP)
        self._written += len(self._rows)
        self._rows.clear()


def write_rows(folder: Path, table: str, rows: Iterable[Mapping[str, Any]], part: str = "part-00000") -> Path:
    """Write one file of a table from rows, atomically."""
    with TableWriter(folder, table, part) as writer:
        writer.extend(rows)
    return writer.path


def write_table(folder: Path, table: str, content: pa.Table, part: str = "part-00000") -> Path:
    """Write an Arrow table that has the schema of `table`, atomically."""
    target = folder / table
    target.mkdir(parents=True, exist_ok=True)
    path = target / f"{part}.parquet"
    staged = _staged(path)
    note = json.dumps({"format": FORMAT_VERSION, "writer": f"pyarrow {pa.__version__}"})
    pq.write_table(
        content.replace_schema_metadata({"dyad": note}), staged, compression="zstd", row_group_size=ROWS_PER_GROUP
    )
    staged.replace(path)
    return path


_KINDS = {
    pa.string(): pl.String, pa.int64(): pl.Int64, pa.int32(): pl.Int32, pa.float64(): pl.Float64, pa.bool_(): pl.Boolean
}  # fmt: skip


def column(values: list[Any], kind: pa.DataType) -> pa.Array:
    """Values as an Arrow array; by Polars, which reads texts eight times as fast as `pa.array`, which imports pandas.

    Raises:
        TypeError: a value is of another kind.
    """
    plain = kind.value_type if pa.types.is_dictionary(kind) else kind
    array: pa.Array = pl.Series(values=values, dtype=_KINDS[plain], strict=True).to_arrow().cast(plain)
    return array if plain is kind else array.cast(kind)
