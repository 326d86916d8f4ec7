"""Contradictions between the fields of one persona, which no single field's type can see."""

from collections import Counter
from collections.abc import Iterable

from simulator.personas.schema import Persona

SELF_HARM_ITEM = 8
"""Index of PHQ-9 item 9 (thoughts of death or self-harm)."""

ADULT_AGE = 18


def contradictions(persona: Persona) -> list[str]:
    """The contradictions as `field: what is wrong` lines; empty where the persona agrees with itself."""
    lines = []
    age = persona.identity.age
    if persona.adolescent != (age < ADULT_AGE):
        wanted = str(age < ADULT_AGE).lower()
        lines.append(f"adolescent: must be {wanted} because identity.age is {age}")
    item = persona.severity.phq9[SELF_HARM_ITEM]
    if item > 0 and not persona.high_risk:
        lines.append(f"high_risk: must be true because severity.phq9[{SELF_HARM_ITEM}] (item 9) is {item}")
    if persona.problem.domain == "self-harm" and not persona.high_risk:
        lines.append("high_risk: must be true because problem.domain is self-harm")
    names = [persona.identity.name.split()[0], *(person.name for person in persona.identity.people)]
    lines += _repeated("identity.people", "name", names)
    lines += _repeated("identity.people", "relation", [person.relation for person in persona.identity.people])
    lines += _repeated("problem", "statement", [*persona.problem.facts, *persona.problem.sensitive])
    lines += _full_stops(persona)
    if persona.provenance.kind == "sampled" and not persona.provenance.population:
        lines.append("provenance.population: required where provenance.kind is sampled")
    return lines


def _repeated(field: str, what: str, values: Iterable[str]) -> list[str]:
    counts = Counter(value.casefold() for value in values)
    return [f"{field}: the {what} '{value}' stands there {n} times" for value, n in counts.items() if n > 1]


def _full_stops(persona: Persona) -> list[str]:
    """Clauses are put inside sentences, so a stop at their end would fall in the middle of one."""
    clauses = {
        "problem.facts": persona.problem.facts,
        "problem.sensitive": persona.problem.sensitive,
        "problem.triggers": persona.problem.triggers,
        "cognitive_model.automatic_thoughts": persona.cognitive_model.automatic_thoughts,
        "goals": persona.goals,
    }
    return [
        f"{field}[{index}]: ends in '{clause[-1]}'; write the clause without final punctuation"
        for field, values in clauses.items()
        for index, clause in enumerate(values)
        if clause[-1] in ".!?;,:"
    ]
