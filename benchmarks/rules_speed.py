"""How fast the rule-based coder goes through turns, every text a new one (no help from its cache).

DYAD_DATA_DIR=... python benchmarks/rules_speed.py [turns]
"""

import os
import sys
import time
from pathlib import Path

import polars as pl

from simulator.coding.base import code_dataset
from simulator.coding.rules import RuleCoder


def main(count: int) -> None:
    data = pl.read_csv(Path(os.environ["DYAD_DATA_DIR"]) / "annomi" / "annomi_simple.csv")
    copies = -(-count // len(data))
    turns = pl.concat(
        data.select(
            course_id=pl.lit(f"{copy:04d}-") + pl.col("transcript_id").cast(pl.String),
            session=0,
            turn="utterance_id",
            role="interlocutor",
            text=pl.col("utterance_text") + f" {copy}",
        )
        for copy in range(copies)
    ).head(count)
    began = time.process_time()
    coder = RuleCoder()
    made = time.process_time()
    coded = code_dataset(turns, coder)
    seconds = time.process_time() - made
    print(f"{coded.height} judgments of {turns.height} turns: {1e6 * seconds / turns.height:.1f} us of CPU per turn;")
    print(f"reading the patterns took {made - began:.2f} s")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
