"""A planted key is sent to the server and stands nowhere else."""

import asyncio
import logging
import pickle
import traceback
from pathlib import Path

import pytest
from aiohttp import web

from simulator.errors import UserError
from simulator.models.clients import ModelClients
from simulator.models.handle import CallLog, SeatedModelClient
from simulator.models.messages import Message, Request
from simulator.models.openai import OpenAIServerClient
from simulator.models.pools import Pools
from simulator.models.settings import Key
from tests.model_server import Server, completion, drop, serving

PLANTED = "sk-planted-5f2c9d81"


def test_a_planted_key_reaches_the_server_and_nothing_that_is_written(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    monkeypatch.setenv("TINY_KEY", PLANTED)
    caplog.set_level(logging.DEBUG)
    written: list[str] = []

    async def echo(request: web.Request, body: dict[str, object]) -> web.StreamResponse:
        said = f"bad request, your header was {request.headers['Authorization']}"
        return web.json_response({"error": {"message": said}}, status=400)

    async def main() -> None:
        server = Server()
        server.answers = [completion(), drop, drop, echo]
        async with serving(server):
            client = OpenAIServerClient(
                Pools(sleep=lambda s: asyncio.sleep(0)), name="tiny", url=server.url, api_key_env="TINY_KEY",
                cache=str(tmp_path / "cache"), pool={"eject_after": 2, "patience": 0.01},
            )  # fmt: skip
            log = CallLog()
            seated = SeatedModelClient(client, lambda turn, purpose: 1, "client", log)
            answer = await seated.complete(Request([Message("user", "Hello?")]))
            written.append(repr(answer))
            for text in ("a", "b"):
                client.pool.replicas[0].ejected_until = None
                client.pool._sort_out()
                try:
                    await seated.complete(Request([Message("user", text)]))
                except Exception as error:
                    written.extend([repr(error), *traceback.format_exception(error)])
            written.extend([repr(log), repr(client), repr(client.settings), client.settings.model_dump_json()])
            written.extend([repr(vars(client)), repr(vars(client.pool)), repr(vars(client.pool.replicas[0]))])
            await client.close()
        assert {headers["Authorization"] for headers in server.headers} == {f"Bearer {PLANTED}"}
        assert "your header was Bearer ***" in "".join(written)

    asyncio.run(main())
    written.append(caplog.text)
    written += [path.read_text() for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) > 10 and PLANTED not in "".join(written)
    with pytest.raises(TypeError):
        pickle.dumps(Key(PLANTED))


@pytest.mark.parametrize(
    "config",
    [
        {"api_key_env": PLANTED},
        {"api_key": PLANTED},
        {"url": f"http://user:{PLANTED}@host/v1"},
        {"url": f"http://host/v1?key={PLANTED}"},
        {"extra_body": PLANTED},
        {"sampling": {"temperature": PLANTED}},
        {"api_key_env": "NO_SUCH_VARIABLE"},
    ],
)
def test_a_key_in_the_wrong_place_is_refused_without_being_repeated(config: dict[str, object]) -> None:
    target = "simulator.models.openai.OpenAIServerClient"
    with pytest.raises(UserError) as caught:
        ModelClients().get({"_target_": target, "name": "m", "url": "http://h", **config}, "model")
    assert PLANTED not in "".join(traceback.format_exception(caught.value)) and "\n" not in str(caught.value)
