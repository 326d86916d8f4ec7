"""What an instrument is: items, forms with their keys, scales, and the rules under which it may be given.

An instrument is one YAML file. Three kinds fit: questionnaires whose items we paraphrased (`wording: paraphrase`, said
beside every score), instruments whose wording is the user's to license (`wording: none`; topics only, asked once a
wording file is loaded), and instruments of which only the outline is known (no items, key `unread`), which load and are
listed but refuse to score. Nothing here is a default about data: what a missing answer does to a scale is stated.
"""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from simulator.errors import UserError, nearest
from simulator.records.fingerprints import fingerprint

Text = Annotated[str, StringConstraints(min_length=1, max_length=1200, strip_whitespace=True)]
ItemId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=32)]
Person = Literal["first", "third"]
Moment = Literal["course_start", "session_start", "session_end", "course_end"]
"""When an instrument is given: before the first session, before or after a session, after the last one."""
Key = Literal["read", "from memory", "unread"]
"""How the key is known: read in a source; recalled and to be confirmed; not known, so that scoring is refused."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Options(_Part):
    """The response scale: from `minimum` to `maximum`, whole numbers unless `continuous`.

    `labels` names every step in ascending order, or is empty where only the ends or the item's poles are named.
    """

    minimum: float
    maximum: float
    labels: list[Text] = []
    continuous: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.minimum < self.maximum:
            raise ValueError(f"maximum {self.maximum:g} must be above minimum {self.minimum:g}")
        steps = int(self.maximum - self.minimum) + 1
        if self.labels and len(self.labels) != steps:
            raise ValueError(f"{len(self.labels)} labels for {steps} steps; name every step or none")
        return self

    def accepts(self, value: float) -> bool:
        """Whether `value` is one of the answers this scale offers."""
        inside = self.minimum <= value <= self.maximum
        return inside and (self.continuous or float(value - self.minimum).is_integer())

    def mirrored(self, value: float) -> float:
        """The answer as far from the other end: what a reversed item contributes. Mirroring twice changes nothing."""
        return self.minimum + self.maximum - value


class Item(_Part):
    """One question. `topic` says in our words what it is about; `first` and `third` are what a client or an observer is
    asked (None until a wording file supplies them); `low` and `high` are the poles of a bipolar item, at the scale's
    minimum and maximum; `options` replaces the instrument's response scale for this item."""

    id: ItemId
    topic: Text | None = None
    first: Text | None = None
    third: Text | None = None
    low: Text | None = None
    high: Text | None = None
    options: Options | None = None

    @model_validator(mode="after")
    def _poles_come_in_pairs(self) -> Self:
        if (self.low is None) != (self.high is None):
            raise ValueError("a bipolar item has both poles, low and high; one is missing")
        return self


class Form(_Part):
    """A printing of the instrument, which owns the key: the same item can be reversed in one form and not in another.

    `items` are the ids that this form asks (None: all, in order), `mirrored_labels` says that reversed items print
    their labels from the other end, `options` replaces the response scale, `adapted` that the form departs from the
    published one.
    """

    reverse: list[ItemId] = []
    key: Key = "read"
    items: list[ItemId] | None = None
    options: Options | None = None
    mirrored_labels: bool = False
    adapted: bool = False
    source: Text
    note: Text | None = None


class Band(_Part):
    """A range of scores, from `from_` up to the next band's, and its published name."""

    from_: Annotated[float, Field(alias="from")]
    label: Text

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, populate_by_name=True, serialize_by_alias=True)


class MissingRule(_Part):
    """How many answers a scale may lack, and what then stands for them: the mean of the answers given (after keying).

    Only for instruments whose published rule allows it; `source` says where. Without a rule nothing is imputed.
    """

    allowed: Annotated[int, Field(ge=1)]
    method: Literal["mean of answered items"] = "mean of answered items"
    source: Text


class Scale(_Part):
    """One score: sum or mean of keyed items, or the first of two items minus the second; times `multiplier`.

    `forms` names the forms that print this scale (None: all). `higher` says what a high score means; `key` how the
    assignment of items to the scale is known (`unread`: no items are listed, and the score is refused by itself), and
    `bands_key` how the cut-offs are.
    """

    name: Text
    items: list[ItemId] | Literal["all"]
    kind: Literal["sum", "mean", "difference"]
    higher: Literal["better", "worse", "descriptive"]
    forms: list[Text] | None = None
    multiplier: Annotated[float, Field(gt=0)] = 1.0
    key: Key = "read"
    bands: list[Band] = []
    bands_key: Literal["read", "from memory"] = "read"
    missing: MissingRule | None = None
    source: Text
    note: Text | None = None


class Flag(_Part):
    """An answer that must be seen: raw answer of `item` at or above `at_least`. `triggers` states all that follows."""

    item: ItemId
    at_least: float
    meaning: Text
    triggers: Text


