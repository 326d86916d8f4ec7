"""Populations: what a wrong file says, and that drawing is deterministic, separable and true to the declared design."""

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from simulator.errors import UserError
from simulator.personas.columns import draw_columns, persona_seeds
from simulator.personas.consistency import contradictions
from simulator.personas.design import LEVELS, QUANTILE_POINTS, RANGES
from simulator.personas.population import Population, load_population, sample_personas, sample_traits
from simulator.personas.schema import Persona
from simulator.records.seeds import derive_seed
from simulator.resources import resource_root

FOLDER = resource_root("personas") / "populations"
MANY = 20_000


@pytest.fixture(scope="module")
def general() -> Population:
    return load_population(FOLDER / "general.yaml")


@pytest.fixture(scope="module")
def drawn(general: Population) -> list[Persona]:
    return list(sample_personas(general, 600, seed=7))


def test_the_shipped_population_says_that_it_is_a_design(general: Population) -> None:
    assert "not epidemiology" in general.about
    assert FOLDER / "general.yaml" in general.files
    assert FOLDER / "fragments" / "domains" / "grief.yaml" in general.files
    on_disk = set(FOLDER.rglob("*.yaml"))
    assert set(general.files) == on_disk


def test_a_seed_gives_the_same_personas_and_another_seed_others(general: Population, drawn: list[Persona]) -> None:
    assert list(sample_personas(general, 600, seed=7)) == drawn
    others = list(sample_personas(general, 50, seed=8))
    assert all(one.identity != two.identity for one, two in zip(drawn, others, strict=False))


def test_a_persona_depends_on_its_index_and_on_no_neighbour(general: Population, drawn: list[Persona]) -> None:
    (alone,) = sample_personas(general, 1, seed=7, start=17)
    assert alone == drawn[17]
    assert alone.id == "general-000017"
    assert list(sample_personas(general, 5, seed=7, start=510)) == drawn[510:515]


def test_drawing_is_lazy(general: Population) -> None:
    first = next(sample_personas(general, 10**9, seed=7))
    assert first.id == "general-000000"


def test_every_drawn_persona_agrees_with_itself(general: Population, drawn: list[Persona]) -> None:
    assert len({persona.id for persona in drawn}) == len(drawn)
    for persona in drawn:
        assert contradictions(persona) == []
        text = persona.model_dump_json()
        assert "{a}" not in text and "{b}" not in text and "{place}" not in text
        assert persona.provenance.kind == "sampled"
        assert persona.provenance.population == "general"
        assert len(persona.problem.facts) >= 8
        assert len(persona.problem.sensitive) >= 3
        assert len(persona.problem.triggers) >= 3
        assert len(persona.identity.people) >= 3
        for clause in [*persona.problem.facts, *persona.problem.sensitive]:
            assert 4 <= len(clause.split()) <= 16, clause


def test_the_columns_are_the_numbers_of_the_personas(general: Population, drawn: list[Persona]) -> None:
    columns = sample_traits(general, len(drawn), seed=7)
    assert all(len(column) == len(drawn) for column in columns.values())
    readers: dict[str, Callable[[Persona], Any]] = {
        "phq9_total": lambda p: p.severity.phq9_total,
        "gad7_total": lambda p: p.severity.gad7_total,
        "phq9_item9": lambda p: p.severity.phq9[8],
        "attachment": lambda p: general.levels("attachment").index(p.attachment),
        "stage_of_change": lambda p: general.levels("stage_of_change").index(p.stage_of_change),
        "problem": lambda p: general.levels("problem").index(p.problem.domain),
        "register": lambda p: general.levels("register").index(p.speech.register_),
        "ai_use": lambda p: general.levels("ai_use").index(p.ai.use),
        "ai_trust": lambda p: p.ai.trust,
        "ai_companionship_seeking": lambda p: p.ai.companionship_seeking,
        "words_per_turn": lambda p: p.speech.words_per_turn,
        "age": lambda p: p.identity.age,
        "loneliness": lambda p: p.loneliness,
        "dependence_proneness": lambda p: p.dependence_proneness,
        "adolescent": lambda p: p.adolescent,
        "high_risk": lambda p: p.high_risk,
    }
    for name, column in columns.items():
        read = readers.get(name, lambda p, name=name: getattr(p.traits, name))
        assert column.tolist() == [read(persona) for persona in drawn], name


