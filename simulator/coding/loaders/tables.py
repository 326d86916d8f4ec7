"""CSV files read whole, with their hash, and errors that name file, row and column."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from simulator.errors import UserError, nearest


@dataclass(frozen=True, slots=True)
class Table:
    """A CSV file. `sha256` of its bytes, hexadecimal."""

    path: Path
    sha256: str
    header: list[str]
    cells: list[list[str]]

    def rows(self) -> Iterator[tuple[int, dict[str, str]]]:
        """The number of each row as a spreadsheet counts (the header is 1), and its cells by column."""
        for row, cells in enumerate(self.cells, start=2):
            if not cells:
                continue
            if len(cells) != len(self.header):
                raise UserError(f"{self.path}, row {row}: {len(cells)} cells for {len(self.header)} columns")
            yield row, dict(zip(self.header, cells, strict=True))

    def require(self, columns: Sequence[str]) -> None:
        """Raises: UserError where a column is missing, with the nearest name."""
        for name in columns:
            if name not in self.header:
                raise UserError(f"{self.path}, row 1: no column '{name}'{nearest(name, self.header)}")


def read_table(path: Path) -> Table:
    """The whole file. Raises: UserError where it cannot be read."""
    content = read_bytes(path)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = content[: error.start].count(b"\n") + 1
        raise UserError(f"{path}: not UTF-8 in line {row}; save the file as UTF-8") from None
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        raise UserError(f"{path}: not valid CSV ({error})") from None
    if not rows:
        raise UserError(f"{path}: empty")
    return Table(path, hashlib.sha256(content).hexdigest(), [name.strip() for name in rows[0]], rows[1:])


def read_bytes(path: Path) -> bytes:
    """The file's bytes. Raises: UserError where there is no such file."""
    if path.is_dir():
        raise UserError(f"{path}: a folder; name the file in it")
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
