"""A request finds a replica, survives what may pass, ends at once at what cannot, and says all of it."""

import asyncio
import errno
import json
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from simulator.errors import SessionError, UserError
from simulator.models.descriptors import RESERVED, Gate, budget, raise_limit
from simulator.models.endpoints import Endpoints, base_address, read_endpoints
from simulator.models.faults import ModelError
from simulator.models.messages import Completion, Message, Request
from simulator.models.openai import OpenAIServerClient
from simulator.models.pool import Pool
from simulator.models.pools import Pools
from simulator.models.replica import FIRST_HOLD, Replica
from simulator.models.settings import Key, PoolSettings, parse_model
from tests.model_server import (
    Handler,
    Server,
    client_of,
    completion,
    cut_off,
    drop,
    error,
    half_json,
    hang,
    no_sleep,
    serving,
)

pytestmark = pytest.mark.timeout(120)  # loops that wait for a state end here

HELLO = [Message("user", "Hello?")]
MANY = [f"session {n}" for n in range(40)]


def ask(affinity: str = "", **fields: Any) -> Request:
    return Request(HELLO, affinity=affinity, **fields)


def run(play: Callable[[Server, OpenAIServerClient], Awaitable[Any]], servers: int = 1, **config: Any) -> Any:
    """Play with a client of running servers (the first is passed)."""

    async def main() -> Any:
        running = [Server() for _ in range(servers)]
        async with serving(*running):
            client = client_of(*running, **config)
            try:
                return await play(running[0], client)
            finally:
                await client.close()

    return asyncio.run(main())


def reported(problem: Any) -> Handler:
    """A 200 that reports an error, as routers send it."""
    return lambda request, body: web.json_response({"error": problem})


FAULTS: list[tuple[str, Handler]] = [
    ("truncated", cut_off),
    ("truncated", half_json),
    ("truncated", lambda request, body: web.Response()),
    ("http_502", reported({"message": "the provider is gone"})),
    ("http_429", reported({"message": "slow down", "code": 429})),
    ("truncated", lambda request, body: web.json_response({"choices": []})),
    ("http_429", error(429)),
    ("http_500", error(500)),
    ("http_503", error(503)),
    ("timeout", error(408)),
    ("timeout", hang),
    ("disconnected", drop),
]


@pytest.mark.parametrize(("kind", "fault"), FAULTS)
def test_what_may_pass_is_tried_again_with_the_same_bytes_and_counted(kind: str, fault: Handler) -> None:
    async def play(server: Server, client: OpenAIServerClient) -> None:
        server.answers = [fault, fault]
        answer = await client.complete(ask(seed=4))
        assert answer.text == "Hello."
        assert answer.retries == 2
        assert answer.faults == f"{kind}@{server.url}; {kind}@{server.url}"
        assert len(server.raw) == 3 and len(set(server.raw)) == 1

    run(play, pool={"deadline": 0.1})


@pytest.mark.parametrize(
    ("status", "message", "kind", "line"),
    [
        (400, "This model's maximum context length is 10 tokens.", "context_overflow", "no longer fits"),
        (400, "The prompt (length 9) is longer than the maximum model length of 5", "context_overflow", "no longer"),
        (400, "the request exceeds the available context size", "context_overflow", "no longer fits"),
        (400, "temperature must be positive", "bad_request", "temperature must be positive"),
        (401, "who are you", "unauthorized", "api_key_env"),
        (404, "The model `tiny` does not exist.", "wrong_model", "no model 'tiny'"),
        (404, "Not Found", "wrong_endpoint", "model.url"),
        (405, "Method Not Allowed", "wrong_endpoint", "model.url"),
        (307, "elsewhere", "wrong_endpoint", "model.url"),
        (422, "what is this", "bad_request", "what is this"),
    ],
)
def test_what_cannot_pass_ends_the_request_at_once_and_typed(status: int, message: str, kind: str, line: str) -> None:
    async def play(server: Server, client: OpenAIServerClient) -> None:
        server.answers = [error(500), error(status, message)]
        with pytest.raises(SessionError, match=line) as caught:
            await client.complete(ask())
        assert isinstance(caught.value, ModelError)
        assert (caught.value.boundary, caught.value.kind) == ("model", kind)
        assert (caught.value.retries, caught.value.replica) == (1, server.url)
        assert "\n" not in str(caught.value)
        assert len(server.raw) == 2

    run(play)


