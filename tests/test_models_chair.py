"""Any agent on any model client takes a chair: derived seeds, one replica per session, every call recorded."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from autogen_core.models import AssistantMessage, CreateResult, ModelInfo, RequestUsage, SystemMessage, UserMessage
from autogen_ext.models.replay import ReplayChatCompletionClient

from simulator.agents.base import DyadAgent, Seat, TurnMessage
from simulator.agents.seating import ChairFactory
from simulator.errors import SessionError, UserError
from simulator.models.choice import Option, choose
from simulator.models.clients import ModelClients
from simulator.models.handle import CallLog, SeatedModelClient
from simulator.models.messages import Message, Request
from simulator.models.pools import Pools
from simulator.personas.loading import load_persona_set
from simulator.records.journal_records import CourseRecord, Execution, Turn
from simulator.records.seeds import derive_seed
from simulator.resources import resource_root
from simulator.sessions.course import CourseSetting, CourseSpec, run_course
from simulator.sessions.protocol import SessionProtocol
from tests.model_server import Server, completion, error, serving

PERSONA = load_persona_set(resource_root("personas") / "shipped")[0]
ASSISTANT = "autogen_agentchat.agents.AssistantAgent"
HERE = "tests.test_models_chair"
INFO = {"vision": False, "function_calling": True, "json_output": True, "family": "unknown", "structured_output": True}


class Speaker(DyadAgent):
    """An agent of ours with a model."""

    def __init__(self, seat: Seat, model_client: Any, calls: int = 1) -> None:
        super().__init__(seat)
        self._model, self._calls = model_client, calls

    async def respond(self, turn: int, seed: int) -> TurnMessage:
        for _ in range(self._calls):
            answer = await self._model.complete(Request([Message("user", f"turn {turn}")]))
        return TurnMessage(content=answer.text, source=self.seat.role, model=answer.model)


class Recorder(ReplayChatCompletionClient):
    """Somebody else's client, which notes what it is given."""

    def __init__(self, responses: Sequence[str], model_info: ModelInfo | None = None, fails: str = "") -> None:
        super().__init__(list(responses), model_info or ModelInfo(**INFO))  # type: ignore[typeddict-item]
        self.arguments: list[dict[str, Any]] = []
        self.messages: list[Any] = []
        self._fails = fails

    async def create(self, messages: Sequence[Any], **given: Any) -> CreateResult:
        if self._fails:
            raise RuntimeError(self._fails)
        self.arguments.append(dict(given["extra_create_args"]))
        self.messages.append(messages)
        return CreateResult(
            finish_reason="stop", content="Indeed.", usage=RequestUsage(3, 2), cached=False, thought="hm"
        )


class Thinker(Recorder):
    """Somebody else's client whose server leaves thoughts in the text."""

    async def create(self, messages: Sequence[Any], **given: Any) -> CreateResult:
        result = await super().create(messages, **given)
        return result.model_copy(update={"content": f"<think>{len(messages)}</think>Indeed.", "thought": None})


def play(chairs: Mapping[str, dict[str, Any]], clients: ModelClients, course: str = "c0" * 16, turns: int = 6) -> Any:
    """Run one course of one session; its records."""
    factories = {(role, "x"): ChairFactory(role, "x", config, clients) for role, config in chairs.items()}
    written: list[CourseRecord] = []
    spec = CourseSpec(course, "pair", "x+x", "plain", dict.fromkeys(chairs, "x"), PERSONA, 0)
    setting = CourseSetting(SessionProtocol(max_turns=turns), factories, [], lambda: False)

    async def main() -> list[CourseRecord]:
        await run_course(spec, setting, [], written.append)
        return written

    return main()


def model(*servers: Server, **config: Any) -> dict[str, Any]:
    url = [server.url for server in servers]
    return {"_target_": "simulator.models.openai.OpenAIServerClient", "name": "tiny", "url": url, **config}


