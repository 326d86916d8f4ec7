"""A trained coder on disk: a folder with `coder.json` (what it is) and `coder.npz` (its numbers); never a pickle.

`coder.json` holds the SHA-256 of `coder.npz` and a fingerprint of itself, in one canonical layout, so that a
changed byte in either file is refused in one line. It also says what the coder was trained on: the file's hash, hashes
of every session and of every longer text, so that validating on training sessions cannot pass unnoticed.
"""

from __future__ import annotations

import hashlib
import io
import logging
import zipfile
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from simulator.coding.trained.calibrating import Calibration, Method
from simulator.coding.trained.examples import Examples, Task
from simulator.coding.trained.joining import Joint
from simulator.coding.trained.meaning import Meaning
from simulator.coding.trained.model import Model, TaskModel
from simulator.coding.trained.reading import Reader, Scale
from simulator.coding.trained.recipes import Recipe
from simulator.coding.trained.rules_seen import RuleHits
from simulator.coding.trained.scoring import First
from simulator.coding.trained.vectors import Vocabulary
from simulator.errors import UserError
from simulator.records.fingerprints import fingerprint, text_fingerprint
from simulator.records.seeds import key64
from simulator.records.text import count_words

_log = logging.getLogger("dyad.coding")

FORMAT = 2
DESCRIPTION, NUMBERS = "coder.json", "coder.npz"

LONG_TEXT = 8
"""Texts of so many words are remembered by hash: two people hardly ever say one in the same words."""


class TaskDescription(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A task and the few numbers of its decision; the rest stands in `coder.npz`."""

    name: str
    codebook: str
    codebook_version: str
    code: str
    role: str
    values: list[str]
    unit: str
    ordinal: bool
    shares: list[float]
    favour: float
    calibration: Method
    temperature: float
    units: int


class Description(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What `coder.json` says. `sessions` are transcript hashes; `group` is what folds kept whole; `group_key` and
    `session_key` as in `Examples`."""

    format: int
    dyad: str
    code_version: str
    data: str
    source_hash: str
    training_set: str
    group: str
    group_key: str | None
    session_key: str | None
    groups: int
    sessions: list[str]
    recipe: Recipe
    rules: str
    tasks: list[TaskDescription]
    numbers: str
    fingerprint: str = ""


class Training(NamedTuple):
    """What a coder was trained on, as hashes: transcripts, groups and ids of sessions (none where they name nothing
    outside their file), and sorted those of longer texts."""

    sessions: frozenset[str]
    groups: frozenset[int]
    ids: frozenset[int]
    texts: npt.NDArray[np.uint64]
    group_key: str | None
    session_key: str | None


@cache
def code_version() -> str:
    """A hash of the files that train and apply coders, the same in a clone and in a wheel."""
    folder = Path(__file__).parent
    return fingerprint([[path.name, text_fingerprint(path.read_bytes())] for path in sorted(folder.glob("*.py"))])[:16]


def text_hashes(texts: Sequence[str]) -> npt.NDArray[np.uint64]:
    """Sorted hashes of the different texts of at least `LONG_TEXT` words."""
    return _sorted(key64(text) for text in texts if count_words(text) >= LONG_TEXT)


def id_hashes(key: str | None, ids: Iterable[str]) -> list[int]:
    """Stand for videos, posts, people or sessions of a data set, without naming them; empty without a `key`."""
    return [] if key is None else [key64(f"{key}\0{one}") for one in ids]


def save(folder: Path, model: Model, examples: Examples) -> Description:
    """Write a trained model; a folder that holds another coder is overwritten whole.

    Raises:
        UserError: the folder cannot be written.
    """
    import simulator

    arrays: dict[str, npt.NDArray[Any]] = {
        "texts": text_hashes([turn.text for session in examples.sessions for turn in session.turns]),
        "groups": _sorted(id_hashes(examples.group_key, (session.group for session in examples.sessions))),
        "ids": _sorted(id_hashes(examples.session_key, (session.id for session in examples.sessions))),
    }
    for vocabulary in model.reader.vocabularies:
        arrays[f"{vocabulary.kind}.hashes"] = vocabulary.hashes
        arrays[f"{vocabulary.kind}.idf"] = vocabulary.idf
    if (meaning := model.reader.meaning) is not None:
        arrays |= {"meaning.columns": meaning.columns, "meaning.basis": meaning.basis}
    for learnt in model.tasks:
        arrays.update(_arrays(learnt))
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    description = Description(
        format=FORMAT,
        dyad=simulator.__version__,
        code_version=code_version(),
        data=examples.name,
        source_hash=examples.source_hash,
        training_set=examples.fingerprint,
        group=examples.group,
        group_key=examples.group_key,
        session_key=examples.session_key,
        groups=len({session.group for session in examples.sessions}),
        sessions=sorted({session.fingerprint for session in examples.sessions}),
        recipe=model.reader.recipe,
        rules=model.reader.hits.fingerprint,
        tasks=[_describe(learnt, examples) for learnt in model.tasks],
        numbers=hashlib.sha256(buffer.getvalue()).hexdigest(),
    )
    description = msgspec.structs.replace(description, fingerprint=_fingerprint(description))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / DESCRIPTION).unlink(missing_ok=True)
        (folder / NUMBERS).write_bytes(buffer.getvalue())
        (folder / DESCRIPTION).write_bytes(_encode(description))
    except OSError as error:
        raise UserError(f"{folder}: cannot be written ({error.strerror}); name another --out") from None
    return description


