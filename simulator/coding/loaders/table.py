"""A CSV of one's own: columns `session`, `role`, `text`, and one column `code:NAME` per code.

Rows are turns, in the order of the column `turn` where there is one, else as they stand. `group` keeps sessions
together (people, videos), in this file and in others; by default every session is its own, and its number says nothing
about other files, which holds for sessions with an empty `group`, too. An empty code is a turn that nobody coded. A
code that both roles bear becomes a task per role. Values are those that occur, in alphabetical order; whole numbers
make an ordinal code.
"""

from __future__ import annotations

from pathlib import Path

from simulator.coding.base import CodedTurn
from simulator.coding.loaders.tables import read_table
from simulator.coding.trained.examples import CodedSession, Examples, Task
from simulator.errors import UserError
from simulator.records.fingerprints import fingerprint

_MARK = "code:"


def read(path: Path) -> Examples:
    """Sessions with the codes of all `code:` columns. Raises: UserError with file, row and column."""
    table = read_table(path)
    table.require(["session", "role", "text"])
    columns = [name for name in table.header if name.startswith(_MARK) and name != _MARK]
    if not columns:
        raise UserError(f"{path}, row 1: no column 'code:NAME'; name at least one column of codes so")
    sessions: dict[str, list[tuple[int, int, dict[str, str]]]] = {}
    for row, cells in table.rows():
        if not cells["session"] or not cells["role"]:
            raise UserError(f"{path}, row {row}: session or role is empty")
        place = cells.get("turn", "").strip() or str(row)
        if not place.isdigit():
            raise UserError(f"{path}, row {row}: turn '{place}' is not a whole number")
        sessions.setdefault(cells["session"], []).append((int(place), row, cells))
    if not sessions:
        raise UserError(f"{path}: no turns below the header")
    names = _task_names(columns, sessions)
    tasks = tuple(_task(name, column, role, sessions) for (column, role), name in names.items())
    grouped = "group" in table.header
    return Examples(
        path.stem, str(path), table.sha256, "groups" if grouped else "sessions", tasks,
        tuple(
            _session(path, name, f"{table.sha256[:16]} {name}" if grouped else name, rows, names)
            for name, rows in sessions.items()
        ),
        "table" if grouped else None,
    )  # fmt: skip


def _task_names(
    columns: list[str], sessions: dict[str, list[tuple[int, int, dict[str, str]]]]
) -> dict[tuple[str, str], str]:
    """Tasks by column and role: the code's name, with the role where several roles bear it."""
    names = {}
    for column in columns:
        roles = sorted({cells["role"] for rows in sessions.values() for _, _, cells in rows if cells[column].strip()})
        code = column.removeprefix(_MARK)
        names.update({(column, role): code if len(roles) == 1 else f"{code}@{role}" for role in roles})
    return names


def _task(name: str, column: str, role: str, sessions: dict[str, list[tuple[int, int, dict[str, str]]]]) -> Task:
    values = {
        cells[column].strip() for rows in sessions.values() for _, _, cells in rows if cells["role"] == role
    } - {""}  # fmt: skip
    ordinal = all(value.lstrip("-").isdigit() for value in values)
    ordered = sorted(values, key=int) if ordinal else sorted(values)
    return Task(name, "table", "1", column.removeprefix(_MARK), role, tuple(ordered), "turn", ordinal)


def _session(
    path: Path, name: str, alone: str, rows: list[tuple[int, int, dict[str, str]]], names: dict[tuple[str, str], str]
) -> CodedSession:
    """`alone` is the group of a session that names none."""
    rows = sorted(rows, key=lambda entry: entry[:2])
    course = fingerprint(["table", name])
    codes: dict[str, dict[int, str]] = {}
    for index, (_, _, cells) in enumerate(rows):
        for (column, role), task in names.items():
            if cells["role"] == role and cells[column].strip():
                codes.setdefault(task, {})[index] = cells[column].strip()
    groups = {cells.get("group", "").strip() or alone for _, _, cells in rows}
    if len(groups) > 1:
        raise UserError(f"{path}: session '{name}' has several values of group: {', '.join(sorted(groups)[:3])}")
    turns = [
        CodedTurn(course, 0, index, cells["role"], cells["text"].strip()) for index, (_, _, cells) in enumerate(rows)
    ]
    return CodedSession(groups.pop(), turns, codes)