def test_a_stock_assistant_carries_the_derived_seed_stays_on_one_replica_and_is_accounted_for() -> None:
    usage = {"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4}}

    async def main() -> None:
        servers = [Server() for _ in range(3)]
        for server in servers:
            server.always = completion("<think>private</think>I see.", usage=usage)
        async with serving(*servers):
            clients = ModelClients(Pools(sleep=lambda s: asyncio.sleep(0)))
            chairs = {
                "client": {"_target_": ASSISTANT, "model_client": model(*servers), "system_message": "Client."},
                "therapist": {"_target_": ASSISTANT, "model_client": model(*servers), "system_message": "Therapist."},
            }
            used = set()
            for number in range(6):
                before = [len(server.raw) for server in servers]
                records = await play(chairs, clients, f"{number:032d}")
                grown = [len(server.raw) - old for server, old in zip(servers, before, strict=True)]
                assert sorted(grown) == [0, 0, 6]  # one session, one replica
                used.add(grown.index(6))
            assert len(used) > 1
            turns = [record for record in records if isinstance(record, Turn)]
            assert {turn.text for turn in turns} == {"I see."}
            asked = servers[grown.index(6)].bodies[-6:]
            for turn, body in zip(turns, asked, strict=True):
                assert body["seed"] == derive_seed("pair", 0, turn.turn, turn.role, "turn")
                assert "private" not in str(body) and "dyad_call" not in body
            calls = [record for record in records if isinstance(record, Execution) and record.scope == "call"]
            assert sorted((call.turn, call.role) for call in calls) == [(turn.turn, turn.role) for turn in turns]
            for call in calls:
                assert call.replica == servers[grown.index(6)].url and call.model == "tiny" and call.seconds > 0
                assert (call.prompt_tokens, call.completion_tokens, call.cached_tokens) == (9, 2, 4)
                assert (call.retries, call.error) == (0, None)
            await clients.close()

    asyncio.run(main())


def test_our_agents_get_seeds_per_call_and_retries_are_recorded() -> None:
    async def main() -> None:
        server = Server()
        async with serving(server):
            clients = ModelClients(Pools(sleep=lambda s: asyncio.sleep(0)))
            speaker = {"_target_": f"{HERE}.Speaker", "model_client": model(server), "calls": 2}
            server.answers = [error(500)]
            records = await play({"client": speaker, "therapist": speaker}, clients, turns=2)
            seeds = [body["seed"] for body in server.bodies]
            opener = next(record for record in records if isinstance(record, Turn)).role
            assert seeds[0] == seeds[1] == derive_seed("pair", 0, 0, opener, "turn")
            assert seeds[2] == derive_seed("pair", 0, 0, opener, "turn:2")
            calls = [record for record in records if isinstance(record, Execution) and record.scope == "call"]
            assert sorted(call.retries for call in calls) == [0, 0, 0, 1]
            assert [call.error for call in calls if call.retries] == [f"http_500@{server.url}"]
            await clients.close()

    asyncio.run(main())


def test_a_failed_call_is_recorded_with_what_was_tried_and_ends_the_session_typed() -> None:
    async def main() -> None:
        server = Server()
        server.always = error(500)
        async with serving(server):
            clients = ModelClients(Pools(sleep=lambda s: asyncio.sleep(0)))
            for target in (f"{HERE}.Speaker", ASSISTANT):
                chair = {"_target_": target, "model_client": model(server, pool={"attempts": 2})}
                factories = {(role, "x"): ChairFactory(role, "x", chair, clients) for role in ("client", "therapist")}
                spec = CourseSpec("c", "p", "x+x", "plain", {"client": "x", "therapist": "x"}, PERSONA, 0)
                written: list[CourseRecord] = []
                setting = CourseSetting(SessionProtocol(max_turns=4), factories, [], lambda: False)
                with pytest.raises(SessionError) as caught:
                    await run_course(spec, setting, [], written.append)
                assert (caught.value.boundary, caught.value.kind) == ("model", "server_error")
                (call,) = [record for record in written if isinstance(record, Execution) and record.scope == "call"]
                assert (call.retries, call.replica) == (1, server.url)
                assert call.error == f"http_500@{server.url}; http_500@{server.url}; failed: server_error"
            await clients.close()

    asyncio.run(main())


def test_chairs_with_one_configuration_share_a_client_and_all_share_the_pool() -> None:
    clients = ModelClients()
    one = {"_target_": "simulator.models.openai.OpenAIServerClient", "name": "m", "url": "http://h"}
    first, again = clients.get(one, "a"), clients.get(dict(one), "b")
    hotter = clients.get({**one, "sampling": {"temperature": 2}}, "c")
    assert first is again is not hotter
    assert first.pool is hotter.pool  # type: ignore[attr-defined]


def test_any_other_model_client_takes_a_chair_and_gets_the_seed() -> None:
    clients = ModelClients()
    config = {"_target_": f"{HERE}.Recorder", "responses": ["Indeed."]}

    async def main() -> None:
        speaker = {"_target_": f"{HERE}.Speaker", "model_client": config}
        assistant = {"_target_": ASSISTANT, "model_client": config}
        records = await play({"client": speaker, "therapist": assistant}, clients)
        turns = [record for record in records if isinstance(record, Turn)]
        assert {turn.text for turn in turns} == {"Indeed."}
        client = clients.get(config, "x")
        assert isinstance(client, Recorder)
        expected = [{"seed": derive_seed("pair", 0, turn.turn, turn.role, "turn")} for turn in turns]
        assert client.arguments == expected
        calls = [record for record in records if isinstance(record, Execution) and record.scope == "call"]
        assert {(call.prompt_tokens, call.completion_tokens, call.replica) for call in calls} == {(3, 2, None)}

    asyncio.run(main())


def test_a_client_that_takes_no_seed_gets_none() -> None:
    clients = ModelClients()
    config = {"_target_": f"{HERE}.Recorder", "responses": ["Indeed."], "sends_seed": False}
    chair = {"_target_": f"{HERE}.Speaker", "model_client": config}
    asyncio.run(play({"client": chair, "therapist": chair}, clients))
    client = clients.get(config, "x")
    assert isinstance(client, Recorder) and client.arguments == [{}] * 6


def test_our_requests_are_translated_for_other_clients() -> None:
    client = Recorder(["x"])
    seated = SeatedModelClient(client, lambda turn, purpose: 7, "therapist", CallLog())
    messages = [Message("system", "S"), Message("user", "U"), Message("assistant", "A"), Message("user", "V")]

    async def main() -> None:
        answer = await seated.complete(Request(messages, sampling={"temperature": 0.2}, schema={"type": "object"}))
        assert (answer.text, answer.reasoning, answer.finish_reason, answer.seed) == ("Indeed.", "hm", "stop", 7)
        choice = await choose(seated, messages, [Option("a", "One"), Option("b", "Two")], seed=1, samples=2)
        assert choice.method == "samples" and choice.missing_reason is not None

    asyncio.run(main())
    assert client.arguments[0] == {"seed": 7, "temperature": 0.2}
    assert client.messages[0] == [
        SystemMessage(content="S"), UserMessage(content="U", source="user"),
        AssistantMessage(content="A", source="therapist"), UserMessage(content="V", source="user"),
    ]  # fmt: skip


def test_an_error_of_another_client_is_a_failure_of_the_model() -> None:
    seated = SeatedModelClient(Recorder([], fails="no\nroute"), lambda turn, purpose: 7, "client", log := CallLog())
    with pytest.raises(SessionError, match="client: no route") as caught:
        asyncio.run(seated.complete(Request([Message("user", "U")])))
    assert (caught.value.boundary, caught.value.kind) == ("model", "RuntimeError")
    assert [call.error for call in log.take()] == ["failed: RuntimeError"]


@pytest.mark.parametrize(
    ("config", "line"),
    [
        ({"_target_": "simulator.models.openai.Nobody"}, "cannot import"),
        ({"_target_": f"{HERE}.Recorder", "answers": []}, "unexpected keyword"),
        ({"_target_": "simulator.models.openai.OpenAIServerClient", "name": "m"}, "model: give either 'url'"),
    ],
)
def test_a_wrong_model_in_a_chair_is_one_line_that_names_the_chair(config: dict[str, Any], line: str) -> None:
    with pytest.raises(UserError, match=rf"client\.x\.model_client.*{line}") as caught:
        ChairFactory("client", "x", {"_target_": f"{HERE}.Speaker", "model_client": config})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "chair", [{"_target_": f"{HERE}.Speaker"}, {"_target_": ASSISTANT, "system_message": "You listen."}]
)
def test_thoughts_of_somebody_elses_client_reach_nobody(chair: dict[str, Any]) -> None:
    client = {"_target_": f"{HERE}.Thinker", "responses": []}
    records = asyncio.run(
        play({role: {**chair, "model_client": client} for role in ("client", "therapist")}, ModelClients())
    )
    turns = [record for record in records if isinstance(record, Turn)]
    assert len(turns) == 6 and {turn.text for turn in turns} == {"Indeed."}
