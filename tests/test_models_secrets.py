"""A planted key is sent to the server and stands nowhere else."""

import asyncio
import logging
import pickle
import traceback
from pathlib import Path

import polars as pl
import pytest
from aiohttp import web

from simulator.errors import UserError
from simulator.models.clients import ModelClients
from simulator.models.handle import CallLog, SeatedModelClient
from simulator.models.messages import Message, Request
from simulator.models.openai import OpenAIServerClient
from simulator.models.pools import Pools
from simulator.models.settings import Key
from simulator.reporting.writing import report_run
from simulator.secrets import holds_secret, is_secret, without_secrets
from simulator.studies.composing import compose
from simulator.studies.running import run_study
from simulator.tracking.about import config_of
from tests.mock_for_tests import mock_server
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


def test_a_planted_key_stands_nowhere_in_what_a_run_writes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TINY_KEY", PLANTED)
    leak = {"match": "", "within": "any", "status": 400, "answer": f"no such request, said the key {PLANTED}"}
    for name, rules, failed in (("good", [], 0), ("refused", [leak], 2)):
        out = tmp_path / name
        with mock_server(api_key=PLANTED, rules=rules) as mock:
            config = compose(
                *mock.overrides, "model.api_key_env=TINY_KEY", "client=[static]", "therapist=[lm_mi]", "instruments=[]",
                "personas.limit=2", "replicates=1", "session.max_turns=4", "limits.failure_rate=1", f"out={out}",
            )  # fmt: skip
            assert run_study(config).tally.failed == failed
            assert {request.headers["Authorization"] for request in mock.server.seen} == {f"Bearer {PLANTED}"}
        report_run(out)
        files = [path for path in out.rglob("*") if path.is_file()]
        assert {path.suffix for path in files} >= {".json", ".jsonl", ".parquet", ".html"}
        for path in files:
            told = path.read_bytes()
            if path.suffix == ".parquet":
                told = pl.read_parquet(path).write_json().encode()
            assert PLANTED.encode() not in told, path
    messages = pl.read_parquet(tmp_path / "refused/dataset/failures/*.parquet")["message"]
    assert all("said the key ***" in message for message in messages)
    monkeypatch.setenv("TINY_KEY", "sk-another-one")
    with (
        mock_server(api_key=PLANTED) as mock,
        pytest.raises(UserError, match=r"refused the key .*api_key_env") as wrong,
    ):
        run_study(compose(*mock.overrides, "model.api_key_env=TINY_KEY", "client=[static]", "therapist=[lm_mi]",
                          "personas.limit=1", "replicates=1", f"out={tmp_path / 'wrong'}"))  # fmt: skip
    assert "sk-" not in str(wrong.value)


@pytest.mark.parametrize(
    "words",
    [f"+coders.model.api_key={PLANTED}", f"+client.model.extra_body={{api_key: {PLANTED}}}",
     f"+coders.model={{url: 'http://u:{PLANTED}@h', name: k}}", f"+model.extra_body={{token: {PLANTED}}}"],
)  # fmt: skip
def test_a_key_in_what_is_laid_over_a_model_is_refused_before_anything_is_written(words: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"model.* would be written into the run") as refused, mock_server() as mock:
        run_study(compose(*mock.overrides, words.replace("+model.", "++model."), "client=[static]",
                          "therapist=[lm_mi]", "personas.limit=1", f"out={tmp_path / 'run'}"))  # fmt: skip
    assert PLANTED not in str(refused.value) and not (tmp_path / "run").exists()


THEIRS = "autogen_ext.models.openai.OpenAIChatCompletionClient"
INFO = "{vision: false, function_calling: false, json_output: false, structured_output: false, family: unknown, %s}"
SEVERAL = INFO % "multiple_system_messages: true"


def on_theirs(url: str, key: str, out: Path, info: str = SEVERAL) -> list[str]:
    """A study whose chairs have AutoGen's own OpenAI client."""
    client = f"{{_target_: {THEIRS}, model: mock, base_url: '{url}', {key}, model_info: {info}}}"
    return [
        f"+client.static.model_client={client}", f"+therapist.lm_mi.model_client={client}", "client=[static]",
        "therapist=[lm_mi]", "instruments=[]", "coders=[]", "personas.limit=1", "replicates=1", "session.max_turns=4",
        "limits.failure_rate=1", f"out={out}",
    ]  # fmt: skip


