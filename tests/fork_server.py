"""Runs studies in forked children that a test may kill: imports and warms up once, so that a kill costs little.

Reads lines `OUT OVERRIDE...` (tab-separated) on stdin; for each it forks a child that runs the study, prints the
child's process id, waits for it, and prints its exit status.
"""

import asyncio
import os
import sys
import traceback
from pathlib import Path

from simulator.agents.seating import ChairFactory
from simulator.sessions.course import CourseSetting, run_course
from simulator.studies.config import StudyConfig
from simulator.studies.identity import code_version
from simulator.studies.plan import make_plan
from simulator.studies.running import run_study
from tests.studies_for_tests import small


def warm_up(config: StudyConfig) -> None:
    """Play one course into nowhere: agents, grammar and policies are loaded afterwards."""
    code_version()
    plan = make_plan(config)
    factories = {(r, n): ChairFactory(r, n, o) for r, options in config.options.items() for n, o in options.items()}
    setting = CourseSetting(config.session, factories, list(config.instruments.values()), lambda: False)
    asyncio.run(run_course(next(plan.courses()), setting, [], lambda record: None))


def main() -> None:
    warm_up(small(Path("nowhere")))
    for line in sys.stdin:
        out, *overrides = line.rstrip("\n").split("\t")
        config = small(Path(out), *overrides)
        child = os.fork()
        if child == 0:
            try:
                run_study(config)
                os._exit(0)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
        print(child, flush=True)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
