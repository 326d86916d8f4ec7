"""The mock server: what it says, how it counts, how it fails, and that all of it follows from requests and seed."""

import asyncio
import json
import math
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from simulator.errors import UserError
from simulator.serving.mock import MockServer
from simulator.serving.mock_options import parse_options
from simulator.serving.mock_schema import instance_of

ROOT = Path(__file__).parent.parent
Post = Callable[..., Awaitable[tuple[int, Any]]]


def run(settings: dict[str, Any], steps: Callable[[MockServer, Post], Awaitable[Any]]) -> Any:
    """Run steps against a server; `post(**body)` gives (status, parsed body)."""

    async def go() -> Any:
        async with MockServer(**settings) as server, aiohttp.ClientSession() as http:

            async def post(**body: Any) -> tuple[int, Any]:
                headers = body.pop("headers", None)
                async with http.post(f"{server.base_url}/chat/completions", json=body, headers=headers) as response:
                    return response.status, await response.json()

            return await steps(server, post)

    return asyncio.run(go())


def ask(text: str = "How was the week?", **more: Any) -> dict[str, Any]:
    system = {"role": "system", "content": "You are a client."}
    return {"model": "mock", "messages": [system, {"role": "user", "content": text}], **more}


def said(answer: tuple[int, Any]) -> str:
    return str(answer[1]["choices"][0]["message"]["content"])


def test_answers_follow_from_the_request_and_the_seed_alone() -> None:
    async def steps(server: MockServer, post: Post) -> list[str]:
        return [said(await post(**ask(f"question {n % 4}"))) for n in range(8)]

    first = run({"seed": 1, "replica": "a"}, steps)
    assert first[:4] == first[4:]
    assert len(set(first)) == 4
    assert run({"seed": 1, "replica": "b"}, steps) == first
    assert set(run({"seed": 2}, steps)).isdisjoint(first)


def test_answers_keep_to_the_lengths_that_were_asked_for() -> None:
    async def steps(server: MockServer, post: Post) -> None:
        for n in range(20):
            status, body = await post(**ask(f"question {n}"))
            assert status == 200
            assert 120 <= len(said((status, body))) <= 4 * 35 + 80  # at least 30 tokens, the last sentence not cut
            assert body["choices"][0]["finish_reason"] == "stop"
        status, body = await post(**ask(max_tokens=5))
        assert len(said((status, body))) == 20
        assert body["choices"][0]["finish_reason"] == "length"
        assert body["usage"]["completion_tokens"] == 5
        assert "." not in said(await post(**ask(stop=["."])))
        two = (await post(**ask(n=2)))[1]["choices"]
        assert two[0]["message"]["content"] != two[1]["message"]["content"]

    run({"answer_tokens": [30, 35]}, steps)


def test_planted_answers_errors_and_latencies() -> None:
    rules = [
        {"match": "weather", "answer": "Rain."},
        {"match": "colour", "answers": ["red", "blue"]},
        {"match": "^fail$", "status": 418, "answer": "no tea"},
        {"match": "You are a therapist", "within": "system", "answer": "Tell me more."},
        {"match": "slow", "latency": 0.2},
    ]

    async def steps(server: MockServer, post: Post) -> None:
        assert said(await post(**ask("the weather?"))) == "Rain."
        assert {said(await post(**ask(f"colour {n}"))) for n in range(12)} == {"red", "blue"}
        status, body = await post(**ask("fail"))
        assert (status, body["error"]["message"]) == (418, "no tea")
        messages = [{"role": "system", "content": "You are a therapist"}, {"role": "user", "content": "hello"}]
        assert said(await post(model="mock", messages=messages)) == "Tell me more."
        started = asyncio.get_running_loop().time()
        await post(**ask("slow"))
        assert asyncio.get_running_loop().time() - started >= 0.2

    run({"rules": rules}, steps)


