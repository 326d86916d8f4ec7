"""Codebooks: versioned lists of behaviours as data files, with their validation."""

from simulator.codebooks.loading import check_codebooks, list_codebooks, load_codebook
from simulator.codebooks.schema import Code, Codebook

__all__ = ["Code", "Codebook", "check_codebooks", "list_codebooks", "load_codebook"]
