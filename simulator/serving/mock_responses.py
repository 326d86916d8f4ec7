"""How a mock server's answers look on the wire."""

import asyncio
from collections.abc import Sequence
from typing import Any

import orjson
from aiohttp import web

from simulator.serving.mock_answers import Answer
from simulator.serving.mock_requests import pieces

_JSON = {"Content-Type": "application/json"}
_TOKENS_PER_EVENT = 8


def completion(digest: bytes, model: str, answers: Sequence[Answer], usage: dict[str, Any]) -> bytes:
    """A chat completion."""
    return orjson.dumps(
        {
            "id": f"chatcmpl-{digest[:8].hex()}",
            "object": "chat.completion",
            "created": 0,
            "model": model,
            "choices": [
                {
                    "index": index,
                    "message": {"role": "assistant", "content": answer.text, "reasoning": answer.reasoning},
                    "logprobs": None if answer.logprobs is None else {"content": answer.logprobs},
                    "finish_reason": answer.finish_reason,
                }
                for index, answer in enumerate(answers)
            ],
            "usage": usage,
        }
    )


async def stream(
    request: web.BaseRequest,
    digest: bytes,
    model: str,
    answer: Answer,
    usage: dict[str, Any] | None,
    token_rate: float,
) -> web.StreamResponse:
    """Send the answer as server-sent events, at the token rate; with `usage` where it is given."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    head = {"id": f"chatcmpl-{digest[:8].hex()}", "object": "chat.completion.chunk", "created": 0, "model": model}

    async def send(delta: dict[str, Any], finish_reason: str | None = None) -> None:
        choices = [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}]
        await response.write(b"data: " + orjson.dumps({**head, "choices": choices}) + b"\n\n")

    await send({"role": "assistant", "content": ""})
    if answer.reasoning:
        await send({"reasoning": answer.reasoning})
    spelled = pieces(answer.text)
    for start in range(0, len(spelled), _TOKENS_PER_EVENT):
        await sleep(_TOKENS_PER_EVENT / token_rate if token_rate else 0.0)
        await send({"content": "".join(spelled[start : start + _TOKENS_PER_EVENT])})
    await send({}, answer.finish_reason)
    if usage is not None:
        await response.write(b"data: " + orjson.dumps({**head, "choices": [], "usage": usage}) + b"\n\n")
    await response.write(b"data: [DONE]\n\n")
    await response.write_eof()
    return response


async def send_half(request: web.BaseRequest, content: bytes) -> web.StreamResponse:
    """Promise the whole body, send half, close the connection."""
    response = web.StreamResponse(headers={**_JSON, "Content-Length": str(len(content))})
    await response.prepare(request)
    await response.write(content[: len(content) // 2])
    if request.transport is not None:
        request.transport.close()
    return response


def too_many(retry_after: float) -> web.Response:
    """Error 429."""
    response = error_response(429, "Too many requests.", "RateLimitError")
    response.headers["Retry-After"] = f"{retry_after:g}"
    return response


def error_response(status: int, message: str, kind: str) -> web.Response:
    """An error in the shape of vLLM's."""
    return json_response(
        orjson.dumps({"error": {"message": message, "type": kind, "param": None, "code": status}}), status
    )


def json_response(content: bytes, status: int = 200) -> web.Response:
    """A body of JSON."""
    return web.Response(body=content, status=status, headers=_JSON)


async def sleep(seconds: float) -> None:
    """Sleep, if at all."""
    if seconds > 0:
        await asyncio.sleep(seconds)