def test_the_key_of_autogens_client_is_written_nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TINY_KEY", PLANTED)
    leak = {"match": "", "within": "any", "status": 400, "answer": f"no such request, said the key {PLANTED}"}
    for name, rules, failed in (("good", [], 0), ("refused", [leak], 1)):
        with mock_server(api_key=PLANTED, rules=rules) as mock:
            words = on_theirs(mock.server.base_url, "api_key_env: TINY_KEY", tmp_path / name)
            result = run_study(compose(*words))
            assert result.tally.failed == failed and mock.server.seen
        report_run(tmp_path / name)
        assert PLANTED not in str(config_of(result.run))
    assert "TINY_KEY" in (tmp_path / "good/run.json").read_text()
    for path in tmp_path.rglob("*"):
        if path.is_file():
            told = path.read_bytes()
            if path.suffix == ".parquet":
                told = pl.read_parquet(path).write_json().encode()
            assert PLANTED.encode() not in told, path
    turns = pl.read_parquet(tmp_path / "good/dataset/turns/*.parquet")
    assert len(turns) == 4 and set(turns["finish_reason"]) == {"stop"}
    (message,) = pl.read_parquet(tmp_path / "refused/dataset/failures/*.parquet")["message"]
    assert "said the key ***" in message


@pytest.mark.parametrize(
    "key", [f"api_key: {PLANTED}", "api_key: ${oc.env:TINY_KEY}", "default_headers: {X-Api-Key: abc}"]
)
def test_a_key_of_anybodys_client_is_refused_before_anything_is_written(
    key: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TINY_KEY", PLANTED)
    with pytest.raises(UserError, match=r"model_client\.(api_key|default_headers\.X-Api-Key): .*_env") as caught:
        run_study(compose(*on_theirs("http://127.0.0.1:9/v1", key, tmp_path / "run")))
    assert PLANTED not in str(caught.value) and not (tmp_path / "run").exists()


@pytest.mark.parametrize("more", [
    "api_key: [KEY]", "api_key: {value: KEY}", "http_client: {proxy: 'http://user:KEY@proxy:8080'}",
    "organization: 'https://host/v1?api_key=KEY'", "default_query: {subscription: ['http://KEY@host/v1']}",
])  # fmt: skip
def test_a_key_inside_something_else_is_refused_before_anything_is_written(more: str, tmp_path: Path) -> None:
    words = on_theirs("http://127.0.0.1:9/v1", more.replace("KEY", PLANTED), tmp_path / "run")
    with pytest.raises(UserError, match=r"model_client\.\w+(\.\w+)?: .*written into the run") as caught:
        run_study(compose(*words))
    assert PLANTED not in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_credentials_in_an_address_are_refused_of_any_client_and_starred_for_trackers(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"model_client\.base_url: .*password") as caught:
        run_study(compose(*on_theirs(f"http://user:{PLANTED}@127.0.0.1:9/v1", "timeout: 1", tmp_path / "run")))
    assert PLANTED not in str(caught.value) and not (tmp_path / "run").exists()
    kept = {"base_url": f"http://user:{PLANTED}@host/v1", "note": "see http://host/v1 @noon"}
    assert without_secrets(kept) == {"base_url": "***", "note": "see http://host/v1 @noon"}


@pytest.mark.parametrize(("text", "secret"), [
    ("http://host:8000/v1", False), ("https://host/v1?api-version=2", False), ("user@host", False),
    ("s3://bucket/a@b", False), ("http://u:p@host", True), ("postgres://u@host/db", True),
    ("https://host?sig=abc", True), ("https://host?api_key=abc", True), ("say http://u:p@host", False),
])  # fmt: skip
def test_what_counts_as_an_address_with_a_secret(text: str, secret: bool) -> None:
    assert holds_secret(text) == secret


def test_a_key_for_coders_is_refused_too_and_one_that_is_not_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    theirs = {"_target_": THEIRS, "model": "mock", "model_info": {"family": "unknown"}}
    with pytest.raises(UserError, match=r"coders\.model\.api_key: "):
        ModelClients().get({**theirs, "api_key": PLANTED}, "coders.model")
    with pytest.raises(UserError, match=r"coders\.model: Missing credentials"):
        ModelClients().get(theirs, "coders.model")
    with pytest.raises(UserError, match=r"coders\.model\.api_key_env: .*not set; export it"):
        ModelClients().get({**theirs, "api_key_env": "NO_SUCH_VARIABLE"}, "coders.model")


def test_without_several_system_messages_autogens_client_fails_every_session_by_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TINY_KEY", PLANTED)
    with mock_server() as mock:
        info = INFO % "multiple_system_messages: false"
        words = on_theirs(mock.server.base_url, "api_key_env: TINY_KEY", tmp_path / "run", info)
        assert run_study(compose(*words)).tally.failed == 1
    (message,) = pl.read_parquet(tmp_path / "run/dataset/failures/*.parquet")["message"]
    assert "multiple" in message.lower() and "system messages" in message.lower()


@pytest.mark.parametrize(("key", "secret"), [
    ("api_key", True), ("apikey", True), ("X-Api-Key", True), ("azure_ad_token", True), ("token", True),
    ("client_secret", True), ("Authorization", True), ("password", True), ("max_tokens", False), ("eos_token", False),
    ("api_key_env", False), ("tokenizer", False), ("secret_santa", False), ("keys", False),
])  # fmt: skip
def test_what_counts_as_a_secret(key: str, secret: bool) -> None:
    assert is_secret(key) == secret
