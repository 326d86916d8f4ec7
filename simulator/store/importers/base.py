"""What every importer returns: human transcripts in the tables of a dataset, treated like simulated ones."""

from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ImportedDataset:
    """A set of recorded sessions.

    Args:
        name: what the set is called, for instance `annomi`.
        source: where it was read from: a path, or the published address.
        source_hash: SHA-256 of the file's bytes, hexadecimal.
        licence: under which terms it may be used, one line.
        tables: rows by table name (`courses`, `sessions`, `turns`, `codings`), each row with every column of its table
            in `store.tables`.
    """

    name: str
    source: str
    source_hash: str
    licence: str
    tables: dict[str, list[Row]]
