"""Are planted differences recovered by a run's own contrasts?

    python benchmarks/coverage_recovery.py RUN

Holds the contrasts of a scripted run (its planted codes, its clients' planted alliance) against the true differences
for the same personas, from many more simulated sessions of each. Prints the difference, its interval, the truth, and
the ratio of the two; the limit is the interval's width. Exit code 1 where a sign or a size is missed.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl

from simulator.agents.scripted.batch import PlantedCounts, simulate_planted
from simulator.agents.scripted.traits import traits_of
from simulator.analysis.behaviours import judgments_of
from simulator.analysis.contrasts import contrasts, contrasts_of_measure
from simulator.analysis.estimands import scopes_of
from simulator.analysis.recovery import against_truth
from simulator.personas.schema import Persona
from simulator.records.seeds import session_key
from simulator.statistics.intervals import Interval
from simulator.statistics.limits import UNIT

SESSIONS = 400
"""Simulated sessions of every persona and policy behind a truth."""
PLANTED = (
    ("companion", "boundary_keeping", "outcome A"),
    ("companion", "boundary_keeping", "outcome C"),
    ("mi_consistent", "confrontational", "alliance"),
)


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__.strip().splitlines()[2].strip(), file=sys.stderr)
        return 2
    dataset = Path(sys.argv[1]) / "dataset"
    tables = {name: pl.read_parquet(dataset / name / "*.parquet") for name in ("turns", "courses", "personas")}
    people = [Persona.model_validate_json(text) for text in tables["personas"]["document"]]
    judgments = judgments_of(tables["turns"], tables["courses"], None)
    scopes = scopes_of(tables["courses"], tables["personas"])
    missed = 0
    for first, second, what in PLANTED:
        pair = [(first, second)]
        if what == "alliance":
            values = alliance_of(tables["turns"], judgments.sessions)
            (row,) = contrasts_of_measure(what, values, judgments.sessions, scopes, pairs=pair, bounds=UNIT)
            truth = difference(people, pair[0], lambda planted: planted.mean_state["alliance"])
        else:
            (row,) = (c for c in contrasts(judgments, scopes, pairs=pair) if named(c.what) == what)
            truth = difference(people, pair[0], share_of(what.removeprefix("outcome ")))
        missed += report(first, second, what, row.differences["these personas"], truth)
    return int(missed > 0)


def named(what: object) -> str:
    """The name of a contrast's behaviour or measure."""
    return str(getattr(what, "name", what))


def share_of(outcome: str) -> Callable[[PlantedCounts], npt.NDArray[np.float64]]:
    """Session shares of an outcome."""
    return lambda planted: planted.counts[outcome] / planted.units(outcome).astype(np.float64)


def difference(
    people: list[Persona], pair: tuple[str, str], measure: Callable[[PlantedCounts], npt.NDArray[np.float64]]
) -> float:
    """The true difference of the mean over these personas of the mean over their sessions."""
    names = [persona.id for persona in people]
    means = []
    for policy in pair:
        keys = [[session_key(f"truth/{policy}/{name}", k) for k in range(SESSIONS)] for name in names]
        planted = simulate_planted(traits_of(people), names, policy, np.array(keys, dtype=np.uint64))
        means.append(float(measure(planted).mean()))
    return means[0] - means[1]


def alliance_of(turns: pl.DataFrame, sessions: pl.DataFrame) -> npt.NDArray[np.float64]:
    """Mean planted alliance over the client's turns of every session."""
    own = turns.filter((pl.col("role") == "client") & pl.col("state").is_not_null())
    states = [msgspec.json.decode(text)["alliance"] for text in own["state"]]
    means = (
        own.with_columns(pl.Series("alliance", states)).group_by("course_id", "session").agg(pl.col("alliance").mean())
    )
    joined = sessions.join(means, on=["course_id", "session"], how="left", maintain_order="left")
    return np.asarray(joined["alliance"].fill_null(np.nan).to_numpy())


def report(first: str, second: str, what: str, found: Interval, truth: float) -> int:
    """One line; 1 where sign or size is missed."""
    verdict = against_truth(found, truth)
    good = verdict["sign"] and verdict["size"]
    print(f"{what}: {first} - {second} {found}; truth {truth:.3f}, ratio {found.estimate / truth:.2f}"
          f"{'' if good else '; MISSED'}")  # fmt: skip
    return int(not good)


if __name__ == "__main__":
    raise SystemExit(main())
