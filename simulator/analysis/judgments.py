"""What was observed, as arrays: which session, where in it, which value of which code.

Planted codes and coders' judgments come into one form, `Judgments`, from which everything about behaviour is counted:
shares, rates, contrasts, positions. A judgment without a value is missing, is no unit, and is counted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from simulator.agents.base import PRIVATE_CHANNELS
from simulator.analysis.sources import of_source
from simulator.codebooks import scale_of

if TYPE_CHECKING:
    import polars as pl

IntArray = npt.NDArray[np.int64]
Probes = Literal["all", "probed", "unprobed"]

Outcomes = Mapping[str, Mapping[str, Sequence[str]]]

PRESENT, ABSENT = "present", "absent"
_BINARY = {PRESENT, ABSENT}


class Value(NamedTuple):
    """One value of one code, for one role; `unit` is what was judged: `utterance`, `turn`, `exchange`, `session` or
    `course`."""

    codebook: str
    role: str
    code: str
    value: str
    unit: str = "turn"


@dataclass(frozen=True, slots=True)
class Behaviour:
    """Something whose share is reported: a value of a choice (`question`), the presence of a code (`exclusivity`) or a
    level reached (`empathy>=1`). Its units are all judgments of the same code and role, by the same kind of unit, that
    have a value."""

    codebook: str
    role: str
    code: str
    name: str
    values: tuple[str, ...]
    unit: str = "turn"


class LiveRule(NamedTuple):
    """Whose turns a code applies to, and the situations of which one must hold; none needed where `live` is empty."""

    role: str
    live: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Judgments:
    """Judgments in parallel arrays of shape (j,).

    Args:
        sessions: one row per session: course_id, session, condition, therapist, client, persona_id, cluster, stratum,
            turns, client_words; in the order that `session` indexes.
        session: index into `sessions`.
        turn: index of the turn in its session; -1 for judgments of a whole session.
        value: index into `values`.
        missing: number of judgments without a value, by (codebook, code).
        gaps: the same per session (sessions,), for codes that miss any.
    """

    sessions: "pl.DataFrame"
    session: IntArray
    turn: IntArray
    value: IntArray
    values: tuple[Value, ...]
    behaviours: tuple[Behaviour, ...]
    missing: Mapping[tuple[str, str], int]
    gaps: Mapping[tuple[str, str], IntArray] = field(default_factory=dict)

    def count(self, group: IntArray, groups: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Occurrences and units, both (groups, behaviours), for a grouping of the judgments (j,) into 0..groups-1."""
        size = len(self.values)
        table = np.bincount(group * size + self.value, minlength=groups * size).reshape(groups, size).astype(np.float64)
        shows = np.array([[_shows(b, v) for b in self.behaviours] for v in self.values], dtype=np.float64)
        unit = np.array([[_unit(b, v) for b in self.behaviours] for v in self.values], dtype=np.float64)
        shape = (size, len(self.behaviours))
        return table @ shows.reshape(shape), table @ unit.reshape(shape)

    def per_session(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Occurrences and units per session, both (sessions, behaviours)."""
        return self.count(self.session, len(self.sessions))

    def turns_with(self, behaviour: Behaviour) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Per session (sessions,): turns of which any unit shows the behaviour, and turns that have a unit of it."""
        place = self.session * (int(self.turn.max(initial=0)) + 1) + self.turn
        found = []
        for test in (_shows, _unit):
            wanted = np.array([test(behaviour, value) for value in self.values], dtype=np.bool_)[self.value]
            at = np.unique(place[wanted & (self.turn >= 0)], return_index=True)[1]
            sessions = self.session[wanted & (self.turn >= 0)][at]
            found.append(np.bincount(sessions, minlength=len(self.sessions)).astype(np.float64))
        return found[0], found[1]


def _unit(behaviour: Behaviour, value: Value) -> bool:
    same = (behaviour.codebook, behaviour.role, behaviour.code) == (value.codebook, value.role, value.code)
    return same and behaviour.unit == value.unit


def _shows(behaviour: Behaviour, value: Value) -> bool:
    return _unit(behaviour, value) and value.value in behaviour.values


def behaviours_of(values: Sequence[Value]) -> tuple[Behaviour, ...]:
    """The behaviours that a set of observed values makes up, codes in order of appearance.

    Values `present` / `absent` make one behaviour named after the code, as do the values that a scale of the library
    counts as present; levels make one behaviour per level reached above the scale's lowest; anything else is a choice,
    one behaviour per value.
    """
    codes: dict[tuple[str, str, str, str], list[str]] = {}
    for value in values:
        codes.setdefault((value.codebook, value.role, value.code, value.unit), []).append(value.value)
    return tuple(
        Behaviour(codebook, role, code, name, members, unit)
        for (codebook, role, code, unit), seen in codes.items()
        for name, members in _named(codebook, code, set(seen)).items()
    )


def _named(codebook: str, code: str, seen: set[str]) -> dict[str, tuple[str, ...]]:
    """The behaviours of one code, as name and values."""
    if seen <= _BINARY:
        return {code: (PRESENT,)}
    scale = scale_of(codebook, code)
    if scale is not None and not seen <= set(scale.values):
        scale = None
    shown = () if scale is None else tuple(scale.present_values)
    found = {code: shown} if shown else {}
    levels: tuple[str, ...] = ()
    if scale is not None and scale.kind == "ordinal":
        levels = scale.values
    elif scale is None and all(item.isdecimal() and str(int(item)) == item for item in seen):
        levels = tuple(str(level) for level in range(max(1, *map(int, seen)) + 1))
    if levels:
        top = max(1, *(levels.index(item) for item in seen))
        ladder = {f"{code}>={levels[at]}": levels[at:] for at in range(1, top + 1)}
        return found | {name: members for name, members in ladder.items() if members != shown}
    return found | {item: (item,) for item in sorted(seen) if (item,) != shown}


def session_table(turns: "pl.DataFrame", courses: "pl.DataFrame") -> "pl.DataFrame":
    """One row per session that has turns, sorted by course and session, with the course's columns beside it."""
    import polars as pl

    wanted = ["course_id", "condition", "therapist", "client", "persona_id", "replicate", "cluster", "stratum"]
    words = pl.col("words").filter(pl.col("role") == "client").sum() if "words" in turns.columns else pl.lit(0)
    sessions = turns.group_by("course_id", "session").agg(pl.len().alias("turns"), words.alias("client_words"))
    return sessions.join(courses.select(wanted), on="course_id", how="inner").sort("course_id", "session")


def planted_judgments(
    turns: "pl.DataFrame",
    courses: "pl.DataFrame",
    rules: Mapping[str, Mapping[str, LiveRule]],
    outcomes: Outcomes,
    probes: Probes = "all",
) -> Judgments:
    """The planted codes of scripted speakers.

    Args:
        turns, courses: the tables of a dataset.
        rules: codebook -> code -> when it is live, for codebooks that plant `live` situations and `present` codes.
        outcomes: codebook -> outcome -> its codes; an outcome is present where any of its codes is, live likewise.
        probes: all turns, or only those that answer or deliver a probe, or only the others.
    """
    import polars as pl

    sessions = session_table(turns, courses)
    coded = _select(turns, probes).filter(pl.col("planted").is_not_null())
    kinds = coded.select("role", "planted").unique(maintain_order=True).with_row_index("kind")
    index = sessions.select("course_id", "session").with_row_index("at")
    rows = coded.select("course_id", "session", "turn", "role", "planted").join(index, on=["course_id", "session"])
    rows = rows.join(kinds, on=["role", "planted"])
    known: dict[Value, int] = {}
    decode = msgspec.json.Decoder(dict[str, dict[str, Any]]).decode
    lists = [
        [known.setdefault(value, len(known)) for value in _planted_values(role, decode(text), rules, outcomes)]
        for role, text in kinds.select("role", "planted").iter_rows()
    ]
    lengths = np.array([len(items) for items in lists], dtype=np.int64)
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]]) if len(lists) else lengths
    flat = np.array([item for items in lists for item in items], dtype=np.int64)
    kind = rows["kind"].to_numpy().astype(np.int64)
    repeats = lengths[kind]
    total = int(repeats.sum())
    within = np.arange(total) - np.repeat(np.cumsum(repeats) - repeats, repeats)
    value = flat[np.repeat(starts[kind], repeats) + within] if total else np.zeros(0, dtype=np.int64)
    return _judgments(
        sessions,
        np.repeat(rows["at"].to_numpy().astype(np.int64), repeats),
        np.repeat(rows["turn"].to_numpy().astype(np.int64), repeats),
        value,
        tuple(known),
        {},
    )


