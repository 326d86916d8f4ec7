"""Codebooks: versioned lists of behaviours as data files, with their validation."""

from simulator.codebooks.flows import verdicts, walk
from simulator.codebooks.gates import is_live
from simulator.codebooks.loading import (
    check_codebooks,
    complete,
    exploratory,
    list_codebooks,
    load_codebook,
    scale_of,
)
from simulator.codebooks.schema import Code, Codebook

__all__ = [
    "Code",
    "Codebook",
    "check_codebooks",
    "complete",
    "exploratory",
    "is_live",
    "list_codebooks",
    "load_codebook",
    "scale_of",
    "verdicts",
    "walk",
]
