"""From raw answers to scores, purely: the same answers, form and file give the same scores for people and for agents.

Nothing is filled in. A scale that lacks an answer has the score None, a count and a reason, unless the instrument's
file states a published rule that allows it. An answer outside the response scale counts as missing and is named as
such. Whatever weakens a score (a key from memory, a paraphrased item, an adapted form) stands in its marks.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from simulator.errors import UserError, nearest
from simulator.instruments.schema import Instrument, Item, Moment, Options, Scale


@dataclass(frozen=True, slots=True)
class Score:
    """One scale of one filling-in.

    `score` is in the scale's own units, None where answers are missing (`missing_reason` says which). `band` is the
    published name of the range it falls into. `flagged` is True where an answer of this scale must be seen (PHQ-9
    item 9), False where none must, None where the item in question was not answered.
    """

    scale: str
    score: float | None
    items: int
    missing_items: int
    missing_reason: str | None
    band: str | None
    marks: tuple[str, ...]
    flagged: bool | None


def score(
    instrument: Instrument,
    answers: Mapping[str, float | None],
    form: str,
    *,
    adapted: bool = False,
    wording: str | None = None,
) -> list[Score]:
    """The scales of `form`, in the file's order.

    Args:
        instrument: from the bank or a user's file.
        answers: raw answer by item id, before keying; None, or no entry, is a missing answer.
        form: which printing was filled in; it owns the key.
        adapted: whether the administration departed from the instrument's rules (see `adaptation`); marks the scores.
        wording: the wording that was asked, where it was not the file's own (`licensed`).

    Raises:
        UserError: no such form, an answer to an item that the form does not ask, or a key that was never read.
    """
    chosen = instrument.form(form)
    if chosen.key == "unread":
        raise UserError(f"{instrument.name}: the key of form '{form}' was not read, so it is not scored")
    items = {item.id: item for item in instrument.items_of(form)}
    for item_id in answers:
        if item_id not in items:
            raise UserError(f"{instrument.name}: form '{form}' has no item '{item_id}'{nearest(item_id, items)}")
    options = {item.id: instrument.options_of(item, form) for item in items.values()}
    keyed: dict[str, float] = {}
    reasons: dict[str, str] = {}
    for item_id in items:
        raw = answers.get(item_id)
        if raw is None:
            reasons[item_id] = item_id
        elif math.isnan(raw) or not options[item_id].accepts(raw):
            reasons[item_id] = f"{item_id} (answer {raw:g} is no option)"
        else:
            keyed[item_id] = keyed_answer(raw, options[item_id], item_id in chosen.reverse)
    marks = _marks(instrument, form, adapted, wording or instrument.wording)
    return [
        _score_scale(instrument, scale, items, keyed, reasons, answers, marks) for scale in instrument.scales_of(form)
    ]


def keyed_answer(raw: float, options: Options, reverse: bool) -> float:
    """What an answer contributes to its scale: itself, or its mirror image on the response scale."""
    return options.mirrored(raw) if reverse else raw


def adaptation(instrument: Instrument, moment: Moment, days_since_last: float | None) -> str | None:
    """Why giving the instrument now departs from its rules, or None where it does not.

    `days_since_last` is the number of simulated days since this client last filled it in, None where it is the first.
    """
    if moment not in instrument.moments:
        allowed = ", ".join(instrument.moments) or "no moment of a course"
        return f"{instrument.name} belongs to {allowed}, not to {moment}"
    if days_since_last is not None and days_since_last < instrument.minimum_days_between:
        return (
            f"{instrument.name} was filled in {days_since_last:g} days ago; it needs at least "
            f"{instrument.minimum_days_between:g} (looks back: {instrument.look_back or 'not stated'})"
        )
    return None


def _score_scale(
    instrument: Instrument,
    scale: Scale,
    items: Mapping[str, Item],
    keyed: Mapping[str, float],
    reasons: Mapping[str, str],
    answers: Mapping[str, float | None],
    marks: tuple[str, ...],
) -> Score:
    if scale.key == "unread":
        refused = f"which items of {instrument.name} belong to '{scale.name}' was not read, so it is not scored"
        return Score(scale.name, None, 0, 0, refused, None, marks, None)
    ids = list(items) if scale.items == "all" else scale.items
    given = [keyed[item] for item in ids if item in keyed]
    missing = [reasons[item] for item in ids if item in reasons]
    if scale.key == "from memory" and "key from memory" not in marks:
        marks = (*marks, "key from memory")
    if scale.bands and scale.bands_key == "from memory":
        marks = (*marks, "cut-offs from memory")
    reason = f"{len(missing)} of {len(ids)} items missing: {', '.join(missing)}" if missing else None
    value: float | None = None
    if not missing:
        value = _combine(scale, given)
    elif scale.missing and len(missing) <= scale.missing.allowed:
        filled = sum(given) / len(given)
        value = _combine(scale, given + [filled] * len(missing))
        marks = (*marks, f"{len(missing)} of {len(ids)} items by the {scale.missing.method}")
    return Score(
        scale=scale.name,
        score=value,
        items=len(ids),
        missing_items=len(missing),
        missing_reason=reason,
        band=_band(scale, value),
        marks=marks,
        flagged=_flagged(instrument, ids, keyed, answers),
    )


def _combine(scale: Scale, values: list[float]) -> float:
    if scale.kind == "difference":
        return (values[0] - values[1]) * scale.multiplier
    total = math.fsum(values)
    return (total / len(values) if scale.kind == "mean" else total) * scale.multiplier


def _band(scale: Scale, value: float | None) -> str | None:
    if value is None:
        return None
    reached = [band.label for band in scale.bands if value >= band.from_]
    return reached[-1] if reached else None


def _flagged(
    instrument: Instrument, ids: list[str], keyed: Mapping[str, float], answers: Mapping[str, float | None]
) -> bool | None:
    """Flags look at raw answers, so that reversing a form cannot hide one."""
    unknown = False
    for flag in instrument.flags:
        if flag.item not in ids:
            continue
        raw = answers.get(flag.item) if flag.item in keyed else None
        if raw is None:
            unknown = True
        elif raw >= flag.at_least:
            return True
    return None if unknown else False


def _marks(instrument: Instrument, form: str, adapted: bool, wording: str) -> tuple[str, ...]:
    chosen = instrument.form(form)
    marks = []
    if wording == "paraphrase":
        marks.append("wording: paraphrase")
    if not instrument.validated:
        marks.append("not validated")
    if chosen.key == "from memory":
        marks.append("key from memory")
    if adapted or chosen.adapted:
        marks.append("adapted")
    return tuple(marks)