def _planted_values(
    role: str, planted: dict[str, dict[str, Any]], rules: Mapping[str, Mapping[str, LiveRule]], outcomes: Outcomes
) -> list[Value]:
    """The judgments of one turn: a choice or level per code, and present or absent for every live code."""
    values: list[Value] = []
    for codebook, codes in planted.items():
        if codebook in PRIVATE_CHANNELS:
            continue
        if "live" not in codes:
            values += [Value(codebook, role, code, str(value)) for code, value in codes.items() if value is not None]
            continue
        holds, present = set(codes["live"]), set(codes["present"])
        live = {
            code
            for code, rule in rules.get(codebook, {}).items()
            if rule.role == role and (not rule.live or holds.intersection(rule.live) or code in present)
        }
        values += [Value(codebook, role, code, _word(code in present)) for code in sorted(live)]
        for outcome, members in outcomes.get(codebook, {}).items():
            if live.intersection(members):
                values.append(Value(codebook, role, outcome, _word(not present.isdisjoint(members))))
    return values


def _word(present: bool) -> str:
    return PRESENT if present else ABSENT


def coded_judgments(
    codings: "pl.DataFrame",
    turns: "pl.DataFrame",
    courses: "pl.DataFrame",
    coder: str,
    outcomes: Outcomes,
    probes: Probes = "all",
) -> Judgments:
    """The judgments of one coder (or `expert`) from the `codings` table; `outcomes` as in `planted_judgments`.

    The values `1`/`true`/`yes` and `0`/`false`/`no` of codes that have no other values count as present and absent.

    Raises:
        UserError: nobody of that name judged, or several versions did.
    """
    import polars as pl

    sessions = session_table(turns, courses)
    words = [pl.col(name).cast(pl.String) for name in ("codebook", "role", "code", "value")]
    unit = pl.col("unit").cast(pl.String) if "unit" in codings.columns else pl.lit("turn").alias("unit")
    rows = of_source(codings, coder).select("course_id", "session", "turn", *words, unit)
    if probes != "all":
        keys = ["course_id", "session", "turn"]
        rows = rows.join(_select(turns, probes).select(keys), on=keys, how="semi")
    index = sessions.select("course_id", "session").with_row_index("at")
    gone = rows.filter(pl.col("value").is_null())
    missing = gone.group_by("codebook", "code").len()
    rows = rows.filter(pl.col("value").is_not_null())
    rows = pl.concat([rows, *_outcome_rows(rows, outcomes)])
    keys = ["codebook", "role", "code", "value", "unit"]
    kinds = rows.select(keys).unique().sort(keys)
    rows = rows.join(index, on=["course_id", "session"])
    rows = rows.join(kinds.with_row_index("kind"), on=keys)
    raw = [Value(*kind) for kind in kinds.iter_rows()]
    return _judgments(
        sessions,
        rows["at"].to_numpy().astype(np.int64),
        rows["turn"].fill_null(-1).to_numpy().astype(np.int64),
        rows["kind"].to_numpy().astype(np.int64),
        tuple(_binary(value, raw) for value in raw),
        {(codebook, code): count for codebook, code, count in missing.iter_rows()},
        {
            (str(codebook), str(code)): np.bincount(part["at"].to_numpy().astype(np.int64), minlength=len(sessions))
            for (codebook, code), part in gone.join(index, on=["course_id", "session"]).group_by("codebook", "code")
        },
    )


