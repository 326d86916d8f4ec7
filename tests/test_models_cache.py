"""The response cache answers the same bytes for free, and is shared by processes without harm."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from simulator.errors import UserError
from simulator.models.cache import ResponseCache
from simulator.models.messages import Completion, Message, Request
from simulator.models.openai import OpenAIServerClient
from tests.model_server import Server, client_of, completion, half_json, serving

HELLO = [Message("user", "Hello?")]


def play(folder: Path, requests: list[tuple[Request, dict[str, Any]]]) -> tuple[list[Completion], int]:
    """The answers to requests, each asked by a client of its own, and how many the server saw."""

    async def main() -> list[Completion]:
        answers = []
        async with serving(server):
            for request, config in requests:
                client = client_of(server, cache=str(folder), **config)
                answers.append(await client.complete(request))
                assert client.total_usage().prompt_tokens == 11
                assert client.actual_usage().prompt_tokens == (0 if answers[-1].from_cache else 11)
                await client.close()
        return answers

    server = Server()
    server.answers = [half_json]
    server.always = completion("<think>a</think>Hi.")
    return asyncio.run(main()), len(server.raw)


def test_the_same_request_is_answered_once(tmp_path: Path) -> None:
    answers, asked = play(tmp_path / "c", [(Request(HELLO, seed=1), {}), (Request(HELLO, seed=1), {})])
    assert asked == 2  # the first answer was cut off: such a body is never kept
    first, second = answers
    assert (first.text, first.reasoning, first.from_cache, first.retries) == ("Hi.", "a", False, 1)
    assert (second.text, second.reasoning, second.from_cache, second.replica) == ("Hi.", "a", True, "cache")


@pytest.mark.parametrize(
    ("request_", "config"),
    [
        (Request(HELLO, seed=2), {}),
        (Request([*HELLO, Message("assistant", "x")], seed=1), {}),
        (Request(HELLO, seed=1, top_logprobs=3), {}),
        (Request(HELLO, seed=1), {"sampling": {"temperature": 0.3}}),
        (Request(HELLO, seed=1), {"revision": "other"}),
        (Request(HELLO, seed=1), {"roles": {"system": "fold"}, "extra_body": {"priority": 1}}),
    ],
)
def test_any_other_request_or_revision_is_another(tmp_path: Path, request_: Request, config: dict[str, Any]) -> None:
    answers, asked = play(tmp_path, [(Request(HELLO, seed=1), {}), (request_, config)])
    assert asked == 3 and not answers[1].from_cache


def test_a_request_whose_answer_is_left_to_chance_is_not_kept(tmp_path: Path) -> None:
    chance = (Request(HELLO), {"sampling": {"temperature": 1.0}})
    assert not any(answer.from_cache for answer in play(tmp_path, [chance, chance])[0])
    greedy = (Request(HELLO), {"sampling": {"temperature": 0.0}})
    assert [answer.from_cache for answer in play(tmp_path, [greedy, greedy])[0]] == [False, True]


def test_there_is_no_cache_unless_one_is_configured() -> None:
    assert OpenAIServerClient(name="m", url="http://h")._cache is None


WRITER = """
import sys
from simulator.models.cache import ResponseCache
cache = ResponseCache(sys.argv[1], None)
for n in range(400):
    body = b"request %d" % (n % 20)
    found = cache.get(body)
    assert found is None or found == b"answer %d" % (n % 20) * 5000, found[:20]
    cache.put(body, b"answer %d" % (n % 20) * 5000)
"""


def test_two_processes_share_a_cache(tmp_path: Path) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)]) for _ in range(2)]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    assert ResponseCache(str(tmp_path), None).get(b"request 7") == b"answer 7" * 5000
    assert sum(path.is_file() for path in tmp_path.rglob("*")) == 20  # nothing half-written is left


@pytest.mark.parametrize(
    "left", [b"", b'{"choices": [{"mess', json.dumps({**completion("No."), "model": "other"}).encode()]
)
def test_a_kept_answer_that_will_not_do_is_asked_for_again_and_replaced(tmp_path: Path, left: bytes) -> None:
    play(tmp_path, [(Request(HELLO, seed=1), {})])
    (kept,) = [path for path in tmp_path.rglob("*") if path.is_file()]
    kept.write_bytes(left)
    answers, asked = play(tmp_path, [(Request(HELLO, seed=1), {}), (Request(HELLO, seed=1), {})])
    assert asked == 2 and [(answer.text, answer.from_cache) for answer in answers] == [("Hi.", False), ("Hi.", True)]


def test_a_cache_that_cannot_be_written_costs_nothing_but_itself(tmp_path: Path) -> None:
    cache = ResponseCache(str(tmp_path / "c"), None)
    (tmp_path / "c").rmdir()
    (tmp_path / "c").write_text("a file where the folder was")
    cache.put(b"request", b"answer")
    assert cache.get(b"request") is None
    with pytest.raises(UserError, match=r"model\.cache: cannot make"):
        ResponseCache(str(tmp_path / "c"), None)
