"""Texts in a space of a few dimensions in which words that are used alike lie close: latent semantic analysis.

The space is learnt from the training turns alone, by a truncated singular value decomposition of their TF-IDF vectors
(Deerwester et al., J Am Soc Inf Sci 41:391, 1990), over words and word pairs that stand in enough of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.int64]

FEWEST_TEXTS = 5
_PASSES = 4


@dataclass(slots=True, frozen=True)
class Meaning:
    """`columns` of the word vectors that count, and the `basis` (columns, dimensions)."""

    columns: Ints
    basis: Floats

    def apply(self, vectors: Any) -> Floats:
        """(texts, dimensions), rows of length 1; 0 where no word is known."""
        found = np.asarray(vectors[:, self.columns] @ self.basis)
        length = np.sqrt((found**2).sum(axis=1, keepdims=True))
        placed: Floats = (found / np.where(length > 1e-6, length, 1)).astype(np.float32)
        return placed


def fit_meaning(vectors: Any, dimensions: int) -> Meaning:
    """The space of these word vectors (texts, features); of fewer dimensions where there are too few words."""
    from sklearn.decomposition import TruncatedSVD

    columns = np.flatnonzero(np.bincount(vectors.indices, minlength=vectors.shape[1]) >= FEWEST_TEXTS)
    size = min(dimensions, len(columns) - 1, vectors.shape[0] - 1)
    if size < 1:
        return Meaning(np.zeros(0, np.int64), np.zeros((0, 0), np.float32))
    space = TruncatedSVD(size, n_iter=_PASSES, random_state=0).fit(vectors[:, columns])
    return Meaning(columns, np.ascontiguousarray(space.components_.T.astype(np.float32)))