def load(folder: Path) -> tuple[Model, Description, Training]:
    """A trained model, its description, and what it was trained on. A warning is logged where other code trained it.

    Raises:
        UserError: no coder there, a changed byte, another format, rules that have changed since.
    """
    description = read_description(folder)
    if description.code_version != code_version():
        _log.warning(
            "%s: trained by other code than this (%s there, %s here), which may judge differently; validate it, or "
            "train it again",
            folder, description.code_version, code_version(),
        )  # fmt: skip
    content = _bytes(folder / NUMBERS)
    if hashlib.sha256(content).hexdigest() != description.numbers:
        raise UserError(f"{folder / NUMBERS}: not the file that was written ({_CHANGED})")
    hits = RuleHits(description.tasks[0].codebook)
    if hits.fingerprint != description.rules and description.recipe.has("rules"):
        raise UserError(f"{folder}: the rules it counts have changed since it was trained; train it again")
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        vocabularies = [
            Vocabulary(kind, arrays[f"{kind}.hashes"], arrays[f"{kind}.idf"])
            for kind in ("words", "letters")
            if f"{kind}.hashes" in arrays
        ]
        meaning = Meaning(arrays["meaning.columns"], arrays["meaning.basis"]) if "meaning.basis" in arrays else None
        tasks = [_task_model(task, arrays) for task in description.tasks]
    except (KeyError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(f"{folder / NUMBERS}: cannot be read ({error}); train the coder again") from None
    training = Training(
        frozenset(description.sessions), frozenset(arrays["groups"].tolist()), frozenset(arrays["ids"].tolist()),
        arrays["texts"], description.group_key, description.session_key,
    )  # fmt: skip
    return Model(Reader(description.recipe, hits, vocabularies, meaning), tasks), description, training


def read_description(folder: Path) -> Description:
    """What `coder.json` says, verified against its own fingerprint. Raises: UserError."""
    path = folder / DESCRIPTION
    content = _bytes(path)
    try:
        found = msgspec.json.decode(content, type=dict[str, Any])
        if found.get("format") != FORMAT:
            raise UserError(f"{path}: format {found.get('format')}, not {FORMAT}; train the coder again with this Dyad")
        description = msgspec.convert(found, Description, strict=False)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not what was written ({_CHANGED}): {error}") from None
    if _encode(description) != content or _fingerprint(description) != description.fingerprint:
        raise UserError(f"{path}: not what was written ({_CHANGED})")
    return description


def _sorted(hashes: Iterable[int]) -> npt.NDArray[np.uint64]:
    return np.array(sorted(set(hashes)), np.uint64)


_CHANGED = "a changed byte; train it again or take a sound copy"


def _encode(description: Description) -> bytes:
    return msgspec.json.format(msgspec.json.encode(description, order="deterministic"), indent=1) + b"\n"


def _fingerprint(description: Description) -> str:
    return fingerprint(msgspec.to_builtins(msgspec.structs.replace(description, fingerprint=""), str_keys=True))


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; name the folder that `dyad coders train --out` wrote") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None


def _describe(learnt: TaskModel, examples: Examples) -> TaskDescription:
    task = learnt.task
    return TaskDescription(
        name=task.name,
        codebook=task.codebook,
        codebook_version=task.codebook_version,
        code=task.code,
        role=task.role,
        values=list(task.values),
        unit=task.unit,
        ordinal=task.ordinal,
        shares=[float(share) for share in learnt.shares],
        favour=learnt.favour,
        calibration=learnt.calibration.method,
        temperature=learnt.calibration.temperature,
        units=int((examples.values(task) >= 0).sum()),
    )


def _arrays(learnt: TaskModel) -> dict[str, npt.NDArray[Any]]:
    parts = {
        "scale.middle": learnt.first.scale.middle,
        "scale.factor": learnt.first.scale.factor,
        "text": learnt.first.text,
        "full": learnt.first.full,
        "joint.middle": learnt.joint.middle,
        "joint.factor": learnt.joint.factor,
        "joint.linear": learnt.joint.linear,
        "knots": learnt.calibration.knots,
        "length": learnt.length,
    }
    first = learnt.first
    parts |= {"odds": first.odds} if first.odds is not None else {}
    parts |= {"sentences": first.sentences} if first.sentences is not None else {}
    return {f"{learnt.task.name}/{name}": array for name, array in parts.items()}


def _task_model(described: TaskDescription, arrays: dict[str, npt.NDArray[Any]]) -> TaskModel:
    def part(name: str) -> npt.NDArray[Any]:
        return arrays[f"{described.name}/{name}"]

    task = Task(
        described.name, described.codebook, described.codebook_version, described.code, described.role,
        tuple(described.values), described.unit, described.ordinal,
    )  # fmt: skip
    return TaskModel(
        task,
        First(
            Scale(part("scale.middle"), part("scale.factor")),
            part("text"),
            part("full"),
            arrays.get(f"{described.name}/odds"),
            arrays.get(f"{described.name}/sentences"),
        ),
        Joint(part("joint.middle"), part("joint.factor"), part("joint.linear")),
        Calibration(described.calibration, described.temperature, part("knots")),
        np.array(described.shares),
        described.favour,
        part("length"),
    )
