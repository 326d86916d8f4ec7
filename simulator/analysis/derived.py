"""What manuals derive from codes, per session: indices with their thresholds, and the verdicts of question flows.

An index names the unit that was judged beside the one that its manual counts: reflections to questions of whole turns
and of utterances are two figures. The manual's thresholds are applied only where the two are one. A session has no
value where one of the index's codes was not judged in it, where a ratio has nothing to divide by, and, for counts and
sums, where any judgment is missing; ratios and shares are over the judgments that there are. Sessions without a value
are counted and enter nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from simulator.analysis.estimands import Scope
from simulator.analysis.frequencies import cluster_numbers, groups_of
from simulator.analysis.judgments import WORDS, Judgments, Value
from simulator.analysis.quality import group_interval
from simulator.codebooks import Codebook, list_codebooks, load_codebook, verdicts
from simulator.codebooks.indices import Index
from simulator.statistics.means import clustered, mean_over_clusters
from simulator.statistics.shares import pooled_share, share_interval

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class SessionIndex:
    """An index of every session, all arrays (sessions,).

    Args:
        unit: what was judged.
        values: NaN where there is none.
        top, bottom: what is divided, and by what; sessions that were not judged hold 0.
        judged: whether all codes of the index were judged in the session.
        reached: place of the highest threshold reached in `thresholds`, -1 where none is.
        thresholds: names, the lowest first; empty where the manual's do not apply.
        missing: number of judgments of the index's codes without a value.
    """

    unit: str
    values: Array
    top: Array
    bottom: Array
    judged: Flags
    reached: npt.NDArray[np.int64]
    thresholds: tuple[str, ...]
    missing: npt.NDArray[np.int64]


def session_index(judgments: Judgments, book: Codebook, index: Index, unit: str) -> SessionIndex | None:
    """An index by judgments of one kind of unit; None where its codes were not all judged so in any session."""
    rating = index.kind in ("sum", "mean")
    if rating and unit != index.unit:
        return None
    codes = tuple(dict.fromkeys(term.partition("=")[0] for term in index.terms))
    judged = np.logical_and.reduce([_judged(judgments, book, code, unit) for code in codes])
    if not judged.any():
        return None
    figures = {term: _figure(judgments, book, term, unit, rating) for term in index.terms}
    total = len(judgments.sessions)
    missing = _sum([gaps for code in codes if (gaps := judgments.gaps.get((book.name, code))) is not None], total)
    if index.kind not in ("ratio", "share"):
        judged = judged & (missing == 0)
    if rating:
        for code in codes:
            judged = judged & (_count(judgments, [_of_code(v, book, code, unit) for v in judgments.values]) == 1)
    thresholds = sorted(index.thresholds, key=lambda one: one.at_least) if unit == index.unit else []
    names = tuple(one.name for one in thresholds)
    values, reached = np.full(total, np.nan), np.full(total, -1, np.int64)
    for place in np.flatnonzero(judged):
        own = {term: float(column[place]) for term, column in figures.items()}
        value, name = index.value(own), index.reached(own)
        values[place] = np.nan if value is None else value
        reached[place] = names.index(name) if name in names else -1
    return SessionIndex(
        unit, values, judged * _sum([figures[term] for term in index.numerator], total),
        judged * _sum([figures[term] for term in index.denominator], total), judged, reached, names,
        missing.astype(np.int64),
    )  # fmt: skip


def _sum(columns: Sequence[npt.NDArray[Any]], sessions: int) -> Array:
    return sum((column.astype(np.float64) for column in columns), np.zeros(sessions))


def _of_code(value: Value, book: Codebook, code: str, unit: str) -> bool:
    return (value.codebook, value.code, value.unit) == (book.name, code, unit)


def _count(judgments: Judgments, chosen: Sequence[bool] | Sequence[float]) -> Array:
    """Per session, the sum of what each judgment's value stands for."""
    weights = np.array(chosen, np.float64)[judgments.value]
    return np.bincount(judgments.session, weights, minlength=len(judgments.sessions)).astype(np.float64)


