"""The report of a run: measure what is stored, draw it, put the file into the run's folder."""

from pathlib import Path

import orjson

from simulator.analysis.summary import summarise
from simulator.reporting.report import REPORT_FILE, write_report, write_whole
from simulator.reporting.transcripts import load_transcripts
from simulator.store.runs import FIGURES_FILE, open_run


def report_run(folder: Path, humans: Path | None = None) -> Path:
    """Write `report.html` into the run's folder, and the figures behind it as `report.json`; return where it is.

    Args:
        folder: a folder that `dyad run` or `dyad import` made.
        humans: where texts of people are, for the discriminator (see `summarise`).

    Raises:
        UserError: the folder is no run, or cannot be written.
    """
    run = open_run(folder)
    summary = summarise(folder, humans)
    path = run.path / REPORT_FILE
    write_whole(run.path / FIGURES_FILE, orjson.dumps(summary, option=orjson.OPT_NON_STR_KEYS))
    write_report(summary, load_transcripts(run, summary["design"]["by"]), path)
    return path
