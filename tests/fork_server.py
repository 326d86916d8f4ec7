"""Runs studies in forked children that a test may kill: imports once, so that a kill costs little.

Reads lines `OUT OVERRIDE...` (tab-separated) on stdin; for each it forks a child that runs the study, prints the child's
process id, waits for it, and prints its exit status.
"""

import os
import sys
import traceback
from pathlib import Path

from tests.studies_for_tests import small

from simulator.studies.identity import code_version
from simulator.studies.running import run_study


def main() -> None:
    code_version()  # once, so that all children agree
    for line in sys.stdin:
        out, *overrides = line.rstrip("\n").split("\t")
        child = os.fork()
        if child == 0:
            try:
                run_study(small(Path(out), *overrides))
                os._exit(0)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
        print(child, flush=True)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
