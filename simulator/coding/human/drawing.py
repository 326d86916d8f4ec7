"""Which units people code: probability samples whose inclusion probabilities are known exactly.

Within a stratum units are drawn at random without replacement: each gets a number from the seed and its own place, and
those with the smallest numbers are taken. So the sample depends on nothing but the run and the seed, one pass over the
tables is enough, and memory holds the sample and not the run. The inclusion probability is drawn / population of the
stratum, never zero: units whose score is missing are a stratum of their own.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from simulator.codebooks.parts import Unit
from simulator.coding.base import CodedTurn, sessions_of
from simulator.coding.human.units import Place, places
from simulator.errors import UserError, nearest
from simulator.records.seeds import key64
from simulator.store.runs import RunFolder

if TYPE_CHECKING:
    import polars as pl

Design = Literal["random", "stratified", "sessions"]
BANDS = 5
"""Strata of a probability: its fifths in the run."""

ALL, MISSING = "all", "missing"
_NAMES = ("coder", "code", "value", "coder_fingerprint", "unit")
_LEVEL = {"utterance": 0, "turn": 1, "exchange": 1, "session": 2, "course": 3}
_KEY_OF = (4, 3, 2, 1)
"""How many of course, session, turn and start tell the units of a level apart."""
_TURNS = ["course_id", "session", "turn", "role", "text"]


class Score(NamedTuple):
    """A stored coder's judgment of one code, by which units are stratified."""

    coder: str
    code: str


class Drawn(NamedTuple):
    """One unit of the sample: `run` is the run's identity."""

    run: str
    place: Place
    stratum: str
    inclusion_probability: float


@dataclass(slots=True)
class _Stratum:
    """The units with the smallest numbers so far (a heap whose first is the largest), and how many there were."""

    smallest: list[tuple[int, Sequence[Place]]]
    population: int = 0


def draw(
    runs: Sequence[RunFolder],
    unit: Unit,
    roles: Sequence[str],
    *,
    design: Design,
    size: int,
    seed: int,
    score: Score | None = None,
) -> tuple[list[Drawn], dict[str, dict[str, int]]]:
    """A sample of units, and `population` and `drawn` of every stratum.

    Args:
        runs: where to draw from; each is a stratum of its own, so that every run gets an equal share.
        roles: whose units.
        design: `random` and `stratified` draw units, `sessions` whole sessions with all their units.
        size: how many units, or sessions, over all strata in equal parts; a stratum that holds fewer gives all.
        score: `stratified` only.

    Raises:
        UserError: fewer than two asked for, no unit to draw, or no judgments of the score by this unit.
    """
    if size < 2:
        raise UserError("sample: fewer than 2 units; raise --size")
    strata: dict[tuple[str, str], _Stratum] = {}
    for run in runs:
        band = _bands(run, score, unit) if score else None
        for turns in _excerpts(run, unit):
            found = list(places(turns, unit, roles))
            elements: list[Sequence[Place]] = [found] if design == "sessions" and found else [[one] for one in found]
            for element in elements:
                stratum = band(element[0]) if band else ALL
                _offer(strata.setdefault((run.identity, stratum), _Stratum([])), element, size, seed, run.identity)
    if not strata:
        raise UserError(f"sample: there is no {unit} of {' or '.join(roles)} to draw")
    names = sorted(strata)
    taken = allocate([strata[name].population for name in names], size)
    sample: list[Drawn] = []
    sizes: dict[str, dict[str, int]] = {}
    for name, count in zip(names, taken, strict=True):
        drawn_from = strata[name]
        label = f"{name[0][:8]}:{name[1]}"
        sizes[label] = {"population": drawn_from.population, "drawn": count}
        share = count / drawn_from.population
        for _, element in sorted(drawn_from.smallest, key=lambda entry: -entry[0])[:count]:
            sample += [Drawn(name[0], place, label, share) for place in element]
    return sample, sizes


def allocate(populations: Sequence[int], size: int) -> list[int]:
    """Equal parts of `size` over strata, at least one each; what a small stratum cannot give goes to the others."""
    taken = [min(1, population) for population in populations]
    left = max(0, size - sum(taken))
    while left and any(count < population for count, population in zip(taken, populations, strict=True)):
        open_ = [place for place, count in enumerate(taken) if count < populations[place]]
        place = min(open_, key=lambda one: (taken[one], one))
        taken[place] += 1
        left -= 1
    return taken


