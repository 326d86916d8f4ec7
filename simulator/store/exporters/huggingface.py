"""A folder that Hugging Face's `datasets` loads: `data/<table>/*.parquet` and README.md with the card's header.

    datasets.load_dataset("FOLDER", "turns")

Every table is a configuration with one split, `train`; the header's `configs` names their files, as the documentation
of the Hub describes ("Data files configuration"). Tables without rows are left out, and the card says which.
"""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from simulator.store.exporters.options import ExportOptions
from simulator.store.exporters.release import MAY_BE_PASSED_ON
from simulator.store.exporters.source import Source
from simulator.store.exporters.tables_csv import decoded, plain
from simulator.store.tables import TABLES

_SIZES = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
)


def write_huggingface(source: Source, folder: Path, options: ExportOptions) -> dict[str, int]:
    """Write the tables; returns rows by table."""
    return {table: rows for table in source.tables if (rows := _write_table(source, folder / "data" / table, table))}


def _write_table(source: Source, folder: Path, table: str) -> int:
    schema = pa.schema([pa.field(entry.name, plain(entry.type)) for entry in TABLES[table]])
    rows = part = 0
    for file in source.files(table):
        writer: pq.ParquetWriter | None = None
        try:
            for batch in source.batches(table, file):
                if writer is None:
                    folder.mkdir(parents=True, exist_ok=True)
                    writer = pq.ParquetWriter(folder / f"train-{part:05d}.parquet", schema, compression="zstd")
                columns = [decoded(column) for column in batch.columns]
                writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))
                rows += batch.num_rows
        finally:
            if writer is not None:
                writer.close()
                part += 1
    return rows


def card_header(source: Source, counts: dict[str, int], options: ExportOptions) -> str:
    """The YAML header of README.md, between its two lines of dashes."""
    turns = counts.get("turns", 0)
    header: dict[str, Any] = {
        "pretty_name": f"Dyad: {source.run.meta.get('experiment')} ({source.run.identity[:8]})",
        "tags": ["dyad", "dialogue", "simulation", *sorted(source.survey.origins)],
        "size_categories": [next((name for limit, name in _SIZES if turns < limit), "n>10M")],
        "configs": [
            {
                "config_name": table,
                "data_files": [{"split": "train", "path": f"data/{table}/*.parquet"}],
                **({"default": True} if table == "turns" else {}),
            }
            for table in counts
        ],
    }  # fmt: skip
    if options.licence in MAY_BE_PASSED_ON:
        header["license"] = str(options.licence).lower()
    else:
        header |= {"license": "other", "license_name": options.licence or "not stated"}
    return f"---\n{yaml.safe_dump(header, sort_keys=False, allow_unicode=True)}---\n"
