"""The key of a sample: what the sheets do not say.

Sheets are blind: they hold texts, speakers and opaque row ids. Which run, course and turn a row is, its stratum, its
inclusion probability and the hash of its text stand in `RUN/samples/<sample>.json` of every run that was drawn from,
and never in what raters are given.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from simulator.coding.human.units import Place
from simulator.errors import UserError, nearest
from simulator.records.fingerprints import text_fingerprint
from simulator.store.runs import RunFolder, write_atomically

if TYPE_CHECKING:
    import polars as pl


class Row(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One row that is coded. `excerpt` is what of a transcript is shown together; `codes` are asked in it."""

    row: str
    excerpt: str
    run: str
    course_id: str
    session: int
    turn: int | None
    start: int | None
    end: int | None
    role: str
    codes: list[str]
    stratum: str
    inclusion_probability: float
    transcript: str

    @property
    def place(self) -> Place:
        """Where it stands."""
        return Place(self.course_id, self.session, self.turn, self.start, self.end, self.role)


class Key(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A sample. `texts` holds the hash of the text of every row, coded or shown only; `strata` how many units each has
    and how many were drawn; `runs` the identities with the names of their experiments."""

    sample: str
    design: str
    seed: int
    score: str | None
    codebook: str
    codebook_version: str
    unit: str
    codes: list[str]
    raters: list[str]
    runs: dict[str, str]
    strata: dict[str, dict[str, int]]
    texts: dict[str, str]
    rows: list[Row]


def text_hash(text: str) -> str:
    """What tells two texts apart; white space and the apostrophe that protects a cell do not."""
    return text_fingerprint(" ".join(text.split()).lstrip("'"))


def write_key(run: RunFolder, key: Key) -> None:
    """Keep a sample's key in a run."""
    (run.path / "samples").mkdir(exist_ok=True)
    write_atomically(run.path / "samples" / f"{key.sample}.json", msgspec.json.format(msgspec.json.encode(key)))


def read_key(run: RunFolder, sample: str, where: str) -> Key:
    """The key of a sample that was drawn from this run.

    Raises:
        UserError: it was not, or its file cannot be read.
    """
    known = [path.stem for path in (run.path / "samples").glob("*.json")]
    if sample not in known:
        raise UserError(f"{where}: the sample '{sample}' was not drawn from {run.path}{nearest(sample, known)}")
    return _read(run.path / "samples" / f"{sample}.json")


def read_keys(run: RunFolder) -> Iterator[Key]:
    """Every sample that was drawn from a run."""
    for path in sorted((run.path / "samples").glob("*.json")):
        yield _read(path)


def human_codings(run: RunFolder) -> pl.DataFrame:
    """People's codings of a run with the columns `sample`, `stratum` and `inclusion_probability` beside each.

    What a rate over all units is estimated from: a sample that is stratified by score has to be weighted by
    1 / inclusion_probability.
    """
    import polars as pl

    from simulator.store.reading import read_table

    place = ["course_id", "session", "turn", "start"]
    columns = [*place, "sample", "stratum", "inclusion_probability", "coder_fingerprint"]
    rows = [
        (row.course_id, row.session, row.turn, row.start, key.sample, row.stratum, row.inclusion_probability,
         rater_fingerprint(key.sample, rater))
        for key in read_keys(run) for row in key.rows if row.run == run.identity for rater in key.raters
    ]  # fmt: skip
    kinds = dict(zip(columns, [pl.String, pl.Int32, pl.Int32, pl.Int32, pl.String, pl.String, pl.Float64, pl.String],
                     strict=True))  # fmt: skip
    drawn = pl.DataFrame(rows, schema=kinds, orient="row")
    codings = read_table(run, "codings").with_columns(pl.col("coder_fingerprint").cast(pl.String))
    return codings.join(drawn, on=[*place, "coder_fingerprint"], how="inner", nulls_equal=True)


def rater_fingerprint(sample: str, rater: str) -> str:
    """The coder's fingerprint of a person who coded a sample."""
    return text_fingerprint(f"human {sample} {rater}")


def _read(path: Path) -> Key:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Key)
    except (OSError, msgspec.DecodeError) as error:
        raise UserError(f"{path}: cannot be read as a sample's key ({error}); restore it from a copy") from None
