"""What a set of personas covers and what it does not.

The coverage number is two-way combinatorial coverage, as in software testing (Kuhn, Kacker & Lei 2010, NIST SP
800-142): of all cells that two axes can form (problem x severity band, attachment x stage of change, ...), the share
that holds at least one persona. A small set cannot reach 1, so the most that a set of its size could reach stands
beside it. The number speaks about the design of a set, not about any population.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

from simulator.personas.design import AI_USE, LANGUAGE_LEVELS, LIFE_STAGES, PROBLEMS, REGISTERS, TRAITS
from simulator.personas.schema import Attachment, Persona, StageOfChange

PHQ9_BANDS = {"minimal": 0, "mild": 5, "moderate": 10, "moderately severe": 15, "severe": 20}
"""Lowest total of each band (Kroenke, Spitzer & Williams 2001)."""

GAD7_BANDS = {"minimal": 0, "mild": 5, "moderate": 10, "severe": 15}
"""Lowest total of each band (Spitzer, Kroenke, Williams & Loewe 2006)."""

DEFINITION = "share of the cells formed by two axes that hold at least one persona, over all pairs of axes"

_BINS = 5
_QUANTILES = (0, 10, 50, 90, 100)
_GENDERS = {"woman": "woman", "girl": "woman", "man": "man", "boy": "man"}
_SHOWN_CELLS = 8

_Axis = tuple[tuple[str, ...], Callable[[Persona], str]]

_AXES: dict[str, _Axis] = {
    "problem": (PROBLEMS, lambda p: p.problem.domain),
    "phq9_band": (tuple(PHQ9_BANDS), lambda p: band(p.severity.phq9_total, PHQ9_BANDS)),
    "gad7_band": (tuple(GAD7_BANDS), lambda p: band(p.severity.gad7_total, GAD7_BANDS)),
    "attachment": (tuple(Attachment), lambda p: p.attachment.value),
    "stage_of_change": (tuple(StageOfChange), lambda p: p.stage_of_change.value),
    "ai_use": (AI_USE, lambda p: p.ai.use),
    "life_stage": (tuple(LIFE_STAGES), lambda p: life_stage(p.identity.age)),
    "gender": (("woman", "man", "another"), lambda p: _GENDERS.get(p.identity.gender, "another")),
    "language_level": (LANGUAGE_LEVELS, lambda p: p.identity.language_level),
    "register": (REGISTERS, lambda p: p.speech.register_),
}

_CONTINUOUS: dict[str, tuple[float, float, Callable[[Persona], float]]] = {
    "age": (12, 100, lambda p: p.identity.age),
    "phq9_total": (0, 27, lambda p: p.severity.phq9_total),
    "gad7_total": (0, 21, lambda p: p.severity.gad7_total),
    "words_per_turn": (2, 22, lambda p: p.speech.words_per_turn),
    **{name: (0, 1, lambda p, name=name: getattr(p.traits, name)) for name in TRAITS},  # type: ignore[misc]
    "loneliness": (0, 1, lambda p: p.loneliness),
    "dependence_proneness": (0, 1, lambda p: p.dependence_proneness),
    "ai_trust": (0, 1, lambda p: p.ai.trust),
    "ai_companionship_seeking": (0, 1, lambda p: p.ai.companionship_seeking),
}


@dataclass(frozen=True, slots=True)
class Spread:
    """A continuous axis: its values at `_QUANTILES` percent, counts in five equal bins of `low` to `high` (what lies
    beyond is in the outer bins), and the empty bins as (from, to)."""

    quantiles: dict[int, float]
    bins: list[int]
    empty: list[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class PairCoverage:
    """Two axes: how many of their cells are covered, and the ones that are not."""

    first: str
    second: str
    cells: int
    covered: int
    uncovered: list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Coverage:
    """What `coverage` found. `number` is defined by `definition`; `attainable` is its upper bound for so many."""

    personas: int
    adolescents: int
    high_risk: int
    number: float
    attainable: float
    definition: str
    levels: dict[str, dict[str, int]]
    continuous: dict[str, Spread]
    pairs: list[PairCoverage]

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values for JSON."""
        return asdict(self)


