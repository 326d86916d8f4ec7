"""Instruments: questionnaires as data files, their forms and keys, and scoring."""

from simulator.instruments.loading import list_instruments, load_instrument, load_wording
from simulator.instruments.schema import Instrument, Item
from simulator.instruments.scoring import Score, adaptation, score

__all__ = [
    "Instrument",
    "Item",
    "Score",
    "adaptation",
    "list_instruments",
    "load_instrument",
    "load_wording",
    "score",
]
