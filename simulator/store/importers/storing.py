"""An imported dataset becomes a run's folder: the same tables, and from there on the same treatment."""

from pathlib import Path

import simulator
from simulator.errors import UserError
from simulator.records.fingerprints import fingerprint
from simulator.store.compaction import write_rows
from simulator.store.importers.annomi import ImportedDataset
from simulator.store.runs import RUN_FILE, RunFolder, create_run, open_run
from simulator.store.tables import TABLES


def store_import(dataset: ImportedDataset, out: Path) -> RunFolder:
    """Write the tables of an import; the same import into the same folder finds itself again.

    Raises:
        UserError: the folder holds another run or cannot be written.
    """
    identity = fingerprint({"import": dataset.name, "source": dataset.source_hash})
    if (out / RUN_FILE).exists():
        run = open_run(out)
        if run.identity != identity:
            raise UserError(f"{out} holds another run ({run.meta.get('experiment')}); name another folder as --out")
    else:
        run = create_run(
            out,
            {
                "kind": "import",
                "experiment": dataset.name,
                "identity": identity,
                "origin": "human",
                "created_by": f"dyad {simulator.__version__}",
                "licence": dataset.licence,
                "shards": 0,
                "design": {
                    "personas": 0, "population": None, "clients": [], "therapists": [], "replicates": 1,
                    "courses": len(dataset.tables["courses"]),
                },
            },
        )  # fmt: skip
    for table in TABLES:
        write_rows(run.dataset, table, dataset.tables.get(table, []))
    return run
