"""One CSV file per table, for tools that read nothing better.

Texts stand in quotes, missing values are empty without quotes, and texts are kept as they are: one that begins with
`=`, `+`, `-` or `@` is what somebody said, but a spreadsheet that opens the file runs it as a formula. How many there
are is counted; `spreadsheet` puts an apostrophe before each.
"""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from simulator.store.exporters.options import ExportOptions
from simulator.store.exporters.source import Source
from simulator.store.tables import TABLES

_FORMULA = r"^[=+\-@\t\r\n]"


def write_csv(source: Source, folder: Path, options: ExportOptions) -> dict[str, int]:
    """Write `<table>.csv` for every table; returns rows by table, and the number of texts that look like formulas."""
    counts = {"formula_like": 0}
    for table in source.tables:
        schema = pa.schema([pa.field(entry.name, plain(entry.type)) for entry in TABLES[table]])
        counts[table] = 0
        with pyarrow.csv.CSVWriter(folder / f"{table}.csv", schema) as writer:
            for file in source.files(table):
                for batch in source.batches(table, file):
                    content = pa.RecordBatch.from_arrays([decoded(column) for column in batch.columns], schema=schema)
                    content, formulas = _guarded(content, options.spreadsheet)
                    writer.write_batch(content)
                    counts[table] += batch.num_rows
                    counts["formula_like"] += formulas
    return counts


def plain(kind: pa.DataType) -> pa.DataType:
    """The type of a column without its dictionary."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def decoded(column: pa.Array) -> pa.Array:
    """A column without its dictionary."""
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def _guarded(batch: pa.RecordBatch, prefix: bool) -> tuple[pa.RecordBatch, int]:
    """The batch, with an apostrophe before formula-like texts where asked for, and how many there are."""
    found = 0
    for place, name in enumerate(batch.schema.names):
        column = batch[name]
        if not pa.types.is_string(column.type):
            continue
        formulas = pc.fill_null(pc.match_substring_regex(column, _FORMULA), False)
        count = pc.sum(formulas).as_py() or 0
        found += count
        if prefix and count:
            guarded = pc.if_else(formulas, pc.binary_join_element_wise("'", column, ""), column)
            batch = batch.set_column(place, batch.schema.field(name), guarded)
    return batch, found