class Instrument(_Part):
    """A questionnaire as data. `name` is what studies and datasets call it; `version` counts our changes to the file.

    `respondents` lists who may fill it in, `moments` when it may be given without being marked adapted, and
    `minimum_days_between` how far apart, in simulated days. `validated` is False for forms written for this project.
    """

    name: Text
    title: Text
    version: Annotated[str, StringConstraints(pattern=r"^[0-9]+(?:\.[0-9]+)*$")]
    measures: Text
    respondents: Annotated[list[Literal["client", "therapist", "observer"]], Field(min_length=1)]
    wording: Literal["paraphrase", "project", "published", "licensed", "none"]
    rights: Text
    source: Text
    validated: bool = True
    look_back: Text | None = None
    moments: list[Moment] = []
    minimum_days_between: Annotated[float, Field(ge=0)] = 0.0
    introduction: dict[Person, Text] = {}
    options: Options | None = None
    item_count: Annotated[int, Field(ge=1)] | None = None
    """Number of items where they are not known; where they are, it follows from them."""
    items: list[Item] = []
    forms: Annotated[dict[str, Form], Field(min_length=1)]
    scales: list[Scale] = []
    flags: list[Flag] = []
    notes: list[Text] = []

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        problem = next(iter(_contradictions(self)), None)
        if problem:
            raise ValueError(problem)
        return self

    @property
    def fingerprint(self) -> str:
        """32 hexadecimal characters that stand for the whole content, wording included."""
        return fingerprint(self.model_dump(mode="json", by_alias=True))

    def form(self, name: str) -> Form:
        """The form called `name`. Raises: UserError with the nearest name."""
        if name not in self.forms:
            raise UserError(f"{self.name}: no form '{name}'{nearest(name, self.forms)}")
        return self.forms[name]

    def items_of(self, form: str) -> list[Item]:
        """The items that a form asks, in its order."""
        chosen = self.form(form).items
        if chosen is None:
            return self.items
        by_id = {item.id: item for item in self.items}
        return [by_id[item] for item in chosen]

    def options_of(self, item: Item, form: str) -> Options:
        """The response scale of an item in a form; `labels` ascend with the raw answer, as printed in that form."""
        chosen = self.form(form)
        options = item.options or chosen.options or self.options
        if options is None:
            raise UserError(f"{self.name}: item {item.id} has no response scale; it comes with a licensed wording file")
        if chosen.mirrored_labels and item.id in chosen.reverse and options.labels:
            return options.model_copy(update={"labels": options.labels[::-1]})
        return options

    def question(self, item: Item, person: Person) -> str:
        """What is asked. Raises: UserError where the wording is the user's to supply."""
        text = item.first if person == "first" else item.third
        if text is None:
            raise UserError(
                f"{self.name}: item {item.id} has no wording in the {person} person ({self.rights}); "
                "load a licensed wording file"
            )
        return text

    def scales_of(self, form: str) -> list[Scale]:
        """The scales that a form yields, in the file's order."""
        self.form(form)
        return [scale for scale in self.scales if scale.forms is None or form in scale.forms]


def _contradictions(instrument: Instrument) -> list[str]:
    """What the fields say against each other, `field: what is wrong` each."""
    ids = [item.id for item in instrument.items]
    known = set(ids)
    problems = [f"items: id '{name}' stands twice" for name in sorted(known) if ids.count(name) > 1]
    if instrument.items and instrument.item_count not in (None, len(ids)):
        problems.append(f"item_count: {instrument.item_count} stated, {len(ids)} items listed")
    for name, form in instrument.forms.items():
        for field, used in (("reverse", form.reverse), ("items", form.items or [])):
            problems += [
                f"forms.{name}.{field}: no item '{item}'{nearest(item, known)}" for item in used if item not in known
            ]
        if form.key != "unread" and not instrument.items:
            problems.append(f"forms.{name}.key: items are not known, so the key is 'unread'")
        if (
            instrument.wording != "none"
            and form.key != "unread"
            and any(
                item.options is None and form.options is None and instrument.options is None
                for item in instrument.items
            )
        ):
            problems.append("options: no response scale; state it, or the key is 'unread'")
    names = [scale.name for scale in instrument.scales]
    for scale in instrument.scales:
        where = f"scales.{scale.name}"
        chosen = ids if scale.items == "all" else scale.items
        problems += [f"{where}.items: no item '{item}'{nearest(item, known)}" for item in chosen if item not in known]
        if (scale.key == "unread") == bool(chosen):
            problems.append(f"{where}.items: name at least one item, or none where the key is 'unread'")
        if len(set(chosen)) < len(chosen):
            problems.append(f"{where}.items: an item stands twice")
        if scale.kind == "difference" and len(chosen) != 2:
            problems.append(f"{where}.kind: a difference takes two items, not {len(chosen)}")
        if scale.kind == "difference" and scale.missing:
            problems.append(f"{where}.missing: a difference cannot be taken with one item")
        if scale.missing and scale.missing.allowed >= len(chosen):
            problems.append(f"{where}.missing.allowed: {scale.missing.allowed} of {len(chosen)} items; fewer must do")
        starts = [band.from_ for band in scale.bands]
        if starts != sorted(set(starts)):
            problems.append(f"{where}.bands: must ascend")
        for form_name in scale.forms or []:
            if form_name not in instrument.forms:
                problems.append(f"{where}.forms: no form '{form_name}'{nearest(form_name, instrument.forms)}")
        for form_name, form in instrument.forms.items():
            asked = set(form.items) if form.items is not None else known
            if (scale.forms is None or form_name in scale.forms) and not set(chosen) <= asked:
                problems.append(f"{where}.items: form '{form_name}' does not ask all of them; name the scale's forms")
        if names.count(scale.name) > 1 and scale.forms is None:
            problems.append(f"{where}: stands twice; state its forms")
    for name in instrument.forms:
        of_form = [scale.name for scale in instrument.scales if scale.forms is None or name in scale.forms]
        problems += [
            f"scales: '{twice}' twice in form '{name}'" for twice in sorted(set(of_form)) if of_form.count(twice) > 1
        ]
    problems += [
        f"flags: no item '{flag.item}'{nearest(flag.item, known)}"
        for flag in instrument.flags
        if flag.item not in known
    ]
    if instrument.wording == "none":
        worded = [item.id for item in instrument.items if item.first or item.third]
        if worded:
            problems.append(f"items: item {worded[0]} has a wording, but wording is 'none'")
    elif not all(item.first for item in instrument.items) or not instrument.items:
        problems.append("items: every item needs a wording in the first person, or wording is 'none'")
    return problems
