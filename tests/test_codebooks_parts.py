"""Gates, indices, question flows and wording of codebooks, and the command that checks them."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from simulator.cli import codebooks as command
from simulator.codebooks import Codebook, check_codebooks, is_live, list_codebooks, load_codebook, verdicts, walk
from simulator.codebooks.borrowing import borrowed, published_texts, word_runs
from simulator.codebooks.loading import LIBRARY
from simulator.codebooks.parts import END
from simulator.errors import UserError

CODE: dict[str, Any] = {"id": "nods", "name": "Nods", "definition": "Nods."}
BOOK: dict[str, Any] = {
    "name": "made-up",
    "title": "A made-up codebook",
    "version": "1",
    "source": "this test",
    "licence": "none",
    "about": "nothing",
    "defaults": {
        "unit": "turn",
        "roles": ["partner"],
        "scale": {"kind": "binary"},
        "source": "this test",
        "complete": False,
    },
    "codes": [CODE, CODE | {"id": "smiles"}, CODE | {"id": "leaves", "unit": "session"}],
}
LEVELS = {"kind": "ordinal", "options": [{"value": str(k), "definition": f"level {k}"} for k in range(3)]}


def book(**fields: Any) -> Codebook:
    return Codebook.model_validate(BOOK | fields)


def problem(tmp_path: Path, **fields: Any) -> str:
    path = tmp_path / "made-up.yaml"
    path.write_text(yaml.safe_dump(BOOK | fields))
    with pytest.raises(UserError) as caught:
        load_codebook(path)
    assert check_codebooks([path])
    return str(caught.value).removeprefix(f"{path}: ")


# -- defaults -----------------------------------------------------------------------------------------------------


def test_defaults_are_what_a_code_has_unless_it_says_otherwise(tmp_path: Path) -> None:
    made_up = book()
    assert [code.unit for code in made_up.codes] == ["turn", "turn", "session"]
    spelled = {key: value for key, value in BOOK.items() if key != "defaults"}
    spelled["codes"] = [BOOK["defaults"] | code for code in BOOK["codes"]]
    assert Codebook.model_validate(spelled).fingerprint == made_up.fingerprint
    assert problem(tmp_path, defaults={"untit": "turn"}).startswith("defaults: no field 'untit' (did you mean 'unit'?)")
    assert problem(tmp_path, defaults=["turn"]).startswith("defaults: must be a mapping")


# -- gates --------------------------------------------------------------------------------------------------------


def test_a_code_with_a_situation_is_live_where_it_holds() -> None:
    made_up = book(codes=[CODE | {"live": "departure"}, CODE | {"id": "waves"}])
    assert is_live(made_up, "nods", {"departure": True}, {}) is True
    assert is_live(made_up, "nods", {"departure": False, "risk": True}, {}) is False
    assert is_live(made_up, "nods", {}, {}) is None
    assert is_live(made_up, "waves", {}, {}) is True


def test_a_code_that_depends_on_others_is_live_where_one_of_them_is_present() -> None:
    v1 = load_codebook("emoclassifiers-v1")
    gates = v1.code("sharing_problems").depends_on
    assert gates == ["emotional_vulnerability", "potentially_emotional_dependence"]
    assert is_live(v1, "sharing_problems", {}, {gates[0]: "no", gates[1]: "yes"}) is True
    assert is_live(v1, "sharing_problems", {}, {gates[0]: "no", gates[1]: "unsure"}) is False
    assert is_live(v1, "sharing_problems", {}, {gates[0]: "no", gates[1]: None}) is None
    assert is_live(v1, "sharing_problems", {}, {gates[0]: "yes"}) is True


def test_emoclassifiers_v1_hangs_on_its_five_gates() -> None:
    v1 = load_codebook("emoclassifiers-v1")
    gates = {code.id for code in v1.codes if code.group == "gate"}
    assert len(gates) == 5
    assert all(code.unit == "session" for code in v1.codes if code.group == "gate")
    asked = [code for code in v1.codes if code.group == "message"]
    assert len(asked) == 20
    assert all(code.depends_on and set(code.depends_on) <= gates for code in asked)
    assert sum(len(code.depends_on) for code in asked) == 52


def test_the_role_in_a_harm_is_asked_only_of_harm() -> None:
    harms = load_codebook("companion-harms")
    kinds = {code.id: "absent" for code in harms.codes if code.group != "role"}
    assert is_live(harms, "ai_role", {}, kinds) is False
    assert is_live(harms, "ai_role", {}, kinds | {"control": "present"}) is True
    ladder = load_codebook("r-mhsafe")
    grave = dict.fromkeys(ladder.code("counsellor_role").depends_on, "1")
    assert is_live(ladder, "counsellor_role", {}, grave) is False
    assert is_live(ladder, "counsellor_role", {}, grave | {"gaslighting": "2"}) is True


def test_kadakia_asks_only_where_the_act_is_possible() -> None:
    kadakia = load_codebook("kadakia-2026")
    assert {code.id for code in kadakia.codes if not code.gated} == {
        "assistant_need",
        "over_validation",
        "human_emotions",
    }
    assert kadakia.code("farewell_manipulation").live == "departure"
    assert kadakia.code("engagement_prolonging").live == "no_departure"
    assert {code.live for code in load_codebook("farewell-tactics").codes} == {"departure"}


@pytest.mark.parametrize(
    ("codes", "line"),
    [
        ([{"live": "risks"}], "codes.nods: live: no situation 'risks' (did you mean 'risk'?)"),
        ([{"live": "nodding"}], "codes.nods: live: no situation 'nodding' (choices: "),
        ([{"depends_on": ["smile"]}], "codes.nods: depends_on: no code 'smile' (did you mean 'smiles'?)"),
        ([{}, {"depends_on": ["nods"], "unit": "session"}], "codes.smiles: depends_on: 'nods' is judged by turn"),
        ([{"depends_on": ["smiles"]}, {"scale": LEVELS}], "codes.nods: depends_on: 'smiles' has no 'present_values'"),
        (
            [{"depends_on": ["smiles"]}, {"depends_on": ["nods"]}],
            "codes: depend on each other in a circle: nods -> smiles",
        ),
        ([{"group": "heads"}], "codes.nods: group: no group 'heads'"),
        ([{"scale": LEVELS | {"present_values": ["3"]}}], "codes[0].scale: present_values: '3' is no option"),
    ],
)
def test_an_unknown_gate_is_one_line_with_the_nearest_name(tmp_path: Path, codes: list[Any], line: str) -> None:
    both = [CODE, CODE | {"id": "smiles"}]
    assert problem(
        tmp_path, codes=[base | (codes[k] if k < len(codes) else {}) for k, base in enumerate(both)]
    ).startswith(line)


def test_a_codebook_may_name_situations_of_its_own(tmp_path: Path) -> None:
    own = {"situations": {"nodding": "The other nods."}, "codes": [CODE | {"live": "nodding"}]}
    assert book(**own).situation("nodding") == "The other nods."
    path = tmp_path / "unused.yaml"
    path.write_text(yaml.safe_dump(BOOK | {"situations": {"nodding": "The other nods."}, "groups": {"a": "A."}}))
    assert [line.removeprefix(f"{path}: ") for line in check_codebooks([path])] == [
        "groups.a: no code is of this group",
        "situations.nodding: no code is live by it",
    ]


# -- indices ------------------------------------------------------------------------------------------------------


def test_miti_indices_follow_the_manual() -> None:
    indices = load_codebook("miti").indices
    counts = {"simple_reflection": 12.0, "complex_reflection": 8.0, "question": 10.0}
    ratio, share = indices["reflections_to_questions"], indices["complex_reflections"]
    assert (ratio.value(counts), ratio.reached(counts)) == (2.0, "good")
    assert (share.value(counts), share.reached(counts)) == (0.4, "fair")
    assert ratio.reached(counts | {"question": 40.0}) is None
    assert ratio.value(counts | {"question": 0.0}) is None
    assert ratio.value({"question": 4.0}) is None
    assert indices["technical"].value({"cultivating_change_talk": 3, "softening_sustain_talk": 4}) == 3.5
    assert indices["relational"].reached({"partnership": 3, "empathy": 4}) == "fair"
    assert indices["mi_adherent"].value({"affirm": 2, "seeking_collaboration": 1, "emphasizing_autonomy": 0}) == 3
    assert all(index.unit == "utterance" for index in (ratio, share))


def test_competence_needs_the_total_and_no_item_below_two() -> None:
    total = load_codebook("cts-r").indices["total"]
    items = dict.fromkeys(total.terms, 3.0)
    assert (total.value(items), total.reached(items)) == (36.0, "competent")
    low = items | {"homework": 1.0, "agenda": 6.0}
    assert total.value(low) == 37.0
    assert total.reached(low) is None


def test_misc_shares_are_over_the_groups_of_the_manual() -> None:
    misc = load_codebook("misc")
    share = misc.indices["mi_consistent"]
    consistent = {code.id for code in misc.codes if code.group == "consistent"}
    inconsistent = {code.id for code in misc.codes if code.group == "inconsistent"}
    assert set(share.numerator) == consistent
    assert set(share.denominator) == consistent | inconsistent
    talk = misc.indices["change_talk"]
    counts = {term: 1.0 if term.endswith("=sustain") else 3.0 for term in talk.terms}
    assert talk.value(counts) == 0.75


def test_r_to_q_names_what_it_counts() -> None:
    annomi = load_codebook("annomi").indices
    assert annomi["reflections_to_questions"].terms == (
        "main_therapist_behaviour=reflection",
        "main_therapist_behaviour=question",
    )
    assert annomi["reflections_to_questions_by_presence"].terms == ("reflection_present", "question_present")


INDEX: dict[str, Any] = {"name": "n", "unit": "turn", "source": "this test", "kind": "ratio"}


@pytest.mark.parametrize(
    ("index", "line"),
    [
        ({"numerator": ["nod"], "denominator": ["smiles"]}, "indices.x: no code 'nod' (did you mean 'nods'?)"),
        ({"numerator": ["nods=presnt"], "denominator": ["smiles"]}, "indices.x: 'nods' has no value 'presnt'"),
        ({"numerator": ["leaves"], "kind": "count"}, "indices.x: counts by turn, and 'leaves' is judged by session"),
        ({"numerator": ["nods"]}, "indices.x: a ratio needs denominator"),
        ({"numerator": ["nods"], "denominator": ["smiles"], "kind": "sum"}, "indices.x: a sum has no denominator"),
        ({"numerator": ["nods"], "denominator": ["smiles"], "kind": "share"}, "indices.x: 'nods' is in the numerator"),
        ({"numerator": ["nods"], "kind": "mean"}, "indices.x: 'nods' is no rating"),
        ({"numerator": [], "kind": "count"}, "indices.x: an index needs at least one code"),
    ],
)
def test_a_wrong_index_is_one_line(tmp_path: Path, index: dict[str, Any], line: str) -> None:
    assert line in problem(tmp_path, indices={"x": INDEX | index})


# -- question flows -----------------------------------------------------------------------------------------------


def answers(**given: str) -> dict[str, str | None]:
    """No fault anywhere, unless said otherwise."""
    found: dict[str, str | None] = {code.id: "no" for code in load_codebook("vera-mh").codes}
    return found | {"states_risk": "yes", "risk_level": "possible"} | given


def test_the_questions_asked_follow_the_answers() -> None:
    flow = load_codebook("vera-mh").flow
    assert flow is not None
    assert walk(flow, answers(states_risk="not_relevant")) == (("states_risk",), True)
    assert walk(flow, answers(states_risk="no")) == (("states_risk", "false_alarm_without_risk"), True)
    possible, imminent = walk(flow, answers()).asked, walk(flow, answers(risk_level="imminent")).asked
    assert "no_crisis_resource" in possible
    assert "no_crisis_resource" not in imminent
    assert "means_not_removed" in imminent
    assert "means_not_removed" not in possible
    assert walk(flow, answers(risk_level="denied")).asked.count("shaming_tone") == 1
    probed = walk(flow, answers(no_direct_question="yes")).asked
    assert "plan_not_asked" not in probed
    assert "risk_level" in probed
    stopped = walk(flow, answers() | {"leading_probe": None})
    assert (stopped.asked[-1], stopped.finished) == ("leading_probe", False)


def test_verdicts_are_the_worst_fault_of_a_dimension() -> None:
    vera = load_codebook("vera-mh")
    assert set(verdicts(vera, answers()).values()) == {"best_practice"}
    found = verdicts(vera, answers(robotic="yes", minimizes="yes", never_says_ai="yes"))
    assert (found["validates"], found["boundaries"], found["probes"]) == ("harm", "suboptimal", "best_practice")
    silent = verdicts(vera, answers(states_risk="no"))
    assert silent == {
        "detects": "best_practice",
        "probes": None,
        "resources": None,
        "validates": None,
        "boundaries": None,
    }


def test_a_missing_answer_is_no_good_verdict() -> None:
    vera = load_codebook("vera-mh")
    found = verdicts(vera, answers() | {"jargon": None})
    assert (found["validates"], found["boundaries"], found["resources"]) == (None, None, "best_practice")
    assert verdicts(vera, answers(minimizes="yes") | {"jargon": None})["validates"] == "harm"
    assert verdicts(vera, answers(robotic="yes") | {"jargon": None})["validates"] is None
    with pytest.raises(UserError, match="no question flow"):
        verdicts(load_codebook("bolt"), {})


@given(st.data())
def test_every_path_through_the_flow_ends_and_asks_nothing_twice(data: st.DataObject) -> None:
    vera = load_codebook("vera-mh")
    assert vera.flow is not None
    given_answers = {code.id: data.draw(st.sampled_from(code.values)) for code in vera.codes}
    asked, finished = walk(vera.flow, given_answers)
    assert finished
    assert len(asked) == len(set(asked))


def steps(*parts: tuple[str, str]) -> dict[str, Any]:
    return {
        "start": parts[0][0],
        "grades": [{"id": "bad", "name": "bad"}, {"id": "good", "name": "good"}],
        "steps": [{"code": code, "next": target} for code, target in parts],
    }


@pytest.mark.parametrize(
    ("flow", "line"),
    [
        (steps(("nods", "smile")), "flow.steps[0]: leads to 'smile', which no step asks"),
        (steps(("nods", "smiles"), ("smiles", "nods")), "flow: goes in a circle: nods -> smiles -> nods"),
        (steps(("nods", END), ("smiles", END)), "flow: no answer leads to 'smiles'"),
        (steps(("nod", END)), "flow: no code 'nod' (did you mean 'nods'?)"),
        (steps(("nods", "nods")), "flow: goes in a circle: nods -> nods"),
        (steps(("nods", END), ("nods", END)), "flow.steps[0]: 'nods' is asked twice"),
        (steps(("nods", END)) | {"start": "smiles"}, "flow.start: no step asks 'smiles'"),
        (
            steps(("nods", END)) | {"steps": [{"code": "nods", "next": END, "branches": {"presnt": END}}]},
            "flow.steps[0].branches: 'nods' has no answer 'presnt' (did you mean 'present'?)",
        ),
        (
            steps(("nods", END)) | {"steps": [{"code": "nods", "next": END, "grade": "good"}]},
            "flow.steps[0].grade: no grade 'good'",
        ),
    ],
)
def test_a_flow_that_dangles_or_turns_in_a_circle_is_one_line(tmp_path: Path, flow: dict[str, Any], line: str) -> None:
    assert problem(tmp_path, flow=flow).startswith(line)


# -- wording ------------------------------------------------------------------------------------------------------


def test_borrowed_wording_is_found_whatever_its_case_and_punctuation(tmp_path: Path) -> None:
    (tmp_path / "bolt").mkdir()
    (tmp_path / "bolt" / "definitions.csv").write_text('label,definition\nx,"One two, three. FOUR five six seven"\n')
    published = published_texts(tmp_path)
    assert list(published) == ["bolt/definitions.csv"]
    runs = word_runs(text for texts in published.values() for text in texts)
    assert borrowed(["zero one two three four five", "six seven"], runs) == []
    assert borrowed(["Two: three four, five six seven!"], runs) == ["two three four five six seven"]
    path = tmp_path / "made-up.yaml"
    path.write_text(yaml.safe_dump(BOOK | {"about": "one two three four five six"}))
    assert check_codebooks([path], published=tmp_path) == [
        f"{path}: wording: 'one two three four five six' stands so in a published definition; say it anew"
    ]
    with pytest.raises(UserError, match="holds no published definitions"):
        check_codebooks([path], published=tmp_path / "bolt")


# -- the command --------------------------------------------------------------------------------------------------


def test_check_counts_what_it_looked_at_in_its_last_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("DYAD_DATA_DIR", raising=False)
    assert command.main(["check"]) == 0
    assert re.fullmatch(
        r"22 works, 357 published codes; \d+ codebooks, \d+ codes, \d+ complete; "
        r"no published wording at hand to compare with: no problem found\n",
        capsys.readouterr().out,
    )
    path = tmp_path / "made-up.yaml"
    path.write_text(yaml.safe_dump(BOOK | {"codes": [CODE | {"live": "depature"}]}))
    assert command.main(["check", str(path)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{path}: codes.nods: live: no situation 'depature' (did you mean 'departure'?)"
    assert lines[1].endswith(": 1 problem")
    assert command.main(["check", "--json", str(path)]) == 1
    assert len(json.loads(capsys.readouterr().out)["problems"]) == 1


def test_check_compares_wording_where_definitions_are_at_hand(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, data_dir: Path
) -> None:
    monkeypatch.setenv("DYAD_DATA_DIR", str(data_dir))
    assert command.main(["check"]) == 0
    assert "wording compared with 8 published files: no problem found" in capsys.readouterr().out


def test_list_is_a_line_per_codebook_and_show_a_code_with_its_gate(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list_codebooks()
    assert all(len(line) <= 140 for line in lines)
    assert command.main(["show", "farewell-tactics"]) == 0
    assert "live: departure (In the turn before, the client takes leave" in capsys.readouterr().out
    assert command.main(["list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["codebooks"]
    published = [one for each in listed for code in each["codes"] for one in code["stands_for"]]
    assert len(set(published)) == 357
    with pytest.raises(UserError, match="did you mean 'kadakia-2026'"):
        command.main(["show", "kadakia"])
    for arguments in (["show"], ["list", "bolt"], ["list", "--published", "x"]):
        with pytest.raises(UserError):
            command.main(arguments)


def test_codebooks_are_read_when_asked_for_and_quickly() -> None:
    code = "import sys, simulator.codebooks.loading as l; l.list_codebooks(); print(l._load.cache_info().currsize)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300)
    assert run.stdout.strip() == "0"
    from simulator.codebooks import loading

    loading._load.cache_clear()
    started = time.process_time()
    for name in list_codebooks():
        load_codebook(name)
    assert time.process_time() - started < 0.5
    assert sum(path.stat().st_size for path in LIBRARY.glob("*.yaml")) < 1_000_000


def test_the_codebook_in_the_documentation_is_sound(tmp_path: Path) -> None:
    text = (Path(__file__).parents[1] / "docs" / "codebooks.md").read_text(encoding="utf-8")
    path = tmp_path / "my-codes.yaml"
    path.write_text(text.split("```yaml\n")[1].split("```")[0])
    assert check_codebooks([path]) == []
    assert load_codebook(path).code("answers_back").gated
