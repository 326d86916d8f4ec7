"""A small OpenAI-compatible server for tests: it records what it gets and answers as it is told."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from simulator.models.openai import OpenAIServerClient
from simulator.models.pools import Pools

Handler = Callable[[web.Request, dict[str, Any]], Awaitable[web.StreamResponse] | web.StreamResponse]


def completion(text: str = "Hello.", **fields: Any) -> dict[str, Any]:
    """A chat completion; `fields` replace those of its only choice's message, `choice_` and `usage` those beside it."""
    choice = {"index": 0, "finish_reason": "stop", **fields.pop("choice", {})}
    usage = fields.pop("usage", {"prompt_tokens": 11, "completion_tokens": 7})
    message = {"role": "assistant", "content": text, **fields}
    return {"object": "chat.completion", "model": "tiny", "choices": [{**choice, "message": message}], "usage": usage}


def distribution(**probabilities: float) -> dict[str, Any]:
    """Fields of a choice whose first token has these probabilities."""
    import math

    top = [{"token": token, "logprob": math.log(p), "bytes": None} for token, p in probabilities.items()]
    return {"logprobs": {"content": [{**top[0], "top_logprobs": top}]}}


class Server:
    """Records requests; `answers` are used up one by one, then `always` holds."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.raw: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.answers: list[Handler | dict[str, Any]] = []
        self.always: Handler | dict[str, Any] = completion()
        self.models = ["tiny"]
        self.models_status = 200
        self.url = ""
        self.in_flight = self.most_in_flight = 0

    async def chat(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        self.raw.append(raw)
        self.bodies.append(json.loads(raw))
        self.headers.append(dict(request.headers))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            answer = self.answers.pop(0) if self.answers else self.always
            if isinstance(answer, dict):
                return web.json_response(answer)
            made = answer(request, self.bodies[-1])
            return made if isinstance(made, web.StreamResponse) else await made
        finally:
            self.in_flight -= 1

    async def list_models(self, request: web.Request) -> web.Response:
        data = [{"id": name, "max_model_len": 4096} for name in self.models]
        return web.json_response({"object": "list", "data": data}, status=self.models_status)


@contextlib.asynccontextmanager
async def serving(*servers: Server) -> AsyncIterator[None]:
    """Run servers on free local ports."""
    async with contextlib.AsyncExitStack() as stack:
        for server in servers:
            app = web.Application(client_max_size=1 << 26)
            app.router.add_post("/v1/chat/completions", server.chat)
            app.router.add_get("/v1/models", server.list_models)
            running = TestServer(app)
            await running.start_server(access_log=None, shutdown_timeout=0.1)
            stack.push_async_callback(running.close)
            server.url = str(running.make_url("/v1"))
        yield


async def no_sleep(seconds: float) -> None:
    """In place of waiting between attempts."""


def client_of(*servers: Server, **config: Any) -> OpenAIServerClient:
    """A client of these servers that never waits between attempts."""
    place = {} if "endpoints" in config else {"url": [server.url for server in servers]}
    return OpenAIServerClient(Pools(sleep=no_sleep), name="tiny", **{**place, **config})


def error(status: int, message: str = "no", **headers: str) -> Handler:
    """An answer with an error status."""
    return lambda request, body: web.json_response({"error": {"message": message}}, status=status, headers=headers)


async def cut_off(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    """Promises more than it sends, then closes the connection."""
    response = web.StreamResponse(headers={"Content-Length": "1000", "Content-Type": "application/json"})
    await response.prepare(request)
    await response.write(b'{"choices": [{"mess')
    assert request.transport is not None
    request.transport.close()
    return response


def half_json(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    """A body that ends in the middle, with a length that agrees."""
    return web.Response(body=json.dumps(completion()).encode()[:60], content_type="application/json")


async def hang(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    """Never answers."""
    await asyncio.Event().wait()
    raise AssertionError


async def drop(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    """Closes the connection without a word."""
    assert request.transport is not None
    request.transport.close()
    await asyncio.sleep(0)
    return web.Response()
