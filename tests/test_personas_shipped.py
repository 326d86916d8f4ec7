"""The shipped personas: enough of them, varied, marked, and written so that they can be spoken."""

import json
import re

import pytest

from simulator.personas.coverage import coverage, render
from simulator.personas.design import LEVELS
from simulator.personas.loading import load_persona_set
from simulator.personas.schema import Persona
from simulator.resources import resource_root

SHIPPED = resource_root("personas") / "shipped"
PERSONAS = load_persona_set(SHIPPED)

STARTS = re.compile(r"^(I|my|it|she|he|we|they|the|a|an|in|nobody|people|everyone|some|three|[A-Z]\w+|mum)\b")


def clauses(persona: Persona) -> list[str]:
    return [*persona.problem.facts, *persona.problem.sensitive, *persona.cognitive_model.automatic_thoughts]


def test_at_least_forty_with_every_level_of_every_axis() -> None:
    found = coverage(PERSONAS)
    assert found.personas >= 40
    for axis, counts in found.levels.items():
        assert all(count > 0 for count in counts.values()), (axis, counts)
    for name, spread in found.continuous.items():
        # Nobody is older than 82, and long-winded people are rare on purpose.
        assert not spread.empty or name in ("age", "words_per_turn"), (name, spread)
    assert found.adolescents >= 4
    assert found.high_risk >= 4
    assert sum(persona.identity.age > 65 for persona in PERSONAS) >= 5


def test_the_first_twelve_are_a_varied_starter_set() -> None:
    found = coverage(PERSONAS[:12])
    assert sum(count > 0 for count in found.levels["problem"].values()) == 12
    for axis in ("attachment", "ai_use", "life_stage", "gender"):
        assert all(found.levels[axis].values()), axis
    assert found.adolescents and found.high_risk


@pytest.mark.parametrize("persona", PERSONAS, ids=lambda persona: persona.id)
def test_a_persona_can_be_spoken(persona: Persona) -> None:
    assert (SHIPPED / f"{persona.id}.yaml").is_file()
    assert len(persona.problem.facts) >= 8
    assert len(persona.problem.sensitive) >= 3
    assert len(persona.problem.triggers) >= 3
    assert len(persona.identity.people) >= 2
    assert len(persona.cognitive_model.automatic_thoughts) >= 3
    assert 2 <= len(persona.speech.fillers) <= 5
    assert 2 <= len(persona.speech.habits) <= 4
    for clause in clauses(persona):
        assert not re.search(r"[.!?;:]", clause), clause
        assert len(clause.split()) <= 16, clause
    for clause in [*persona.problem.facts, *persona.problem.sensitive]:
        assert STARTS.match(clause), clause
        assert len(clause.split()) >= 4, clause
    assert persona.provenance.kind == "written"
    assert persona.provenance.source == "the Dyad authors"
    assert persona.licence == "Apache-2.0"


def test_no_clause_is_shared_by_two_personas() -> None:
    owners: dict[str, str] = {}
    for persona in PERSONAS:
        for clause in [*persona.problem.facts, *persona.problem.sensitive]:
            assert owners.setdefault(clause, persona.id) == persona.id, clause


def test_turns_are_as_short_as_those_of_people() -> None:
    words = sorted(persona.speech.words_per_turn for persona in PERSONAS)
    assert 7 <= words[len(words) // 2] <= 11
    assert sum(5 <= count <= 14 for count in words) >= 0.85 * len(words)


def test_the_coverage_number_counts_cells_of_two_axes() -> None:
    one = coverage(PERSONAS[:1])
    assert one.number == one.attainable
    assert all(pair.covered == 1 for pair in one.pairs)
    everyone = coverage(PERSONAS)
    pair = next(p for p in everyone.pairs if (p.first, p.second) == ("problem", "phq9_band"))
    assert pair.cells == len(LEVELS["problem"]) * 5
    assert pair.covered + len(pair.uncovered) == pair.cells
    assert one.number < everyone.number <= everyone.attainable < 1.0
    assert "problem x phq9_band" in render(everyone)
    assert json.loads(json.dumps(everyone.to_dict()))["levels"]["gender"]["another"] >= 2