def test_seeds_are_those_of_the_records_room() -> None:
    seeds = persona_seeds("general", 7, np.array([0, 17]), "words")
    assert seeds.tolist() == [derive_seed("general:7", i, -1, "persona", "words") for i in (0, 17)]


def test_declared_marginals_are_recovered(general: Population) -> None:
    """Shares of levels within five binomial standard errors; shares below each declared quantile likewise."""
    columns = draw_columns(general, 3, np.arange(MANY, dtype=np.int64))
    parents = {variable.name: variable for variable in general.variables}
    for variable in general.variables:
        for code, distribution in enumerate(variable.by_parent):
            rows = columns[parents[variable.parent].name] == code if variable.parent else np.ones(MANY, dtype=bool)
            values, n = columns[variable.name][rows], int(rows.sum())
            if n < 200:
                continue
            if variable.levels is not None:
                shares = np.bincount(values.astype(np.int64), minlength=len(distribution)) / n
                declared = np.diff(distribution, prepend=0.0)
                assert np.all(np.abs(shares - declared) <= 5 * np.sqrt(declared * (1 - declared) / n) + 1e-12), (
                    variable.name,
                    code,
                )
            elif RANGES[variable.name] == (0.0, 1.0):
                for point, quantile in zip(QUANTILE_POINTS[1:-1], distribution[1:-1], strict=True):
                    share = float(np.mean(values <= quantile))
                    assert abs(share - point) <= 5 * np.sqrt(point * (1 - point) / n) + 0.005, (variable.name, point)
            else:
                assert np.all((values >= np.floor(distribution[0]) - 1) & (values <= distribution[-1]))
                assert abs(float(np.median(values)) - distribution[3]) <= 1.0, variable.name


def test_declared_correlations_have_their_signs(general: Population) -> None:
    columns = draw_columns(general, 3, np.arange(MANY, dtype=np.int64))

    def correlation(first: str, second: str) -> float:
        return float(np.corrcoef(columns[first], columns[second])[0, 1])

    assert correlation("neuroticism", "gad7_total") > 0.3
    assert correlation("resistance", "agreeableness") < -0.25
    assert correlation("ai_use", "ai_trust") > 0.25
    assert abs(correlation("openness", "gad7_total")) < 0.05


def test_items_add_up_and_differ_between_people(general: Population, drawn: list[Persona]) -> None:
    columns = draw_columns(general, 7, np.arange(600, dtype=np.int64))
    assert np.array_equal(columns["gad7_items"].sum(axis=1), columns["gad7_total"])
    assert np.array_equal(columns["phq9_items"][:, :8].sum(axis=1), columns["phq8_total"])
    of_eight = {tuple(p.severity.phq9[:8]) for p in drawn if sum(p.severity.phq9[:8]) == 8}
    assert len(of_eight) > 10


def test_two_thousand_personas_take_less_than_two_seconds(general: Population) -> None:
    start = time.process_time()
    assert sum(1 for _ in sample_personas(general, 2000, seed=1)) == 2000
    assert time.process_time() - start < 2.0


def test_importing_the_room_loads_no_heavy_library() -> None:
    code = "import sys, simulator.personas.population; print(*({'scipy', 'sklearn', 'polars'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300)
    assert done.stdout.split() == []


