"""Whether a codebook repeats published wording: runs of six words that it shares with definitions at hand.

The published definitions belong to their authors and are not part of Dyad. Where a folder has them (the layout of
`PUBLISHED`), every text of a codebook is compared with every text in it.
"""

import csv
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from simulator.errors import UserError

RUN = 6
"""Words in a row that count as borrowed."""

PUBLISHED = (
    "bolt/definitions.csv",
    "emoclassifiers/definitions.jsonl",
    "humanebench/rubric_v3.md",
    "spiralbench/final_judge_prompt.txt",
    "spiralbench/judge_prompt.txt",
    "spiralbench/rubric.csv",
    "vera_mh/rubric.csv",
    "vera_mh/rubric_prompt_beginning.txt",
)
"""Definitions, prompts and rubrics, as files below the folder."""

_WORD = re.compile(r"[a-z']+")


def word_runs(texts: Iterable[str]) -> set[tuple[str, ...]]:
    """All runs of `RUN` words inside single texts; case and punctuation do not count."""
    runs: set[tuple[str, ...]] = set()
    for text in texts:
        words = _WORD.findall(text.lower().replace("\u2019", "'"))
        runs.update(tuple(words[start : start + RUN]) for start in range(len(words) - RUN + 1))
    return runs


def texts_of(value: Any) -> Iterator[str]:
    """All texts in a document."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from texts_of(part)
    elif isinstance(value, list):
        for part in value:
            yield from texts_of(part)


def published_texts(folder: Path) -> dict[str, list[str]]:
    """The texts of each file of `PUBLISHED` that the folder has, by path below it.

    Raises:
        UserError: where it has none of them.
    """
    found = {name: list(_read(folder / name)) for name in PUBLISHED if (folder / name).is_file()}
    if not found:
        raise UserError(f"{folder}: holds no published definitions; expected files such as {PUBLISHED[0]}")
    return found


def borrowed(texts: Iterable[str], published: set[tuple[str, ...]]) -> list[str]:
    """The runs of words that the texts share with the published ones, in alphabetical order."""
    return sorted(" ".join(run) for run in word_runs(texts) & published)


def _read(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8", newline="") as stream:
        if path.suffix == ".csv":
            for row in csv.reader(stream):
                yield from row
        elif path.suffix == ".jsonl":
            for line in stream:
                yield from texts_of(json.loads(line))
        else:
            yield stream.read()
