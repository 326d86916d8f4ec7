"""What the floor of `dyad bench http` needs to send Dyad's requests byte for byte, taken from what Dyad sent.

    python -m benchmarks.http_template OUT PORT SESSIONS TURNS

Plays the study once against a mock server in a thread of this process and takes every request apart: the messages
before the conversation, those after it, the fields that never change, the seed; the opening request, in which nothing
has been said, is kept whole. Each request is put together again as the floor does it and compared with what was sent.
"""

import asyncio
import json
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from benchmarks.http_ours import study
from simulator.serving.mock import MockServer
from simulator.studies.config import StudyConfig
from simulator.studies.running import run_study


class Recorder:
    """A mock server in a thread, with the bodies of all requests."""

    def __init__(self, port: int, model: str) -> None:
        self._port = port
        self._loop = asyncio.new_event_loop()
        self.server = MockServer(models=[model], log_requests=True)
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> MockServer:
        self._thread.start()
        return asyncio.run_coroutine_threadsafe(self.server.start(port=self._port), self._loop).result(30)

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self.server.stop(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)


def record(port: int, sessions: int, turns: int) -> dict[str, Any]:
    """Play the study of `dyad bench http` and derive the template."""
    at_once = min(sessions, 1000)  # server and client share one process's limit on open files here
    return record_study(port, lambda url, out: study(url, out, sessions, turns, at_once=at_once))


def record_study(port: int, make: Callable[[str, Path], StudyConfig], model: str = "mock") -> dict[str, Any]:
    """The template of any study of sessions on one model: `make` gets the server's address and the run's folder."""
    with tempfile.TemporaryDirectory(prefix="dyad-bench-") as folder, Recorder(port, model) as server:
        result = run_study(make(server.base_url, Path(folder) / "run"))
        if result.tally.failed:
            raise SystemExit(f"the recorded run failed: {result.tally.failures}")
        sent = {int(orjson.loads(one.body)["seed"]): one.body for one in server.seen}
        courses: dict[str, list[dict[str, Any]]] = {}
        for file in sorted((result.run.path / "journal").glob("*.jsonl")):
            for line in file.read_bytes().splitlines():
                fact = orjson.loads(line)["record"]
                if fact["kind"] == "turn":
                    courses.setdefault(fact["course"], []).append(fact)
    texts: dict[str, int] = {}
    head: dict[str, Any] = {}
    plans = []
    for course in courses.values():
        course.sort(key=lambda fact: fact["turn"])
        plans.append(_plan(course, sent, texts, head))
    return {"head": head, "texts": list(texts), "sessions": plans}


def _plan(
    course: list[dict[str, Any]], sent: dict[int, bytes], texts: dict[str, int], head: dict[str, Any]
) -> dict[str, Any]:
    said = [fact["text"] for fact in course]
    chairs: dict[int, tuple[list[Any], list[Any]]] = {}
    opening: list[Any] = []
    for turn, fact in reversed(list(enumerate(course))):
        body = orjson.loads(sent[fact["seed"]])
        messages, seed = body.pop("messages"), body.pop("seed")
        head.update(body)
        if turn == 0:
            opening = messages
        elif turn % 2 not in chairs:
            contents = [message["content"] for message in messages]
            start = next(n for n in range(len(contents)) if contents[n : n + turn] == said[:turn])
            chairs[turn % 2] = (messages[:start], messages[start + turn :])
        before, after = chairs[turn % 2] if turn else (opening, [])
        talk = [{"role": "user" if (turn - n) % 2 else "assistant", "content": said[n]} for n in range(turn)]
        again = orjson.dumps({**head, "messages": [*before, *talk, *after], "seed": seed})
        if again != sent[fact["seed"]]:
            raise SystemExit(f"the floor cannot rebuild turn {turn}: {again!r} is not {sent[fact['seed']]!r}")

    def numbered(part: list[Any]) -> list[Any]:
        return [[message["role"], texts.setdefault(message["content"], len(texts))] for message in part]

    return {
        "opening": numbered(opening),
        "chairs": [[numbered(part) for part in chairs[chair]] for chair in (0, 1)],
        "seeds": [fact["seed"] for fact in course],
    }


if __name__ == "__main__":
    out, *numbers = sys.argv[1:]
    Path(out).write_text(json.dumps(record(*(int(number) for number in numbers))))
