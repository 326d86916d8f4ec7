"""What the floor of `dyad bench vllm` needs to send Dyad's requests, recorded against the mock server.

python -m benchmarks.vllm_template OUT PORT SESSIONS TURNS TOKENS
"""

import json
import sys
from pathlib import Path

from benchmarks.http_template import record_study
from benchmarks.vllm_ours import study

if __name__ == "__main__":
    out, port, *numbers = sys.argv[1:]
    sessions, turns, tokens = map(int, numbers)
    found = record_study(int(port), lambda url, folder: study([url], folder, sessions, turns, tokens), "tiny")
    Path(out).write_text(json.dumps(found))
