"""How the scripted client fills in questionnaires: from its persona and its state, with noise.

Symptom items start from the persona's own item scores and move with distress; alliance and session-evaluation scales
follow the state by the table below; every other scale follows alliance where higher is better, distress where higher is
worse, and the middle between them where it is neither. One answer in a hundred is declined, whatever the item.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from simulator.agents.scripted.equations import State
from simulator.personas.schema import Persona
from simulator.records.journal_records import Answer
from simulator.records.seeds import Draws

if TYPE_CHECKING:
    from simulator.instruments.schema import Instrument, Item

DECLINED = 0.01
"""Chance of no answer."""

ITEM_NOISE = 0.14
"""SD of an answer around its expectation, as a fraction of the response scale."""

SYMPTOM_SHIFT = 1.6
"""By how many points (of 0-3) a symptom item moves when distress moves over its whole range."""

MIXTURES: dict[tuple[str, str], tuple[float, dict[str, float]]] = {
    ("WAI-SR", "Task"): (0.10, {"alliance": 0.60, "insight": 0.40}),
    ("WAI-SR", "Goal"): (0.15, {"alliance": 0.75, "resistance": -0.10}),
    ("WAI-SR", "Bond"): (0.10, {"alliance": 0.90}),
    ("SEQ", "Depth"): (0.20, {"insight": 0.70, "disclosure": 0.30}),
    ("SEQ", "Smoothness"): (0.45, {"alliance": 0.50, "distress": -0.30}),
    ("SEQ", "Positivity"): (0.50, {"alliance": 0.40, "distress": -0.45}),
    ("SEQ", "Arousal"): (0.35, {"distress": 0.40}),
}
"""Expectation of a keyed item on 0-1 by instrument and scale: a constant and weights of states."""

Direction = Literal["better", "worse", "descriptive"]


def expected_level(
    persona: Persona, state: State, instrument_id: str, index: int, scale: str, direction: Direction
) -> float:
    """The expectation of a keyed item as a fraction of its response scale, 0-1; `index` is its place, from 0."""
    symptoms = {"PHQ-9": persona.severity.phq9, "GAD-7": persona.severity.gad7}.get(instrument_id)
    if symptoms is not None and index < len(symptoms):
        severity = 0.5 * (persona.severity.phq9_total / 27.0 + persona.severity.gad7_total / 21.0)
        usual = 0.18 + 0.55 * severity
        return min(1.0, max(0.0, (symptoms[index] + SYMPTOM_SHIFT * (float(state.distress) - usual)) / 3.0))
    mixture = MIXTURES.get((instrument_id, scale))
    if mixture is None:
        if direction == "descriptive":
            return 0.5 * (float(state.alliance) + 1.0 - float(state.distress))
        return float(state.alliance if direction == "better" else state.distress)
    constant, weights = mixture
    level = constant + sum(weight * float(getattr(state, name)) for name, weight in weights.items())
    return min(1.0, max(0.0, level))


def answer_value(
    level: float, minimum: float, maximum: float, reverse: bool, continuous: bool, draws: Draws
) -> float | None:
    """The raw answer around an expectation `level` (0-1, keyed), or None where it is declined.

    Args:
        level: expectation of the keyed answer as a fraction of the response scale.
        minimum, maximum: ends of the response scale.
        reverse: whether the form reverses the item; the raw answer is then mirrored.
        continuous: whether answers between whole numbers exist.
        draws: fresh draws; three numbers are taken.
    """
    if draws.uniform() < DECLINED:
        return None
    noisy = min(1.0, max(0.0, level + ITEM_NOISE * draws.normal()))
    value = minimum + (1.0 - noisy if reverse else noisy) * (maximum - minimum)
    return value if continuous else minimum + float(int(value - minimum + 0.5))


def answer_item(persona: Persona, state: State, instrument: Instrument, item: Item, form: str, seed: int) -> Answer:
    """The client's answer to an item; a declined one has no value and says so."""
    options, printed = instrument.options_of(item, form), instrument.form(form)
    scale = next((s for s in instrument.scales_of(form) if s.items != "all" and item.id in s.items), None)
    if scale is None:
        scale = next(iter(instrument.scales_of(form)), None)
    index = next(i for i, known in enumerate(instrument.items) if known.id == item.id)
    level = expected_level(
        persona,
        state,
        instrument.name,
        index,
        scale.name if scale else "",
        scale.higher if scale else "descriptive",
    )
    value = answer_value(
        level, options.minimum, options.maximum, item.id in printed.reverse, options.continuous, Draws(seed)
    )
    return Answer(item.id, value, None if value is not None else "declined", seed=seed)
