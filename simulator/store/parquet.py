"""Writing Parquet: streamed, atomic, and the same bytes for the same rows.

A file consists of row groups of exactly `ROWS_PER_GROUP` rows (the last one shorter), so that memory does not grow
with a file and the bytes do not depend on how the rows came in. The versions of format and writer stand in the
metadata.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from simulator.store.tables import FORMAT_VERSION, TABLES

ROWS_PER_GROUP = 8192


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
        self._staged = target / f".{part}.staged"
        note = json.dumps({"format": FORMAT_VERSION, "writer": f"pyarrow {pa.__version__}"})
        described = self._schema.with_metadata({"dyad": note})
        self._names = self._schema.names
        self._columns: list[list[Any]] = [[] for _ in self._names]
        self._file = pq.ParquetWriter(self._staged, described, compression="zstd")
        self._written = 0

    def __enter__(self) -> "TableWriter":
        return self

    def __exit__(self, kind: object, *exception: object) -> None:
        if kind is None:
            if self._columns[0] or not self._written:
                self._flush()
            self._file.close()
            self._staged.replace(self.path)
        else:
            self._file.close()
            self._staged.unlink(missing_ok=True)

    def add(self, row: Mapping[str, Any]) -> None:
        """One row; columns that it lacks are null."""
        for column, name in zip(self._columns, self._names, strict=True):
            column.append(row.get(name))
        if len(self._columns[0]) == ROWS_PER_GROUP:
            self._flush()

    def extend(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Several rows."""
        for row in rows:
            self.add(row)

    def _flush(self) -> None:
        arrays = [
            pa.array(values, type=_plain(field.type)).cast(field.type)
            for values, field in zip(self._columns, self._schema, strict=True)
        ]
        self._file.write_table(pa.Table.from_arrays(arrays, schema=self._schema), row_group_size=ROWS_PER_GROUP)
        self._written += len(self._columns[0])
        for column in self._columns:
            column.clear()


def write_rows(folder: Path, table: str, rows: Iterable[Mapping[str, Any]], part: str = "part-00000") -> Path:
    """Write one file of a table from rows, atomically."""
    with TableWriter(folder, table, part) as writer:
        writer.extend(rows)
    return writer.path


def write_table(folder: Path, table: str, content: pa.Table, part: str = "part-00000") -> Path:
    """Write an Arrow table that has the schema of `table`, atomically."""
    target = folder / table
    target.mkdir(parents=True, exist_ok=True)
    path, staged = target / f"{part}.parquet", target / f".{part}.staged"
    note = json.dumps({"format": FORMAT_VERSION, "writer": f"pyarrow {pa.__version__}"})
    pq.write_table(
        content.replace_schema_metadata({"dyad": note}), staged, compression="zstd", row_group_size=ROWS_PER_GROUP
    )
    staged.replace(path)
    return path


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind
