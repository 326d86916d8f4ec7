"""TF-IDF vectors of texts over a hashed vocabulary that was fitted on training texts.

Counts c become 1 + ln c, are weighted by inverse document frequency ln((1 + n) / (1 + d)) + 1, and each row gets length
1 (Salton & Buckley, Inf Process Manag 24:513, 1988; the smoothing of scikit-learn). Features outside the vocabulary do
not count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from simulator.coding.trained.tokens import Tokens, UInt64s

if TYPE_CHECKING:
    from scipy.sparse import csr_array

KINDS = ("words", "letters")
"""Words and pairs of words; stretches of letters."""


@dataclass(slots=True, frozen=True)
class Vocabulary:
    """Features of one kind: sorted hashes, and the inverse document frequency of each."""

    kind: str
    hashes: UInt64s
    idf: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.hashes)

    def vectors(self, tokens: Tokens) -> csr_array:
        """Rows of length 1 (of length 0 where nothing is known), one per text, float32."""
        counts = _counts(self.kind, tokens, self.hashes)
        filled = np.diff(counts.indptr)
        data = (1 + np.log(counts.data)) * self.idf[counts.indices]
        squares = np.bincount(np.repeat(np.arange(len(tokens)), filled), data**2, minlength=len(tokens))
        counts.data = (data / np.repeat(np.sqrt(squares), filled)).astype(np.float32)
        counts.indices, counts.indptr = counts.indices.astype(np.int32), counts.indptr.astype(np.int32)
        return counts


def fit_vocabulary(kind: str, tokens: Tokens, fewest: int) -> Vocabulary:
    """The features of a kind that stand in at least `fewest` of the texts."""
    lexicon = tokens.lexicon
    if kind == "words":
        met = np.concatenate([lexicon.hashes[np.unique(tokens.ids)], tokens.pairs(lexicon.hashes)[1]])
    else:
        owners, stretches = lexicon.letters
        met = stretches[np.isin(owners, tokens.ids)]
    hashes = np.unique(met)
    documents = np.bincount(_counts(kind, tokens, hashes).indices, minlength=len(hashes))
    kept = documents >= fewest
    idf = np.log((1 + len(tokens)) / (1 + documents[kept])) + 1
    return Vocabulary(kind, hashes[kept], idf.astype(np.float32))


def word_counts(tokens: Tokens) -> csr_array:
    """How often each word of the lexicon stands in each text: (texts, words), float32."""
    from scipy.sparse import csr_array

    counts = csr_array(
        (np.ones(len(tokens.ids), np.float32), tokens.ids, tokens.ends),
        shape=(len(tokens), len(tokens.lexicon)),
        copy=True,
    )
    counts.sum_duplicates()
    return counts


def _counts(kind: str, tokens: Tokens, hashes: UInt64s) -> csr_array:
    """How often each feature stands in each text: (texts, len(hashes)), float32."""
    from scipy.sparse import csr_array

    lexicon, shape = tokens.lexicon, (len(tokens), len(hashes))
    if kind == "letters":
        owners, stretches = lexicon.letters
        columns, known = _places(stretches, hashes)
        spelled = csr_array(
            (np.ones(int(known.sum()), np.float32), (owners[known], columns[known])), shape=(len(lexicon), len(hashes))
        )
        counts = word_counts(tokens) @ spelled
        counts.sort_indices()
        return counts
    column_of, known_word = _places(lexicon.hashes, hashes)
    single = known_word[tokens.ids]
    pair_rows, pair_hashes = tokens.pairs(lexicon.hashes)
    pair_columns, known_pair = _places(pair_hashes, hashes)
    rows = np.concatenate([tokens.rows[single], pair_rows[known_pair]])
    columns = np.concatenate([column_of[tokens.ids][single], pair_columns[known_pair]])
    counts = csr_array((np.ones(len(rows), np.float32), (rows, columns)), shape=shape)
    counts.sum_duplicates()
    return counts


def _places(wanted: UInt64s, hashes: UInt64s) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Where each wanted hash stands in the sorted `hashes`, and whether it does."""
    if not len(hashes):
        return np.zeros(len(wanted), np.int64), np.zeros(len(wanted), np.bool_)
    places = np.minimum(np.searchsorted(hashes, wanted), len(hashes) - 1)
    return places, hashes[places] == wanted
