"""Instruments from the bank, from a user's own file, and with a user's licensed wording: one-line errors throughout."""

from functools import lru_cache
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from simulator.errors import UserError, nearest
from simulator.instruments.files import read_document
from simulator.instruments.schema import Instrument, ItemId, Text

BANK = Path(__file__).parent / "bank"
"""The instruments that ship with Dyad, one YAML file each."""


def list_instruments() -> list[str]:
    """Names of the bank's instruments, in alphabetical order."""
    return sorted(load_instrument(path.stem).name for path in BANK.glob("*.yaml"))


def load_instrument(name: str | Path) -> Instrument:
    """An instrument of the bank by name (`PHQ-9`; case and hyphens do not matter), or a file of one's own by path.

    Raises:
        UserError: no such instrument (with the nearest name), or the file's first problem as `file: field: what`.
    """
    if isinstance(name, Path) or name.endswith((".yaml", ".yml")):
        return read_document(Path(name), Instrument)
    path = _bank().get(_plain(name))
    if path is None:
        raise UserError(f"no instrument '{name}' in the bank{nearest(name, list_instruments())}")
    return _load(path)


def load_wording(path: Path | str, instrument: Instrument) -> Instrument:
    """`instrument` with the wording of a user's licensed file, so that it can be asked.

    The file states `instrument`, `licence` (on whose permission), `scale` (minimum, maximum) as printed, and `items`:
    a list of `id`, `first` and, for observers, `third`, one for every item of the instrument. Keys and scales are not
    in it: they stay the bank's.

    Raises:
        UserError: the file is for another or an unknown instrument, an item is missing, doubled or not the
            instrument's, or the scale differs; one line with file and item.
    """
    path = Path(path)
    wording = read_document(path, WordingFile)
    if wording.instrument != instrument.name:
        if _plain(wording.instrument) not in _bank():
            hint = nearest(wording.instrument, list_instruments())
            raise UserError(f"{path}: instrument: no instrument '{wording.instrument}' in the bank{hint}")
        raise UserError(f"{path}: instrument: the wording is for {wording.instrument}, not for {instrument.name}")
    if instrument.options is None or not instrument.items:
        raise UserError(f"{path}: instrument: the items of {instrument.name} are not known, so no wording fits them")
    bounds = (instrument.options.minimum, instrument.options.maximum)
    if (wording.scale.minimum, wording.scale.maximum) != bounds:
        raise UserError(
            f"{path}: scale: {wording.scale.minimum:g} to {wording.scale.maximum:g}, "
            f"but {instrument.name} is answered from {bounds[0]:g} to {bounds[1]:g}"
        )
    texts: dict[str, WordedItem] = {}
    known = {item.id for item in instrument.items}
    for item in wording.items:
        if item.id in texts:
            raise UserError(f"{path}: items: item {item.id} stands twice; keep one")
        if item.id not in known:
            raise UserError(f"{path}: items: {instrument.name} has no item '{item.id}'{nearest(item.id, known)}")
        texts[item.id] = item
    for item_id in (item.id for item in instrument.items):
        if item_id not in texts:
            raise UserError(f"{path}: items: item {item_id} of {instrument.name} is missing; give every item a wording")
    worded = [
        item.model_copy(update={"first": texts[item.id].first, "third": texts[item.id].third})
        for item in instrument.items
    ]
    return instrument.model_copy(update={"items": worded, "wording": "licensed", "rights": wording.licence})


class WordedItem(BaseModel):
    """The wording of one item, in the first and, where observers are asked, in the third person."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    id: ItemId
    first: Text
    third: Text | None = None


class WordingScale(BaseModel):
    """The ends of the response scale as the licensed form prints them."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    minimum: float
    maximum: float


class WordingFile(BaseModel):
    """A user's licensed wording of one instrument."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    instrument: Text
    licence: Text
    scale: WordingScale
    items: Annotated[list[WordedItem], Field(min_length=1)]


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


@lru_cache(maxsize=1)
def _bank() -> dict[str, Path]:
    return {_plain(path.stem): path for path in sorted(BANK.glob("*.yaml"))}


@lru_cache(maxsize=256)
def _load(path: Path) -> Instrument:
    return read_document(path, Instrument)
