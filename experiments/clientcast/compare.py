"""Print what a study of simulated clients reproduces of the published claims: `python compare.py FOLDER`.

FOLDER is what `dyad run experiment=clientcast` made. The figures are those of its report.
"""

import argparse
import sys
from pathlib import Path

from simulator.analysis.clientcast.study import figures


def main() -> None:
    """Print the comparison table."""

    def write(line: str) -> None:
        sys.stdout.write(f"{line}\n")

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    found = figures(parser.parse_args().folder)
    for line in found["warnings"]:
        write(f"! {line}")
    for row in found["comparison"]:
        write(f"\n{row['claim']}\n  published: {row['published']} ({row['mark']})\n  here:      {row['here']}")
        write(f"  verdict:   {row['verdict']}: {row['why']}")


if __name__ == "__main__":
    main()
