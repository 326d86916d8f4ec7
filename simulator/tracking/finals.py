"""What W&B is told once a run is over: estimates, tables, pictures, and the report and dataset as artifacts.

Read from the run's folder, and told once: the same figures are not told again by a later tracker.
"""

import hashlib
import re
from pathlib import Path
from typing import Any

import orjson

from simulator.store.runs import FIGURES_FILE, RunFolder
from simulator.tracking.pictures import draw, plots_of
from simulator.tracking.settings import TrackingSettings
from simulator.tracking.state import FOLDER, State
from simulator.tracking.tables import estimates_of, tables_of
from simulator.tracking.wandb_run import WandbRun

REPORT = "report.html"
_ORIGINS = {"scripted": "Scripted reference dyad: no language model spoke; no evidence about people.",
            "model": "Simulated with language models; no evidence about people."}  # fmt: skip


def figures_of(run: RunFolder) -> bytes | None:
    """The figures of the run's report, or None where there are none or the tables are newer."""
    path = run.path / FIGURES_FILE
    try:
        tables = (table.stat().st_mtime_ns for table in run.dataset.glob("*/*.parquet"))
        return path.read_bytes() if path.stat().st_mtime_ns >= max(tables, default=0) else None
    except OSError:
        return None


def hash_of(figures: bytes) -> str:
    """By which figures are known again."""
    return hashlib.blake2b(figures, digest_size=16).hexdigest()


def tell_finals(
    run: RunFolder, figures: bytes, tracked: WandbRun, settings: TrackingSettings, state: State
) -> None:  # fmt: skip
    """Tell W&B the figures of a run that is over; the step is the next after the last."""
    summary = orjson.loads(figures)
    row: dict[str, Any] = {}
    figure: dict[str, Any] = estimates_of(summary, settings.estimates)
    for name, table in tables_of(summary, settings.rows).items():
        row[f"tables/{name}"] = tracked.table(table.columns, table.rows)
        figure[f"rows_left_out/{name}"] = table.left_out
    pictures = run.path / FOLDER / "pictures"
    pictures.mkdir(exist_ok=True)
    for plot in plots_of(summary, settings.plots):
        name = re.sub(r"[^\w-]+", "_", plot.name)
        file = pictures / f"{name}.png"
        file.write_bytes(draw(plot, _ORIGINS.get(str(summary["design"]["origin"]), str(summary["design"]["origin"]))))
        row[f"plots/{name}"] = tracked.picture(file, plot.title)
    state.step += 1
    state.save()
    if row:
        tracked.log(row, state.step)
    figure |= _attached(run, tracked, settings, state)
    counts = summary["counts"]
    figure |= {f"counts/{name}": counts[name] for name in ("courses", "sessions", "turns", "words", "clusters")}
    figure["warnings"] = "\n".join(summary["warnings"])
    tracked.summarise(figure)


def _attached(run: RunFolder, tracked: WandbRun, settings: TrackingSettings, state: State) -> dict[str, str]:
    """Attach what is small enough; returns what became of each, for the summary."""
    told: dict[str, str] = {}
    dataset = {str(path.relative_to(run.dataset)): path for path in sorted(run.dataset.glob("*/*.parquet"))}
    for name, files in (("report", {REPORT: run.path / REPORT}), ("dataset", dataset)):
        present = {inside: path for inside, path in files.items() if path.is_file()}
        size = _megabytes(present.values())
        if not present:
            told[f"artifacts/{name}"] = "there is none"
        elif size > settings.artifact_mb:
            told[f"artifacts/{name}"] = f"left out: {size:.0f} MB are more than tracking.artifact_mb"
        else:
            tracked.attach(f"{name}-{state.run_id}", name, present)
            told[f"artifacts/{name}"] = f"attached: {size:.3g} MB"
    return told


def _megabytes(files: Any) -> float:
    paths: list[Path] = list(files)
    return sum(path.stat().st_size for path in paths) / 1e6
