"""How rows of a summary are put into order: by group, by behaviour, by place."""

from collections.abc import Mapping, Sequence
from typing import Any

Summary = Mapping[str, Any]
View = dict[str, Any]

_ORDER = ("reflection", "question", "therapist_input", "other", "change", "neutral", "sustain")


def behaviour_order(name: str) -> tuple[int, str]:
    """Sorts behaviours as readers expect them; those without a place of their own by name."""
    return (_ORDER.index(name) if name in _ORDER else len(_ORDER), name)


def grouped(rows: Sequence[Mapping[str, Any]], key: str) -> dict[str, list[Mapping[str, Any]]]:
    found: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault(str(row[key]), []).append(row)
    return found


def ordered(rows: Sequence[Mapping[str, Any]], groups: Sequence[str]) -> list[Mapping[str, Any]]:
    place = {name: at for at, name in enumerate(groups)}
    return sorted(rows, key=lambda row: place.get(row["group"], len(place)))


def main(intervals: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = next(iter(intervals.values()))
    return found


def point(row: Mapping[str, Any], key: str) -> tuple[float, Mapping[str, Any]]:
    return row["place"] / max(row["places"] - 1, 1), main(row[key])


def clusters(rows: Sequence[Mapping[str, Any]], key: str) -> str:
    """`12 personas`, or `10 to 12 personas` where places differ."""
    counts = [main(row[key])["clusters"] for row in rows]
    low, high, name = min(counts), max(counts), main(rows[0][key])["cluster"]
    return f"{high} {name}" if low == high else f"{low} to {high} {name}"
