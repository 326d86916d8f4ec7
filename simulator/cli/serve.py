"""`dyad serve`: vLLM replicas of a model, watched until Ctrl-C; `dyad serve mock`: a server without a model.

dyad serve model=qwen3_8b serving.replicas=2        starts replicas and writes endpoints.json
dyad serve model=qwen3_8b --dry-run                 prints the commands, one per line
dyad serve wait FOLDER --seconds 600                waits until a server that an endpoint file names answers
dyad serve mock --port 8000                         an OpenAI-compatible mock server (docs/mock-server.md)
"""

import argparse
import asyncio
from collections.abc import Sequence
from pathlib import Path

from simulator.cli.main import OneLineParser
from simulator.cli.output import say, show


def main(arguments: Sequence[str]) -> int:
    """Run the command; see the module's docstring."""
    if arguments and arguments[0] == "mock":
        return _mock(arguments[1:])
    if arguments and arguments[0] == "wait":
        return _wait(arguments[1:])
    parser = OneLineParser(
        "dyad serve", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument(
        "overrides", nargs="*", help="model=NAME, serving=NAME, serving.KEY=VALUE, model.serving.KEY=VALUE"
    )
    parser.add_argument("--config-dir", help="a folder with configuration groups of your own")
    parser.add_argument("--dry-run", action="store_true", help="print the commands and start nothing")
    options = parser.parse_intermixed_args(arguments)  # job scripts put flags in the middle
    from simulator.serving.commands import check_interpreter, plan_replicas
    from simulator.serving.endpoint_file import EndpointFile
    from simulator.serving.headless import run_headless
    from simulator.serving.settings import compose_serving
    from simulator.serving.supervisor import Supervisor

    settings, model = compose_serving(options.overrides, options.config_dir)
    plans = plan_replicas(settings, model)
    if options.dry_run:
        for plan in plans:
            show(plan.shell_line())
        return 0
    check_interpreter(settings)
    if plans[0].node:
        say(f"node {plans[0].node} of {settings.nodes} for {plans[0].model}; logs: {settings.logs}")
        return asyncio.run(run_headless(plans[0], settings, say))
    supervisor = Supervisor(plans, settings, EndpointFile(Path(settings.endpoints)), say)
    say(f"starting {len(plans)} of {plans[0].model}; logs: {settings.logs}; Ctrl-C drains")
    return asyncio.run(supervisor.run())


def _wait(arguments: Sequence[str]) -> int:
    from simulator.serving.waiting import wait_for_server

    parser = OneLineParser("dyad serve wait", description="Wait until a server that a file or folder names answers.")
    parser.add_argument("endpoints", type=Path, help="an endpoint file, or a folder of them")
    parser.add_argument("--seconds", type=float, default=600, help="how long (600)")
    parser.add_argument("--while", dest="process", type=int, metavar="PID", help="only while this process runs")
    options = parser.parse_args(arguments)
    say(f"{wait_for_server(options.endpoints, options.seconds, options.process)} answers")
    return 0


def _mock(arguments: Sequence[str]) -> int:
    from simulator.serving.mock_process import options_from, serve_mock

    parser = OneLineParser("dyad serve mock", description="An OpenAI-compatible server without a model.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one; the address is printed")
    parser.add_argument("--options", type=Path, metavar="FILE", help="a YAML file of options (docs/mock-server.md)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="one option; may be repeated")
    parser.add_argument("--fault", action="append", default=[], metavar="NAME=RATE", help="for instance 500=0.1")
    options = parser.parse_args(arguments)
    return serve_mock(options_from(options.options, options.set, options.fault), options.host, options.port, show)
