"""Which published codes the library must hold, work by work, and what is asked of each.

The manifest is the library's own list of expectations, so that a code that is lost, or stands without a field that its
work publishes, is found on any machine. It is written from the works' own code lists and not from the codebooks.
"""

from pathlib import Path

from pydantic import BaseModel

from simulator.codebooks.parts import STRICT, Name, Text
from simulator.codebooks.schema import Code, Codebook
from simulator.errors import nearest


class _Part(BaseModel):
    model_config = STRICT


class Work(_Part):
    """A published work: the codebook that renders it and the ids of its codes.

    `agreement`: every code has a published figure. `complete`: every code has inclusion, exclusion and examples.
    `gated`: those that can occur only in some units.
    """

    codebook: Name
    codes: list[Text]
    agreement: bool = False
    complete: bool = False
    gated: list[Text] = []


class Manifest(_Part):
    """The works by name."""

    works: dict[str, Work]

    @property
    def codes(self) -> int:
        """Published codes of all works."""
        return sum(len(work.codes) for work in self.works.values())

    @property
    def codebooks(self) -> set[str]:
        """The codebooks that render a work."""
        return {work.codebook for work in self.works.values()}


def manifest_problems(manifest: Manifest, path: Path, books: dict[str, Codebook]) -> list[str]:
    """Every difference between the manifest and the codebooks, one line each."""
    lines: list[str] = []
    for name, work in manifest.works.items():
        book = books.get(work.codebook)
        if book is None:
            lines.append(f"{path}: works.{name}: no sound codebook '{work.codebook}'{nearest(work.codebook, books)}")
            continue
        rendered = _rendered(book)
        where = f"{path}: works.{name}: {{}}; see codebook '{book.name}'"
        for code_id in work.codes:
            codes = rendered.get(code_id, [])
            faults = [] if codes else [f"no code stands for '{code_id}'{nearest(code_id, rendered)}"]
            if work.agreement and not any(code.agreement for code in codes):
                faults.append(f"'{code_id}' has no published agreement")
            if work.complete and not all(code.complete for code in codes):
                faults.append(f"'{code_id}' is not complete")
            if codes and (code_id in work.gated) != any(code.gated for code in codes):
                faults.append(f"'{code_id}' is {'not ' if code_id in work.gated else ''}gated")
            lines += [where.format(fault) for fault in (faults if codes else faults[:1])]
        unknown = [code_id for code_id in work.gated if code_id not in work.codes]
        lines += [where.format(f"gated: no code '{one}'{nearest(one, work.codes)}") for one in unknown]
    for name, book in books.items():
        listed = {one for work in manifest.works.values() if work.codebook == name for one in work.codes}
        lines += [
            f"{path}: codebook '{name}' has a code that stands for '{one}', which no work lists{nearest(one, listed)}"
            for one in _rendered(book)
            if one not in listed
        ]
    return lines


def _rendered(book: Codebook) -> dict[str, list[Code]]:
    """The codes by the published ids that they or their options stand for."""
    rendered: dict[str, list[Code]] = {}
    for code in book.codes:
        for one in code.published:
            rendered.setdefault(one, []).append(code)
    return rendered
