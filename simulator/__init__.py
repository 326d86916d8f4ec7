"""Dyad: simulated courses of therapy, measured.

Importing this package does nothing but define names: no files, threads or network, and heavy libraries are loaded
when a name is first used. The names in `__all__` are the public surface; everything else may change.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simulator.agents.base import DyadAgent, Seat, TurnMessage
    from simulator.analysis.summary import summarise
    from simulator.errors import UserError
    from simulator.reporting.writing import report_run
    from simulator.store.reading import read_table
    from simulator.store.runs import open_run
    from simulator.studies.composing import compose
    from simulator.studies.running import run_study

__version__ = "0.1.0"

_HOMES = {
    "DyadAgent": "simulator.agents.base",
    "Seat": "simulator.agents.base",
    "TurnMessage": "simulator.agents.base",
    "UserError": "simulator.errors",
    "compose": "simulator.studies.composing",
    "open_run": "simulator.store.runs",
    "read_table": "simulator.store.reading",
    "report_run": "simulator.reporting.writing",
    "run_study": "simulator.studies.running",
    "summarise": "simulator.analysis.summary",
}

__all__ = [
    "DyadAgent",
    "Seat",
    "TurnMessage",
    "UserError",
    "compose",
    "open_run",
    "read_table",
    "report_run",
    "run_study",
    "summarise",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'simulator' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)