def band(total: int, bands: dict[str, int]) -> str:
    """The severity band of a questionnaire's total."""
    return [name for name, low in bands.items() if total >= low][-1]


def life_stage(age: int) -> str:
    """The life stage of an age in years."""
    return next((name for name, (low, high) in LIFE_STAGES.items() if low <= age < high), "older")


def coverage(personas: Iterable[Persona]) -> Coverage:
    """Counts per level, spreads of continuous fields, and pairs of levels that no persona combines."""
    people = list(personas)
    values = {name: [read(persona) for persona in people] for name, (_, read) in _AXES.items()}
    levels = {}
    for name, (order, _) in _AXES.items():
        counts = Counter(values[name])
        levels[name] = {level: counts[level] for level in order}
    pairs = [_pair(first, second, values) for first, second in combinations(_AXES, 2)]
    cells = sum(pair.cells for pair in pairs)
    return Coverage(
        personas=len(people),
        adolescents=sum(persona.adolescent for persona in people),
        high_risk=sum(persona.high_risk for persona in people),
        number=sum(pair.covered for pair in pairs) / cells,
        attainable=sum(min(pair.cells, len(people)) for pair in pairs) / cells,
        definition=DEFINITION,
        levels=levels,
        continuous={
            name: _spread([float(read(persona)) for persona in people], low, high)
            for name, (low, high, read) in _CONTINUOUS.items()
        },
        pairs=pairs,
    )


def render(found: Coverage) -> str:
    """A page for people: counts, spreads, and what is not covered."""
    return "\n".join(_lines(found))


def _pair(first: str, second: str, values: dict[str, list[str]]) -> PairCoverage:
    found = set(zip(values[first], values[second], strict=True))
    cells = [(a, b) for a in _AXES[first][0] for b in _AXES[second][0]]
    uncovered = [(str(a), str(b)) for a, b in cells if (a, b) not in found]
    return PairCoverage(first, second, len(cells), len(cells) - len(uncovered), uncovered)


def _spread(values: Sequence[float], low: float, high: float) -> Spread:
    width = (high - low) / _BINS
    bins = [0] * _BINS
    for value in values:
        bins[min(max(int((value - low) / width), 0), _BINS - 1)] += 1
    empty = [(round(low + i * width, 2), round(low + (i + 1) * width, 2)) for i in range(_BINS) if bins[i] == 0]
    ordered = sorted(values)
    # The nearest rank below, so that a quantile is always a value that some persona has.
    quantiles = {q: ordered[int(q / 100 * (len(ordered) - 1))] for q in _QUANTILES} if ordered else {}
    return Spread(quantiles, bins, empty)


def _lines(found: Coverage) -> Iterable[str]:
    yield f"{found.personas} personas, {found.adolescents} adolescents, {found.high_risk} high-risk"
    yield f"coverage {found.number:.3f}, at most {found.attainable:.3f} for so many personas ({found.definition})"
    yield ""
    for axis, counts in found.levels.items():
        yield f"{axis}: " + ", ".join(f"{level} {count}" for level, count in counts.items())
        missing = [level for level, count in counts.items() if count == 0]
        if missing:
            yield f"  not covered: {', '.join(missing)}"
    yield ""
    yield f"{'':26}" + "".join(f"{q:>7}%" for q in _QUANTILES) + "   empty fifths of the range"
    for name, spread in found.continuous.items():
        quantiles = "".join(f"{value:8.4g}" for value in spread.quantiles.values())
        empty = ", ".join(f"{low:g}-{high:g}" for low, high in spread.empty) or "none"
        yield f"{name:26}{quantiles}   {empty}"
    yield ""
    for pair in found.pairs:
        line = f"{pair.first} x {pair.second}: {pair.covered} of {pair.cells}"
        if pair.uncovered:
            shown = ", ".join(f"{a} & {b}" for a, b in pair.uncovered[:_SHOWN_CELLS])
            more = len(pair.uncovered) - _SHOWN_CELLS
            line += f"; not covered: {shown}" + (f" and {more} more" if more > 0 else "")
        yield line