def test_wrong_requests_get_vllms_errors() -> None:
    async def steps(server: MockServer, post: Post) -> None:
        status, body = await post(**{**ask(), "model": "other"})
        assert status == 404
        assert body["error"]["message"] == "The model `other` does not exist. Valid aliases: mock, mock-lora."
        status, body = await post(**ask("x" * 4000))
        assert (status, body["error"]["message"][:48]) == (400, "This model's maximum context length is 500 token")
        assert (await post(**ask(max_tokens=501)))[0] == 400
        assert (await post(model="mock", messages=[]))[0] == 400
        assert (await post(**ask(structured_outputs={"regex": "a+"})))[0] == 400
        assert (await post(**{**ask(), "model": "mock-lora"}))[0] == 200
        assert server.counters.refused == 5
        assert server.counters.served == 1

    run({"max_model_len": 500, "models": ["mock", "mock-lora"]}, steps)


def test_a_key_is_asked_for() -> None:
    async def steps(server: MockServer, post: Post) -> None:
        assert (await post(**ask()))[0] == 401
        assert (await post(**ask(), headers={"Authorization": "Bearer sesame"}))[0] == 200

    run({"api_key": "sesame"}, steps)


def probability(entries: list[dict[str, Any]], label: str) -> float:
    """Probability of a label, from the log-probabilities along its own spelling."""
    total, spelled = 0.0, ""
    for entry in entries:
        options = {one["token"]: one["logprob"] for one in entry["top_logprobs"]}
        rest = label[len(spelled) :]
        token = rest[:4] if rest else "<|end|>"
        total += options[token]
        if token == "<|end|>" or entry["token"] != token:
            break
        spelled += token
    return math.exp(total)


def test_labels_have_one_distribution_masked_under_a_constraint_and_not_without() -> None:
    question = "How much?\n0: not at all\n1: a little\n2: a lot\n"
    labels = ["0", "1", "2"]

    async def steps(server: MockServer, post: Post) -> None:
        free = (await post(**ask(question, logprobs=True, top_logprobs=10)))[1]["choices"][0]["logprobs"]["content"]
        choice = {"structured_outputs": {"choice": labels}}
        held = (await post(**ask(question, logprobs=True, top_logprobs=10, **choice)))[1]["choices"][0]
        assert held["message"]["content"] in labels
        masked = {one["token"]: one["logprob"] for one in held["logprobs"]["content"][0]["top_logprobs"]}
        assert sum(math.exp(masked[label]) for label in labels) == pytest.approx(1)
        assert all(value == -9999.0 for token, value in masked.items() if token not in labels)
        open_ = {one["token"]: one["logprob"] for one in free[0]["top_logprobs"]}
        assert math.exp(open_["I ca"]) == pytest.approx(0.7)
        for label in labels:
            assert math.exp(open_[label]) == pytest.approx(0.3 * math.exp(masked[label]))
        assert held["logprobs"]["content"][-1]["token"] == "<|end|>"
        refusing = {said(await post(**ask(question, logprobs=True, seed=n))) for n in range(20)}
        assert "I cannot rate this." in refusing
        assert refusing <= {"I cannot rate this.", *labels}

    run({"refusal": 0.7}, steps)


def test_planted_distributions_are_met_and_long_labels_are_summed_over_their_tokens() -> None:
    weights = {"reflection": 3.0, "refusal": 1.0, "question": 4.0}

    async def steps(server: MockServer, post: Post) -> None:
        choice = {"structured_outputs": {"choice": list(weights)}, "logprobs": True, "top_logprobs": 5}
        found = []
        for seed in range(400):
            answer = (await post(**ask("code this", seed=seed, **choice)))[1]["choices"][0]
            label = answer["message"]["content"]
            found.append(label)
            assert probability(answer["logprobs"]["content"], label) == pytest.approx(weights[label] / 8)
        for label, weight in weights.items():
            assert found.count(label) / 400 == pytest.approx(weight / 8, abs=0.08)
        greedy = {said(await post(**ask("code this", seed=n, temperature=0, **choice))) for n in range(5)}
        assert greedy == {"question"}

    run({"rules": [{"match": "code", "distribution": weights}]}, steps)


SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 12},
        "mood": {"type": "integer", "minimum": 1, "maximum": 7},
        "share": {"type": "number", "minimum": 0, "maximum": 1},
        "stage": {"enum": ["precontemplation", "contemplation"]},
        "notes": {"type": "array", "items": {"$ref": "#/$defs/note"}, "minItems": 2},
        "spouse": {"anyOf": [{"type": "null"}, {"type": "string"}]},
        "unasked": {"type": "string"},
    },
    "required": ["name", "mood", "share", "stage", "notes", "spouse"],
    "$defs": {"note": {"type": "object", "properties": {"kept": {"type": "boolean"}}, "required": ["kept"]}},
}


def test_schemas_are_met_by_the_smallest_instance_and_vary_with_the_seed() -> None:
    made = [instance_of(SCHEMA, seed) for seed in range(60)]
    for one in made:
        assert list(one) == SCHEMA["required"]
        assert len(one["name"]) >= 12
        assert one["mood"] in range(1, 8)
        assert 0 <= one["share"] <= 1
        assert one["stage"] in ("precontemplation", "contemplation")
        assert len(one["notes"]) == 2
        assert all(isinstance(note["kept"], bool) for note in one["notes"])
        assert one["spouse"] is None or isinstance(one["spouse"], str)
    assert {one["mood"] for one in made} == set(range(1, 8))
    assert made == [instance_of(SCHEMA, seed) for seed in range(60)]


@pytest.mark.parametrize(
    ("schema", "line"),
    [
        ({"type": "string", "pattern": "a+"}, "'pattern' is not covered"),
        ({"$ref": "#/nowhere"}, "points to nothing"),
        ({"type": "integer", "minimum": 2, "maximum": 1}, "no integer lies between"),
    ],
)
def test_a_schema_that_is_not_covered_is_said(schema: dict[str, Any], line: str) -> None:
    with pytest.raises(ValueError, match=line):
        instance_of(schema, 0)


def test_structured_answers_meet_their_schema_unless_they_are_to_break_it() -> None:
    shape = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}

    async def good(server: MockServer, post: Post) -> None:
        assert json.loads(said(await post(**ask(response_format=shape))))["stage"]
        assert json.loads(said(await post(**ask(structured_outputs={"json": SCHEMA}))))["stage"]
        assert json.loads(said(await post(**ask(response_format={"type": "json_object"})))) == {}
        assert said(await post(**ask("planted", response_format=shape))) == '{"planted":1}'
        assert said(await post(**ask("stubborn", structured_outputs={"choice": ["a", "b"]}))) == "neither"
        assert said(await post(**ask("meek", structured_outputs={"choice": ["a", "b"]}))) in "ab"

    rules = [
        {"match": "planted", "answer": '{"planted":1}'},
        {"match": "stubborn", "answer": "neither", "unconstrained": True},
        {"match": "meek", "answer": "neither"},
    ]
    run({"rules": rules}, good)

    async def broken(server: MockServer, post: Post) -> int:
        failures = 0
        for seed in range(100):
            try:
                json.loads(said(await post(**ask(response_format=shape, seed=seed))))
            except ValueError:
                failures += 1
        return failures

    assert 25 <= run({"broken_schema": 0.4}, broken) <= 55


FAULTS = {"429": 0.1, "500": 0.1, "hang": 0.05, "reset": 0.1, "truncated": 0.1, "garbled": 0.05, "wrong_model": 0.1}


async def attempt(post: Post, text: str) -> str:
    """How one attempt ends, told apart as a client would."""
    try:
        status, body = await asyncio.wait_for(post(**ask(text)), 3.0)
    except TimeoutError:
        return "hang"
    except aiohttp.ServerDisconnectedError:
        return "reset"
    except aiohttp.ClientPayloadError:
        return "truncated"
    except aiohttp.ClientOSError:
        return "reset"
    except ValueError:
        return "garbled"
    if status != 200:
        return str(status)
    return "served" if body["model"] == "mock" else "wrong_model"


def test_faults_come_at_their_rates_are_counted_and_let_retries_through() -> None:
    async def steps(server: MockServer, post: Post) -> tuple[list[list[str]], dict[str, int]]:
        async def persist(n: int) -> list[str]:
            ends: list[str] = []
            while not ends or ends[-1] != "served":
                ends.append(await attempt(post, f"question {n}"))
            return ends

        courses = await asyncio.gather(*(persist(n) for n in range(300)))
        return list(courses), dict(server.counters.faults)

    courses, counted = run({"faults": FAULTS, "seed": 5}, steps)
    met = [end for course in courses for end in course if end != "served"]
    assert {name: met.count(name) for name in FAULTS} == counted
    attempts = sum(map(len, courses))
    for name, rate in FAULTS.items():
        assert counted[name] / attempts == pytest.approx(rate, abs=0.05)
    again, _ = run({"faults": FAULTS, "seed": 5}, steps)
    assert again == courses  # whatever the order of arrival
    other, _ = run({"faults": FAULTS, "seed": 5, "replica": "second"}, steps)
    assert other != courses


def test_faults_can_be_kept_to_first_attempts() -> None:
    async def steps(server: MockServer, post: Post) -> None:
        assert [await attempt(post, "one") for _ in range(4)] == ["500", "500", "served", "served"]
        assert server.counters.repeated == 3
        assert [one.attempt for one in server.seen] == [0, 1, 2, 3]
        assert json.loads(server.seen[0].body)["model"] == "mock"

    run({"faults": {"500": 1.0}, "fault_attempts": 2, "log_requests": True}, steps)


def test_too_many_at_once_and_a_sick_server_are_refused() -> None:
    async def steps(server: MockServer, post: Post) -> None:
        statuses = [status for status, _ in await asyncio.gather(*(post(**ask(str(n))) for n in range(20)))]
        assert statuses.count(200) == server.counters.served
        assert statuses.count(429) == server.counters.faults["overload"] > 0
        assert server.counters.peak_in_flight <= 20
        server.healthy = False
        assert (await post(**ask()))[0] == 503

    run({"max_in_flight": 8, "latency": 0.2}, steps)


def test_latency_and_token_rates_take_their_time_and_requests_in_flight_are_counted() -> None:
    async def steps(server: MockServer, post: Post) -> float:
        started = asyncio.get_running_loop().time()
        await asyncio.gather(*(post(**ask(str(n), max_tokens=10)) for n in range(30)))
        assert server.counters.peak_in_flight == 30
        assert server.counters.in_flight == 0
        return asyncio.get_running_loop().time() - started

    assert 0.3 <= run({"latency": 0.2, "token_rate": 100}, steps) < 1.5


def test_the_prefix_cache_finds_whole_blocks_again_and_forgets_the_oldest() -> None:
    def conversation(turns: int, name: str = "one") -> dict[str, Any]:
        messages = [{"role": "system", "content": f"{name} " * 200}]
        messages += [{"role": "user", "content": f"turn {n} " * 8} for n in range(turns)]
        return {"model": "mock", "messages": messages}

    async def steps(server: MockServer, post: Post) -> None:
        async def cached(**body: Any) -> tuple[int, int]:
            usage = (await post(**body))[1]["usage"]
            return usage["prompt_tokens_details"]["cached_tokens"], usage["prompt_tokens"]

        assert (await cached(**conversation(1)))[0] == 0
        found, prompt = await cached(**conversation(2))
        assert found % 16 == 0
        assert 190 <= found < prompt
        again, prompt = await cached(**conversation(2))
        assert found <= again < prompt
        assert (await cached(**conversation(1, "two")))[0] == 0
        assert (await cached(**conversation(1, "three")))[0] == 0  # 40 blocks hold no three of them
        assert (await cached(**conversation(2)))[0] == 0

    run({"cache_blocks": 40}, steps)


