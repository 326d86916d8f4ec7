"""Codebooks from the library or from a user's own file, and what is wrong with them, one line each."""

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from simulator.codebooks.manifest import Manifest, manifest_problems
from simulator.codebooks.schema import Code, Codebook, Scale
from simulator.errors import UserError, nearest
from simulator.instruments.files import read_document, try_document
from simulator.personas.loading import read_yaml

LIBRARY = Path(__file__).parent / "library"
"""The codebooks that ship with Dyad, one YAML file each, named as the codebook."""

MANIFEST = LIBRARY / "manifest.yaml"
"""The works that the library renders, with the ids of their codes."""

_ENDINGS = (".yaml", ".yml")


class Check(NamedTuple):
    """What a check found. `published` counts the codes of `works`; `compared` are the files of published definitions
    that wording was compared with, empty where none were at hand."""

    problems: list[str]
    works: int
    published: int
    codebooks: int
    codes: int
    complete: int
    compared: tuple[str, ...]


def list_codebooks() -> list[str]:
    """Names of the library's codebooks, in alphabetical order. Opens none of them."""
    return sorted(path.stem for path in LIBRARY.glob("*.yaml") if path != MANIFEST)


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


@lru_cache(maxsize=1024)
def exploratory(codebook: str, code: str) -> bool:
    """Whether people agree too little on a code, or nobody knows whether they do: codes of unknown books among them."""
    if codebook not in list_codebooks():
        return True
    known = {each.id: each for each in load_codebook(codebook).codes}
    return code not in known or known[code].exploratory


@lru_cache(maxsize=1024)
def complete(codebook: str, code: str) -> bool:
    """Whether a code of the library has all the fields asked of a complete one; an outcome has them if all its codes
    do, and codes of unknown books count as incomplete."""
    if codebook not in list_codebooks():
        return False
    book = load_codebook(codebook)
    known = {each.id: each.complete for each in book.codes}
    outcome = book.outcomes.get(code.removeprefix("outcome ")) if code not in known else None
    return all(known[member] for member in outcome.codes) if outcome else known.get(code, False)


@lru_cache(maxsize=1024)
def scale_of(codebook: str, code: str) -> Scale | None:
    """The scale of a code of the library; None for codes that it does not have."""
    if codebook not in list_codebooks():
        return None
    return next((each.scale for each in load_codebook(codebook).codes if each.id == code), None)


def load_manifest() -> Manifest:
    """The works that the library renders."""
    return read_document(MANIFEST, Manifest)


def check_codebooks(paths: list[Path] | None = None, published: Path | None = None) -> list[str]:
    """Every problem that `check_library` finds, one line each; empty where all are sound."""
    return check_library(paths, published).problems


def check_library(paths: list[Path] | None = None, published: Path | None = None) -> Check:
    """What is wrong with the library's codebooks, or with the files given.

    Beyond the schema: a code that calls itself complete has inclusion, exclusion and two examples of both kinds (codes
    that no coder reads from text need no examples), a nominal or ordinal one an example of every value; no group and no
    situation stands unused; a library file bears its codebook's name, and the library holds every code of the manifest
    with the fields asked of it. Where `published` names a folder of published definitions, no run of six words is
    shared with them.

    Raises:
        UserError: `published` holds no definitions.
    """
    from simulator.codebooks.borrowing import borrowed, published_texts, texts_of, word_runs

    definitions = published_texts(published) if published else {}
    runs = word_runs(text for texts in definitions.values() for text in texts)
    problems: list[str] = []
    books: dict[str, Codebook] = {}
    for path in [LIBRARY / f"{name}.yaml" for name in list_codebooks()] if paths is None else paths:
        codebook, lines = try_document(path, Codebook)
        problems += lines
        if codebook is None:
            continue
        books[codebook.name] = codebook
        if paths is None and codebook.name != path.stem:
            problems.append(f"{path}: name: '{codebook.name}' is not the file's name")
        problems += [f"{path}: {line}" for line in _unused(codebook)]
        for code in codebook.codes:
            problems += [f"{path}: codes.{code.id}.{line}" for line in _lacks(code)]
        if runs:
            shared = borrowed(texts_of(read_yaml(path)), runs)
            problems += [f"{path}: wording: '{run}' stands so in a published definition; say it anew" for run in shared]
    manifest = Manifest(works={})
    if paths is None:
        found, lines = try_document(MANIFEST, Manifest)
        manifest = found or manifest
        problems += lines + (manifest_problems(found, MANIFEST, books) if found else [])
    codes = [code for book in books.values() for code in book.codes]
    return Check(
        problems=problems,
        works=len(manifest.works),
        published=manifest.codes,
        codebooks=len(books),
        codes=len(codes),
        complete=sum(code.complete for code in codes),
        compared=tuple(definitions),
    )


def _unused(book: Codebook) -> list[str]:
    """Groups and situations that no code names."""
    groups = [f"groups.{name}: no code is of this group" for name in book.groups if not _names(book, "group", name)]
    gates = [f"situations.{name}: no code is live by it" for name in book.situations if not _names(book, "live", name)]
    return groups + gates


def _names(book: Codebook, field: str, value: str) -> bool:
    return any(getattr(code, field) == value for code in book.codes)


def _lacks(code: Code) -> list[str]:
    """What a code lacks that calls itself complete."""
    if not code.complete:
        return []
    lines = [f"{field}: a complete code states it" for field in ("inclusion", "exclusion") if not getattr(code, field)]
    if code.read_from != "text":
        return lines
    for field in ("positive", "negative"):
        count = len(getattr(code, field))
        if count < 2:
            lines.append(f"{field}: a complete code has two examples, not {count}")
    if code.scale.kind == "binary":
        for field, value in (("positive", "present"), ("negative", "absent")):
            if any(example.value != value for example in getattr(code, field)):
                lines.append(f"{field}: an example of a binary code is '{value}' here")
    shown = {example.value for example in (*code.positive, *code.negative)}
    return lines + [f"positive: no example of the value '{value}'" for value in code.values if value not in shown]


@lru_cache(maxsize=64)
def _load(name: str) -> Codebook:
    return read_document(LIBRARY / f"{name}.yaml", Codebook)
