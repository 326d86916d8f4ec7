"""Coded data sets by local path: the header shows which format a file has, and its bytes can be checked first."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Collection
from pathlib import Path

from simulator.coding.loaders.tables import read_bytes, read_table
from simulator.coding.trained.examples import Examples
from simulator.errors import UserError, nearest

FORMATS: dict[str, frozenset[str]] = {
    "annomi": frozenset(("interlocutor", "utterance_text", "transcript_id")),
    "epitome": frozenset(("seeker_post", "response_post")),
    "mibot": frozenset(("session_id", "utterance_index", "speaker", "auto_misc_label")),
    "bolt": frozenset(("text_id", "text", "label")),
    "humanebench": frozenset(("item_id", "principle", "question", "answer")),
    "table": frozenset(("session", "role", "text")),
}
"""Formats and the columns that tell them, in the order in which they are tried; each is a module of this folder."""


def read_examples(
    path: Path | str,
    data_format: str | None = None,
    sha256: str | None = None,
    left_out: Collection[str] = (),
) -> Examples:
    """A coded data set.

    Args:
        path: the file.
        data_format: a name of `FORMATS`; by default the one its header shows.
        sha256: what the file's SHA-256 must be, in hexadecimal, or its beginning of 8 or more.
        left_out: EPITOME only: reply ids to leave out.

    Raises:
        UserError: one line with the file, and where it helps row and column.
    """
    file = Path(path)
    if sha256 is not None:
        _check_hash(file, sha256)
    chosen = data_format or _format_of(file)
    if chosen not in FORMATS:
        raise UserError(f"no data format '{chosen}'{nearest(chosen, FORMATS)}")
    read = importlib.import_module(f"simulator.coding.loaders.{chosen}").read
    if left_out and chosen != "epitome":
        raise UserError(f"{file}: leaving out reply ids is for EPITOME, not for the format '{chosen}'")
    examples: Examples = read(file, left_out) if chosen == "epitome" else read(file)
    return examples


def read_reply_ids(path: Path) -> frozenset[str]:
    """The replies that a CSV names in its column `response_id` or `rp_id`. Raises: UserError."""
    table = read_table(path)
    column = next((name for name in ("response_id", "rp_id") if name in table.header), None)
    if column is None:
        raise UserError(f"{path}, row 1: no column 'response_id' or 'rp_id'")
    return frozenset(cells[column] for _, cells in table.rows())


def _check_hash(file: Path, wanted: str) -> None:
    if len(wanted) < 8 or not set(wanted.lower()) <= set("0123456789abcdef"):
        raise UserError(f"'{wanted}' is no SHA-256: give at least its first 8 hexadecimal characters")
    found = hashlib.sha256(read_bytes(file)).hexdigest()
    if not found.startswith(wanted.lower()):
        raise UserError(f"{file}: SHA-256 is {found[:16]}..., not {wanted[:16]}...; this is another file")


def _format_of(file: Path) -> str:
    header = set(read_table(file).header)
    for name, columns in FORMATS.items():
        if columns <= header:
            return name
    needed = "; ".join(f"{name}: {', '.join(sorted(columns))}" for name, columns in FORMATS.items())
    raise UserError(f"{file}, row 1: the header is that of no known format ({needed})")