def test_streams_say_the_same_as_whole_answers() -> None:
    async def steps(server: MockServer, post: Post) -> None:
        async with (
            aiohttp.ClientSession() as http,
            http.post(
                f"{server.base_url}/chat/completions",
                json=ask(stream=True, stream_options={"include_usage": True}, max_tokens=30),
            ) as response,
        ):
            lines = [line[6:] for line in (await response.text()).splitlines() if line.startswith("data: ")]
        assert lines[-1] == "[DONE]"
        chunks = [json.loads(line) for line in lines[:-1]]
        text = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks[:-1])
        assert len(text) == 120
        assert chunks[-2]["choices"][0]["finish_reason"] == "length"
        assert chunks[-1]["usage"]["completion_tokens"] == 30

    run({}, steps)


@pytest.mark.parametrize("mode", ["field", "tags"])
def test_reasoning_stands_in_a_field_or_in_the_text(mode: str) -> None:
    async def steps(server: MockServer, post: Post) -> None:
        message = (await post(**ask()))[1]["choices"][0]["message"]
        if mode == "field":
            assert message["reasoning"] and message["reasoning"] not in message["content"]
        else:
            assert message["content"].startswith("<think>\n")
            assert "</think>" in message["content"]

    run({"reasoning": mode}, steps)


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"latncy": 1}, r"unknown key 'latncy' \(did you mean 'latency'\?\)"),
        ({"faults": {"501": 0.1}}, r"unknown key 'faults.501' \(did you mean '50[0]'\?\)"),
        ({"faults": {"500": 0.7, "hang": 0.7}}, "the rates sum to 1.4"),
        ({"rules": [{"match": "("}]}, "is no regular expression"),
        ({"rules": [{"match": "a"}]}, "give 'answer'"),
        ({"answer_tokens": [9, 3]}, "runs backwards"),
    ],
)
def test_wrong_options_are_one_line(settings: dict[str, Any], line: str) -> None:
    with pytest.raises(UserError, match=line) as caught:
        parse_options(settings)
    assert "\n" not in str(caught.value)


def test_as_a_process_it_prints_its_address_serves_what_it_counts_and_stops_on_sigterm(tmp_path: Path) -> None:
    (tmp_path / "options.yaml").write_text("models: [tiny]\nrules:\n- {match: hello, answer: Good morning.}\n")
    words = ["serve", "mock", "--options", str(tmp_path / "options.yaml"), "--set", "seed=3", "--fault", "500=0.0"]
    process = subprocess.Popen(
        [sys.executable, "-c", "from simulator.cli.main import main; main()", *words],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout is not None
    try:
        url = process.stdout.readline().strip()

        async def steps() -> None:
            async with aiohttp.ClientSession() as http:
                body = {"model": "tiny", "messages": [{"role": "user", "content": "hello"}]}
                async with http.post(f"{url}/chat/completions", json=body) as response:
                    assert (await response.json())["choices"][0]["message"]["content"] == "Good morning."
                root = url.removesuffix("/v1")
                async with http.get(f"{root}/mock/counters") as response:
                    assert (await response.json())["served"] == 1
                async with http.get(f"{root}/metrics") as response:
                    assert 'vllm:request_success_total{engine="0",finished_reason="stop",model_name="tiny"} 1' in (
                        await response.text()
                    )
                async with http.get(f"{url}/models") as response:
                    assert [card["id"] for card in (await response.json())["data"]] == ["tiny"]
                async with http.post(f"{root}/tokenize", json={"prompt": "a text of 20 letters"}) as response:
                    assert (await response.json())["count"] == 5
                async with http.post(f"{root}/mock/health", json={"healthy": False}):
                    pass
                async with http.get(f"{root}/health") as response:
                    assert response.status == 503

        asyncio.run(steps())
        process.terminate()
        assert process.wait(10) == 0
    finally:
        process.kill()


def test_a_taken_port_is_one_line() -> None:
    async def steps(server: MockServer, post: Post) -> None:
        port = int(server.url.rsplit(":", 1)[1])
        with pytest.raises(UserError, match=f"cannot listen on 127.0.0.1:{port}"):
            await MockServer().start(port=port)

    run({}, steps)