def _outcome_rows(rows: "pl.DataFrame", outcomes: Outcomes) -> list["pl.DataFrame"]:
    """One row per unit and outcome: present where any of its codes is present in that unit."""
    import polars as pl

    found: list[pl.DataFrame] = []
    unit = ["course_id", "session", "turn", "role", "codebook", "unit"]
    shown = pl.col("value").str.to_lowercase().replace_strict(WORDS, default=ABSENT) == PRESENT
    for codebook, named in outcomes.items():
        for outcome, members in named.items():
            own = rows.filter((pl.col("codebook") == codebook) & pl.col("code").is_in(list(members)))
            any_of = own.group_by(unit, maintain_order=True).agg(shown.any().alias("any"))
            value = pl.when("any").then(pl.lit(PRESENT)).otherwise(pl.lit(ABSENT)).alias("value")
            found.append(any_of.with_columns(value, pl.lit(outcome).alias("code")).select(rows.columns))
    return found


WORDS = {"true": PRESENT, "yes": PRESENT, "false": ABSENT, "no": ABSENT, PRESENT: PRESENT, ABSENT: ABSENT}
"""What words count as in codes that have no other values."""


def _binary(value: Value, everything: Sequence[Value]) -> Value:
    siblings = {other.value.lower() for other in everything if other._replace(value=value.value) == value}
    return value._replace(value=WORDS[value.value.lower()]) if siblings <= set(WORDS) else value


def _select(turns: "pl.DataFrame", probes: Probes) -> "pl.DataFrame":
    if probes == "all":
        return turns
    return turns.filter(turns["probe"].is_not_null() if probes == "probed" else turns["probe"].is_null())


def _judgments(
    sessions: "pl.DataFrame", session: IntArray, turn: IntArray, value: IntArray, values: tuple[Value, ...],
    missing: Mapping[tuple[str, str], int], gaps: Mapping[tuple[str, str], IntArray] | None = None,
) -> Judgments:  # fmt: skip
    return Judgments(sessions, session, turn, value, values, behaviours_of(values), missing, gaps or {})
