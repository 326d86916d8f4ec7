"""How often the heat map's 95 % intervals cover, beside a percentile bootstrap over personas.

    python experiments/realism/adaptability_coverage.py

Persona-level logit SDs .6 (client talk) and .5 (therapist behaviour given talk), session-level .5 each, four courses a
persona, about 18 steps a session; the truth is a run of 40,000 personas. Prints one line per number of personas.
"""

import sys

import numpy as np
import numpy.typing as npt

from simulator.analysis.adaptability import changes_from_marginal
from simulator.analysis.estimands import Scope

TALK = np.log([0.24, 0.64, 0.12])
GIVEN = np.log([[0.27, 0.32, 0.09, 0.32], [0.30, 0.27, 0.10, 0.33], [0.23, 0.38, 0.07, 0.32]])
COURSES, REPEATS, DRAWS = 4, 600, 500


def study(generator: np.random.Generator, personas: int) -> npt.NDArray[np.float64]:
    """Step counts, (personas * COURSES, 3, 4)."""
    n = personas * COURSES
    talk = TALK + np.repeat(generator.normal(0, 0.6, (personas, 3)), COURSES, axis=0) + generator.normal(0, 0.5, (n, 3))
    given = GIVEN + np.repeat(generator.normal(0, 0.5, (personas, 1, 4)), COURSES, axis=0)
    given = np.exp(given + generator.normal(0, 0.5, (n, 1, 4)))
    talk, given = np.exp(talk), given / given.sum(axis=-1, keepdims=True)
    length = np.maximum(3, np.exp(generator.normal(2.9, 0.7, n)).astype(int))
    spoken = generator.multinomial(length, talk / talk.sum(axis=-1, keepdims=True))
    return generator.multinomial(spoken, given).astype(np.float64)


def change(counts: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """P(column | row) - P(column) of tables (..., 3, 4)."""
    total = counts.sum(axis=(-2, -1), keepdims=True)
    found = counts / counts.sum(axis=-1, keepdims=True) - counts.sum(axis=-2, keepdims=True) / total
    return np.asarray(found, dtype=np.float64)


def main() -> None:
    generator = np.random.default_rng(1)
    truth = change(study(generator, 40_000).sum(axis=0))
    for personas in (12, 40):
        ours, bootstrap, flagged = np.zeros((3, 4)), np.zeros((3, 4)), np.zeros((3, 4))
        clusters = np.repeat(np.arange(personas), COURSES)
        for _ in range(REPEATS):
            counts = study(generator, personas)
            table = changes_from_marginal(counts, clusters, Scope("population", "population", personas))
            ours += [
                [cell.low <= truth[i, j] <= cell.high for j, cell in enumerate(row)] for i, row in enumerate(table)
            ]
            flagged += [[cell.flag is not None for cell in row] for row in table]
            per = counts.reshape(personas, COURSES, 12).sum(axis=1)
            drawn = generator.multinomial(personas, np.full(personas, 1 / personas), size=DRAWS) @ per
            low, high = np.nanquantile(change(drawn.reshape(-1, 3, 4)), [0.025, 0.975], axis=0)
            bootstrap += (low <= truth) & (truth <= high)
        sys.stdout.write(
            f"{personas} personas: ours {ours.mean() / REPEATS:.3f} ({ours.min() / REPEATS:.3f}-"
            f"{ours.max() / REPEATS:.3f} over cells, {flagged.mean() / REPEATS:.0%} flagged), bootstrap "
            f"{bootstrap.mean() / REPEATS:.3f} ({bootstrap.min() / REPEATS:.3f}-{bootstrap.max() / REPEATS:.3f})\n"
        )


if __name__ == "__main__":
    main()
