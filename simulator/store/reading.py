"""Reading a run's tables."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from simulator.errors import UserError, nearest
from simulator.store.runs import RunFolder, open_run
from simulator.store.tables import TABLES

if TYPE_CHECKING:
    import polars as pl


def read_table(run: RunFolder | Path | str, table: str, columns: list[str] | None = None) -> pl.DataFrame:
    """One table of a run as a Polars frame, in the order of its keys; any other reader of Parquet does as well.

    Args:
        run: a run, or its folder.
        table: a name of `simulator.store.tables.TABLES`.
        columns: only these.

    Raises:
        UserError: not a run, no such table, or a run that has not been compacted yet.
    """
    import polars as pl

    folder = run if isinstance(run, RunFolder) else open_run(Path(run))
    if table not in TABLES:
        raise UserError(f"no table '{table}'{nearest(table, TABLES)}")
    parts = sorted((folder.dataset / table).glob("*.parquet"))
    if not parts and table == "codings":
        return pl.from_arrow(TABLES["codings"].empty_table().select(columns or TABLES["codings"].names))  # type: ignore[return-value]
    if not parts:
        raise UserError(
            f"{folder.path} has no tables yet: the run is unfinished; the command that began it continues it, "
            f"`dyad snapshot {folder.path}` makes tables of what there is"
        )
    return pl.read_parquet(parts, columns=columns)
