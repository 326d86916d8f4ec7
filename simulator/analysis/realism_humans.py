"""Where texts of people come from when a check needs the texts themselves: an imported run or an AnnoMI file."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from simulator.errors import UserError
from simulator.store.importers.annomi import read_annomi
from simulator.store.runs import open_run

if TYPE_CHECKING:
    import polars as pl


class HumanTables(NamedTuple):
    """Tables of sessions of people. `source` names them for readers; `codings` is empty where nothing was coded."""

    source: str
    turns: "pl.DataFrame"
    courses: "pl.DataFrame"
    codings: "pl.DataFrame"


def human_tables(path: Path) -> HumanTables:
    """The tables of people's sessions.

    Args:
        path: the folder of an imported run, an AnnoMI-simple CSV file, or a folder of data sets that holds
            `annomi/annomi_simple.csv` (as `DYAD_DATA_DIR` does).

    Raises:
        UserError: none of these, or a run whose sessions are simulated.
    """
    import polars as pl

    shared = path / "annomi" / "annomi_simple.csv"
    if path.is_file() or shared.is_file():
        tables = read_annomi(path if path.is_file() else shared).tables
        frames = [pl.DataFrame(tables[name], infer_schema_length=None) for name in ("turns", "courses", "codings")]
        return HumanTables("AnnoMI", *frames)
    if not path.is_dir():
        raise UserError(f"{path}: no such file or folder; name an imported run or an AnnoMI-simple CSV file")
    run = open_run(path)
    frames = []
    for name in ("turns", "courses", "codings"):
        files = sorted((run.dataset / name).glob("*.parquet"))
        frames.append(pl.concat([pl.read_parquet(file) for file in files]) if files else pl.DataFrame())
    turns, courses, codings = frames
    if not len(turns):
        raise UserError(f"{path}: the run holds no turns yet")
    if set(courses["origin"].unique()) != {"human"}:
        raise UserError(f"{path}: its sessions are simulated; name a run that `dyad import` made")
    return HumanTables(str(run.meta.get("experiment", path.name)), turns, courses, codings)
