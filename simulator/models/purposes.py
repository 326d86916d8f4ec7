"""Which model serves a purpose: a chair, the coders, an administration.

Each purpose has the study's `model` unless it names another one: `client.model`, `therapist.model`, `chairs.ROLE.model`
and `coders.model` stand for all of that chair or of the coders, and a single option may have a `model` of its own. A
model that says where it is (`_target_`, `url` or `endpoints`) stands by itself; otherwise its keys are laid over those
of the more general one (another sampling, a LoRA adapter by `name`). Equal configurations are one model with one pool
(`simulator/models/clients.py`).
"""

from collections.abc import Mapping
from typing import Any

OURS = "simulator.models.openai.OpenAIServerClient"
"""The model client where a configuration names none."""

_PLACES = ("_target_", "url", "endpoints")


def model_of(*models: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """One model's configuration out of several, the most general first; None where all of them are None."""
    found: dict[str, Any] | None = None
    for model in models:
        if model is None:
            continue
        if found is None or any(model.get(key) is not None for key in _PLACES):
            found = dict(model)
        else:
            found = _laid_over(found, model)
    return None if found is None else {"_target_": OURS, **found}


def _laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = _laid_over(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged
