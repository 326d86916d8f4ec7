"""Phrase families: YAML files of templates, compiled at first use into lists of wordings by length.

A phrase file maps a family's name to a block of lines, one template a line. `[a|b|]` are alternatives (they may be
nested, an empty one makes the part optional), `{slot}` is filled at run time. A family uses at most one *long* slot
(a persona's own clause, whose length is known only then); `{name}` counts as one word.

A line stands for all its wordings. `Family.pick` returns one whose number of words is near the number asked for, each
equally likely, so that a speaker hits a length by choosing and not by padding. Nothing is read on import.
"""

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import product
from pathlib import Path

from simulator.errors import UserError, nearest
from simulator.resources import read_yaml

FOLDER = Path(__file__).resolve().parent / "phrases"

LONG_SLOTS = frozenset(
    ("fact", "thought", "trigger", "goal", "target", "short", "for_duration", "person", "fact_you", "topic")
)
SLOTS = LONG_SLOTS | {"name"}
MOST_WORDINGS = 600
"""More wordings than this from one line is a mistake: it would drown the other lines of its family."""

ENOUGH, ENOUGH_SHORT = 12, 4
"""Wordings of about the right length that are enough choice (the second for five words or fewer); where there are
fewer, the next lengths are taken in."""

_SLOT = re.compile(r"\{(\w*)\}")
_INNERMOST = re.compile(r"\[([^\[\]]*)\]")
_SPACE_BEFORE = re.compile(r" +([,?])")


def expand(line: str) -> list[str]:
    """All wordings of a template line, slots left as they are, spaces tidied, duplicates dropped.

    Raises:
        UserError: brackets do not match or the line has more than `MOST_WORDINGS` wordings.
    """
    wordings = [line]
    while "[" in wordings[0] or any("[" in wording for wording in wordings):
        unfolded: list[str] = []
        for wording in wordings:
            pieces = _INNERMOST.split(wording)
            if len(pieces) == 1:
                raise UserError(f"phrase with unmatched '[': {line!r}; close every bracket")
            # pieces alternate between text and the inside of a bracket
            choices = [piece.split("|") if index % 2 else [piece] for index, piece in enumerate(pieces)]
            unfolded += ["".join(parts) for parts in product(*choices)]
            if len(unfolded) > MOST_WORDINGS:
                raise UserError(f"phrase with more than {MOST_WORDINGS} wordings: {line!r}; split the line")
        wordings = unfolded
    if "]" in wordings[0]:
        raise UserError(f"phrase with unmatched ']': {line!r}; close every bracket")
    return list(dict.fromkeys(map(_tidy, wordings)))


def _tidy(wording: str) -> str:
    text = " ".join(wording.split())
    return _SPACE_BEFORE.sub(r"\1", text) if " ," in text or " ?" in text else text


class Family:
    """Interchangeable wordings, found by length. `slot` names the long slot that some of them use, or is empty."""

    __slots__ = ("_near", "_plain", "_reach", "_slotted", "_source", "name", "slot")

    def __init__(self, name: str, source: str) -> None:
        self.name = name
        self._source = source
        long = {slot for slot in _SLOT.findall(source) if slot in LONG_SLOTS}
        if len(long) > 1:
            raise UserError(f"phrase family {name!r} uses {sorted(long)}; use one long slot in a family")
        self.slot = long.pop() if long else ""
        self._plain: dict[int, list[str]] = {}
        self._slotted: dict[int, list[str]] = {}
        self._near: dict[tuple[int, int], tuple[str, ...]] = {}
        self._reach = 0

    def _compile(self) -> None:
        marked = "{" + self.slot + "}" if self.slot else None
        for line in self._source.splitlines():
            for wording in expand(line.strip()) if line.strip() else ():
                words = wording.count(" ") + 1
                uses = marked is not None and marked in wording
                if uses:
                    words -= 1
                lengths = self._slotted if uses else self._plain
                text = _SLOT.sub(r"%(\1)s", wording) if "{" in wording else wording
                lengths.setdefault(words, []).append(text)
        self._reach = max((*self._plain, *self._slotted))

    def wordings(self) -> list[str]:
        """Every wording, with slots in `%(slot)s` form where there are any."""
        if not self._reach:
            self._compile()
        return [text for lengths in (self._plain, self._slotted) for texts in lengths.values() for text in texts]

    def near(self, words: int, slot_words: int) -> tuple[str, ...]:
        """The wordings nearest `words` in length: those whose long slot `slot_words` words fill, or, where that is 0,
        those without one."""
        key = (words, slot_words)
        found = self._near.get(key)
        if found is None:
            if not self._reach:
                self._compile()
            found = self._near[key] = tuple(self._collect(words, slot_words))
        return found

    def _collect(self, words: int, slot_words: int) -> list[str]:
        by_length = self._slotted if slot_words and self._slotted else self._plain
        if not by_length:
            raise UserError(f"phrase family {self.name!r} has no wording without {{{self.slot}}}; add one")
        free = min(max(words - slot_words, 0), max(by_length)) if by_length is self._slotted else words
        free = min(free, max(by_length))
        slack, most = (0, 1) if free <= 5 else (1, 2) if free <= 9 else (2, 4)
        enough = ENOUGH if free > 5 or by_length is self._slotted else ENOUGH_SHORT
        while True:
            near = [text for n, texts in by_length.items() if abs(n - free) <= slack for text in texts]
            if len(near) >= enough or (near and slack >= most):
                return near
            slack += 1

    def pick(self, roll: int, words: int, slot_words: int = 0) -> str:
        """One wording near `words` words long (see `near`); `roll` is any non-negative integer."""
        near = self._near.get((words, slot_words)) or self.near(words, slot_words)
        return near[roll % len(near)]


class Phrasebook:
    """The families of one speaker, in one manner of speaking.

    `speaker` names the files (`phrases/<speaker>_*.yaml`); `style` rewrites a family's lines before use.
    """

    def __init__(self, speaker: str, style: Callable[[str], str] | None = None) -> None:
        self._speaker = speaker
        self._style = style
        self._sources = sources(FOLDER, speaker)
        self._families: dict[str, Family] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._sources

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all families, in the order of the files."""
        return tuple(self._sources)

    def __getitem__(self, name: str) -> Family:
        family = self._families.get(name)
        if family is None:
            source = self._sources.get(name)
            if source is None:
                raise UserError(f"phrases of the {self._speaker}: no family {name!r}{nearest(name, self._sources)}")
            family = self._families[name] = Family(name, self._style(source) if self._style else source)
        return family


@lru_cache(maxsize=16)
def sources(folder: Path, speaker: str) -> dict[str, str]:
    """The families of `speaker` as text, from its files in `folder`, checked for slots that nobody fills.

    Raises:
        UserError: a slot is unknown, a family is empty, not a block of text, or stands in two files.
    """
    families: dict[str, str] = {}
    for path in sorted(folder.glob(f"{speaker}_*.yaml")):
        for name, block in _checked(path):
            if name in families:
                raise UserError(f"{path.name}: family {name!r} stands in two files; keep one")
            families[name] = block
    return families


def _checked(path: Path) -> Iterator[tuple[str, str]]:
    content = read_yaml(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise UserError(f"{path.name}: expected families by name, found {type(content).__name__}")
    for name, block in content.items():
        if not isinstance(block, str) or not block.strip():
            raise UserError(f"{path.name}: family {name!r} must be a block of lines with at least one phrase")
        if "%" in block:
            raise UserError(f"{path.name}: family {name!r} has a '%'; write 'percent'")
        for slot in set(_SLOT.findall(block)) - SLOTS:
            raise UserError(f"{path.name}: family {name!r} uses an undefined slot {{{slot}}}{nearest(slot, SLOTS)}")
        yield name, block
