"""Shared fixtures: where human data are, and a study small enough for every test."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of human-annotated sets; tests that need it skip where a clone has none."""
    path = os.environ.get("DYAD_DATA_DIR")
    if not path or not Path(path).is_dir():
        pytest.skip("DYAD_DATA_DIR does not name a folder with the human-annotated data sets")
    return Path(path)
