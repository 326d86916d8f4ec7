"""The fields of a client's profile: what is asked about a recorded session, and on which scale.

`profile_fields()` gives all fields in the order in which they are asked. A symptom's field is called
`<instrument>:<item>`; its scale is the item's own, its question names the item's topic, so that no published wording is
needed. An instrument that the bank does not hold has no fields.
"""

from functools import lru_cache
from pathlib import Path
from typing import Literal

import msgspec

from simulator.instruments.loading import list_instruments, load_instrument
from simulator.resources import read_yaml

Kind = Literal["text", "option", "level", "percent", "severity"]
Group = Literal["basic", "manner", "big_five", "symptoms"]
LEVELS = ("low", "medium", "high")
UNKNOWN = "cannot be identified"
"""The answer where the recording does not show it."""


class Field(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One thing that is asked about a recorded session."""

    name: str
    group: Group
    kind: Kind
    asks: str
    options: tuple[str, ...] = ()
    """What can be answered, beside that it cannot be identified; none where the answer is free or a percentage."""
    speaker: Literal["client", "therapist", "anyone"] = "client"
    """Whose words may serve as evidence."""
    topic: str = ""
    """A symptom's topic."""
    positive: bool = False
    """A symptom item that asks for something good (keyed the other way round)."""

    def number(self, value: str) -> float | None:
        """A value on its scale: 0, 1, 2 for levels, 0-100 for percentages, the item's answer for symptoms."""
        if self.kind == "percent":
            return float(value)
        if self.kind in ("level", "severity"):
            return float(self.options.index(value))
        return None


class _Symptoms(msgspec.Struct, forbid_unknown_fields=True):
    asks: str
    instruments: list[dict[str, str | list[str]]]


class _File(msgspec.Struct, forbid_unknown_fields=True):
    fields: list[Field]
    symptoms: _Symptoms


@lru_cache(maxsize=1)
def profile_fields() -> dict[str, Field]:
    """All fields by name, in the order in which they are asked."""
    content = read_yaml((Path(__file__).parent / "fields.yaml").read_text(encoding="utf-8"))
    document = msgspec.convert(content, _File)
    fields = [
        msgspec.structs.replace(field, options=LEVELS) if field.kind == "level" else field for field in document.fields
    ]
    known = set(list_instruments())
    for entry in document.symptoms.instruments:
        name = str(entry["instrument"])
        if name in known:
            fields += _symptoms(name, set(entry["omitted"]), document.symptoms.asks)
    return {field.name: field for field in fields}


def _symptoms(name: str, omitted: set[str], asks: str) -> list[Field]:
    instrument = load_instrument(name)
    form = next(iter(instrument.forms))
    reverse = set(instrument.form(form).reverse)
    fields = []
    for item in instrument.items_of(form):
        if item.id in omitted or not item.topic:
            continue
        scale = instrument.options_of(item, form)
        labels = tuple(label.lower() for label in scale.labels)
        if not labels:
            labels = tuple(f"{scale.minimum + step:g}" for step in range(int(scale.maximum - scale.minimum) + 1))
        fields.append(
            Field(
                f"{name}:{item.id}", "symptoms", "severity", asks.format(topic=item.topic), labels,
                topic=item.topic, positive=item.id in reverse,
            )
        )  # fmt: skip
    return fields
