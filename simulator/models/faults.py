"""What can go wrong between us and a model server, and what is done about it.

1. A `Fault` is one failed attempt that may pass: no connection, a timeout, 429, 5xx, a body that is cut off. The
   pool tries again, elsewhere where it can, and counts it.
2. A `ModelError` is the end of the request and becomes the session's typed failure (boundary `model`): the attempts are
   used up, or the server's answer is final (context overflow, unknown model, refused key, bad request).
"""

import asyncio
import errno
import re

import aiohttp

from simulator.errors import SessionError
from simulator.models.replies import error_code, error_text
from simulator.models.settings import Key

_OVERFLOW = re.compile(
    r"context.{0,3}length|maximum context|context.{0,3}window|context size|maximum model length|max_model_len"
    r"|prompt is too long|too many tokens|input is too long",
    re.IGNORECASE,
)
_NO_MODEL = re.compile(r"model", re.IGNORECASE)
_ROLES = re.compile(r"alternat|system role|role.{0,20}not supported|only user", re.IGNORECASE)
_RETRIED = frozenset({408, 425, 429})

NO_DESCRIPTORS = "no_descriptors"
"""Kind of the fault that is this machine's and no server's."""


class Fault(Exception):
    """One attempt failed in a way that may pass.

    `wait` is what the server asks for, in seconds; `advice` what the user can do if it does not pass.
    """

    def __init__(self, kind: str, wait: float | None = None, advice: str | None = None) -> None:
        super().__init__(kind)
        self.kind = kind
        self.wait = wait
        self.advice = advice or "check that the server is up and model.url or model.endpoints names it"


class ModelError(SessionError):
    """A request has no answer. `retries` and `faults` say what was tried; `replica` who had the last word."""

    def __init__(
        self, kind: str, message: str, replica: str | None = None, retries: int = 0, faults: str | None = None
    ) -> None:
        super().__init__("model", kind, message)
        self.replica, self.retries, self.faults = replica, retries, faults
        self.seconds = 0.0


def fault_of(error: BaseException) -> Fault:
    """The fault that an exception of the transport stands for."""
    if isinstance(error, TimeoutError | asyncio.TimeoutError | aiohttp.ServerTimeoutError):
        return Fault("timeout")
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        advice = "too many files are open; raise the hard limit (ulimit -Hn) or lower limits.concurrency"
        return Fault(NO_DESCRIPTORS, wait=1.0, advice=advice)  # idle connections to other servers close meanwhile
    if isinstance(error, aiohttp.ClientPayloadError):
        return Fault("truncated")
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return Fault("disconnected")
    if isinstance(error, aiohttp.ClientConnectorError | ConnectionRefusedError):
        return Fault("refused")
    if isinstance(error, aiohttp.ClientOSError | OSError):
        return Fault("reset")
    return Fault("protocol")


def judge_status(
    status: int, body: bytes, retry_after: str | None, model: str, place: str, key: Key
) -> Fault | ModelError:
    """What a status other than 200 means: a `Fault` to be tried again, or the `ModelError` that ends the request.

    Args:
        status: the HTTP status.
        body: the response's body.
        retry_after: the header of that name.
        model: the name that was asked for.
        place: the replica's address, without secrets.
        key: struck out of what the server says.
    """
    if status in _RETRIED or status >= 500:
        return Fault("timeout" if status == 408 else f"http_{status}", _seconds(retry_after))
    text = key.struck_from(error_text(body))
    if status in (400, 413, 422) and _OVERFLOW.search(text):
        return ModelError("context_overflow", f"the conversation no longer fits model '{model}': {text}", place)
    if status in (401, 403):
        return ModelError("unauthorized", f"{place} refused the key ({status}); check model.api_key_env", place)
    if status == 404 and _NO_MODEL.search(text):
        return ModelError("wrong_model", f"{place} serves no model '{model}'; set model.name to a served one", place)
    if status in (404, 405) or 300 <= status < 400:
        return ModelError("wrong_endpoint", f"{place} has no chat completions ({status}); check model.url", place)
    advice = "; set model.roles (alternate: true, or system: fold)" if _ROLES.search(text) else ""
    return ModelError("bad_request", f"{place} refused the request ({status}): {text}{advice}", place)


def judge_reply(body: bytes, model: str, place: str, key: Key) -> Fault | ModelError:
    """What the body of a 200 means that is no chat completion: routers pass a failure on as an `error`, and
    whoever is no such server answers with a page of its own. What begins like a completion was cut off."""
    if (begun := body.lstrip()[:1]) and begun != b"{":
        return ModelError("wrong_endpoint", f"{place} answers with something else than JSON; check model.url", place)
    code = error_code(body)
    if code is None:
        return Fault("truncated")
    judged = judge_status(code if 400 <= code < 600 else 502, body, None, model, place, key)
    if isinstance(judged, Fault):
        judged.advice = f"it says: {key.struck_from(error_text(body))}"
    return judged


def _seconds(retry_after: str | None) -> float | None:
    try:
        return max(0.0, float(retry_after)) if retry_after else None
    except ValueError:
        return None