@pytest.mark.parametrize(
    ("answer", "kind", "line"),
    [
        (reported({"message": "invalid seed", "code": 400}), "bad_request", r"refused .*\(400\): invalid seed"),
        (reported({"message": "maximum context length", "code": "400"}), "context_overflow", "no longer fits"),
        (reported({"message": "no credit", "code": 402}), "bad_request", r"\(402\): no credit"),
        (lambda request, body: web.Response(text="<html>log in</html>", content_type="text/html"), "wrong_endpoint",
         "something else than JSON; check model.url"),
    ],
)  # fmt: skip
def test_a_200_without_an_answer_is_judged_by_what_it_says(answer: Handler, kind: str, line: str) -> None:
    async def play(server: Server, client: OpenAIServerClient) -> None:
        server.always = answer
        with pytest.raises(ModelError, match=line) as caught:
            await client.complete(ask())
        assert (caught.value.kind, caught.value.retries, len(server.raw)) == (kind, 0, 1)
        assert not client.pool.replicas[0].failures

    run(play)


def test_what_a_router_reports_again_and_again_stands_in_the_last_line() -> None:
    async def play(server: Server, client: OpenAIServerClient) -> None:
        server.always = reported({"message": "the provider is gone", "code": 502})
        with pytest.raises(ModelError, match="it says: the provider is gone") as caught:
            await client.complete(ask())
        assert caught.value.kind == "server_error"

    run(play, pool={"attempts": 2})


def test_a_template_that_refuses_roles_is_answered_with_the_setting_for_it() -> None:
    async def play(server: Server, client: OpenAIServerClient) -> None:
        server.always = error(400, "Conversation roles must alternate user/assistant/user/assistant/...")
        with pytest.raises(ModelError, match=r"must alternate .*set model\.roles"):
            await client.complete(ask())

    run(play)


def test_every_replica_that_answers_is_asked_what_it_serves() -> None:
    async def main() -> None:
        servers = [Server(), Server()]
        servers[1].models = ["other"]
        async with serving(*servers):
            client = client_of(*servers)
            with pytest.raises(UserError, match=f"'tiny' is not served at {servers[1].url}") as caught:
                await client.check()
            assert servers[0].url not in str(caught.value)
            servers[1].models = ["tiny"]
            await client.check()
            await client.close()

    asyncio.run(main())


