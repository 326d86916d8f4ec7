"""Whom an interval speaks about, in words.

Two estimands are kept apart by name. `population`: the people that a named population file describes, of whom the
run's personas are a random sample; both personas and replicates vary. `these personas`: the run's own personas and
nobody else; only replicates vary. A population is claimed only where every persona was drawn from one population file.
Human sessions have no personas: there the sessions' clusters (videos, clients) are treated as a sample of the
collection that they come from, and it is said that nobody drew them at random.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from simulator.statistics.rules import Estimand

if TYPE_CHECKING:
    import polars as pl

ScopeName = Literal["population", "these personas", "this collection"]


@dataclass(frozen=True, slots=True)
class Scope:
    """One estimand of a run.

    `name` is printed beside every interval; `estimand` is what the variance counts; `population` the population file's
    name where there is one; `cluster` what the clusters are called, in the plural.
    """

    name: ScopeName
    estimand: Estimand
    clusters: int
    cluster: str = "personas"
    population: str | None = None
    pairing: bool = True
    """Whether arms are compared on the clusters that they share."""

    @property
    def sentence(self) -> str:
        """One sentence for readers of a table, the number of clusters in it."""
        if self.name == "population":
            return (
                f"Population: intervals speak about the population '{self.population}', from whose file the "
                f"{self.clusters} {self.cluster} were drawn at random, so they count both how much {self.cluster} "
                "differ and how much a repetition of the same one differs."
            )
        if self.name == "these personas":
            return (
                f"These personas: intervals speak about the {self.clusters} {self.cluster} of this run and nobody "
                "else, so they count only how much a repetition with the same one differs."
            )
        return (
            f"This collection: intervals treat the {self.clusters} {self.cluster} as a sample of the collection that "
            f"they come from, although nobody drew them at random, and count how much {self.cluster} differ."
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "name": self.name, "population": self.population, "clusters": self.clusters, "cluster": self.cluster,
            "sentence": self.sentence,
        }  # fmt: skip


def scopes_of(courses: "pl.DataFrame", personas: "pl.DataFrame | None", cluster: str | None = None) -> list[Scope]:
    """The estimands that a run supports, the widest first.

    Args:
        courses: the `courses` table.
        personas: the `personas` table; without it no population is claimed.
        cluster: what clusters without personas are called; `clusters` by default.
    """
    n = courses["cluster"].n_unique() if len(courses) else 0
    if courses["persona_id"].null_count() == len(courses):
        return [Scope("this collection", "population", n, cluster or "clusters", pairing=False)]
    fixed = Scope("these personas", "these personas", n)
    if personas is None:
        return [fixed]
    used = personas.filter(personas["persona_id"].is_in(courses["persona_id"].unique().to_list()))
    population = common_population(used["population"].to_list())
    return [Scope("population", "population", n, "personas", population), fixed] if population else [fixed]


def common_population(populations: Sequence[str | None]) -> str | None:
    """The one population file that all personas were drawn from, or None."""
    names = set(populations)
    return names.pop() if len(names) == 1 else None
