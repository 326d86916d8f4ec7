"""From personas to the numbers that drive the process, for one persona or for arrays of them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from simulator.agents.scripted.equations import Drivers
from simulator.errors import UserError
from simulator.personas.schema import Attachment, Persona, StageOfChange

READINESS = {
    StageOfChange.PRECONTEMPLATION: -0.6,
    StageOfChange.CONTEMPLATION: -0.2,
    StageOfChange.PREPARATION: 0.2,
    StageOfChange.ACTION: 0.5,
    StageOfChange.MAINTENANCE: 0.4,
}
"""Stage of change as a number, 0 in the middle."""

BOND = {
    Attachment.SECURE: 0.05,
    Attachment.PREOCCUPIED: 0.03,
    Attachment.DISMISSING: -0.08,
    Attachment.FEARFUL: -0.06,
}
"""What the attachment style adds to the first alliance."""

_STAGES, _STYLES = tuple(StageOfChange), tuple(Attachment)

USUAL_WORDS = 9.0
"""`speech.words_per_turn` at which the lengths of AnnoMI's clients stand as they are."""

TRAITS = (
    "phq9_total", "gad7_total", "neuroticism", "extraversion", "openness", "agreeableness", "resistance",
    "emotional_fluctuation", "willingness_to_disclose", "ai_trust", "ai_companionship_seeking", "loneliness",
    "dependence_proneness", "stage_of_change", "attachment", "words_per_turn", "high_risk",
)  # fmt: skip
"""What `drivers` reads, by the names that `personas.population.sample_traits` uses. `stage_of_change` and `attachment`
are indices into the schema's enumerations."""


def _values(persona: Persona) -> dict[str, Any]:
    traits = persona.traits
    return {
        "phq9_total": persona.severity.phq9_total,
        "gad7_total": persona.severity.gad7_total,
        "neuroticism": traits.neuroticism,
        "extraversion": traits.extraversion,
        "openness": traits.openness,
        "agreeableness": traits.agreeableness,
        "resistance": traits.resistance,
        "emotional_fluctuation": traits.emotional_fluctuation,
        "willingness_to_disclose": traits.willingness_to_disclose,
        "ai_trust": persona.ai.trust,
        "ai_companionship_seeking": persona.ai.companionship_seeking,
        "loneliness": persona.loneliness,
        "dependence_proneness": persona.dependence_proneness,
        "stage_of_change": _STAGES.index(persona.stage_of_change),
        "attachment": _STYLES.index(persona.attachment),
        "words_per_turn": persona.speech.words_per_turn,
        "high_risk": persona.high_risk,
    }


def traits_of(personas: Sequence[Persona]) -> dict[str, npt.NDArray[Any]]:
    """The traits of personas as arrays of shape (personas,), by the names in `TRAITS`."""
    rows = [_values(persona) for persona in personas]
    return {name: np.array([row[name] for row in rows]) for name in TRAITS}


def drivers_of(persona: Persona) -> Drivers:
    """The drivers of one persona, as floats."""
    row = _values(persona)
    return _drivers(
        row, READINESS[persona.stage_of_change], BOND[persona.attachment], math.sqrt, float(row["high_risk"])
    )


def drivers(traits: Mapping[str, npt.NDArray[Any]]) -> Drivers:
    """The drivers of many personas, as arrays of shape (personas,).

    Raises:
        UserError: a trait is missing.
    """
    missing = [name for name in TRAITS if name not in traits]
    if missing:
        raise UserError(f"traits: '{missing[0]}' is missing; give all of {', '.join(TRAITS)}")
    readiness = np.array([READINESS[stage] for stage in _STAGES])[traits["stage_of_change"]]
    bond = np.array([BOND[style] for style in _STYLES])[traits["attachment"]]
    return _drivers(traits, readiness, bond, np.sqrt, np.asarray(traits["high_risk"]).astype(np.float64))


def _drivers(row: Mapping[str, Any], readiness: Any, bond: Any, sqrt: Any, high_risk: Any) -> Drivers:
    return Drivers(
        severity=0.5 * (row["phq9_total"] / 27.0 + row["gad7_total"] / 21.0),
        neuroticism=row["neuroticism"],
        resistance=row["resistance"],
        fluctuation=row["emotional_fluctuation"],
        willingness=row["willingness_to_disclose"],
        openness=row["openness"],
        agreeableness=row["agreeableness"],
        trust=row["ai_trust"],
        readiness=readiness,
        bond=bond,
        proneness=(row["dependence_proneness"] + row["loneliness"] + row["ai_companionship_seeking"]) / 3.0,
        length=sqrt(row["words_per_turn"] / USUAL_WORDS),
        patience=0.85 + 0.30 * row["extraversion"],
        high_risk=high_risk,
    )