def _offer(stratum: _Stratum, element: Sequence[Place], size: int, seed: int, run: str) -> None:
    entry = (-key64(f"human sample {seed}:{run}:{element[0].key}"), element)
    stratum.population += 1
    if len(stratum.smallest) < size:
        heapq.heappush(stratum.smallest, entry)
    else:
        heapq.heappushpop(stratum.smallest, entry)


def _excerpts(run: RunFolder, unit: Unit) -> Iterator[list[CodedTurn]]:
    """The sessions of a run, one part of its tables after another; its courses where they are the unit."""
    import polars as pl

    parts = sorted((run.dataset / "turns").glob("*.parquet"))
    if not parts:
        raise UserError(f"{run.path} has no tables yet: the run is unfinished; the command that began it continues it")
    for part in parts:
        sessions = sessions_of(pl.read_parquet(part, columns=_TURNS))
        if unit != "course":
            yield from sessions
            continue
        for _, course in groupby(sessions, key=lambda turns: turns[0].course_id):
            yield [turn for turns in course for turn in turns]


def _bands(run: RunFolder, score: Score, unit: Unit) -> Callable[[Place], str]:
    """The stratum of a unit by a coder's judgment: fifths of the probability that a binary code is present where the
    coder gives probabilities, its values otherwise. A part of the judged unit has the stratum of the whole.

    Raises:
        UserError: no judgments of the score, or such as say nothing about the whole unit.
    """
    import polars as pl

    words = [pl.col(name).cast(pl.String) for name in _NAMES]
    files = sorted((run.dataset / "codings").glob("*.parquet"))
    if not files:
        raise UserError(f"{run.path} has no codings; code it first: dyad code {run.path} coders=rules")
    keys = ["course_id", "session", "turn", "start"]
    rows = pl.concat(
        [pl.read_parquet(file, columns=[*keys, "probability", *_NAMES]).with_columns(words) for file in files]
    )
    coders = rows["coder"].unique().to_list()
    if score.coder not in coders:
        raise UserError(f"{run.path}: no codings by '{score.coder}'{nearest(score.coder, coders)}")
    rows = rows.filter(pl.col("coder") == score.coder)
    if not len(chosen := rows.filter(pl.col("code") == score.code)):
        codes = rows["code"].unique().to_list()
        raise UserError(f"{run.path}: '{score.coder}' did not judge '{score.code}'{nearest(score.code, codes)}")
    if chosen["coder_fingerprint"].n_unique() > 1:
        raise UserError(f"{run.path}: codings by {chosen['coder_fingerprint'].n_unique()} versions of '{score.coder}'")
    level = min(_LEVEL[judged] for judged in chosen["unit"].unique())
    if level < _LEVEL[unit]:
        judged = min(chosen["unit"].unique(), key=lambda one: _LEVEL[one])
        raise UserError(
            f"{run.path}: '{score.coder}' judged '{score.code}' by {judged}, which says nothing about a whole {unit}; "
            f"draw --unit {judged}, or stratify by a score of each {unit}"
        )
    labels = _labels(chosen)
    held: Mapping[tuple[Any, ...], str] = {
        key[: _KEY_OF[level]]: label for key, label in zip(chosen.select(keys).iter_rows(), labels, strict=True)
    }
    return lambda place: held.get((place.course_id, place.session, place.turn, place.start)[: _KEY_OF[level]], MISSING)


def _labels(rows: pl.DataFrame) -> list[str]:
    values = rows["value"].to_list()
    probabilities = rows["probability"].to_list()
    known = [(v, p) for v, p in zip(values, probabilities, strict=True) if v is not None]
    if not known or {v for v, _ in known} - {"present", "absent"} or any(p is None for _, p in known):
        return [MISSING if value is None else str(value) for value in values]
    present = np.array([np.nan if v is None else p if v == "present" else 1 - p
                        for v, p in zip(values, probabilities, strict=True)], dtype=np.float64)  # fmt: skip
    inside = present[~np.isnan(present)]
    edges = np.unique(np.quantile(inside, [band / BANDS for band in range(1, BANDS)]))
    band = np.searchsorted(edges, present, side="right")
    return [MISSING if np.isnan(p) else f"fifth-{b + 1}" for p, b in zip(present, band, strict=True)]
