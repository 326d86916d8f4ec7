"""Where an export is written: beside its place first, and moved there when it is whole."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from simulator.errors import UserError


@contextmanager
def staged(target: Path) -> Iterator[Path]:
    """A new folder to write into, which becomes `target` when the block ends well and disappears when it does not.

    Raises:
        UserError: `target` is a file or holds something, or its place cannot be written.
    """
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise UserError(f"{target} is in the way; name a folder that does not exist as --out")
    if target.is_dir() and any(target.iterdir()):
        raise UserError(f"{target} is not empty; name another folder as --out, or remove it")
    staging = target.with_name(f".{target.name}.{os.getpid()}.staged")
    made = [folder for folder in (target.parent, *target.parent.parents) if not folder.exists()]
    try:
        staging.mkdir(parents=True)
        yield staging
        staging.replace(target)
    except OSError as error:
        _undo(staging, made)
        reason = error.strerror or type(error).__name__
        raise UserError(f"{target} cannot be written ({reason}); name a folder elsewhere as --out") from None
    except BaseException:
        _undo(staging, made)
        raise


def _undo(staging: Path, made: list[Path]) -> None:
    """Remove what was staged and the folders that were made for it."""
    shutil.rmtree(staging, ignore_errors=True)
    for folder in made:
        try:
            folder.rmdir()
        except OSError:  # never made, or someone else's by now
            return
