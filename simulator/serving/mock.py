"""An OpenAI-compatible server that runs no model: for tests, benchmarks and trying things out on a laptop.

It answers `/v1/chat/completions`, `/v1/models`, `/tokenize`, `/health` and `/metrics` in vLLM's shapes, and tells what
it served at `/mock/counters` and `/mock/log`. What it says is a function of the request's bytes and the seed; which
attempts fail is one too (see `mock_faults`). In a test:

    async with MockServer(models=["tiny"], faults={"500": 0.1}) as server:
        ...  # talk to server.base_url
        assert server.counters.served == 50
"""

import asyncio
import hashlib
import logging
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import orjson
from aiohttp import web

from simulator.errors import UserError
from simulator.serving.mock_answers import Answer, answer_for
from simulator.serving.mock_cache import PrefixCache, render
from simulator.serving.mock_counters import MockCounters, SeenRequest, prometheus
from simulator.serving.mock_faults import FaultPlan
from simulator.serving.mock_options import MockOptions, Rule, parse_options
from simulator.serving.mock_requests import (
    Refused,
    count,
    find_rule,
    parse_body,
    pieces,
    room_for,
    seed_key,
    text_of,
)  # fmt: skip
from simulator.serving.mock_responses import (
    completion,
    error_response,
    json_response,
    send_half,
    sleep,
    stream,
    too_many,
)


class _Shaken(Exception):
    """The connection is gone on purpose; there is nothing to answer."""


