"""Small studies composed exactly as the command line composes them."""

from pathlib import Path

from simulator.studies.composing import compose
from simulator.studies.config import StudyConfig


def small(out: Path, *overrides: str) -> StudyConfig:
    """Two therapists, three personas, two replicates: twelve sessions."""
    return compose("therapist=[mi_consistent,companion]", "personas.limit=3", "replicates=2", f"out={out}", *overrides)


def parquet_bytes(run: Path) -> dict[str, bytes]:
    """Every Parquet file of a run but `executions`, by its path within the dataset."""
    files = sorted((run / "dataset").glob("*/*.parquet"))
    return {
        str(path.relative_to(run / "dataset")): path.read_bytes() for path in files if path.parent.name != "executions"
    }
