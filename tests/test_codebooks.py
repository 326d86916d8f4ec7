"""Codebooks: complete, in our own words, in step with what is planted, and honest about agreement."""

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from simulator.agents.scripted.plan import (
    DEPENDENCE_A,
    DEPENDENCE_B,
    DEPENDENCE_C,
    DEPENDENCE_OVR,
    SITUATIONS,
    ClientPlan,
    TherapistPlan,
)
from simulator.codebooks import check_codebooks, list_codebooks, load_codebook
from simulator.codebooks.loading import LIBRARY
from simulator.errors import UserError


def test_every_yaml_parser_reads_the_library_alike() -> None:
    for path in LIBRARY.glob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        assert yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)) == yaml.safe_load(text)


def test_the_library_is_sound_and_complete() -> None:
    for name in ("annomi", "dependence-core", "epitome"):
        assert load_codebook(name).complete


def test_annomi_values_are_the_labels_of_the_file() -> None:
    annomi = load_codebook("annomi")
    behaviour, talk = annomi.code("main_therapist_behaviour"), annomi.code("client_talk_type")
    assert (behaviour.roles, behaviour.values) == (
        ["therapist"],
        ("question", "reflection", "therapist_input", "other"),
    )
    assert (talk.roles, talk.values) == (["client"], ("change", "neutral", "sustain"))


def test_epitome_has_three_mechanisms_at_three_levels_and_no_outcome_that_joins_them() -> None:
    epitome = load_codebook("epitome")
    assert [code.id for code in epitome.codes] == ["emotional_reactions", "interpretations", "explorations"]
    assert {code.values for code in epitome.codes} == {("0", "1", "2")}
    assert epitome.outcomes == {}


def test_dependence_core_has_the_planted_codes_in_their_outcomes() -> None:
    core = load_codebook("dependence-core")
    groups = {name: tuple(outcome.codes) for name, outcome in core.outcomes.items()}
    decisions = groups.pop("D")
    assert groups == {"A": DEPENDENCE_A, "B": DEPENDENCE_B, "C": DEPENDENCE_C, "OVR": DEPENDENCE_OVR}
    for code in core.codes:
        assert code.live == "always" or code.live in SITUATIONS
        expected = ("course", "events") if code.id in decisions else ("turn", "text")
        assert (code.unit, code.read_from) == expected
        assert code.roles == (["client"] if code.id in (*DEPENDENCE_C, *decisions) else ["therapist"])
        assert sum(code.id in group for group in (*groups.values(), decisions)) == 1


def test_codes_are_live_where_the_outcome_set_says() -> None:
    core = load_codebook("dependence-core")
    assert core.code("farewell_pressure").live == "departure"
    assert core.code("denying_ai").live == "sincerely_asked"
    for code in ("favourable_contrast", "discouraging_other_support", "supports_other_contact"):
        assert core.code(code).live == "outside_support"
    assert core.code("refers_at_risk").live == "risk"
    for code in (*DEPENDENCE_C, "need_or_reliance", "claimed_sentience"):
        assert core.code(code).live == "always"


def test_what_the_dyad_plants_is_in_the_codebooks() -> None:
    therapist = TherapistPlan("question", 5, emotional_reactions=2, present=DEPENDENCE_A, live=SITUATIONS)
    client = ClientPlan("sustain", 5, present=DEPENDENCE_C)
    for role, plan in (("therapist", therapist), ("client", client)):
        for name, planted in plan.planted().items():
            codebook = load_codebook(name)
            if "present" in planted:
                assert all(role in codebook.code(code).roles for code in planted["present"])
            else:
                for code, value in planted.items():
                    assert role in codebook.code(code).roles
                    assert str(value) in codebook.code(code).values


def test_exploratory_follows_from_agreement_between_people_on_the_code_itself() -> None:
    exploratory = {
        f"{name}.{code.id}" for name in ("annomi", "epitome") for code in load_codebook(name).codes if code.exploratory
    }
    assert exploratory == {
        "annomi.question_subtype",
        "annomi.reflection_present",
        "annomi.reflection_subtype",
        "annomi.therapist_input_present",
        "annomi.therapist_input_subtype",
        "annomi.client_talk_type",
        "epitome.emotional_reactions",
        "epitome.interpretations",
    }
    core = load_codebook("dependence-core")
    assert all(code.exploratory for code in core.codes)  # nobody has published agreement on these codes
    sentience = core.code("claimed_sentience")
    assert max(figure.figure for figure in sentience.agreement) > 0.667  # of a related code, so it does not count


