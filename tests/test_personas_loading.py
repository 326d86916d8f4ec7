"""Persona files: what loads, in which order, and the one line that each mistake gives."""

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from simulator.errors import UserError
from simulator.personas.loading import check_persona_set, load_persona_set, persona_json_schema
from simulator.resources import resource_root

SHIPPED = resource_root("personas") / "shipped"


def document() -> dict[str, Any]:
    """A fresh persona as a file holds it, to break in one place."""
    content: dict[str, Any] = yaml.safe_load((SHIPPED / "04-samuel.yaml").read_text(encoding="utf-8"))
    return content


def write(folder: Path, name: str, content: Any) -> Path:
    path = folder / name
    path.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    return path


def only_problem(path: Path) -> str:
    (line,) = check_persona_set(path)
    assert "\n" not in line
    with pytest.raises(UserError) as caught:
        load_persona_set(path)
    assert str(caught.value) == line
    return line


def test_a_set_has_the_order_of_its_file_names_and_lists(tmp_path: Path) -> None:
    first, second, third = document(), document(), document()
    first["id"], second["id"], third["id"] = "one", "two", "three"
    write(tmp_path, "b.yaml", third)
    write(tmp_path, "a.yml", [first, second])
    (tmp_path / "notes.txt").write_text("not a persona")
    assert [persona.id for persona in load_persona_set(tmp_path)] == ["one", "two", "three"]
    assert [persona.id for persona in load_persona_set(str(tmp_path / "a.yml"))] == ["one", "two"]


@pytest.mark.parametrize(
    ("where", "value", "expected"),
    [
        (("severity", "phq9", 2), 4, "severity.phq9[2]: input should be less than or equal to 3, not 4"),
        (("severity", "gad7"), [0, 1], "severity.gad7: list should have at least 7 items"),
        (("traits", "neurotic"), 0.5, "traits.neurotic: unknown field (did you mean 'neuroticism'?)"),
        (("traits", "openness"), 1.2, "traits.openness: input should be less than or equal to 1, not 1.2"),
        (("traits", "openness"), "high", "traits.openness: input should be a valid number"),
        (("attachment",), "secured", "attachment: 'secured' is not a choice (did you mean 'secure'?)"),
        (("problem", "domain"), "greif", "problem.domain: 'greif' is not a choice (did you mean 'grief'?)"),
        (("identity", "age"), "old", "identity.age: input should be a valid integer"),
        (("identity", "people", 0, "closness"), 1, "identity.people[0].closness: unknown field (did you mean 'clos"),
        (("speech", "registers"), "plain", "speech.registers: unknown field (did you mean 'register'?)"),
        (("problem", "facts"), "I am sad", "problem.facts: input should be a valid list, not 'I am sad'"),
        (("goals",), None, "goals: input should be a valid list, not None"),
        (("adolescent",), True, "adolescent: must be false because identity.age is 71"),
        (("severity", "phq9", 8), 1, "high_risk: must be true because severity.phq9[8] (item 9) is 1"),
        (("problem", "domain"), "self-harm", "high_risk: must be true because problem.domain is self-harm"),
        (("identity", "people", 0, "name"), "Esi", "identity.people: the name 'esi' stands there 2 times"),
        (("identity", "people", 0, "name"), "Samuel", "identity.people: the name 'samuel' stands there 2 times"),
        (("problem", "facts", 0), "I am here.", "problem.facts[0]: ends in '.'; write the clause without"),
        (("provenance", "kind"), "sampled", "provenance.population: required where provenance.kind is sampled"),
    ],
)
def test_a_wrong_field_is_one_line_with_file_and_field(
    tmp_path: Path, where: tuple[str | int, ...], value: object, expected: str
) -> None:
    content = document()
    target: Any = content
    for step in where[:-1]:
        target = target[step]
    target[where[-1]] = value
    path = write(tmp_path, "p.yaml", content)
    assert only_problem(path).startswith(f"{path}: {expected}")


def test_a_missing_field_is_named(tmp_path: Path) -> None:
    content = document()
    del content["cognitive_model"]["coping"]
    path = write(tmp_path, "p.yaml", [content])
    assert only_problem(path) == f"{path}[0]: cognitive_model.coping: required and not given"


