"""Personas from YAML files: every mistake is one line that names the file and the field.

A persona set is a file (one persona or a list of them) or a folder of such files. The order of a set is stable and
documented: files by name, and inside a file the order of its list; a run that takes the first twelve takes those.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from simulator.errors import UserError, nearest
from simulator.personas.consistency import contradictions
from simulator.personas.schema import Persona
from simulator.resources import yaml_loader

_BaseLoader: Any = yaml_loader()


class PersonaLoader(_BaseLoader):  # type: ignore[misc]
    """The safe loader, with only `true` and `false` as truth values (YAML 1.2): 'yes' and 'no' are words people say."""


PersonaLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool"]
    for first, resolvers in _BaseLoader.yaml_implicit_resolvers.items()
}
PersonaLoader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(?:true|false)$"), ["t", "f"])

_ENDINGS = (".yaml", ".yml")


def load_persona_set(path: Path | str) -> list[Persona]:
    """The personas of a file or folder, in the set's order.

    Raises:
        UserError: the first problem, as one line `file: field: what is wrong`.
    """
    personas: list[Persona] = []
    for item in _walk(Path(path)):
        if isinstance(item, str):
            raise UserError(item)
        personas.append(item)
    return personas


def check_persona_set(path: Path | str) -> list[str]:
    """Every problem of a persona set, one line each; empty where the set is sound."""
    return [item for item in _walk(Path(path)) if isinstance(item, str)]


def persona_json_schema() -> dict[str, Any]:
    """The JSON Schema of a persona file for editors: one persona or a list of them, under the names files use."""
    schema = Persona.model_json_schema(by_alias=True)
    definitions = schema.pop("$defs", {})
    definitions["Persona"] = schema
    one = {"$ref": "#/$defs/Persona"}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Dyad persona file",
        "anyOf": [one, {"type": "array", "items": one}],
        "$defs": definitions,
    }


def read_yaml(path: Path) -> Any:
    """The content of a YAML file.

    Raises:
        UserError: one line where the file cannot be read or is not YAML, with the line number.
    """
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=PersonaLoader)
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 at byte {error.start}; save the file as UTF-8") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise UserError(f"{path}{where}: not valid YAML ({problem}); quote texts that hold ': ' or ' #'") from None


def validation_lines(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """The problems of a failed validation as `field: what is wrong` lines, with the nearest valid name.

    Unknown fields come first: a misspelt field is also a missing one, and its line is the one that helps.
    """
    entries = sorted(error.errors(include_url=False), key=lambda entry: entry["type"] != "extra_forbidden")
    return [_line(entry, model) for entry in entries]


def _walk(path: Path) -> Iterator[Persona | str]:
    """The personas and the problems of a set, in order."""
    seen: dict[str, str] = {}
    try:
        files = _files(path)
    except UserError as error:
        yield str(error)
        return
    for file in files:
        try:
            content = read_yaml(file)
        except UserError as error:
            yield str(error)
            continue
        documents = content if isinstance(content, list) else [content]
        if not documents:
            yield f"{file}: holds no persona; write one or remove the file"
        for index, document in enumerate(documents):
            where = f"{file}[{index}]" if isinstance(content, list) else str(file)
            if not isinstance(document, Mapping):
                yield f"{where}: a persona is a mapping of fields, not {_kind(document)}"
                continue
            try:
                persona = Persona.model_validate(document)
            except ValidationError as error:
                yield from (f"{where}: {line}" for line in validation_lines(error, Persona))
                continue
            yield from (f"{where}: {line}" for line in contradictions(persona))
            if persona.id in seen:
                yield f"{where}: id: '{persona.id}' is taken by {seen[persona.id]}; give each persona its own id"
            else:
                seen[persona.id] = where
                yield persona


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        beside = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
        raise UserError(f"{path}: no such persona file or folder{nearest(path.name, beside) if beside else ''}")
    files = sorted(
        (entry for entry in path.iterdir() if entry.suffix in _ENDINGS and not entry.name.startswith(".")),
        key=lambda entry: entry.name,
    )
    if not files:
        raise UserError(f"{path}: holds no persona files; a persona set has files that end in .yaml")
    return files


def _line(entry: Any, model: type[BaseModel]) -> str:
    location = tuple(entry["loc"])
    field = _dotted(location)
    if entry["type"] == "extra_forbidden":
        owner = _model_at(model, location[:-1])
        names = [info.alias or name for name, info in owner.model_fields.items()] if owner else []
        return f"{field}: unknown field{nearest(str(location[-1]), names)}"
    if entry["type"] == "missing":
        return f"{field}: required and not given"
    value = entry["input"]
    message = entry["msg"][0].lower() + entry["msg"][1:]
    if entry["type"] in ("enum", "literal_error"):
        choices = re.findall(r"'([^']*)'", entry["ctx"]["expected"])
        return f"{field}: {value!r} is not a choice{nearest(str(value), choices)}"
    if isinstance(value, (str, int, float, bool)) or value is None:
        return f"{field}: {message}, not {_shown(value)}"
    return f"{field}: {message}, not {_kind(value)}" if "type" in entry["type"] else f"{field}: {message}"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _kind(value: object) -> str:
    names = {dict: "a mapping", list: "a list", str: "a text", int: "a number", float: "a number", bool: "a yes/no"}
    return "nothing" if value is None else names.get(type(value), type(value).__name__)


def _dotted(location: tuple[str | int, ...]) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _model_at(model: type[BaseModel], location: tuple[str | int, ...]) -> type[BaseModel] | None:
    """The model that a location in a document leads to."""
    current: type[BaseModel] | None = model
    for part in location:
        if isinstance(part, int) or current is None:
            continue
        field = next((f for name, f in current.model_fields.items() if part in (name, f.alias)), None)
        current = _inner_model(field.annotation) if field else None
    return current


def _inner_model(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        found = _inner_model(argument)
        if found:
            return found
    return None
