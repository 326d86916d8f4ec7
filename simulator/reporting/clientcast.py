"""The report of a study of simulated clients: all its stages in one HTML file, and its figures beside it as JSON."""

import json
from pathlib import Path

from simulator.errors import UserError
from simulator.reporting.clientcast_sections import views
from simulator.reporting.report import REPORT_FILE, rendered
from simulator.store.runs import write_atomically

FIGURES_FILE = "figures.json"


def conclude(folder: Path) -> Path:
    """Measure the stages, write `figures.json` and `report.html` into the study's folder; returns the report's path.

    Raises:
        UserError: the stages are not done, or a file cannot be written.
    """
    from simulator.analysis.clientcast.study import figures

    found = figures(folder)
    path = folder / REPORT_FILE
    try:
        write_atomically(folder / FIGURES_FILE, json.dumps(found, indent=1, allow_nan=False).encode())
        write_atomically(path, rendered("clientcast.html", **views(found)).encode())
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}; free the place or name another folder") from None
    return path
