"""Codebooks from the library or from a user's own file, and what is wrong with them, one line each."""

from functools import lru_cache
from pathlib import Path

from simulator.codebooks.schema import Code, Codebook
from simulator.errors import UserError, nearest
from simulator.instruments.files import read_document, try_document

LIBRARY = Path(__file__).parent / "library"
"""The codebooks that ship with Dyad, one YAML file each, named as the codebook."""

_ENDINGS = (".yaml", ".yml")


def list_codebooks() -> list[str]:
    """Names of the library's codebooks, in alphabetical order."""
    return sorted(path.stem for path in LIBRARY.glob("*.yaml"))


def load_codebook(name: str | Path) -> Codebook:
    """A codebook of the library by name, or a file of one's own by path.

    Raises:
        UserError: no such codebook (with the nearest name), or the file's first problem as `file: field: what`.
    """
    if isinstance(name, Path) or name.endswith(_ENDINGS):
        return read_document(Path(name), Codebook)
    if name not in list_codebooks():
        raise UserError(f"no codebook '{name}' in the library{nearest(name, list_codebooks())}")
    return _load(name)


def check_codebooks(paths: list[Path] | None = None) -> list[str]:
    """Every problem of the library's codebooks (or of the files given), one line each; empty where all are sound.

    Beyond the schema: a code that calls itself complete has inclusion, exclusion and two examples of both kinds (codes
    read from events need no examples), a nominal or ordinal one an example of every value; a library file bears its
    codebook's name.
    """
    problems: list[str] = []
    for path in sorted(LIBRARY.glob("*.yaml")) if paths is None else paths:
        codebook, lines = try_document(path, Codebook)
        problems += lines
        if codebook is None:
            continue
        if paths is None and codebook.name != path.stem:
            problems.append(f"{path}: name: '{codebook.name}' is not the file's name")
        for code in codebook.codes:
            problems += [f"{path}: codes.{code.id}.{line}" for line in _lacks(code)]
    return problems


def _lacks(code: Code) -> list[str]:
    """What a code lacks that calls itself complete."""
    if not code.complete:
        return []
    lines = [f"{field}: a complete code states it" for field in ("inclusion", "exclusion") if not getattr(code, field)]
    if code.read_from == "events":
        return lines
    for field in ("positive", "negative"):
        count = len(getattr(code, field))
        if count < 2:
            lines.append(f"{field}: a complete code has two examples, not {count}")
    shown = {example.value for example in (*code.positive, *code.negative)}
    return lines + [f"positive: no example of the value '{value}'" for value in code.values if value not in shown]


@lru_cache(maxsize=64)
def _load(name: str) -> Codebook:
    return read_document(LIBRARY / f"{name}.yaml", Codebook)