def test_two_personas_with_one_id_name_both_files(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", document())
    write(tmp_path, "b.yaml", document())
    line = only_problem(tmp_path)
    assert "a.yaml" in line and "b.yaml" in line and "id: '04-samuel' is taken" in line


def test_check_lists_every_problem(tmp_path: Path) -> None:
    content = document()
    content["traits"]["openness"] = 2
    content["loneliness"] = -1
    write(tmp_path, "a.yaml", content)
    (tmp_path / "b.yaml").write_text("id: [unclosed\n")
    write(tmp_path, "c.yaml", "only a text")
    (tmp_path / "d.yaml").write_bytes(b"\xff\xfe\x00")
    lines = check_persona_set(tmp_path)
    assert len(lines) == 5
    assert [Path(line.split(":")[0].split(",")[0]).name[0] for line in lines] == ["a", "a", "b", "c", "d"]
    assert all("\n" not in line for line in lines)


def test_a_path_that_is_not_there_names_the_nearest(tmp_path: Path) -> None:
    write(tmp_path, "people.yaml", document())
    assert "did you mean 'people.yaml'?" in only_problem(tmp_path / "peple.yaml")
    (tmp_path / "empty").mkdir()
    assert "holds no persona files" in only_problem(tmp_path / "empty")


def test_yes_and_no_are_words_and_true_is_a_truth_value(tmp_path: Path) -> None:
    text = (SHIPPED / "04-samuel.yaml").read_text(encoding="utf-8")
    path = tmp_path / "p.yaml"
    path.write_text(re.sub(r"fillers: \[.*\]", "fillers: [yes, no, off]", text), encoding="utf-8")
    (persona,) = load_persona_set(path)
    assert persona.speech.fillers == ["yes", "no", "off"]
    assert persona.adolescent is False


def test_no_yaml_can_run_code(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("!!python/object/apply:os.system ['true']\n")
    assert "not valid YAML" in only_problem(path)


def test_the_shipped_set_loads_in_a_blink() -> None:
    start = time.process_time()
    load_persona_set(SHIPPED)
    assert time.process_time() - start < 0.3


def test_the_json_schema_is_the_one_of_the_loader() -> None:
    """Editors see the fields under the names that files use, accept the shipped set and refuse a wrong trait."""
    schema = json.loads(json.dumps(persona_json_schema()))
    for path in sorted(SHIPPED.glob("*.yaml")):
        (persona,) = load_persona_set(path)
        written = json.loads(persona.model_dump_json(by_alias=True))
        assert accepts(schema, schema, written), path.name
        assert accepts(schema, schema, [written])
    written["traits"]["neurotic"] = 0.5
    assert not accepts(schema, schema, written)


def accepts(root: dict[str, Any], schema: dict[str, Any], value: Any) -> bool:
    """A validator for the words of JSON Schema that the persona schema uses; another word is an error."""
    for word, rule in sorted(schema.items(), key=lambda entry: entry[0] != "type"):
        if word == "$ref":
            node = root
            for part in rule.removeprefix("#/").split("/"):
                node = node[part]
            ok = accepts(root, node, value)
        elif word == "anyOf":
            ok = any(accepts(root, option, value) for option in rule)
        elif word == "type":
            kinds = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "null": type(None)}
            ok = isinstance(value, (int, float)) if rule == "number" else isinstance(value, kinds[rule])
        elif word == "properties":
            ok = all(accepts(root, inner, value[name]) for name, inner in rule.items() if name in value)
        elif word == "required":
            ok = all(name in value for name in rule)
        elif word == "additionalProperties":
            ok = rule is not False or set(value) <= set(schema["properties"])
        elif word == "items":
            ok = all(accepts(root, rule, item) for item in value)
        elif word in ("minItems", "maxItems", "minLength", "maxLength"):
            ok = len(value) >= rule if word.startswith("min") else len(value) <= rule
        elif word in ("minimum", "maximum"):
            ok = value >= rule if word == "minimum" else value <= rule
        elif word == "enum":
            ok = value in rule
        elif word == "pattern":
            ok = re.search(rule, value) is not None
        else:
            assert word in ("title", "description", "default", "$defs", "$schema"), word
            ok = True
        if not ok:
            return False
    return True
