"""The realism scorecard: a run's sessions beside sessions of people, on the scale of people's own differences.

Every line says what it was in the run (with an interval clustered by persona), what it is in a human reference, and how
far the two are apart in units of the human-against-human distance: 1 is as far apart as random halves of the people are
from each other. The distance to other human sets stands beside it, because people fall outside each other's ranges too.
Lines that the scripted dyad was fitted to are construction checks. docs/realism.md defines everything.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.analysis.discriminator import discriminate, not_run
from simulator.analysis.estimands import Scope, scopes_of
from simulator.analysis.realism_codes import coded_turns, sustain_shares
from simulator.analysis.realism_distance import (
    BEYOND,
    Array,
    quantiles,
    transition_distance,
    wasserstein,
)
from simulator.analysis.realism_humans import HumanTables
from simulator.analysis.realism_lines import SHOWN, Line, OtherSet
from simulator.analysis.realism_measures import MEASURES, TRANSITION_LINE, TRANSITIONS, Measure, fitted_lines
from simulator.analysis.realism_references import SHIPPED, Reference, ReferenceLine, load_reference, step_tables
from simulator.analysis.realism_sessions import pooled, session_measures
from simulator.errors import UserError, nearest
from simulator.statistics.intervals import Interval
from simulator.statistics.means import mean_over_clusters

if TYPE_CHECKING:
    import polars as pl

LEAST_SESSIONS = 20
"""From so many sessions on, sets drawn from the reference itself lie beyond twice the scale in under 5 % of lines."""
ALL = "all"
"""The group of all sessions of a run."""


@dataclass(frozen=True, slots=True)
class Scorecard:
    """All lines of a run against one human reference.

    Args:
        by: the grouping column; `groups` its values and `ALL`, in the order of the lines.
        coder: whose codes the coded lines rest on (`planted`, `expert`, a coder's name), or None.
        probed_turns: turns left out because they deliver or answer a probe.
        scopes: whom the intervals speak about.
        discriminator: what `discriminator.discriminate` found over all sessions, or why it was not run.
    """

    reference: Reference
    by: str
    groups: tuple[str, ...]
    lines: tuple[Line, ...]
    coder: str | None
    probed_turns: int
    scopes: tuple[Scope, ...]
    discriminator: dict[str, Any]

    def of(self, group: str) -> list[Line]:
        """The lines of one group."""
        return [line for line in self.lines if line.group == group]

    def summary(self, group: str) -> dict[str, Any]:
        """How many of the lines that the run was not fitted to lie within twice the human-against-human distance, and
        which do not; beside it, where another human set lies on the same lines. Plain JSON values."""
        judged = [line for line in self.of(group) if not line.fitted and line.within is not None]
        fitted = [line for line in self.of(group) if line.fitted and line.within is not None]
        return {
            "group": group,
            "lines": len(judged),
            "within": sum(bool(line.within) for line in judged),
            "outside": [line.measure.name for line in judged if not line.within],
            "construction_checks": len(fitted),
            "construction_checks_within": sum(bool(line.within) for line in fitted),
            "construction_checks_outside": [line.measure.name for line in fitted if not line.within],
            "without_distance": [line.measure.name for line in self.of(group) if line.within is None],
        }

    def false_alarms(self) -> dict[str, Any]:
        """How often the rule calls people unlike people. Plain JSON values: `halves` is the share of random halves of
        the reference further apart than twice their median distance, over all lines; `other_sets` counts, per other
        human set, the lines on which it lies beyond twice that distance."""
        lines = self.of(self.groups[0]) if self.groups else []
        rates = [line.false_alarm for line in lines if line.false_alarm is not None]
        others: dict[str, dict[str, Any]] = {}
        for line in lines:
            for other in line.others:
                if other.beyond is None:
                    continue
                entry = others.setdefault(other.name, {"lines": 0, "beyond": 0, "measures": []})
                entry["lines"] += 1
                if other.beyond:
                    entry["beyond"] += 1
                    entry["measures"].append(line.measure.name)
        return {"halves": float(np.mean(rates)) if rates else None, "other_sets": others}

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "reference": self.reference.about(),
            "by": self.by,
            "groups": list(self.groups),
            "coder": self.coder,
            "probed_turns_left_out": self.probed_turns,
            "scopes": [scope.to_dict() for scope in self.scopes],
            "beyond": BEYOND,
            "summary": [self.summary(group) for group in self.groups],
            "false_alarms": self.false_alarms(),
            "discriminator": self.discriminator,
            "lines": [line.to_dict() for line in self.lines],
        }


def scorecard(
    turns: "pl.DataFrame",
    courses: "pl.DataFrame",
    codings: "pl.DataFrame | None" = None,
    personas: "pl.DataFrame | None" = None,
    *,
    reference: str | Reference = "annomi",
    others: Sequence[Reference] | None = None,
    coder: str | None = None,
    fitted: Collection[str] | None = None,
    by: str = "therapist",
    level: float = 0.95,
    cluster: str | None = None,
    humans: HumanTables | None = None,
) -> Scorecard:
    """Every line of the scorecard, per group and over all sessions.

    Args:
        turns, courses, codings, personas: the tables of a dataset, simulated or imported.
        reference: a shipped human reference by name, or one made by `reference_from`.
        others: further human sets that are held against the reference; by default the other shipped ones.
        coder: whose codes count for sustain talk and transitions; by default planted ones, then experts', then the
            first coder's.
        fitted: names of the lines that the run was fitted to; by default those of the scripted dyad where a course of
            the run is scripted, else none.
        by: a column of `courses` to group by.
        cluster: what clusters without personas are called, in the plural.
        humans: sessions of people with their texts (`realism_humans.human_tables`), for the discriminator.

    Raises:
        UserError: no such reference, measure or coder.
    """
    import polars as pl

    human = load_reference(reference) if isinstance(reference, str) else reference
    sets = _other_sets(human) if others is None else list(others)
    wanted = fitted_lines(set(courses["origin"].drop_nulls().to_list())) if fitted is None else frozenset(fitted)
    known = [measure.name for measure in (*MEASURES, TRANSITION_LINE)]
    for name in sorted(wanted):
        if name not in known:
            raise UserError(f"fitted: no line '{name}' on the scorecard{nearest(name, known)}")
    coded = coded_turns(turns, codings, coder)
    sessions = session_measures(turns, sustain_shares(coded) if coded else None)
    keep = courses.select("course_id", "cluster", pl.col(by).cast(pl.String).alias("group"))
    sessions = sessions.join(keep, on="course_id", how="inner", maintain_order="left")
    tables = step_tables(coded, sessions) if coded else None
    scopes = scopes_of(courses, personas, cluster) if len(courses) else []
    labels = sessions["group"].to_numpy()
    names = sorted({label for label in labels if label is not None})
    lines: list[Line] = []
    groups = [ALL, *names] if len(names) > 1 else [ALL]
    for group in groups if len(sessions) else []:
        mask = np.ones(len(sessions), dtype=np.bool_) if group == ALL else labels == group
        part = sessions.filter(pl.Series(mask))
        whole = pooled(part)
        clusters = part["cluster"].fill_null("").to_numpy()
        for measure in MEASURES:
            values = part[measure.name].to_numpy().astype(np.float64)
            lines.append(
                _line(measure, group, values, clusters, whole, human, sets, scopes, level, measure.name in wanted)
            )
        table = None if tables is None else tables[mask]
        lines.append(_transition_line(group, len(part), table, human, sets, TRANSITIONS in wanted))
    probed = int(turns["probe"].is_not_null().sum()) if "probe" in turns.columns else 0
    return Scorecard(
        human, by, tuple(groups), tuple(lines), coded.source if coded else None, probed, tuple(scopes),
        _discriminated(turns, courses, humans, level),
    )  # fmt: skip


def _discriminated(
    turns: "pl.DataFrame", courses: "pl.DataFrame", humans: HumanTables | None, level: float
) -> dict[str, Any]:
    if set(courses["origin"].to_list()) == {"human"}:
        return not_run("the run's sessions are of people")
    if humans is None:
        return not_run("no human texts were given")
    return discriminate(turns, courses, humans.turns, humans.courses, human=humans.source, level=level)


def _other_sets(human: Reference) -> list[Reference]:
    return [load_reference(name) for name in SHIPPED if name != human.name]


def _line(
    measure: Measure,
    group: str,
    values: Array,
    clusters: Any,
    whole: dict[str, float],
    human: Reference,
    sets: Sequence[Reference],
    scopes: Sequence[Scope],
    level: float,
    fitted: bool,
) -> Line:
    kept = int(np.isfinite(values).sum())
    own = quantiles(values)
    theirs = human.lines.get(measure.name)
    target = theirs.quantiles if theirs else None
    scale = theirs.halves.median if theirs and theirs.halves else None
    distance = wasserstein(own, target) if own is not None and target is not None else None
    bounds = (0.0, measure.top)
    value: dict[str, Interval] = {
        scope.name: mean_over_clusters(
            values, clusters, estimand=scope.estimand, level=level, bounds=bounds, cluster=scope.cluster
        )
        for scope in scopes
        if kept
    }
    return Line(
        measure, group, fitted, value, _shown(own), whole.get(measure.name), kept, len(values) - kept,
        theirs.mean if theirs else None, _shown(target), human.pooled.get(measure.name), distance, scale,
        theirs.halves.false_alarm if theirs and theirs.halves else None, _ratio(distance, scale),
        tuple(
            _other(other, measure.name, _apart(other.lines.get(measure.name), target), scale)
            for other in sets
            if measure.name in other.lines or measure.name in other.pooled
        ),
        _why(kept, theirs is not None or measure.name in human.pooled, target is not None, scale, human),
    )  # fmt: skip


def _transition_line(
    group: str, sessions: int, tables: Array | None, human: Reference, sets: Sequence[Reference], fitted: bool
) -> Line:
    counts = None if tables is None else tables.sum(axis=0)
    with_steps = 0 if tables is None else int((tables.sum(axis=(1, 2)) > 0).sum())
    target = human.transitions
    distance = None if counts is None or target is None or not counts.sum() else transition_distance(counts, target)
    spread = human.transition_halves
    scale = spread.median if spread else None
    return Line(
        TRANSITION_LINE, group, fitted, {}, None, None, with_steps, sessions - with_steps, None, None, None,
        distance, scale, spread.false_alarm if spread else None, _ratio(distance, scale),
        tuple(
            _other(other, TRANSITIONS, transition_distance(other.transitions, target), scale)
            for other in sets
            if other.transitions is not None and target is not None
        ),
        _why(with_steps, target is not None, target is not None, scale, human),
    )  # fmt: skip


def _apart(line: ReferenceLine | None, target: Array | None) -> float | None:
    if line is None or line.quantiles is None or target is None:
        return None
    return wasserstein(line.quantiles, target)


def _why(kept: int, known: bool, distribution: bool, scale: float | None, human: Reference) -> str | None:
    """Why a line has no distance, or what to mind about it, or None."""
    if not kept:
        return "no session of the run has it"
    if not known:
        return f"not known of {human.name}"
    if not distribution:
        return f"only a mean is known of {human.name}"
    if not scale:
        return f"halves of {human.name} do not differ"
    return f"fewer than {LEAST_SESSIONS} sessions: may be this far off by chance" if kept < LEAST_SESSIONS else None


def _other(other: Reference, measure: str, distance: float | None, scale: float | None) -> OtherSet:
    line = other.lines.get(measure)
    return OtherSet(
        other.name, line.mean if line else None, other.pooled.get(measure), distance, _ratio(distance, scale)
    )


def _ratio(distance: float | None, scale: float | None) -> float | None:
    return None if distance is None or not scale else distance / scale


def _shown(levels: Array | None) -> tuple[float, ...] | None:
    return None if levels is None else tuple(float(levels[place]) for place in SHOWN)
