"""A YAML file that must hold one document of a known form; instruments, wordings and codebooks are read through it."""

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from simulator.errors import UserError
from simulator.personas.loading import read_yaml, validation_lines

Model = TypeVar("Model", bound=BaseModel)


def read_document(path: Path, model: type[Model]) -> Model:
    """The file's document. Raises: UserError, the first problem as one line `file: field: what is wrong`."""
    document, problems = try_document(path, model)
    if document is None:
        raise UserError(problems[0])
    return document


def try_document(path: Path, model: type[Model]) -> tuple[Model | None, list[str]]:
    """The document, or None and all its problems, one line each."""
    try:
        content = read_yaml(path)
    except UserError as error:
        return None, [str(error)]
    if not isinstance(content, dict):
        return None, [f"{path}: must be a mapping of fields (`name: value` lines)"]
    try:
        return model.model_validate(content), []
    except ValidationError as error:
        return None, [f"{path}: {_plain(line)}" for line in validation_lines(error, model)]


def _plain(line: str) -> str:
    """Checks between fields name their field themselves, so pydantic's frame around them says nothing."""
    return line.removeprefix(": ").replace("value error, ", "")
