"""CPU and memory of coding: `dyad bench coding-speed [--turns N] [--json]`, every text a new one.

The trained coder is trained first, on the shared part of AnnoMI; that is not counted. Turns come in parts of about
50,000, as `dyad code` reads them from a stored run; each part is coded as there and forgotten. What is printed per
coder: microseconds of CPU per turn in the first and in the last part (equal where cost is linear), the peak of the
process's memory after the first and after the last part (equal where memory is bounded), and the time that a million
turns take on one core at the measured rate, next to the bar.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import orjson
import polars as pl

from simulator.cli.output import show, show_json
from simulator.coding.base import code_dataset
from simulator.coding.loaders import read_examples
from simulator.coding.rules import RuleCoder
from simulator.coding.trained.coder import TrainedCoder
from simulator.coding.trained.files import save
from simulator.coding.trained.model import fit
from simulator.coding.trained.recipes import recipe_for
from simulator.errors import UserError

BARS = {"trained": 300, "rules": 180}
"""Seconds for a million turns on two cores."""
PART = 50_000


def part(data, number):
    """About `PART` turns: the sessions again and again, a word of its own in every copy's turns."""
    copies = -(-PART // len(data))
    return pl.concat(
        data.select(
            course_id=pl.lit(f"{number * copies + copy:06d}-") + pl.col("transcript_id").cast(pl.String),
            session=0,
            turn="utterance_id",
            role="interlocutor",
            text=pl.col("utterance_text") + f" {number * copies + copy}",
        )
        for copy in range(copies)
    )


def measure(name, turns, folder):
    """One coder in this process."""
    coder = RuleCoder() if name == "rules" else TrainedCoder(Path(folder))
    data = pl.read_csv(Path(os.environ["DYAD_DATA_DIR"]) / "annomi" / "annomi_simple.csv")
    rates, peaks, done, number, used, began = [], [], 0, 0, 0.0, time.perf_counter()
    while done < turns:
        frame = part(data, number)
        before = time.process_time()
        coded = code_dataset(frame, coder)
        spent = time.process_time() - before
        assert coded["value"].null_count() == 0
        done, number, used = done + len(frame), number + 1, used + spent
        rates.append(1e6 * spent / len(frame))
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
    return {
        "turns": done, "us_per_turn_first": rates[0], "us_per_turn_last": rates[-1], "us_per_turn": 1e6 * used / done,
        "peak_mib_first": peaks[0], "peak_mib_last": peaks[-1], "wall_s": time.perf_counter() - began,
        "million_turns_s_one_core": used / done * 1e6, "bar_s_two_cores": BARS[name],
    }  # fmt: skip


def main(arguments):
    parser = argparse.ArgumentParser("dyad bench coding-speed", description=__doc__)
    parser.add_argument("--turns", type=int, default=150_000, help="turns per coder (default 150000)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    path = Path(os.environ.get("DYAD_DATA_DIR", "")) / "annomi" / "annomi_simple.csv"
    if not path.is_file():
        raise UserError(
            f"dyad bench coding-speed: {path}: no such file; DYAD_DATA_DIR must name the coded sets' folder"
        )
    if options.measure:
        show_json(measure(options.measure, options.turns, options.folder))
        return 0
    examples = read_examples(path)
    report = {}
    with tempfile.TemporaryDirectory() as folder:
        save(Path(folder), fit(examples, recipe_for(examples)), examples)
        for name in BARS:
            command = [sys.executable, "-m", "benchmarks.coding_speed", "--measure", name, "--folder", folder]
            done = subprocess.run(
                [*command, "--turns", str(options.turns)], stdout=subprocess.PIPE, check=True, timeout=3600,
                env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
                cwd=Path(__file__).resolve().parent.parent,
            )  # fmt: skip
            report[name] = orjson.loads(done.stdout)
    if options.json:
        show_json(report)
        return 0
    for name, found in report.items():
        show(
            f"{name:<8} {found['turns']:>9,} turns: {found['us_per_turn']:.0f} us of CPU a turn (first part "
            f"{found['us_per_turn_first']:.0f}, last {found['us_per_turn_last']:.0f}); peak memory "
            f"{found['peak_mib_first']} MiB after the first part, {found['peak_mib_last']} after the last; a million "
            f"turns: {found['million_turns_s_one_core']:.0f} s on one core (bar on two: {found['bar_s_two_cores']} s)"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