def _judged(judgments: Judgments, book: Codebook, code: str, unit: str) -> Flags:
    """In which sessions a code was judged, or could not be: nothing that it follows from was found."""
    seen = _count(judgments, [_of_code(value, book, code, unit) for value in judgments.values]) > 0
    above = book.code(code).depends_on
    if above:
        seen = seen | np.logical_and.reduce([_judged(judgments, book, one, unit) for one in above])
    return np.asarray(seen, np.bool_)


def _figure(judgments: Judgments, book: Codebook, term: str, unit: str, rating: bool) -> Array:
    """Per session, how many units show the term, or the rating itself."""
    code, _, wanted = term.partition("=")

    def stands_for(value: Value) -> float:
        if not _of_code(value, book, code, unit):
            return 0.0
        said = _as_judged(book, code, value.value)
        if rating:
            return float(said)
        return float(said == wanted if wanted else book.code(code).present(said))

    return _count(judgments, [stands_for(value) for value in judgments.values])


def _as_judged(book: Codebook, code: str, value: str) -> str:
    """A value as the codebook has it: `present` is `yes` again where that is how the code says it."""
    known = book.code(code).values
    return value if value in known else next((one for one in known if WORDS.get(one.lower()) == value), value)


def derived(
    judgments: Judgments, scopes: Sequence[Scope], by: str, level: float = 0.95
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows of indices (per index, unit and group) and of verdicts (per dimension and group) of one source."""
    indices: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    groups, clusters = groups_of(judgments.sessions, by), cluster_numbers(judgments.sessions)
    for name in dict.fromkeys(value.codebook for value in judgments.values):
        if name not in list_codebooks():
            continue
        book = load_codebook(name)
        units = dict.fromkeys(value.unit for value in judgments.values if value.codebook == name)
        for key, index in book.indices.items():
            for unit in units:
                each = session_index(judgments, book, index, unit)
                if each is None:
                    continue
                for group, members in groups:
                    row = {"codebook": name, "index": key, "name": index.name, "kind": index.kind}
                    own = _index_row(book, index, each, members, clusters, scopes, level)
                    indices.append(row | {"by": by, "group": group} | own)
        if book.flow is not None:
            found += _verdict_rows(judgments, book, groups, clusters, scopes, by, level)
    return indices, found


def _index_row(
    book: Codebook, index: Index, each: SessionIndex, members: npt.NDArray[np.int64], clusters: npt.NDArray[np.int64],
    scopes: Sequence[Scope], level: float,
) -> dict[str, Any]:  # fmt: skip
    values, who, judged = each.values[members], clusters[members], each.judged[members]
    known = ~np.isnan(values)
    codes = [book.code(code) for code in dict.fromkeys(term.partition("=")[0] for term in index.terms)]
    cluster = scopes[0].cluster
    pooled = None
    if index.kind == "share":
        pooled = pooled_share(each.top[members], each.bottom[members], who, level=level, cluster=cluster).to_dict()
    elif index.kind == "ratio" and judged.any():
        pooled = group_interval(
            _ratio(each.top[members][judged], each.bottom[members][judged]), who[judged], cluster,
            np.ones(int(judged.sum()), np.bool_),
        )  # fmt: skip
    reached = [
        {
            "threshold": threshold.name, "at_least": threshold.at_least, "each_at_least": threshold.each_at_least,
            "source": threshold.source, "sessions": int((each.reached[members][known] >= place).sum()),
            "shares": _shares((each.reached[members] >= place).astype(float), known, who, scopes, level),
        }
        for place, name in enumerate(each.thresholds)
        for threshold in index.thresholds if threshold.name == name
    ]  # fmt: skip
    return {
        "unit": each.unit, "manual_unit": index.unit, "means": _means(index, book, values, known, who, scopes, level),
        "pooled": pooled, "thresholds": reached, "sessions": int(known.sum()),
        "sessions_without_value": int((~known).sum()), "missing_judgments": int(each.missing[members].sum()),
        "exploratory": any(code.exploratory for code in codes), "complete": all(code.complete for code in codes),
        "source": index.source, "note": index.note,
    }  # fmt: skip


def _ratio(top: Array, bottom: Array) -> Any:
    def of(weights: Array) -> Array:
        below = weights @ bottom
        return np.where(below > 0, (weights @ top) / np.where(below > 0, below, 1.0), np.nan)

    return of


def _means(
    index: Index, book: Codebook, values: Array, known: Flags, who: npt.NDArray[np.int64], scopes: Sequence[Scope],
    level: float,
) -> dict[str, Any]:  # fmt: skip
    """The mean over clusters of the sessions' values, by estimand."""
    if index.kind == "share":
        return _shares(values, known, who, scopes, level)
    bounds = (0.0, np.inf)
    if index.kind in ("sum", "mean"):
        ends = [[float(value) for value in book.code(term).values] for term in index.numerator]
        parts = len(ends) if index.kind == "mean" else 1
        bounds = (sum(map(min, ends)) / parts, sum(map(max, ends)) / parts)
    return {
        s.name: mean_over_clusters(
            values, who, estimand=s.estimand, level=level, bounds=bounds, cluster=s.cluster
        ).to_dict()
        for s in scopes
    }  # fmt: skip


def _shares(
    values: Array, known: Flags, who: npt.NDArray[np.int64], scopes: Sequence[Scope], level: float
) -> dict[str, Any]:
    shared = clustered(np.where(known, values, np.nan), who)
    return {s.name: share_interval(shared, s.estimand, level, s.cluster).to_dict() for s in scopes}


def session_verdicts(judgments: Judgments, book: Codebook) -> dict[int, dict[str, str | None]]:
    """By session that was asked the flow's first question: the verdict on every dimension, None where there is none."""
    answers: dict[int, dict[str, str | None]] = {}
    for place, value in enumerate(judgments.values):
        if value.codebook != book.name or value.unit != "session":
            continue
        said = _as_judged(book, value.code, value.value)
        for session in judgments.session[judgments.value == place]:
            answers.setdefault(int(session), {})[value.code] = said
    for (codebook, code), gaps in judgments.gaps.items():
        if codebook == book.name:
            for session in np.flatnonzero(gaps):
                answers.setdefault(int(session), {})[code] = None
    start = book.flow.start if book.flow else ""
    return {session: verdicts(book, own) for session, own in sorted(answers.items()) if start in own}


def _verdict_rows(
    judgments: Judgments, book: Codebook, groups: Sequence[tuple[str, npt.NDArray[np.int64]]],
    clusters: npt.NDArray[np.int64], scopes: Sequence[Scope], by: str, level: float,
) -> list[dict[str, Any]]:  # fmt: skip
    found = session_verdicts(judgments, book)
    rows = []
    grades = book.flow.grades if book.flow else []
    for dimension, title in book.groups.items():
        for group, members in groups:
            asked = np.array([place for place in members if int(place) in found], np.int64)
            given = [found[int(place)][dimension] for place in asked]
            known = np.array([one is not None for one in given], np.bool_)
            if not len(asked):
                continue
            rows.append({
                "codebook": book.name, "dimension": dimension, "title": title, "by": by, "group": group,
                "unit": "session", "sessions": int(known.sum()), "sessions_without_verdict": int((~known).sum()),
                "grades": [
                    {
                        "grade": grade.id, "name": grade.name, "sessions": given.count(grade.id),
                        "shares": _shares(
                            np.array([one == grade.id for one in given], float), known, clusters[asked], scopes, level
                        ),
                    }
                    for grade in grades
                ],
            })  # fmt: skip
    return rows
