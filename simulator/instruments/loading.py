"""Instruments from the bank, from a user's own file, and with a user's licensed wording: one-line errors throughout."""

from functools import lru_cache
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from simulator.errors import UserError, nearest
from simulator.instruments.files import read_document
from simulator.instruments.schema import Instrument, ItemId, Options, Person, Text
from simulator.personas.loading import read_yaml, validation_lines

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


class WordedItem(BaseModel):
    """The wording of one item, in the first and, for observers, in the third person; poles where it has any."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    id: ItemId
    first: Text
    third: Text | None = None
    low: Text | None = None
    high: Text | None = None


class WordingScale(BaseModel):
    """The response scale as the licensed form prints it; `labels` where it names every step."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    minimum: float
    maximum: float
    labels: list[Text] | None = None


class WordingFile(BaseModel):
    """A user's licensed wording of one instrument; `licence` says on whose permission."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    instrument: Text
    licence: Text
    scale: WordingScale | None = None
    introduction: dict[Person, Text] = {}
    items: Annotated[list[WordedItem], Field(min_length=1)]


def load_wording(path: Path | str, instrument: Instrument) -> Instrument:
    """`instrument` with the wording of a user's licensed file (`WordingFile`), so that it can be asked.

    Every item of the instrument must be worded, bipolar ones with both poles. `scale` repeats the ends of the response
    scale, so that a form of another width is noticed. Keys, scales and rules are not in the file: they stay the bank's.

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
    if not instrument.items:
        raise UserError(f"{path}: instrument: the items of {instrument.name} are not known, so no wording fits them")
    options = _worded_options(path, wording.scale, instrument)
    texts: dict[str, WordedItem] = {}
    known = {item.id: item for item in instrument.items}
    for worded in wording.items:
        if worded.id in texts:
            raise UserError(f"{path}: items: item {worded.id} stands twice; keep one")
        if worded.id not in known:
            raise UserError(f"{path}: items: {instrument.name} has no item '{worded.id}'{nearest(worded.id, known)}")
        if (worded.low is None, worded.high is None) != (known[worded.id].low is None,) * 2:
            poles = "has no poles" if known[worded.id].low is None else "needs both poles, low and high"
            raise UserError(f"{path}: items: item {worded.id} of {instrument.name} {poles}")
        texts[worded.id] = worded
    for item_id in known:
        if item_id not in texts:
            raise UserError(f"{path}: items: item {item_id} of {instrument.name} is missing; give every item a wording")
    items = [item.model_copy(update=texts[item.id].model_dump(exclude={"id"})) for item in instrument.items]
    return instrument.model_copy(
        update={
            "items": items,
            "options": options,
            "introduction": wording.introduction or instrument.introduction,
            "wording": "licensed",
            "rights": wording.licence,
        }
    )


def wording_of(path: Path) -> str:
    """The name of the instrument that a licensed wording file is for, as the bank spells it where it has it."""
    name = read_document(path, WordingFile).instrument
    return load_instrument(name).name if _plain(name) in _bank() else name


def check_file(path: Path) -> str:
    """What a file holds, in words: an instrument, or a licensed wording of one of the bank's.

    Raises:
        UserError: the file's first problem in one line.
    """
    content = read_yaml(path)
    if not isinstance(content, dict) or "licence" not in content:
        instrument = load_instrument(path)
        return f"{instrument.name}, {len(instrument.items)} items, forms {', '.join(instrument.forms)}"
    wording = read_document(path, WordingFile)
    name = wording.instrument if _plain(wording.instrument) in _bank() else ""
    instrument = load_wording(path, load_instrument(name or list_instruments()[0]))
    return f"licensed wording of {instrument.name}, {len(instrument.items)} items"


def _worded_options(path: Path, scale: WordingScale | None, instrument: Instrument) -> Options | None:
    """The instrument's response scale, with the licensed labels; raises where the two are not of one width."""
    options = instrument.options
    if options is None and scale is not None and not any(item.options for item in instrument.items):
        try:
            return Options(minimum=scale.minimum, maximum=scale.maximum, labels=scale.labels or [])
        except ValidationError as error:
            raise UserError(f"{path}: scale: {validation_lines(error, Options)[0]}") from None
    if options is None:
        if scale is None and not any(item.options for item in instrument.items):
            raise UserError(f"{path}: scale: the scale of {instrument.name} was not read; state minimum and maximum")
        if scale is not None:
            raise UserError(f"{path}: scale: {instrument.name} has a response scale per item; leave this one out")
        return None
    if scale is None:
        raise UserError(f"{path}: scale: required and not given; state its minimum and maximum")
    if (scale.minimum, scale.maximum) != (options.minimum, options.maximum):
        raise UserError(
            f"{path}: scale: {scale.minimum:g} to {scale.maximum:g}, "
            f"but {instrument.name} is answered from {options.minimum:g} to {options.maximum:g}"
        )
    if scale.labels is None:
        return options
    steps = int(options.maximum - options.minimum) + 1
    if len(scale.labels) != steps:
        raise UserError(f"{path}: scale.labels: {len(scale.labels)} labels for {steps} steps; name every step or none")
    return options.model_copy(update={"labels": scale.labels})


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


@lru_cache(maxsize=1)
def _bank() -> dict[str, Path]:
    return {_plain(path.stem): path for path in sorted(BANK.glob("*.yaml"))}


@lru_cache(maxsize=256)
def _load(path: Path) -> Instrument:
    return read_document(path, Instrument)
