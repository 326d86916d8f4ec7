"""Which parts of a dataset are up to date: compaction writes only those whose journal has changed.

Beside the tables, `dataset/.parts/<unit>.json` says from what the files of a unit were made and how large they are.
Where it does not fit, or is not there, the unit is written again.
"""

import contextlib
import hashlib
import json
from pathlib import Path
from typing import Any

from simulator.records.fingerprints import fingerprint
from simulator.store.journal import attempts_of
from simulator.store.runs import RunFolder, write_atomically

_TAIL_BYTES = 65_536


def journal_state(journal: Path, shards: range) -> list[list[Any]]:
    """Name, size and a hash of the end of every file of some shards: sums run on, so the end stands for the whole."""
    state = []
    for shard in shards:
        for _, path in attempts_of(journal, shard):
            with path.open("rb") as file:
                size = file.seek(0, 2)
                file.seek(max(0, size - _TAIL_BYTES))
                end = file.read(min(size, _TAIL_BYTES))
            state.append([path.name, size, hashlib.blake2b(end, digest_size=16).hexdigest()])
    return state


def stamp_of(*made_from: Any) -> str:
    """One word for everything that a unit's files were made from."""
    return fingerprint(list(made_from))


def _stamp_path(run: RunFolder, unit: int) -> Path:
    return run.dataset / ".parts" / f"{unit:05d}.json"


def _sizes(run: RunFolder, files: list[str]) -> dict[str, int]:
    return {name: (run.dataset / name).stat().st_size for name in files}


def is_current(run: RunFolder, unit: int, stamp: str, files: list[str]) -> bool:
    """Whether these files (paths within the dataset) are there and made from what `stamp` stands for."""
    with contextlib.suppress(OSError, ValueError):
        return bool(json.loads(_stamp_path(run, unit).read_text()) == {"of": stamp, "files": _sizes(run, files)})
    return False


def mark_current(run: RunFolder, unit: int, stamp: str, files: list[str]) -> None:
    """Say from what a unit's files were made, once they are all in their places."""
    path = _stamp_path(run, unit)
    path.parent.mkdir(exist_ok=True)
    write_atomically(path, json.dumps({"of": stamp, "files": _sizes(run, files)}).encode())