class MockServer:
    """A mock server in this event loop; use it as an asynchronous context manager.

    Args:
        options: its settings, or
        **settings: the same by name (see `MockOptions`).

    Raises:
        UserError: a wrong setting.
    """

    def __init__(self, options: MockOptions | None = None, **settings: Any) -> None:
        if options is not None and settings:
            raise UserError("mock server: give options or settings by name, not both")
        self.options = options if options is not None else parse_options(settings)
        self.counters = MockCounters()
        self.seen: list[SeenRequest] = []
        """With `log_requests`: the requests in order of arrival, bodies included."""
        self.healthy = True
        """Set it to False and every request, `/health` included, gets 503."""
        self.url = ""
        """`http://host:port`, known once the server has started."""
        self._faults = FaultPlan(self.options)
        self._attempts: Counter[bytes] = Counter()
        self._key = seed_key(self.options.seed)
        self._cache = (
            PrefixCache(self.options.cache_blocks, self.options.block_tokens) if self.options.cache_blocks else None
        )
        self._models = frozenset(self.options.models)
        self._runner: web.ServerRunner | None = None
        self._plain: dict[str, Callable[[web.BaseRequest], Any]] = {
            "/health": self._health,
            "/v1/models": self._list_models,
            "/tokenize": self._tokenize,
            "/metrics": self._metrics,
            "/mock/counters": self._show_counters,
            "/mock/log": self._show_log,
            "/mock/reset": self._reset,
            "/mock/health": self._set_health,
        }

    @property
    def base_url(self) -> str:
        """`url` with `/v1`, as OpenAI's clients want it."""
        return f"{self.url}/v1"

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> Self:
        """Listen; port 0 picks a free one.

        Raises:
            UserError: the port is taken.
        """
        logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)  # connections that we reset are no news
        server = web.Server(self._handle, access_log=None, handler_cancellation=True)
        self._runner = web.ServerRunner(server, shutdown_timeout=0.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port, backlog=16_384)
        try:
            await site.start()
        except OSError as error:
            await self.stop()
            raise UserError(f"mock server: cannot listen on {host}:{port} ({error.strerror}); try --port 0") from None
        self.url = f"http://{host}:{self._runner.addresses[0][1]}"
        return self

    async def stop(self) -> None:
        """Close every connection, hanging ones included."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/v1/chat/completions":
            return await self._complete(request)
        if not self.healthy and not request.path.startswith("/mock/"):
            return error_response(503, "The server is not healthy.", "ServiceUnavailableError")
        answer = self._plain.get(request.path)
        if answer is None:
            return error_response(404, "Not Found", "NotFoundError")
        try:
            response: web.StreamResponse = await answer(request)
        except Refused as error:
            return error_response(error.status, str(error), error.kind)
        return response

    async def _complete(self, request: web.BaseRequest) -> web.StreamResponse:
        counters = self.counters
        counters.requests += 1
        counters.in_flight += 1
        counters.peak_in_flight = max(counters.peak_in_flight, counters.in_flight)
        try:
            return await self._complete_counted(request)
        except Refused as error:
            counters.refused += 1
            return error_response(error.status, str(error), error.kind)
        except _Shaken:
            return web.Response()
        except asyncio.CancelledError:
            counters.abandoned += 1
            raise
        finally:
            counters.in_flight -= 1

    async def _complete_counted(self, request: web.BaseRequest) -> web.StreamResponse:
        options, counters = self.options, self.counters
        raw = await request.read()
        digest = hashlib.blake2b(raw, digest_size=32, key=self._key).digest()
        counters.bytes_in += len(raw)
        counters.checksum ^= int.from_bytes(digest[:7], "little")
        fault = self._note(digest, raw, request)
        if options.never_twice:
            digest = hashlib.blake2b(digest + counters.requests.to_bytes(8, "little"), digest_size=32).digest()
        if not self.healthy:
            counters.faults["unhealthy"] += 1
            return error_response(503, "The server is not healthy.", "ServiceUnavailableError")
        if options.max_in_flight is not None and counters.in_flight > options.max_in_flight:
            counters.faults["overload"] += 1
            return too_many(options.retry_after)
        if fault is not None and fault not in ("truncated", "garbled", "wrong_model"):
            return await self._fail(request, fault)
        self._check_key(request)
        body = parse_body(raw)
        if body["model"] not in self._models:
            raise Refused(
                404,
                f"The model `{body['model']}` does not exist. Valid aliases: {', '.join(options.models)}.",
                "NotFoundError",
            )
        messages = body["messages"]
        rule = find_rule(options.rules, messages) if options.rules else None
        prompt_tokens, cached = self._read_prompt(messages, body["model"])
        room = room_for(options, body, prompt_tokens)
        await self._wait(options.latency if rule is None or rule.latency is None else rule.latency, digest)
        if rule is not None and rule.status is not None:
            raise Refused(rule.status, rule.answer or f"planted error {rule.status}", "PlantedError")
        answers = self._answers(body, digest, rule, room)
        tokens = sum(answer.tokens for answer in answers)
        counters.prompt_tokens += prompt_tokens
        counters.cached_tokens += cached
        model = f"not-{body['model']}" if fault == "wrong_model" else body["model"]
        usage = self._usage(prompt_tokens, tokens, cached)
        if body.get("stream") and fault is None:
            wanted = usage if (body.get("stream_options") or {}).get("include_usage") else None
            response = await stream(request, digest, model, answers[0], wanted, options.token_rate)
            self._count_served(answers[:1])
            return response
        seconds = (prompt_tokens - cached) / options.prefill_rate if options.prefill_rate else 0.0
        seconds += max(answer.tokens for answer in answers) / options.token_rate if options.token_rate else 0.0
        await sleep(seconds)
        content = completion(digest, model, answers, usage)
        if fault == "truncated":
            counters.faults[fault] += 1
            return await send_half(request, content)
        if fault == "garbled":
            counters.faults[fault] += 1
            return json_response(content[: len(content) // 2])
        if fault == "wrong_model":
            counters.faults[fault] += 1
        else:
            self._count_served(answers)
        return json_response(content)

    def _count_served(self, answers: list[Answer]) -> None:
        self.counters.served += 1
        for answer in answers:
            self.counters.completion_tokens += answer.tokens
            self.counters.finish_reasons[answer.finish_reason] += 1

    def _note(self, digest: bytes, raw: bytes, request: web.BaseRequest) -> str | None:
        """Remember the attempt; returns the fault it meets."""
        if not self.options.counts_attempts:
            return None
        attempt = self._attempts[digest]
        self._attempts[digest] = attempt + 1
        fault = self._faults.fault_of(digest, attempt)
        if attempt:
            self.counters.repeated += 1
        if self.options.log_requests:
            self.seen.append(SeenRequest(digest[:16].hex(), attempt, fault, raw, dict(request.headers)))
        return fault

    async def _fail(self, request: web.BaseRequest, fault: str) -> web.StreamResponse:
        self.counters.faults[fault] += 1
        if fault == "429":
            return too_many(self.options.retry_after)
        if fault == "500":
            return error_response(500, "A planted internal error.", "InternalServerError")
        if fault == "hang":
            await asyncio.sleep(self.options.hang_seconds)
        if request.transport is not None:
            request.transport.abort()
        raise _Shaken

    def _check_key(self, request: web.BaseRequest) -> None:
        key = self.options.api_key
        if key is not None and request.headers.get("Authorization") != f"Bearer {key}":
            raise Refused(401, "Unauthorized", "AuthenticationError")

    def _read_prompt(self, messages: list[dict[str, Any]], model: str) -> tuple[int, int]:
        """Tokens of the prompt, and how many of them were cached."""
        if self._cache is None:
            return sum(count(text_of(message)) + 4 for message in messages), 0
        prompt = render(messages)
        return count(prompt), self._cache.look_up(prompt, model)

    async def _wait(self, latency: float, digest: bytes) -> None:
        if self.options.latency_spread:
            latency *= 1 + self.options.latency_spread * (int.from_bytes(digest[20:24], "little") / 2**31 - 1)
        await sleep(latency)

    def _answers(self, body: dict[str, Any], digest: bytes, rule: Rule | None, room: int) -> list[Answer]:
        answers = [answer_for(self.options, body, digest, rule, room)]
        for index in range(1, int(body.get("n") or 1)):
            other = hashlib.blake2b(digest + index.to_bytes(4, "little"), digest_size=32).digest()
            answers.append(answer_for(self.options, body, other, rule, room))
        return answers

    def _usage(self, prompt_tokens: int, tokens: int, cached: int) -> dict[str, Any]:
        usage: dict[str, Any] = {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": tokens,
            "total_tokens": prompt_tokens + tokens,
        }
        if self._cache is not None:
            usage["prompt_tokens_details"] = {"cached_tokens": cached}
        return usage

    async def _health(self, request: web.BaseRequest) -> web.Response:
        return web.Response()

    async def _list_models(self, request: web.BaseRequest) -> web.Response:
        self._check_key(request)
        limit = self.options.max_model_len
        cards = [
            {"id": name, "object": "model", "created": 0, "owned_by": "dyad-mock", "root": name, "max_model_len": limit}
            for name in self.options.models
        ]
        return json_response(orjson.dumps({"object": "list", "data": cards}))

    async def _tokenize(self, request: web.BaseRequest) -> web.Response:
        body = orjson.loads(await request.read())
        text = render(body["messages"]) if "messages" in body else str(body.get("prompt", ""))
        tokens = [
            int.from_bytes(hashlib.blake2b(one.encode(), digest_size=2).digest(), "little") for one in pieces(text)
        ]
        return json_response(
            orjson.dumps({"count": len(tokens), "max_model_len": self.options.max_model_len, "tokens": tokens})
        )

    async def _metrics(self, request: web.BaseRequest) -> web.Response:
        queries, hits = (self._cache.queries, self._cache.hits) if self._cache is not None else (0, 0)
        return web.Response(
            text=prometheus(self.counters, self.options.models[0], queries, hits), content_type="text/plain"
        )

    async def _show_counters(self, request: web.BaseRequest) -> web.Response:
        return json_response(orjson.dumps(self.counters.as_dict()))

    async def _show_log(self, request: web.BaseRequest) -> web.Response:
        return json_response(
            orjson.dumps([{"request": one.digest, "attempt": one.attempt, "fault": one.fault} for one in self.seen])
        )

    async def _reset(self, request: web.BaseRequest) -> web.Response:
        self.reset()
        return json_response(orjson.dumps({}))

    def reset(self) -> None:
        """Forget counters, log and attempts; requests in flight stay counted as such."""
        self.counters.reset()
        self.seen.clear()
        self._attempts.clear()

    async def _set_health(self, request: web.BaseRequest) -> web.Response:
        self.healthy = bool(orjson.loads(await request.read())["healthy"])
        return json_response(orjson.dumps({"healthy": self.healthy}))
