"""From a row of numbers to a persona one can talk with: names, people and clauses from the fragment banks."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from simulator.personas.design import TRAITS, Population
from simulator.personas.fragments import Domain, LifeStage, Theme
from simulator.personas.schema import Persona
from simulator.records.seeds import Draws

T = TypeVar("T")

_FACTS_OF_THEME = 5
_FACTS_OF_DOMAIN = 4
_CLOSE = 2
_PRONOUNS = {"woman": "she/her", "man": "he/him", "nonbinary": "they/them"}
_YOUNG_WORDS = {"woman": "girl", "man": "boy", "nonbinary": "nonbinary"}


def compose(population: Population, index: int, seed: int, row: Mapping[str, Any]) -> Persona:
    """The persona of one row.

    Args:
        population: the design and its fragment banks.
        index: position in the population, from 0; names the persona.
        seed: decides the words; see `columns.persona_seeds`.
        row: plain values by column, with categorical levels by name.
    """
    draws = Draws(seed)
    banks = population.fragments
    stage: LifeStage = getattr(banks.life_stages, row["life_stage"])
    domain = banks.domains[row["problem"]]
    theme = draws.choice([t for t in domain.themes if not t.life_stages or row["life_stage"] in t.life_stages])
    identity = _identity(population, draws, row, stage, domain, theme)
    place = identity.pop("place")
    fill = _Blanks(identity["people"], place)
    learner = row["language_level"] in ("basic", "intermediate")
    return Persona.model_validate(
        {
            "id": f"{population.name}-{index:06d}",
            "identity": identity,
            "problem": _problem(population, draws, row, domain, theme, fill),
            "severity": {"phq9": row["phq9_items"], "gad7": row["gad7_items"]},
            "traits": {name: row[name] for name in TRAITS},
            "attachment": row["attachment"],
            "stage_of_change": row["stage_of_change"],
            "cognitive_model": {
                "core_beliefs": fill(some(draws, domain.core_beliefs, 1)),
                "intermediate_beliefs": fill(some(draws, domain.intermediate_beliefs, 2)),
                "automatic_thoughts": fill(some(draws, domain.automatic_thoughts, 3)),
                "coping": fill(some(draws, domain.coping, 2)),
            },
            "goals": fill(some(draws, theme.goals, 3)),
            "speech": _speech(population, draws, row, learner),
            "loneliness": row["loneliness"],
            "dependence_proneness": row["dependence_proneness"],
            "ai": {
                "use": row["ai_use"],
                "trust": row["ai_trust"],
                "companionship_seeking": row["ai_companionship_seeking"],
            },
            "adolescent": row["adolescent"],
            "high_risk": row["high_risk"],
            "provenance": {"kind": "sampled", "source": "the Dyad authors", "population": population.name},
            "licence": population.licence,
        }
    )


def some(draws: Draws, options: Sequence[T], count: int) -> list[T]:
    """`count` of the options without repetition (all where there are fewer), in the bank's order."""
    if len(options) <= count:
        return list(options)
    chosen: list[T] = []
    left = len(options)
    for option in options:
        if draws.uniform() * left < count - len(chosen):
            chosen.append(option)
        left -= 1
    return chosen


class _Blanks:
    """Fills `{a}`, `{b}` and `{place}` in clauses."""

    def __init__(self, people: Sequence[Mapping[str, Any]], place: str) -> None:
        self._values = {"{a}": people[0]["relation"], "{b}": people[1]["relation"], "{place}": place}

    def __call__(self, clauses: Sequence[str]) -> list[str]:
        return [self.one(clause) for clause in clauses]

    def one(self, clause: str) -> str:
        if "{" in clause:
            for blank, value in self._values.items():
                clause = clause.replace(blank, value)
        return clause


def _identity(
    population: Population, draws: Draws, row: Mapping[str, Any], stage: LifeStage, domain: Domain, theme: Theme
) -> dict[str, Any]:
    background = population.fragments.backgrounds[row["background"]]
    given = {"woman": background.women, "man": background.men, "nonbinary": background.neutral}
    gender = row["gender"]
    name = draws.choice(given[gender])
    households = stage.households
    if theme.absent:
        households = [home for home in households if not set(home.people) & set(theme.absent)] or households
    home = draws.choice(households)
    inside = [] if theme.living_situation else home.people
    near = list(dict.fromkeys(relation for relation in (theme.person, *inside) if relation))
    barred = {*near, *theme.absent}
    near += some(draws, [relation for relation in stage.close if relation not in barred], max(0, _CLOSE - len(near)))
    relations = [*near, draws.choice(stage.others)]
    occupations = [o for o in stage.occupations if domain.needs in (None, o.kind)] or stage.occupations
    occupation = draws.choice(occupations)
    return {
        "name": f"{name} {draws.choice(background.family)}",
        "age": row["age"],
        "gender": _YOUNG_WORDS[gender] if row["adolescent"] else gender,
        "pronouns": _PRONOUNS[gender],
        "culture": draws.choice(background.cultures),
        "language_level": row["language_level"],
        "occupation": occupation.name,
        "living_situation": theme.living_situation or home.text,
        "people": _people(population, draws, relations, given, name),
        "place": occupation.place,
    }


def _people(
    population: Population, draws: Draws, relations: Sequence[str], given: Mapping[str, Sequence[str]], own: str
) -> list[dict[str, Any]]:
    taken = {own}
    people = []
    women, men = population.fragments.life_stages.women, population.fragments.life_stages.men
    for relation in relations:
        gender = "woman" if relation in women else "man" if relation in men else draws.choice(("woman", "man"))
        name = draws.choice([entry for entry in given[gender] if entry not in taken])
        taken.add(name)
        people.append({"relation": relation, "name": name, "closeness": round(0.2 + 0.7 * draws.uniform(), 2)})
    return people


def _problem(
    population: Population, draws: Draws, row: Mapping[str, Any], domain: Domain, theme: Theme, fill: _Blanks
) -> dict[str, Any]:
    facts = [*some(draws, theme.facts, _FACTS_OF_THEME), *some(draws, domain.facts, _FACTS_OF_DOMAIN)]
    at_risk = row["phq9_items"][-1] > 0
    sensitive = some(draws, domain.sensitive, 2 if at_risk else 3)
    if at_risk:
        sensitive += some(draws, population.fragments.speech.risk, 1)
    return {
        "domain": row["problem"],
        "short": fill.one(theme.short),
        "duration": draws.choice(domain.durations),
        "triggers": fill(some(draws, theme.triggers, 4)),
        "facts": fill(facts),
        "sensitive": fill(sensitive),
        "history": draws.choice(domain.histories),
        "target_behaviour": fill.one(theme.target_behaviour),
    }


def _speech(population: Population, draws: Draws, row: Mapping[str, Any], learner: bool) -> dict[str, Any]:
    bank = population.fragments.speech
    register = bank.registers[row["register"]]
    fillers = some(draws, register.fillers, 2 if learner else 3)
    if learner:
        fillers += some(draws, bank.learner_fillers, 1)
    return {
        "words_per_turn": row["words_per_turn"],
        "register": row["register"],
        "fillers": fillers,
        "habits": some(draws, register.habits, 3),
    }
