"""A deployed application with sessions of its own takes a chair by the adapter that stands in docs/models.md."""

import asyncio
import contextlib
import re
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from simulator.agents.seating import ChairFactory
from simulator.errors import SessionError
from simulator.personas.loading import load_persona_set
from simulator.records.journal_records import CourseRecord, SavedState, Turn
from simulator.resources import resource_root
from simulator.sessions.course import CourseSetting, CourseSpec, run_course
from simulator.sessions.engine import Drained
from simulator.sessions.protocol import SessionProtocol

PAGE = Path(__file__).parent.parent / "docs" / "models.md"
CHAIRS = {"client": "x", "therapist": "x"}


@pytest.fixture
def adapter() -> Iterator[str]:
    """The adapter of the page, as an importable module."""
    (source,) = re.findall(r"```python title=deployed\.py\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(source.splitlines()) <= 45 and sum(bool(line.strip()) for line in source.splitlines()) <= 40
    module = types.ModuleType("deployed")
    exec(source, module.__dict__)
    sys.modules["deployed"] = module
    yield "deployed.DeployedTherapist"
    del sys.modules["deployed"]


class Application:
    """Counts what it hears in each of its sessions."""

    def __init__(self) -> None:
        self.heard: dict[str, list[str]] = {}

    async def begin(self, request: web.Request) -> web.Response:
        name = f"s{len(self.heard)}"
        self.heard[name] = []
        return web.json_response({"id": name})

    async def message(self, request: web.Request) -> web.Response:
        heard = self.heard.get(request.match_info["id"])
        if heard is None:
            return web.Response(status=404)
        heard.append((await request.json())["text"])
        return web.json_response({"text": f"That is message {len(heard)}."})

    def server(self) -> TestServer:
        app = web.Application()
        app.router.add_post("/sessions", self.begin)
        app.router.add_post("/sessions/{id}/messages", self.message)
        return TestServer(app)


async def play(url: str, target: str, past: list[Any], stop_after: int) -> list[CourseRecord]:
    chairs: dict[str, dict[str, Any]] = {
        "client": {"_target_": "tests.scripts_for_tests.Reciter"},
        "therapist": {"_target_": target, "url": url},
    }
    factories = {(role, "x"): ChairFactory(role, "x", config) for role, config in chairs.items()}
    persona = load_persona_set(resource_root("personas") / "shipped")[0]
    spec = CourseSpec("c", "p", "x+x", "plain", CHAIRS, persona, 0)
    written: list[CourseRecord] = []

    def drained() -> bool:
        return sum(isinstance(record, Turn) for record in written) >= stop_after

    setting = CourseSetting(SessionProtocol(max_turns=6), factories, [], drained)
    with contextlib.suppress(Drained):
        await run_course(spec, setting, past, written.append)
    return written


def test_a_deployed_application_keeps_its_own_session_over_an_interruption(adapter: str) -> None:
    async def main() -> None:
        application = Application()
        async with application.server() as server:
            url = str(server.make_url("")).rstrip("/")
            first = await play(url, adapter, [], stop_after=3)
            kept = [record for record in first if isinstance(record, Turn | SavedState)]
            second = await play(url, adapter, kept, stop_after=99)
        turns = [record for record in [*first, *second] if isinstance(record, Turn)]
        assert [turn.turn for turn in turns] == list(range(6))
        said = [turn.text for turn in turns if turn.role == "therapist"]
        assert said == ["That is message 1.", "That is message 2.", "That is message 3."]
        assert list(application.heard) == ["s0"]  # one session of the application's for one session of ours

    asyncio.run(main())


def test_an_application_that_fails_ends_the_session_typed(adapter: str) -> None:
    with pytest.raises(SessionError, match=r"127\.0\.0\.1:9") as caught:
        asyncio.run(play("http://127.0.0.1:9", adapter, [], stop_after=99))
    assert (caught.value.boundary, caught.value.kind) == ("model", "ClientConnectorError")