def test_a_server_without_a_list_of_models_is_let_in_with_a_line_if_it_takes_chats(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def play(server: Server, client: OpenAIServerClient) -> None:
        server.models_status = 404
        server.always = error(400, "messages is missing")
        await client.check()
        assert f"{server.url} lists no models" in caplog.text
        server.always = error(404, "Not Found")
        with pytest.raises(UserError, match=r"no model server answers .*status 404"):
            await client.check()

    run(play)


def test_the_last_replica_keeps_its_work_while_it_answers_no_probe() -> None:
    async def main() -> None:
        server, now, done = Server(), [100.0], asyncio.Event()

        async def slow(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
            await done.wait()
            return web.json_response(completion("at last"))

        server.always, server.models_status = slow, 500
        async with serving(server):
            pools = Pools(sleep=no_sleep, clock=lambda: now[0])
            client = OpenAIServerClient(pools, name="tiny", url=server.url, pool={"probe_seconds": 99})
            asked = asyncio.ensure_future(client.complete(ask()))
            while not server.in_flight:
                await asyncio.sleep(0.001)
            for _ in range(5):
                now[0] += 100
                await client.pool.maintain()
            assert not client.pool.replicas[0].ejected
            done.set()
            answer = await asked
            assert (answer.text, answer.retries, answer.faults, len(server.raw)) == ("at last", 0, None, 1)
            await client.close()

    asyncio.run(main())


@pytest.mark.parametrize("is_folder", [False, True])
def test_an_emptied_endpoint_file_means_no_server_until_one_is_there_again(tmp_path: Path, is_folder: bool) -> None:
    async def main() -> None:
        servers = [Server(), Server()]
        async with serving(*servers):
            file = tmp_path / ("servers/a.json" if is_folder else "endpoints.json")
            file.parent.mkdir(exist_ok=True)

            def publish(*urls: str) -> None:
                file.with_name("new").write_text(json.dumps([{"url": url} for url in urls]))
                file.with_name("new").replace(file)

            publish(servers[0].url)
            place = str(file.parent if is_folder else file)
            client = client_of(endpoints=place, pool={"probe_seconds": 99, "patience": 0.5})
            await client.complete(ask())
            publish()
            await client.pool.maintain()
            with pytest.raises(ModelError, match=r"within 0\.5 s .the endpoint file names none"):
                await client.complete(ask())
            assert len(servers[0].raw) == 1  # whoever drains gets nothing new
            release = asyncio.Event()

            async def slow(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
                await release.wait()
                return web.json_response(completion("in hand"))

            publish(servers[0].url)
            await client.pool.maintain()
            servers[0].always = slow
            in_hand = asyncio.ensure_future(client.complete(ask()))
            while not servers[0].in_flight:
                await asyncio.sleep(0.001)
            for urls in ((), (servers[0].url,)):  # away and back again, with what it has in hand
                publish(*urls)
                await client.pool.maintain()
            assert client.pool.replicas[0].in_flight == 1
            publish()
            await client.pool.maintain()
            release.set()
            assert (await in_hand).text == "in hand"
            waiting = asyncio.ensure_future(client.complete(ask()))
            await asyncio.sleep(0)
            publish(servers[1].url)
            await client.pool.maintain()
            assert (await waiting).replica == servers[1].url
            await client.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("fault", "kind"),
    [(error(500), "server_error"), (error(429), "rate_limited"), (half_json, "truncated"), (drop, "unreachable")],
)
def test_attempts_are_bounded(fault: Handler, kind: str) -> None:
    async def play(server: Server, client: OpenAIServerClient) -> None:
        server.always = fault
        with pytest.raises(ModelError, match="after 3 attempts") as caught:
            await client.complete(ask())
        assert caught.value.kind == kind
        assert caught.value.retries == 2 and caught.value.faults is not None and caught.value.faults.count("@") == 3
        assert len(server.raw) == 3

    run(play, pool={"attempts": 3})


def test_eight_attempts_are_made_unless_told_otherwise() -> None:
    assert PoolSettings().attempts == 8


def free_address() -> str:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{listening.getsockname()[1]}/v1"


def test_nobody_there_is_a_typed_end_and_one_line() -> None:
    async def main() -> None:
        address = free_address()
        client = OpenAIServerClient(Pools(sleep=lambda s: asyncio.sleep(0)), name="tiny", url=address)
        with pytest.raises(ModelError, match="after 8 attempts") as caught:
            await client.complete(ask())
        assert caught.value.kind == "unreachable" and "refused" in str(caught.value)
        with pytest.raises(UserError, match=f"no model server answers .*{address}.*refused"):
            await client.check()
        await client.close()

    asyncio.run(main())


def test_a_wrong_model_name_is_found_before_anything_is_asked() -> None:
    async def play(server: Server, client: OpenAIServerClient) -> None:
        server.models = ["tinny"]
        with pytest.raises(UserError, match=r"'tiny' is not served at .*did you mean 'tinny'"):
            await client.check()
        server.models_status = 401
        with pytest.raises(UserError, match="api_key_env"):
            await client.check()
        assert server.raw == []

    run(play)


def test_waiting_is_fully_jittered_bounded_and_heeds_the_server() -> None:
    waits: list[float] = []

    async def note(seconds: float) -> None:
        waits.append(seconds)

    async def main() -> None:
        server = Server()
        server.answers = [error(500)] * 60
        async with serving(server):
            config: Any = {"name": "tiny", "url": server.url}
            pool = {"attempts": 100, "backoff": 2.0, "backoff_limit": 5.0, "eject_after": 1000}
            client = OpenAIServerClient(Pools(sleep=note), **config, pool=pool)
            await client.complete(ask())
            server.answers = [error(429, **{"Retry-After": "17"}), error(503, **{"Retry-After": "9999"})]
            await client.complete(ask())
            await client.close()

    asyncio.run(main())
    assert 0 <= waits[0] <= 2 and 0 <= waits[1] <= 4
    assert max(waits[:60]) <= 5 and min(waits[:60]) < 1.5 and len(set(waits[:60])) == 60
    assert waits[60:] == [17.0, 60.0]


def test_a_session_stays_with_its_replica_and_sessions_spread() -> None:
    async def play(server: Server, client: OpenAIServerClient) -> None:
        homes: dict[str, set[str | None]] = {name: set() for name in MANY}
        for _ in range(3):
            answers = await asyncio.gather(*(client.complete(ask(name)) for name in MANY))
            for name, answer in zip(MANY, answers, strict=True):
                homes[name].add(answer.replica)
        assert all(len(replicas) == 1 for replicas in homes.values())
        assert len(set().union(*homes.values())) == 3

    run(play, servers=3)


def test_a_replica_that_leaves_moves_only_its_own_sessions() -> None:
    replicas = [Replica(f"http://host{n}/v1", PoolSettings(), Key("")) for n in range(5)]
    keys = range(10**6, 10**6 + 3000)
    homes = {key: max(replicas, key=lambda one: one.score(key)) for key in keys}
    counts = [sum(home is one for home in homes.values()) for one in replicas]
    assert min(counts) > 500 and max(counts) < 700
    remaining = replicas[:-1]
    for key, home in homes.items():
        if home is not replicas[-1]:
            assert max(remaining, key=lambda one: one.score(key)) is home


def pool_of(names: str, **settings: Any) -> Pool:
    pool = Pool(Endpoints([f"http://{name}" for name in names], None), PoolSettings(**settings), Key(""), Gate(99))
    pool._renew()
    return pool


def test_requests_spill_to_the_least_loaded_replica_only_when_home_is_far_over_its_share() -> None:
    pool = pool_of("abc", spill_requests=4, spill_factor=2.0)
    home = max(pool.replicas, key=lambda one: one.score(77))
    other, least = (one for one in pool.replicas if one is not home)
    other.outstanding = 50
    for _ in range(3):
        home.take(100)
    assert pool._pick(77, None) is home  # fewer requests than spill_requests: never left
    home.take(100)
    assert pool._pick(77, None) is least  # 400 tokens, mean 150: over twice the mean
    other.outstanding = least.outstanding = 300
    assert pool._pick(77, None) is home  # everybody is busy: the prefix decides
    assert pool._pick(None, None) in (other, least)  # without affinity the least loaded


def test_a_full_home_spills_and_a_full_pool_waits_in_line() -> None:
    async def play(server: Server, client: OpenAIServerClient) -> None:
        async def slow(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
            await asyncio.sleep(0.005)
            return web.json_response(completion())

        server.always = slow
        answers = await asyncio.gather(*(client.complete(ask("one session")) for _ in range(9)))
        assert len(answers) == 9
        assert server.most_in_flight == 2

    run(play, pool={"in_flight": 2})


def test_the_next_attempt_goes_elsewhere() -> None:
    async def main() -> None:
        servers = [Server(), Server()]
        servers[0].always = error(500)
        async with serving(*servers):
            client = client_of(*servers)
            answers = [await client.complete(ask(name)) for name in MANY[:8]]
            assert {answer.replica for answer in answers} == {servers[1].url}
            assert 0 < sum(answer.retries for answer in answers) <= 5
            assert all(answer.retries <= 1 for answer in answers)
            await client.close()

    asyncio.run(main())


def test_a_replica_is_ejected_named_and_comes_back_after_a_probe() -> None:
    async def main() -> None:
        servers, now = [Server(), Server()], [100.0]
        servers[0].always = error(500)
        servers[0].models_status = 500
        async with serving(*servers):
            pools = Pools(sleep=lambda s: asyncio.sleep(0), clock=lambda: now[0])
            url = [server.url for server in servers]
            client = OpenAIServerClient(pools, name="tiny", url=url, pool={"eject_after": 3, "probe_seconds": 99})
            answers = [await client.complete(ask(name)) for name in MANY]
            assert len(servers[0].raw) == 3  # the fourth failure never happens
            named = [answer.faults for answer in answers if answer.faults]
            assert named == [f"http_500@{url[0]}", f"http_500@{url[0]}", f"http_500@{url[0]} ejected"]

            servers[0].always = completion()
            now[0] += FIRST_HOLD
            await client.pool.maintain()  # still unwell
            assert client.pool.replicas[0].ejected
            servers[0].models_status = 200
            await client.pool.maintain()
            assert not client.pool.replicas[0].ejected
            replicas = {(await client.complete(ask(name))).replica for name in MANY}
            assert replicas == set(url)
            await client.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("wrong", "kind"),
    [(error(404, "The model `tiny` does not exist."), "wrong_model"), (error(401, "no"), "unauthorized"),
     (error(404, "Not Found"), "wrong_endpoint")],
)  # fmt: skip
def test_a_replica_that_is_another_server_is_left_out_while_the_others_are_well(wrong: Handler, kind: str) -> None:
    async def main() -> None:
        servers = [Server(), Server()]
        servers[0].always = wrong
        async with serving(*servers):
            client = client_of(*servers)
            answers = [await client.complete(ask(name)) for name in MANY[:8]]
            assert {answer.replica for answer in answers} == {servers[1].url}
            assert [answer.faults for answer in answers if answer.faults] == [f"{kind}@{servers[0].url} ejected"]
            servers[1].always = wrong
            with pytest.raises(ModelError) as ended:
                await client.complete(ask())
            assert ended.value.kind == kind
            await client.close()

    asyncio.run(main())


def test_a_hung_replica_that_left_the_file_is_probed_and_its_requests_move(tmp_path: Path) -> None:
    async def main() -> None:
        servers, now, file = [Server(), Server()], [100.0], tmp_path / "endpoints"
        servers[0].always, servers[0].models_status = hang, 500
        async with serving(*servers):
            file.write_text(servers[0].url)
            pools = Pools(sleep=lambda s: asyncio.sleep(0), clock=lambda: now[0])
            client = OpenAIServerClient(pools, name="tiny", endpoints=str(file), pool={"probe_seconds": 99})
            asked = asyncio.ensure_future(client.complete(ask("a")))
            while not servers[0].in_flight:
                await asyncio.sleep(0.001)
            file.write_text(f"{servers[1].url}\n")
            for _ in range(4):
                now[0] += 100
                await client.pool.maintain()
            assert (await asked).replica == servers[1].url
            await client.close()

    asyncio.run(main())


def test_upkeep_survives_an_endpoint_file_that_is_no_text(tmp_path: Path) -> None:
    file = tmp_path / "endpoints"
    file.write_text("http://a\n")
    endpoints = Endpoints(None, str(file))
    assert endpoints.changed()
    file.write_bytes(b"\xff\xfe[")
    assert not endpoints.changed() and endpoints.addresses == ["http://a/v1"]
    with pytest.raises(UserError, match="is no text"):
        read_endpoints(file)


def test_a_machine_without_free_descriptors_blames_no_replica() -> None:
    async def play(server: Server, client: OpenAIServerClient) -> None:
        tries: list[int] = []

        def full() -> Any:
            tries.append(1)
            if len(tries) < 4:
                raise OSError(errno.EMFILE, "too many open files")
            return original()

        await client.complete(ask())
        (one,) = client.pool.replicas
        original, one.session = one.session, full  # type: ignore[method-assign]
        answer = await client.complete(ask())
        assert answer.retries == 3 and answer.faults == "; ".join(3 * [f"no_descriptors@{server.url}"])
        assert one.failures == 0 and not one.ejected

    run(play, pool={"eject_after": 2})


def test_a_gate_holds_in_one_event_loop_after_another() -> None:
    gate = Gate(1)

    async def main() -> None:
        async def through() -> None:
            await gate.enter()
            await asyncio.sleep(0)
            gate.leave()

        await asyncio.gather(through(), through(), through())

    asyncio.run(main())
    asyncio.run(main())


def test_a_replica_that_fails_straight_after_coming_back_is_left_out_for_twice_as_long() -> None:
    replica = Replica("http://a/v1", PoolSettings(eject_after=2), Key(""))
    assert [replica.failed(0.0), replica.failed(0.0)] == [False, True]
    assert not replica.answered_probe(FIRST_HOLD / 2) and replica.answered_probe(FIRST_HOLD)
    assert replica.failed(10.0) and replica.ejected_until == 10.0 + 2 * FIRST_HOLD
    assert replica.answered_probe(20.0)
    replica.succeeded(21.0)
    assert [replica.failed(22.0), replica.failed(22.0)] == [False, True]
    assert replica.ejected_until == 22.0 + FIRST_HOLD


def test_a_silent_replica_is_found_by_probes_and_its_requests_move() -> None:
    async def main() -> None:
        servers, now = [Server(), Server()], [100.0]
        servers[0].always = hang
        servers[0].models_status = 500
        async with serving(*servers):
            pools = Pools(sleep=lambda s: asyncio.sleep(0), clock=lambda: now[0])
            url = [server.url for server in servers]
            client = OpenAIServerClient(pools, name="tiny", url=url, pool={"probe_seconds": 99})
            asked = [asyncio.ensure_future(client.complete(ask(name))) for name in MANY[:10]]
            while servers[0].in_flight + len(servers[1].raw) < 10:
                await asyncio.sleep(0.001)
            for _ in range(3):
                now[0] += 100
                await client.pool.maintain()
            answers: list[Completion] = await asyncio.gather(*asked)
            assert {answer.replica for answer in answers} == {url[1]}
            moved = [answer for answer in answers if answer.retries]
            assert moved and all(f"@{url[0]}" in str(answer.faults) for answer in moved)
            assert sum(f"silent@{url[0]} ejected" in str(answer.faults) for answer in answers) == 1
            assert client.pool.replicas[0].ejected
            await client.close()

    asyncio.run(main())


def test_a_pool_that_has_worked_waits_for_a_replica_and_not_for_ever() -> None:
    async def play(server: Server, client: OpenAIServerClient) -> None:
        await client.complete(ask())
        server.always = error(500)
        with pytest.raises(ModelError, match=r"came back within 0\.05 s") as caught:
            await client.complete(ask())
        assert caught.value.kind == "unreachable" and caught.value.retries == 2
        server.always = completion()
        client.pool.replicas[0].ejected_until = 0.0
        waiting = asyncio.ensure_future(client.complete(ask()))
        await asyncio.sleep(0)
        await client.pool.maintain()
        assert (await waiting).text == "Hello."

    run(play, pool={"eject_after": 2, "patience": 0.05, "probe_seconds": 99})


def test_the_cap_falls_once_per_burst_of_429_and_rises_slowly() -> None:
    replica = Replica("http://a/v1", PoolSettings(in_flight=100), Key(""))
    replica.in_flight = 50
    for _ in range(50):
        replica.refused_more(sent=1.0, now=2.0)
    assert replica.cap == pytest.approx(35.0)
    replica.refused_more(sent=3.0, now=4.0)
    assert replica.cap == pytest.approx(24.5)
    for _ in range(25):
        replica.succeeded(5.0)
    assert 25.0 < replica.cap < 26.0
    for _ in range(10_000):
        replica.succeeded(6.0)
    assert replica.cap == 100
    assert not replica.ejected


def test_replicas_join_and_leave_while_requests_run(tmp_path: Path) -> None:
    async def main() -> None:
        servers = [Server(), Server()]
        async with serving(*servers):
            file = tmp_path / "endpoints"
            file.write_text(f"# replicas\n{servers[0].url}\n\n")
            client = client_of(endpoints=str(file), pool={"probe_seconds": 0.01})

            async def replicas() -> set[str | None]:
                answers = await asyncio.gather(*(client.complete(ask(name)) for name in MANY))
                return {answer.replica for answer in answers}

            assert await replicas() == {servers[0].url}
            file.write_text(json.dumps([{"url": server.url, "model": "tiny", "replica": 0} for server in servers]))
            while await replicas() != {servers[0].url, servers[1].url}:
                await asyncio.sleep(0.002)
            for unusable in ('["http://half', "", "no address"):  # being written just now
                file.write_text(unusable)
                await client.pool.maintain()
                assert len(client.pool.replicas) == 2
            release = asyncio.Event()

            async def slow(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
                await release.wait()
                return web.json_response(completion("in hand"))

            servers[0].always = slow
            held = [asyncio.ensure_future(client.complete(ask(name))) for name in MANY]
            while servers[0].in_flight + len(servers[1].raw) < len(MANY):
                await asyncio.sleep(0.001)
            file.write_text(servers[1].url + "\n")
            await client.pool.maintain()
            next_one = await client.complete(ask(MANY[0]))
            assert await replicas() == {servers[1].url}
            release.set()
            answers = await asyncio.gather(*held)  # what a leaving replica has in hand it finishes
            assert {answer.text for answer in answers} == {"Hello.", "in hand"}
            assert not any(answer.retries for answer in answers)
            told = [answer.faults for answer in (*answers, next_one) if answer.faults]
            assert told == [f"gone@{servers[0].url}"]  # once, for the accounting
            await client.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (None, "cannot read"),
        ("", "names no address"),
        ('["http', "JSON list"),
        ("gpu7", "is no address"),
        ("http://u:secret@host/v1", "no user, password"),
        ("http://host/v1?key=secret", "no user, password"),
    ],
)
def test_a_wrong_endpoint_file_is_one_line_without_secrets(tmp_path: Path, text: str | None, line: str) -> None:
    file = tmp_path / "endpoints"
    if text is not None:
        file.write_text(text)

    async def main() -> None:
        await client_of(endpoints=str(file)).complete(ask())

    with pytest.raises(UserError, match=line) as caught:
        asyncio.run(main())
    assert "secret" not in str(caught.value) and "\n" not in str(caught.value)


def test_addresses_are_written_in_one_way() -> None:
    for text in ("http://h:8000", "http://h:8000/", "http://h:8000/v1/", " http://h:8000/v1/chat/completions\n"):
        assert base_address(text, "x") == "http://h:8000/v1"
    assert base_address("https://h/openai/v1", "x") == "https://h/openai/v1"


def test_doubled_addresses_count_once(tmp_path: Path) -> None:
    file = tmp_path / "endpoints"
    file.write_text("http://h\nhttp://h/v1 # the same\nhttp://i\n")
    assert read_endpoints(file) == ["http://h/v1", "http://i/v1"]


def test_a_deadline_of_the_request_replaces_the_configured_one() -> None:
    async def play(server: Server, client: OpenAIServerClient) -> None:
        server.answers = [hang]
        assert (await client.complete(ask(deadline=0.05))).faults == f"timeout@{server.url}"

    run(play)


def test_what_is_in_flight_stays_below_the_limit_on_open_files(capfd: pytest.CaptureFixture[str]) -> None:
    limit = raise_limit()
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert soft == hard and (limit == soft or soft == resource.RLIM_INFINITY)
    assert budget(1024, 24) == 1000 - RESERVED and budget(10, 5) == 1 and budget(None, 5) > 10**5

    async def play(server: Server, client: OpenAIServerClient) -> None:
        client.pool._gate = Gate(2)
        await asyncio.gather(*(client.complete(ask()) for _ in range(9)))
        assert server.most_in_flight <= 2

    run(play)
    assert capfd.readouterr().err.count("at most 2 requests are in flight") == 1


def test_clients_of_the_same_servers_share_a_pool_and_others_do_not() -> None:
    pools, key = Pools(), Key("")
    one = {"name": "a", "url": "http://h"}
    first = pools.get(parse_model(one), key)
    assert pools.get(parse_model({**one, "sampling": {"temperature": 1}, "name": "b"}), key) is first
    assert pools.get(parse_model({**one, "url": "http://i"}), key) is not first
    assert pools.get(parse_model({**one, "pool": {"attempts": 2}}), key) is not first


def test_a_client_can_be_used_in_one_event_loop_after_another() -> None:
    client = OpenAIServerClient(name="tiny", url="http://unused")

    async def main() -> str:
        server = Server()
        async with serving(server):
            client.pool._endpoints = Endpoints(server.url, None)
            return (await client.complete(ask())).text  # not closed: the end of the loop closes

    assert asyncio.run(main()) == asyncio.run(main()) == "Hello."


def test_no_fault_is_lost_and_no_answer_changes_under_mixed_faults() -> None:
    """300 requests under 10 % 500s, 5 % dropped connections and 2 % cut bodies: same answers, every retry counted."""

    async def play(server: Server, client: OpenAIServerClient) -> None:
        seen: dict[bytes, int] = {}
        injected = 0

        async def moody(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
            nonlocal injected
            key = json.dumps(body).encode()
            seen[key] = seen.get(key, 0) + 1
            mood = hash((body["seed"] * 7919 + seen[key] * 104729) % 100_003) % 100
            if mood < 10:
                injected += 1
                return web.Response(status=500)
            if mood < 17:
                injected += 1
                return await (drop if mood < 15 else cut_off)(request, body)
            return web.json_response(completion(f"answer {body['seed']}"))

        server.always = moody
        answers = await asyncio.gather(*(client.complete(ask(seed=n)) for n in range(300)))
        assert [answer.text for answer in answers] == [f"answer {n}" for n in range(300)]
        assert sum(answer.retries for answer in answers) == injected > 30

    run(play, pool={"eject_after": 50})


def test_retries_of_forked_workers_are_not_in_step() -> None:
    pool = pool_of("a")
    pool._loop = None

    async def first_pause() -> float:
        pool._bind()
        return pool._pause(5, None)

    assert asyncio.run(first_pause()) != asyncio.run(first_pause())


def test_a_folder_of_many_servers_is_looked_at_as_one_until_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(name: str, port: int) -> None:
        (tmp_path / f".{name}").write_text(f'["http://127.0.0.1:{port}/v1"]')
        (tmp_path / f".{name}").replace(tmp_path / f"{name}.json")

    for number in range(30):
        write(f"job{number}", 1000 + number)
    endpoints = Endpoints(None, str(tmp_path))
    assert endpoints.changed() and len(endpoints.addresses) == 30
    looks = [0]
    stat = Path.stat

    def counted(path: Path, **options: Any) -> Any:
        looks[0] += path.parent == tmp_path
        return stat(path, **options)

    monkeypatch.setattr(Path, "stat", counted)
    assert not any(endpoints.changed() for _ in range(60))
    assert 30 < looks[0] <= 30 * 60 / 4  # now and then at every file, for those that are edited in place
    write("job3", 9)
    assert endpoints.changed() and "http://127.0.0.1:9/v1" in endpoints.addresses
    (tmp_path / "job3.json").unlink()
    assert endpoints.changed() and len(endpoints.addresses) == 29
    assert stat(tmp_path / "job4.json")
    (tmp_path / "job4.json").write_text('["http://127.0.0.1:10/v1"]')  # in place
    assert any(endpoints.changed() for _ in range(16))
    assert "http://127.0.0.1:10/v1" in endpoints.addresses
