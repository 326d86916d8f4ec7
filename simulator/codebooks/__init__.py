"""Codebooks: versioned lists of behaviours as data files, with their validation."""

from simulator.codebooks.flows import verdicts, walk
from simulator.codebooks.gates import is_live
from simulator.codebooks.loading import check_codebooks, exploratory, list_codebooks, load_codebook
from simulator.codebooks.schema import Code, Codebook

__all__ = [
    "Code",
    "Codebook",
    "check_codebooks",
    "exploratory",
    "is_live",
    "list_codebooks",
    "load_codebook",
    "verdicts",
    "walk",
]
