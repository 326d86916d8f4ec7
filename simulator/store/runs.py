"""A run's folder: what it holds and who it is.

    RUN/
      run.json            identity, design, what made it
      journal/            one file per shard and attempt
      dataset/<table>/    Parquet
      report.html
      report.json         the figures behind it

`RUN` in commands is any folder that `dyad run` or `dyad import` made.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator.errors import UserError
from simulator.store.tables import FORMAT_VERSION

RUN_FILE = "run.json"
FIGURES_FILE = "report.json"
"""All figures of the report (`analysis.summary.summarise`), for whoever does not want to estimate them again."""


@dataclass(frozen=True, slots=True)
class RunFolder:
    """One run on disk. `meta` is the content of run.json."""

    path: Path
    meta: dict[str, Any]

    @property
    def journal(self) -> Path:
        """Folder of the journal files."""
        return self.path / "journal"

    @property
    def dataset(self) -> Path:
        """Folder of the Parquet tables."""
        return self.path / "dataset"

    @property
    def identity(self) -> str:
        """Fingerprint of everything that can change a result."""
        return str(self.meta["identity"])


def write_atomically(path: Path, data: bytes) -> None:
    """Replace `path` by `data`: readers see the old content or the new, never a part."""
    staged = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with staged.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        staged.replace(path)
    finally:
        staged.unlink(missing_ok=True)


class RunExistsError(UserError):
    """Another process has just made the run whose folder was to be made."""


def create_run(path: Path, meta: dict[str, Any]) -> RunFolder:
    """Make a run's folder with its run.json.

    Raises:
        RunExistsError: it holds a run.
        UserError: the folder cannot be written, or holds files that no run made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        if any(not entry.name.startswith(f".{RUN_FILE}") for entry in path.iterdir()):
            if (path / RUN_FILE).exists():
                raise RunExistsError(f"{path} holds a run already; name another folder")
            raise UserError(f"{path} is not empty and not a run; name another folder, or empty it")
        write_atomically(
            path / RUN_FILE, json.dumps({"format": FORMAT_VERSION, **meta}, indent=1, sort_keys=True).encode()
        )
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}; choose another folder") from None
    return RunFolder(path, {"format": FORMAT_VERSION, **meta})


def extend_run(run: RunFolder, meta: dict[str, Any]) -> RunFolder:
    """Give a run a larger design; what it was before (identity and version of the code) stands in `extended_from`."""
    before = {"identity": run.identity, "code_version": run.meta.get("code_version")}
    earlier = [*run.meta.get("extended_from", []), before]
    content = {"format": FORMAT_VERSION, **meta, "extended_from": earlier}
    write_atomically(run.path / RUN_FILE, json.dumps(content, indent=1, sort_keys=True).encode())
    return RunFolder(run.path, content)


def open_run(path: Path) -> RunFolder:
    """Open an existing run.

    Raises:
        UserError: no such folder, not a run, or made by a newer Dyad.
    """
    file = path / RUN_FILE
    try:
        meta = json.loads(file.read_text())
    except FileNotFoundError:
        what = "has no run.json" if path.is_dir() else "does not exist"
        raise UserError(
            f"{path} is not a run: it {what}; name a folder that `dyad run` or `dyad import` made"
        ) from None
    except NotADirectoryError:
        raise UserError(f"{path} is not a run: it is a file; name the run's folder") from None
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise UserError(
            f"{file} is not readable JSON; restore it from a copy, the journal beside it is untouched"
        ) from None
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror}") from None
    if not isinstance(meta, dict) or "identity" not in meta:
        raise UserError(f"{file} lacks the key 'identity': {path} is not a run of Dyad")
    if int(meta.get("format", 0)) > FORMAT_VERSION:
        raise UserError(
            f"{path} has format {meta['format']}, this Dyad reads up to {FORMAT_VERSION}; install a newer Dyad"
        )
    return RunFolder(path, meta)
