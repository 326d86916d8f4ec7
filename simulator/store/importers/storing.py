"""An imported dataset becomes a run's folder: the same tables, and from there on the same treatment."""

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import simulator
from simulator.errors import UserError
from simulator.records.fingerprints import fingerprint
from simulator.store.importers.base import ImportedDataset, Row
from simulator.store.parquet import write_rows
from simulator.store.runs import RUN_FILE, RunFolder, create_run, open_run
from simulator.store.tables import TABLES


def store_import(dataset: ImportedDataset, out: Path) -> RunFolder:
    """Write the tables of an import; the same import into the same folder finds itself again.

    Raises:
        UserError: the folder holds another run or cannot be written.
    """
    meta = import_meta(
        name=dataset.name,
        identity=fingerprint({"import": dataset.name, "source": dataset.source_hash}),
        origin="human",
        licence=dataset.licence,
        courses=len(dataset.tables["courses"]),
    )
    return store_parts(meta, [dataset.tables], out)


def import_meta(*, name: str, identity: str, origin: str, licence: str | None, courses: int) -> dict[str, Any]:
    """The content of an import's run.json.

    Args:
        name: what the set is called.
        identity: fingerprint of the source and of every choice that changes a row.
        origin: `human`, `model` or `scripted`.
        licence: under which terms it may be used; transcripts of people are released only under an SPDX identifier.
        courses: how many courses it has.
    """
    return {
        "kind": "import",
        "experiment": name,
        "identity": identity,
        "origin": origin,
        "created_by": f"dyad {simulator.__version__}",
        "licence": licence,
        "shards": 0,
        "design": {
            "personas": 0, "population": None, "clients": [], "therapists": [], "replicates": 1, "courses": courses,
        },
    }  # fmt: skip


def store_parts(meta: Mapping[str, Any], parts: Iterable[Mapping[str, list[Row]]], out: Path) -> RunFolder:
    """Write an import one part after another; readers see its tables when all of them are there.

    Args:
        meta: what `import_meta` gives.
        parts: rows by table, one range of courses after another.
        out: the run's folder.

    Raises:
        UserError: the folder holds another run or cannot be written.
    """
    if (out / RUN_FILE).exists():
        run = open_run(out)
        if run.identity != meta["identity"]:
            raise UserError(f"{out} holds another run ({run.meta.get('experiment')}); name another folder as --out")
    else:
        run = create_run(out, dict(meta))
    fresh = not run.dataset.exists()
    folder = run.path / ".dataset.staged" if fresh else run.dataset
    try:
        shutil.rmtree(run.path / ".dataset.staged", ignore_errors=True)
        write_rows(folder, "personas", [])
        for index, tables in enumerate(parts):
            for table in TABLES:
                if table != "personas":
                    write_rows(folder, table, tables.get(table, []), f"part-{index:05d}")
        if fresh:
            folder.rename(run.dataset)
    except OSError as error:
        raise UserError(
            f"{out} cannot be written ({error.strerror}); make room, or name another folder as --out"
        ) from None
    return run
