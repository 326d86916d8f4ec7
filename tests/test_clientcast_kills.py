"""A study in stages is killed in the middle of extraction: the same command asks nothing twice that was answered."""

import json
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import polars as pl

from tests.mock_for_tests import Mock, mock_server, seed_of
from tests.studies_for_tests import parquet_bytes

SECONDS = 240.0
"""How long a whole study, or waiting for one place in it, may take."""
ANSWERED = 60
STAGES = ("source", "profiles", "simulated", "rated", "rated_source", "reread", "baseline")


def command(mock: Mock, out: Path) -> list[str]:
    overrides = [
        "experiment=clientcast", *mock.overrides, "personas.limit=2", "therapist=[lm_mi,silent]",
        "session.max_turns=4", "instruments=[wai_sr]", "limits.workers=1", "limits.concurrency=4", f"out={out}",
        "--quiet",
    ]  # fmt: skip
    return [sys.executable, "-c", "from simulator.cli.main import main; main()", "run", *overrides]


def seeds_read(out: Path) -> list[int]:
    """Seeds of the fields that the journal of the stage holds."""
    lines = [line for path in (out / "profiles" / "journal").glob("*.jsonl") for line in path.read_text().splitlines()]
    found = [re.search(r'"seed":(\d+)', line) for line in lines if '"kind":"extracted"' in line]
    return [int(seed[1]) for seed in found if seed]


def killed_in_extraction(mock: Mock, out: Path) -> list[int]:
    """Kill the study once all that was answered is in the journal; returns the seeds of what was read."""
    deadline = time.monotonic() + SECONDS
    with subprocess.Popen(command(mock, out), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        try:
            while len(seeds_read(out)) < ANSWERED:
                assert time.monotonic() < deadline, "the study never came to the middle of extraction"
                try:
                    process.wait(0.05)
                except subprocess.TimeoutExpired:
                    continue
                raise AssertionError(f"ended too early: {process.stderr.read().decode()[-500:]}")  # type: ignore[union-attr]
        finally:
            process.kill()
        process.wait(SECONDS)
    return seeds_read(out)


def test_a_study_killed_in_extraction_asks_nothing_twice_and_ends_with_the_same_tables(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    with mock_server() as mock:
        subprocess.run(command(mock, whole), check=True, timeout=SECONDS, capture_output=True)
    with mock_server(hold_after=ANSWERED) as mock:
        read = killed_in_extraction(mock, cut)
        assert len(read) == ANSWERED
        mock.go_on()
        mock.server._hold_after = None
        subprocess.run(command(mock, cut), check=True, timeout=SECONDS, capture_output=True)
        times = Counter(seed_of(request) for request in mock.new_requests())
    assert {times[seed] for seed in read} == {1}
    for stage in STAGES:
        assert parquet_bytes(cut / stage) == parquet_bytes(whole / stage), stage
    figures = [json.loads((out / "figures.json").read_text()) for out in (whole, cut)]
    assert figures[0] == figures[1]
    fields = pl.read_parquet(cut / "profiles/dataset/extractions/*.parquet")
    assert (
        fields.height == fields.select("course_id", "field").unique().height == 2 * 2 * 2 * fields["field"].n_unique()
    )
