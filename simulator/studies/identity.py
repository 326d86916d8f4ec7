"""A run's identity: exactly what can change a result.

The design, the contents of every file that simulating reads, the root seed and the version of the code that simulates.
Not: folders, shards, concurrency, limits, coders, reporting, tracking. Same identity: the run is continued.
Different: the difference is printed and nothing happens.
"""

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from simulator.instruments.loading import load_instrument
from simulator.records.fingerprints import fingerprint
from simulator.studies.plan import Plan

SIMULATING_ROOMS = (
    "records",
    "personas",
    "instruments",
    "codebooks",
    "models",
    "agents",
    "sessions",
    "studies",
    "store",
)
"""The rooms whose files decide what a simulation says."""

_NOT_IDENTITY = {
    "limits",
    "out",
    "shards",
    "coders",
    "report",
    "retry_failed",
    "accept_code_change",
    "extend",
    "cluster",
    "stages",
    "conclude",
    "tracking",
    "personas",  # the contents of these six stand apart
    "client",
    "therapist",
    "chairs",
    "model",
    "models",
}


@cache
def code_version() -> str:
    """A hash of the package's files that simulate: the same in a clone and in a wheel."""
    package = Path(__file__).resolve().parent.parent
    total = hashlib.blake2b(digest_size=8)
    for room in SIMULATING_ROOMS:
        for path in sorted((package / room).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                total.update(path.relative_to(package).as_posix().encode())
                total.update(hashlib.blake2b(path.read_bytes()).digest())
    return total.hexdigest()


def identity_components(plan: Plan) -> dict[str, Any]:
    """What the identity is made of, by name, so that a difference can be shown (the code's version stands apart)."""
    config = plan.config.model_dump(
        mode="json", exclude={**dict.fromkeys(_NOT_IDENTITY, True), "replay": {"run"}, "source": {"run", "profiles"}}
    )
    return {
        "design": config,
        "chairs": plan.chairs,
        "replayed": [recording.fingerprint for recording in plan.recordings],
        "profiles": [fingerprint(found) for found in _profiles(plan)],
        "personas": {persona.id: fingerprint(persona.model_dump(mode="json")) for persona in plan.personas},
        "instruments": {
            choice.instrument: load_instrument(choice.instrument).fingerprint
            for choice in plan.config.instruments.values()
        },
    }


def _profiles(plan: Plan) -> list[Any]:
    """The profiles that clients are made from, where there are any."""
    sources = (recording.memory.get("source", {}) for recording in plan.recordings)
    return [source["profile"] for source in sources if "profile" in source]


def identity_of(components: Mapping[str, Any]) -> str:
    """The identity without the code's version: 32 hexadecimal characters, of which the first 8 name the folder."""
    return fingerprint(components)


def difference(old: Mapping[str, Any], new: Mapping[str, Any], limit: int = 4) -> str:
    """What differs between two identities, as one line: `field: old there, new here; ...`."""
    before, after = dict(_flat(old)), dict(_flat(new))
    changed = [key for key in sorted({*before, *after}) if before.get(key) != after.get(key)]
    shown = [f"{key}: {_short(before.get(key))} there, {_short(after.get(key))} here" for key in changed[:limit]]
    if len(changed) > limit:
        shown.append(f"and {len(changed) - limit} more")
    return "; ".join(shown)


def _short(value: Any) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _flat(value: Any, prefix: str = "") -> list[tuple[str, Any]]:
    if isinstance(value, Mapping):
        return [pair for key, part in value.items() for pair in _flat(part, f"{prefix}.{key}" if prefix else str(key))]
    return [(prefix, value)]
