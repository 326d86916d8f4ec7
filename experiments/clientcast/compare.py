"""Print what a study of simulated clients reproduces of the published claims: `python compare.py FOLDER`.

FOLDER is what `dyad run experiment=clientcast` made. The figures are those of its report.
"""

import argparse
from pathlib import Path

from simulator.analysis.clientcast.study import figures


def main() -> None:
    """Print the comparison table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    found = figures(parser.parse_args().folder)
    for line in found["warnings"]:
        print(f"! {line}")
    for row in found["comparison"]:
        print(f"\n{row['claim']}\n  published: {row['published']} ({row['mark']})\n  here:      {row['here']}")
        print(f"  verdict:   {row['verdict']}: {row['why']}")


if __name__ == "__main__":
    main()