def broken(folder: Path, change: Callable[[dict[str, Any]], object]) -> str:
    """The error of a population file after one change."""
    content = yaml.safe_load((FOLDER / "general.yaml").read_text(encoding="utf-8"))
    change(content)
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    if not (folder / "fragments").exists():
        shutil.copytree(FOLDER / "fragments", folder / "fragments")
    with pytest.raises(UserError) as caught:
        load_population(path)
    line = str(caught.value)
    assert "\n" not in line and line.startswith(str(folder))
    return line


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            lambda c: c["variables"]["gender"]["levels"].update(man=0.5),
            "variables.gender.levels: the probabilities sum",
        ),
        (lambda c: c["variables"]["problem"]["table"]["older"].update(grief=0.3), "variables.problem.table.older: the"),
        (lambda c: c["variables"]["gender"]["levels"].update(men=0.0), "gender.levels.men: not a level of gender (did"),
        (
            lambda c: c["variables"].update(neurotic={"quantiles": []}),
            "variables.neurotic: unknown field (did you mean",
        ),
        (lambda c: c["variables"].pop("openness"), "variables.openness: required and not given"),
        (lambda c: c["variables"]["ai_use"].update(given="lifestage"), "given: 'lifestage' is not a variable with lev"),
        (lambda c: c["variables"]["ai_use"].update(given="openness"), "given: 'openness' is not a variable with level"),
        (lambda c: c["variables"]["ai_use"]["table"].pop("older"), "says nothing for life_stage 'older'; add it or"),
        (lambda c: c["variables"]["ai_use"]["table"].update(odler={}), "'odler' is not a level of life_stage (did you"),
        (
            lambda c: c["variables"]["openness"].update(quantiles=[0, 1]),
            "openness.quantiles: takes 7 values of openness",
        ),
        (lambda c: c["variables"]["openness"]["quantiles"].reverse(), "must not fall"),
        (lambda c: c["variables"]["openness"]["quantiles"].append(3), "takes 7 values"),
        (lambda c: c["variables"]["openness"]["quantiles"].__setitem__(6, 3), "openness lies in 0 to 1, not 0.02 to 3"),
        (lambda c: c["variables"]["age"]["table"]["young"].__setitem__(0, 15), "ages of 'young' lie in 18 to 35 years"),
        (lambda c: c["variables"]["openness"].update(levels={"a": 1.0}), "variables.openness: takes `quantiles`"),
        (lambda c: c["variables"]["openness"].update(table={}), "variables.openness.table: needs `given`"),
        (
            lambda c: c["correlations"]["neuroticism"].update(opennes=0.1),
            "'opennes' is not a variable of this file (did",
        ),
        (
            lambda c: c["correlations"]["neuroticism"].update(openness=1.5),
            "correlations.neuroticism.openness: input sho",
        ),
        (lambda c: c["correlations"]["neuroticism"].update(attachment=0.1), "others are given 'attachment'"),
        (
            lambda c: c["correlations"].update(
                openness={"neuroticism": 0.9, "extraversion": 0.9}, neuroticism={"extraversion": -0.9}
            ),
            "correlations: no set of variables can have these together",
        ),
        (lambda c: c.update(fragments="fragmens"), "no such folder of fragments"),
        (lambda c: c.update(nmae="x"), "nmae: unknown field (did you mean 'name'?)"),
    ],
)
def test_a_wrong_population_file_is_one_line(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], expected: str
) -> None:
    assert expected in broken(tmp_path, change)


def test_a_variable_may_only_follow_its_parent(tmp_path: Path) -> None:
    def backwards(content: dict[str, Any]) -> None:
        variables = content["variables"]
        content["variables"] = {"ai_use": variables.pop("ai_use"), **variables}

    line = broken(tmp_path, backwards)
    assert "variables.ai_use.given: 'life_stage' is not a variable with levels defined above" in line


@pytest.mark.parametrize(
    ("file", "old", "new", "expected"),
    [
        ("domains/grief.yaml", "my {a} changes", "my {c} changes", "facts[0]: unknown blank '{c}'"),
        ("domains/grief.yaml", "histories:", "historys:", "historys: unknown field (did you mean 'histories'?)"),
        ("speech.yaml", "  terse:", "  terze:", "registers.terze"),
        ("backgrounds.yaml", "  neutral: [Robin, Ash, Morgan, Frankie]\n", "", "british.neutral: required and not"),
        ("life_stages.yaml", "kind: work, place: work", "kind: job, place: work", "'job' is not a choice"),
    ],
)
def test_a_wrong_fragment_bank_is_one_line_with_its_file(
    tmp_path: Path, file: str, old: str, new: str, expected: str
) -> None:
    shutil.copytree(FOLDER / "fragments", tmp_path / "fragments")
    path = tmp_path / "fragments" / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    line = broken(tmp_path, lambda content: None)
    assert line.startswith(str(path)) and expected in line


def test_every_level_of_the_schema_can_be_declared(general: Population) -> None:
    declared = {variable.name: variable.levels for variable in general.variables}
    for name, levels in LEVELS.items():
        assert not levels or declared[name] == levels
    assert set(declared) == {*LEVELS, *RANGES}
