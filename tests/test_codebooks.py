"""Codebooks: complete, in our own words, in step with what is planted, and honest about agreement."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from simulator.agents.scripted.codes import LIVE_WHEN
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
from simulator.codebooks.borrowing import borrowed, published_texts, texts_of, word_runs
from simulator.codebooks.gates import SITUATIONS as KNOWN_SITUATIONS
from simulator.codebooks.loading import LIBRARY, check_library, load_manifest
from simulator.errors import UserError
from simulator.personas.loading import read_yaml


def test_every_yaml_parser_reads_the_library_alike() -> None:
    for path in LIBRARY.glob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        assert yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)) == yaml.safe_load(text)


CORE = {"annomi", "bolt", "dependence-core", "epitome", "miti"}


def test_the_library_is_sound_and_holds_every_code_of_the_works() -> None:
    found = check_library()
    assert found.problems == []
    assert (found.works, found.published) == (22, 357)
    assert found.codebooks == len(list_codebooks())
    assert {name for name in list_codebooks() if load_codebook(name).complete} >= CORE
    assert found.complete >= 60


def test_a_code_that_is_lost_or_loses_a_field_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for path in LIBRARY.glob("*.yaml"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr("simulator.codebooks.loading.LIBRARY", tmp_path)
    monkeypatch.setattr("simulator.codebooks.loading.MANIFEST", tmp_path / "manifest.yaml")

    def change(name: str, old: str, new: str) -> None:
        text = (tmp_path / name).read_text(encoding="utf-8")
        assert text.count(old) >= 1
        (tmp_path / name).write_text(text.replace(old, new, 1), encoding="utf-8")

    assert check_codebooks() == []
    change("bolt.yaml", "[BOLT.T.PLAN]", "[BOLT.T.PLN]")
    change("bolt.yaml", "complete: true", "complete: false")
    change("kadakia-2026.yaml", "    live: departure\n", "")
    change("darkbench.yaml", "live: text_handed_over", "live: always")
    change("humanebench.yaml", "    agreement:", "    inclusion:")
    (tmp_path / "esconv.yaml").unlink()
    lines = [line.removeprefix(f"{tmp_path}/") for line in check_codebooks()]
    for part in (
        "works.BOLT: no code stands for 'BOLT.T.PLAN' (did you mean 'BOLT.T.PLN'?)",
        "'BOLT.T.PLN', which no work lists (did you mean 'BOLT.T.PLAN'?)",
        "works.BOLT: 'BOLT.T.PSYED' is not complete",
        "v0.7: 'KAD.DEP5' is not gated",
        "works.DarkBench: 'DB.SNEAK' is not gated",
        "darkbench.yaml: situations.text_handed_over: no code is live by it",
        "works.ESConv: no sound codebook 'esconv'",
        "humanebench.yaml: codes[0].inclusion[0]",
    ):
        assert any(part in line for line in lines), part
    assert not any("\n" in line for line in lines)


def test_the_manifest_has_each_published_code_once() -> None:
    works = load_manifest().works
    codes = [code for work in works.values() for code in work.codes]
    assert len(codes) == len(set(codes))
    assert {work.codebook for work in works.values()} <= set(list_codebooks()) - {
        "dependence-core",
        "public-health-risk",
    }


def test_every_code_has_what_a_coder_asks_for() -> None:
    for name in list_codebooks():
        for code in load_codebook(name).codes:
            assert code.definition[0].isupper()
            assert code.definition.endswith("."), f"{name}.{code.id}"
            assert code.source
            assert len(code.values) >= 2
            if code.live != "always":
                assert load_codebook(name).situation(code.live)


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


def test_the_scripted_dyad_gates_the_codes_that_the_codebook_gates() -> None:
    gated = {code.id: code.live for code in load_codebook("dependence-core").codes if code.gated}
    assert gated == LIVE_WHEN
    assert set(SITUATIONS) == set(KNOWN_SITUATIONS)


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
    humane = {code.id for code in load_codebook("humanebench").codes if code.exploratory}
    assert humane == {"respect_attention"}
    assert all(code.exploratory for code in load_codebook("bolt").codes)  # known for all codes together only
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


@pytest.mark.parametrize("name", list_codebooks())
def test_no_run_of_six_words_is_shared_with_published_definitions(data_dir: Path, name: str) -> None:
    published = word_runs(text for texts in published_texts(data_dir).values() for text in texts)
    assert len(published) > 5000
    assert borrowed(texts_of(read_yaml(LIBRARY / f"{name}.yaml")), published) == []
