"""The floor of `dyad bench http`: the same sessions by as little code as plays them, for comparison.

    python benchmarks/floor.py URL TEMPLATE JOURNAL

TEMPLATE (JSON, written by the benchmark from what Dyad sent) holds the opening request's messages, for every session
and chair those before and after the conversation, and every turn's seed: the requests are Dyad's, byte for byte.
"""

import asyncio
import json
import resource
import sys
import time
from pathlib import Path

import aiohttp
import orjson
import uvloop


def rss_kib(field):
    """Memory now (VmRSS) or at its peak (VmHWM); `ru_maxrss` would begin with the peak of the process that forked."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))


async def session(http, url, head, texts, plan, journal, number, times):
    def messages(part):
        return [{"role": role, "content": texts[text]} for role, text in part]

    chairs = [[messages(part) for part in chair] for chair in plan["chairs"]]
    opening, said = messages(plan["opening"]), []
    for turn, seed in enumerate(plan["seeds"]):
        before, after = chairs[turn % 2] if turn else (opening, [])
        talk = [{"role": "user" if (turn - n) % 2 else "assistant", "content": text} for n, text in enumerate(said)]
        body = orjson.dumps({**head, "messages": [*before, *talk, *after], "seed": seed})
        started = time.time()
        times[0] = min(times[0], started)
        async with http.post(url, data=body) as response:
            answer = orjson.loads(await response.read())
        text = answer["choices"][0]["message"]["content"]
        said.append(text)
        usage = answer["usage"]
        line = {"session": number, "turn": turn, "text": text, "seed": seed, "model": answer["model"], "at": started,
                "prompt_tokens": usage["prompt_tokens"], "completion_tokens": usage["completion_tokens"]}  # fmt: skip
        journal.write(orjson.dumps(line) + b"\n")
    times[1] = time.time()


async def main(url, template, path):
    sessions, texts, head = template["sessions"], template["texts"], template["head"]
    connector = aiohttp.TCPConnector(limit=0)
    headers = {"Content-Type": "application/json"}
    before, started, used, times = rss_kib("VmRSS"), time.perf_counter(), time.process_time(), [float("inf"), 0.0]
    with Path(path).open("wb") as journal:
        async with aiohttp.ClientSession(connector=connector, headers=headers) as http:
            plays = (session(http, url, head, texts, plan, journal, n, times) for n, plan in enumerate(sessions))
            await asyncio.gather(*plays)
    return {"turns": sum(len(plan["seeds"]) for plan in sessions), "cpu_s": time.process_time() - used,
            "wall_s": time.perf_counter() - started, "requests_s": times[1] - times[0],
            "rss_kib": max(0, rss_kib("VmHWM") - before)}  # fmt: skip


if __name__ == "__main__":
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    print(
        json.dumps(
            uvloop.run(
                main(sys.argv[1] + "/chat/completions", orjson.loads(Path(sys.argv[2]).read_bytes()), sys.argv[3])
            )
        )
    )
