"""How often do the bootstrap intervals of agreement cover the truth? By number of clusters.

Clusters differ in their base rates and in how well the coder does, about as AnnoMI's videos do for the rule-based coder
(SD of the logit of accuracy .5, lengths from 10 to 150). The truth is the coefficient of the expected confusion matrix,
from 200,000 clusters.

    python benchmarks/agreement_coverage.py [repetitions]
"""

import sys

import numpy as np

from simulator.statistics.agreement import Array, bootstrap_matrices, cohen_kappa, expanded_tail, macro_f1

RATES = np.array([0.62, 0.25, 0.13])


def clusters(count: int, rng: np.random.Generator) -> Array:
    """Confusion matrices (count, 3, 3) of clusters drawn from the population."""
    sizes = rng.integers(10, 150, count)
    rates = (
        np.stack([rng.dirichlet(RATES * 8) for _ in range(count)]) if count < 1000 else rng.dirichlet(RATES * 8, count)
    )
    accuracy = 1 / (1 + np.exp(-rng.normal(0.3, 0.5, count)))
    right = rates[:, :, None] * (accuracy[:, None, None] * np.eye(3) + (1 - accuracy)[:, None, None] * RATES)
    return rng.multinomial(sizes, right.reshape(count, 9)).reshape(count, 3, 3).astype(np.float64)


def main(repetitions: int) -> None:
    rng = np.random.default_rng(1)
    everyone = clusters(200_000, rng).sum(axis=0)
    for name, statistic in (("kappa", cohen_kappa), ("macro-F1", macro_f1)):
        truth = float(statistic(everyone))
        for count in (8, 12, 16, 20, 30, 45, 88):
            covered = 0
            for repetition in range(repetitions):
                values = statistic(bootstrap_matrices(clusters(count, rng), 600, repetition))
                low, high = np.quantile(values, [expanded_tail(count), 1 - expanded_tail(count)])
                covered += bool(low <= truth <= high)
            error = (0.05 * 0.95 / repetitions) ** 0.5
            print(f"{name:9s} {count:3d} clusters: coverage {covered / repetitions:.3f} (Monte Carlo SE {error:.3f})")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
