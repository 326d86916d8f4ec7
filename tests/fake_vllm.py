"""Stands in for vLLM's server in tests of `dyad serve`: takes its arguments, answers like it, dies when told to.

A file `fail` in the working directory makes it end at once; FAKE_LATENCY is the seconds that a request takes. With
`--headless` it is a part of a server that does not listen, and runs until it is stopped.
"""

import argparse
import os
import signal
import sys
from pathlib import Path

from simulator.cli.output import show
from simulator.serving.mock_options import MockOptions
from simulator.serving.mock_process import serve_mock

parser = argparse.ArgumentParser()
parser.add_argument("--served-model-name")
parser.add_argument("--host")
parser.add_argument("--port", type=int)
parser.add_argument("--headless", action="store_true")
options, rest = parser.parse_known_args()
show(f"arguments: {rest}")
if Path("fail").exists():
    sys.exit("ValueError: the weights are not there")
if options.headless:
    signal.pause()
latency = float(os.environ.get("FAKE_LATENCY", "0"))
sys.exit(serve_mock(MockOptions(models=[options.served_model_name], latency=latency), options.host, options.port, show))
