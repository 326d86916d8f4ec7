"""Everything about behaviour that a report prints, from the tables of a dataset, in one call."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from simulator.agents.scripted.codes import CLIENT_CODES, LIVE_WHEN, OUTCOMES, THERAPIST_CODES
from simulator.analysis.contrasts import Contrast, Pairs, contrasts
from simulator.analysis.estimands import Scope, scopes_of
from simulator.analysis.frequencies import Frequency, frequencies
from simulator.analysis.judgments import Judgments, LiveRule, Probes, coded_judgments, planted_judgments
from simulator.analysis.positions import Position, by_position
from simulator.analysis.sources import told_apart
from simulator.coding.people import RATER
from simulator.errors import UserError, nearest

if TYPE_CHECKING:
    import polars as pl

PLANTED = "planted"
"""The name under which planted codes stand beside coders."""

_DEPENDENCE = "dependence-core"
OUTCOMES_OF = {_DEPENDENCE: {f"outcome {name}": codes for name, codes in OUTCOMES.items()}}
"""Outcomes by codebook: present in a unit where any of their codes is."""

PLANTED_RULES = {
    _DEPENDENCE: {
        code: LiveRule(role, (LIVE_WHEN[code],) if code in LIVE_WHEN else ())
        for role, codes in (("therapist", THERAPIST_CODES), ("client", CLIENT_CODES))
        for code in codes
    }
}
"""When a planted code of a codebook with conditional codes counts as a unit."""


@dataclass(frozen=True, slots=True)
class BehaviourResults:
    """What one coder saw. `missing` counts judgments without a value, by `codebook/code`."""

    coder: str
    by: str
    probes: Probes
    scopes: list[Scope]
    frequencies: list[Frequency]
    contrasts: list[Contrast]
    positions: list[Position]
    missing: dict[str, int]
    judgments: Judgments

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; the judgments themselves stay in the dataset."""
        return {
            "coder": self.coder,
            "by": self.by,
            "probes": self.probes,
            "estimands": [scope.to_dict() for scope in self.scopes],
            "frequencies": [row.to_dict() for row in self.frequencies],
            "contrasts": [row.to_dict() for row in self.contrasts],
            "positions": [row.to_dict() for row in self.positions],
            "missing": self.missing,
        }


def coders_of(turns: "pl.DataFrame", codings: "pl.DataFrame | None") -> list[str]:
    """Who judged this dataset: `planted` first where there are planted codes, then the coders by name, versions of one
    told apart (`told_apart`); raters of a sample are left out."""
    planted = [PLANTED] if turns["planted"].null_count() < len(turns) else []
    apart = None if codings is None or not len(codings) else told_apart(codings)["coder"].unique()
    named = [] if apart is None else sorted(str(name) for name in apart)
    return planted + [name for name in named if not name.startswith(RATER)]


def judgments_of(
    turns: "pl.DataFrame",
    courses: "pl.DataFrame",
    codings: "pl.DataFrame | None",
    coder: str = PLANTED,
    probes: Probes = "all",
) -> Judgments:
    """The judgments of one coder, or the planted codes.

    Raises:
        UserError: where nobody of that name judged this dataset, or several versions of one did.
    """
    names = coders_of(turns, codings)
    if coder not in names and not any(name.startswith(f"{coder}@") for name in names):
        raise UserError(f"no codes by '{coder}' in this dataset{nearest(coder, names)}")
    if coder == PLANTED or codings is None:
        return planted_judgments(turns, courses, PLANTED_RULES, OUTCOMES_OF, probes)
    return coded_judgments(codings, turns, courses, coder, OUTCOMES_OF, probes)


def behaviour_results(
    turns: "pl.DataFrame",
    courses: "pl.DataFrame",
    personas: "pl.DataFrame | None" = None,
    codings: "pl.DataFrame | None" = None,
    *,
    coder: str = PLANTED,
    by: str = "therapist",
    probes: Probes = "all",
    pairs: Pairs | None = None,
    position_codebook: str = "annomi",
    level: float = 0.95,
    cluster: str | None = None,
) -> BehaviourResults:
    """Frequencies, contrasts and positions of every behaviour that `coder` judged.

    Args:
        turns, courses, personas, codings: tables of one dataset; the last two may be absent.
        coder: `planted`, or a name that `coders_of` gives.
        by: what is compared: `therapist`, `condition` or `stratum`.
        probes: all turns, or those with or without a probe.
        pairs: which contrasts; all pairs by default.
        position_codebook: whose behaviours are shown by position in the session.
        cluster: what clusters of human sessions are called, in the plural.
    """
    judgments = judgments_of(turns, courses, codings, coder, probes)
    scopes = scopes_of(courses, personas, cluster)
    placed = [behaviour for behaviour in judgments.behaviours if behaviour.codebook == position_codebook]
    return BehaviourResults(
        coder, by, probes, scopes,
        frequencies(judgments, scopes, by=by, level=level),
        contrasts(judgments, scopes, by=by, pairs=pairs, level=level),
        by_position(judgments, scopes, placed, by=by, level=level),
        {f"{codebook}/{code}": count for (codebook, code), count in judgments.missing.items()},
        judgments,
    )  # fmt: skip