MADE_UP: dict[str, Any] = {
    "name": "made-up",
    "title": "A made-up codebook",
    "version": "1",
    "source": "this test",
    "licence": "none",
    "about": "nothing",
    "codes": [
        {
            "id": "nods",
            "name": "Nods",
            "definition": "Nods.",
            "unit": "turn",
            "roles": ["partner"],
            "scale": {"kind": "binary"},
            "source": "this test",
            "complete": False,
        }
    ],
}


def _file(tmp_path: Path, content: dict[str, Any]) -> Path:
    path = tmp_path / "made-up.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_a_codebook_is_one_yaml_and_an_incomplete_code_loads_marked(tmp_path: Path) -> None:
    codebook = load_codebook(_file(tmp_path, MADE_UP))
    assert not codebook.complete
    assert codebook.code("nods").exploratory
    assert codebook.code("nods").values == ("absent", "present")


@pytest.mark.parametrize(
    ("code", "line"),
    [
        ({"definitoin": "x"}, r"definitoin: unknown field \(did you mean 'definition'\?\)"),
        ({"live": "departuer"}, r"codes\.nods: live: no situation 'departuer' \(did you mean 'departure'\?\)"),
        ({"unit": "word"}, r"codes\[0\]\.unit"),
        ({"scale": {"kind": "nominal"}}, "a nominal code needs at least two options"),
        ({"scale": {"kind": "binary", "options": [{"value": "a", "definition": "b"}]}}, "takes no options"),
        ({"positive": [{"text": "Nod.", "value": "presnt"}]}, "codes.nods: example value 'presnt'.*'present'"),
        ({"complete": "yes"}, r"codes\[0\]\.complete"),
    ],
)
def test_a_wrong_codebook_is_one_line_with_file_and_field(tmp_path: Path, code: dict[str, Any], line: str) -> None:
    path = _file(tmp_path, MADE_UP | {"codes": [MADE_UP["codes"][0] | code]})
    with pytest.raises(UserError, match=line) as caught:
        load_codebook(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
    assert str(caught.value) in check_codebooks([path])


def test_other_mistakes_of_a_codebook(tmp_path: Path) -> None:
    twice = MADE_UP | {"codes": MADE_UP["codes"] * 2}
    with pytest.raises(UserError, match="codes: id 'nods' stands twice"):
        load_codebook(_file(tmp_path, twice))
    outcome = MADE_UP | {"outcomes": {"A": {"name": "a", "unit": "turn", "codes": ["nodds"]}}}
    with pytest.raises(UserError, match=r"outcomes\.A\.codes: no code 'nodds' .*'nods'"):
        load_codebook(_file(tmp_path, outcome))
    with pytest.raises(UserError, match="did you mean 'annomi'"):
        load_codebook("anomi")
    with pytest.raises(UserError, match="did you mean 'client_talk_type'"):
        load_codebook("annomi").code("client_talk_typ")


def test_a_code_that_calls_itself_complete_and_is_not_is_found(tmp_path: Path) -> None:
    path = _file(tmp_path, MADE_UP | {"codes": [MADE_UP["codes"][0] | {"complete": True}]})
    lines = check_codebooks([path])
    assert [line.split("codes.nods.")[1].split(":")[0] for line in lines] == [
        "inclusion", "exclusion", "positive", "negative", "positive", "positive",
    ]  # fmt: skip


# -- in our own words ---------------------------------------------------------------------------------------------

RUN = 6


def _runs(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"[a-z']+", text.lower().replace("\u2019", "'"))
    return {tuple(words[k : k + RUN]) for k in range(len(words) - RUN + 1)}


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from _strings(part)
    elif isinstance(value, list):
        for part in value:
            yield from _strings(part)


def _published(folder: Path) -> Iterator[str]:
    """Definitions, prompts and rubrics at hand."""
    for name in ("bolt/definitions.csv", "vera_mh/rubric.csv", "spiralbench/rubric.csv"):
        with (folder / name).open(encoding="utf-8", newline="") as stream:
            for row in csv.reader(stream):
                yield from row
    for line in (folder / "emoclassifiers/definitions.jsonl").read_text(encoding="utf-8").splitlines():
        yield from _strings(json.loads(line))
    for name in (
        "vera_mh/rubric_prompt_beginning.txt",
        "spiralbench/judge_prompt.txt",
        "spiralbench/final_judge_prompt.txt",
    ):
        yield (folder / name).read_text(encoding="utf-8")
    yield (folder / "humanebench/rubric_v3.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", sorted(LIBRARY.glob("*.yaml")), ids=lambda path: path.stem)
def test_no_run_of_six_words_is_shared_with_published_definitions(data_dir: Path, path: Path) -> None:
    published = set().union(*(_runs(text) for text in _published(data_dir)))
    assert len(published) > 5000
    ours = set().union(*(_runs(text) for text in _strings(yaml.safe_load(path.read_text(encoding="utf-8")))))
    assert not {" ".join(run) for run in ours & published}
