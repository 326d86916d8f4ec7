"""`dyad serve`: the commands it makes, replicas that die, restart and drain, and the endpoint file all the while."""

import asyncio
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from simulator.errors import UserError
from simulator.serving.commands import plan_replicas, vllm_arguments
from simulator.serving.endpoint_file import Endpoint, EndpointFile
from simulator.serving.settings import ServingSettings, compose_serving
from simulator.serving.supervisor import Supervisor
from tests.mock_for_tests import mock_server

ROOT = Path(__file__).parent.parent
MODELS = sorted(path.stem for path in (ROOT / "conf" / "model").glob("*.yaml") if "serving:" in path.read_text())
DYAD = [sys.executable, "-c", "from simulator.cli.main import main; main()"]

SPREAD = ["model=qwen3_8b", "serving=cpu", "serving.nodes=2", "model.serving.tensor_parallel_size=2"]


def lines(*overrides: str) -> list[str]:
    settings, model = compose_serving(list(overrides))
    return [plan.shell_line() for plan in plan_replicas(settings, model)]


def test_commands_say_what_was_set() -> None:
    assert lines(
        "model=qwen3_8b",
        "serving.replicas=2",
        "serving.gpus=[2,3,5,7]",
        "serving.python=/opt/vllm/bin/python",
        "serving.ports=[8001,8002]",
        "serving.env={HF_HUB_OFFLINE: '1'}",
        "serving.args={gpu_memory_utilization: 0.8, enable_chunked_prefill: false}",
        "model.serving.tensor_parallel_size=2",
        "model.serving.prefix_caching=false",
        "model.serving.lora_modules={warm: /adapters/warm}",
        "model.serving.args={hf_overrides: {rope_theta: 1}}",
        "model.name=qwen",
    ) == [
        f"CUDA_VISIBLE_DEVICES={gpus} HF_HUB_OFFLINE=1 /opt/vllm/bin/python -m vllm.entrypoints.openai.api_server "
        f"--model Qwen/Qwen3-8B --served-model-name qwen --host 127.0.0.1 --port {port} --tensor-parallel-size 2 "
        "--no-enable-prefix-caching --enable-prompt-tokens-details --max-model-len 32768 --enable-lora --lora-modules "
        "warm=/adapters/warm --reasoning-parser qwen3 --hf-overrides '{\"rope_theta\": 1}' "
        "--gpu-memory-utilization 0.8 --no-enable-chunked-prefill"
        for gpus, port in (("2,3", 8001), ("5,7", 8002))
    ]


def test_replicas_are_as_many_as_the_visible_gpus_permit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6,7,8")
    found = lines("model=qwen3_8b", "model.serving.tensor_parallel_size=2")
    assert [line.split()[0] for line in found] == ["CUDA_VISIBLE_DEVICES=4,5", "CUDA_VISIBLE_DEVICES=6,7"]
    assert len(lines("model=qwen3_8b", "serving=cpu")) == 1


def test_a_server_over_several_machines_is_one_command_on_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_LAUNCH_NODE_IPADDR", "10.0.0.1")
    words = ["model=qwen3_8b", "serving.python=python", "serving.ports=[8001]", "serving.gpus=[0,1,2,3]",
             "serving.nodes=2", "model.serving.tensor_parallel_size=4",
             "model.serving.pipeline_parallel_size=2"]  # fmt: skip
    shared = (
        "--tensor-parallel-size 4 --pipeline-parallel-size 2 --enable-prefix-caching --enable-prompt-tokens-details "
        "--max-model-len 32768 --nnodes 2 --node-rank {} --master-addr {} --master-port 29501 {}"
        "--reasoning-parser qwen3"
    )
    assert lines(*words, "serving.node=0", "serving.head=n1") == [
        "CUDA_VISIBLE_DEVICES=0,1,2,3 python -m vllm.entrypoints.openai.api_server --model Qwen/Qwen3-8B "
        "--served-model-name Qwen/Qwen3-8B --host 127.0.0.1 --port 8001 " + shared.format(0, "n1", "")
    ]
    monkeypatch.setenv("SLURM_NODEID", "1")
    assert lines(*words) == [
        "CUDA_VISIBLE_DEVICES=0,1,2,3 python -m vllm.entrypoints.cli.main serve Qwen/Qwen3-8B "
        "--served-model-name Qwen/Qwen3-8B " + shared.format(1, "10.0.0.1", "--headless ")
    ]


@pytest.mark.parametrize("where", ["serving", "environment", "here"])
def test_the_interpreter_is_the_one_that_was_named(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DYAD_VLLM_PYTHON", "/environment/python")
    words = ["model=qwen3_8b", "serving=cpu"]
    if where == "here":
        monkeypatch.delenv("DYAD_VLLM_PYTHON")
    if where == "serving":
        words.append("serving.python=/serving/python")
    expected = {"serving": "/serving/python", "environment": "/environment/python", "here": sys.executable}[where]
    assert f" {expected} -m vllm" in lines(*words)[0]


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["model=qwen3_9b"], r"model: no option 'qwen3_9b' \(did you mean 'qwen3_8b'\?\)"),
        (["model=qwen3_8b", "serving.replica=2"], r"serving.replica: unknown key \(did you mean 'replicas'\?\)"),
        (["model=qwen3_8b", "model.serving.max_len=2"], r"did you mean 'max_model_len'\?"),
        (["model=qwen3_8b", "serving.replicas=0"], "serving.replicas: input should be greater"),
        (["model=qwen3_8b", "serving.replicas=3", "serving.gpus=[0,1]"], "3 x 1 GPUs are needed .* 2 are there"),
        (["model=qwen3_8b", "serving.replicas=2", "serving.gpus=[]", "serving.ports=[1]"], "2 replicas need 2 ports"),
        (["model=qwen3_8b", "model.serving=null"], "has no key 'serving'"),
        ([*SPREAD, "serving.head=a"], r"serving.node: None; give 0 to 1, one per machine"),
        ([*SPREAD, "serving.head=a", "serving.node=2"], r"serving.node: 2; give 0 to 1"),
        ([*SPREAD, "serving.node=0"], "serving.head: not known"),
        ([*SPREAD, "serving.node=0", "serving.head=a", "serving.restart=true"], "starts again as a whole"),
        ([*SPREAD, "serving.node=0", "serving.head=a", "model.serving.tensor_parallel_size=3"], "do not part evenly"),
    ],
)
def test_mistakes_are_one_line(overrides: list[str], line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_NODEID", raising=False)
    monkeypatch.delenv("SLURM_LAUNCH_NODE_IPADDR", raising=False)
    with pytest.raises(UserError, match=line) as caught:
        lines(*overrides)
    assert "\n" not in str(caught.value)


def test_flags_may_stand_between_overrides_as_job_scripts_put_them(tmp_path: Path) -> None:
    own = tmp_path / "site" / "model"
    own.mkdir(parents=True)
    (own / "ours.yaml").write_text("defaults: [_client, _self_]\nname: ours\nserving: {model: weights/ours}\n")
    words = ["serving.restart=true", "--config-dir", str(own.parent), "model=ours", "serving=cpu", "--dry-run"]
    done = subprocess.run([*DYAD, "serve", *words], capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert "--model weights/ours" in done.stdout, done.stderr


def test_an_interpreter_without_vllm_is_refused_before_anything_starts(tmp_path: Path) -> None:
    words = ["serve", "model=qwen3_8b", "serving=cpu", f"serving.endpoints={tmp_path}/e.json"]
    env = {**os.environ, "DYAD_VLLM_PYTHON": sys.executable, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([*DYAD, *words], capture_output=True, text=True, env=env, cwd=tmp_path, timeout=300)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "has no vllm; name an interpreter that has it" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_endpoint_file_is_never_half_written_and_belongs_to_one(tmp_path: Path) -> None:
    path = tmp_path / "endpoints.json"
    file = EndpointFile(path)
    file.add(Endpoint("http://b/v1", "m", 1, os.getpid()))
    file.add(Endpoint("http://a/v1", "m", 0, os.getpid()))
    file.write()
    assert [entry["url"] for entry in json.loads(path.read_text())] == ["http://a/v1", "http://b/v1"]
    with pytest.raises(UserError, match=f"names replicas that are running .pid {os.getpid()}"):
        EndpointFile(path)
    assert file.remove(0)
    assert not file.remove(0)
    file.write()
    assert [entry["replica"] for entry in json.loads(path.read_text())] == [1]
    assert [one.name for one in tmp_path.iterdir()] == ["endpoints.json"]
    file.close()
    assert not path.exists()


def test_an_endpoint_file_of_another_host_is_anothers_while_its_servers_answer(tmp_path: Path) -> None:
    path = tmp_path / "endpoints.json"
    with mock_server() as mock:
        entry = {"url": mock.server.base_url, "model": "m", "replica": 0, "pid": os.getpid(), "host": "another"}
        path.write_text(json.dumps([entry]))
        with pytest.raises(UserError, match=f"pid {os.getpid()} on another"):
            EndpointFile(path)
    EndpointFile(path)


def test_servers_go_on_where_the_endpoint_file_cannot_be_written(tmp_path: Path) -> None:
    told: list[str] = []
    folder = tmp_path / "shared"
    supervisor = Supervisor([], ServingSettings(), file := EndpointFile(folder / "endpoints.json"), told.append)
    file.add(Endpoint("http://a/v1", "m", 0, os.getpid()))
    folder.rename(tmp_path / "away")
    supervisor._publish()
    supervisor._publish()
    assert len(told) == 1 and "cannot write" in told[0]
    (tmp_path / "away").rename(folder)
    supervisor._publish()
    assert [entry["replica"] for entry in json.loads((folder / "endpoints.json").read_text())] == [0]


class Serving:
    """A `dyad serve` of fake replicas in a folder."""

    def __init__(self, folder: Path, *overrides: str, latency: float = 0.0) -> None:
        self.folder, self.file = folder, folder / "endpoints.json"
        words = ["model=qwen3_8b", "serving=cpu", "serving.replicas=2", "serving.drain_seconds=5", *overrides]
        words += [f"serving.{entry}=[{ROOT / 'tests' / 'fake_vllm.py'}]" for entry in ("entry", "headless_entry")]
        env = {**os.environ, "PYTHONPATH": str(ROOT), "FAKE_LATENCY": str(latency)}
        env.pop("DYAD_VLLM_PYTHON", None)
        self.process = subprocess.Popen(
            [*DYAD, "serve", *words], cwd=folder, env=env, stderr=subprocess.PIPE, text=True
        )

    def entries(self) -> list[dict[str, Any]]:
        try:
            found: list[dict[str, Any]] = json.loads(self.file.read_text())
        except FileNotFoundError:
            return []
        return found

    def until(self, holds: Callable[[], bool], seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < deadline, "it never came to that"
            assert self.process.poll() is None, self.process.communicate()[1]
            time.sleep(0.05)

    def end(self) -> tuple[int, str]:
        said = self.process.communicate(timeout=30)[1]
        return self.process.returncode, said


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Serving]]:
    started: list[Serving] = []

    def start(*overrides: str, latency: float = 0.0) -> Serving:
        started.append(Serving(tmp_path, *overrides, latency=latency))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.terminate()
            one.process.wait(30)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_killed_replica_leaves_the_file_and_requests_in_flight_are_drained(serve: Callable[..., Serving]) -> None:
    serving = serve(latency=1.0)
    serving.until(lambda: len(serving.entries()) == 2)
    first, second = serving.entries()
    assert first["model"] == "Qwen/Qwen3-8B"
    os.kill(first["pid"], signal.SIGKILL)
    serving.until(lambda: serving.entries() == [second])

    async def request() -> int:
        body = {"model": "Qwen/Qwen3-8B", "messages": [{"role": "user", "content": "hello"}]}
        async with aiohttp.ClientSession() as http:
            asked = asyncio.create_task(http.post(f"{second['url']}/chat/completions", json=body))
            await asyncio.sleep(0.3)
            serving.process.terminate()
            async with await asked as response:
                return response.status

    assert asyncio.run(request()) == 200
    code, said = serving.end()
    assert code == 0
    assert "replica 0 ended (SIGKILL); log: serve-logs/replica-0.log" in said
    assert "all 2 ready: dyad run model.endpoints=endpoints.json" in said
    assert not serving.file.exists()
    assert not alive(second["pid"])
    assert "--enforce-eager" in (serving.folder / "serve-logs" / "replica-0.log").read_text()


def test_with_restart_a_killed_replica_comes_back(serve: Callable[..., Serving]) -> None:
    serving = serve("serving.restart=true")
    serving.until(lambda: len(serving.entries()) == 2)
    pids = {entry["pid"] for entry in serving.entries()}
    killed = serving.entries()[1]["pid"]
    os.kill(killed, signal.SIGKILL)
    serving.until(lambda: killed not in {entry["pid"] for entry in serving.entries()})
    serving.until(lambda: len(serving.entries()) == 2)
    assert len({entry["pid"] for entry in serving.entries()} & pids) == 1
    serving.process.send_signal(signal.SIGINT)
    assert serving.end()[0] == 0


def test_a_replica_that_cannot_start_is_one_line_with_its_reason(serve: Callable[..., Serving], tmp_path: Path) -> None:
    (tmp_path / "fail").touch()
    code, said = serve().end()
    assert code == 2
    last = said.splitlines()[-1]
    assert "ended (exit code 1) before it was ready: ValueError: the weights are not there; log: serve-logs/" in last
    assert not (tmp_path / "endpoints.json").exists()


def test_when_all_have_ended_it_ends_too(serve: Callable[..., Serving]) -> None:
    serving = serve("serving.replicas=1")
    serving.until(lambda: len(serving.entries()) == 1)
    os.kill(serving.entries()[0]["pid"], signal.SIGKILL)
    assert serving.end()[0] == 1


def test_a_part_of_a_server_that_does_not_listen_publishes_nothing_and_ends_after_node_0(
    serve: Callable[..., Serving], tmp_path: Path
) -> None:
    words = [*SPREAD[2:], "serving.replicas=1", "serving.node=1", "serving.head=127.0.0.1", "serving.head_port=29717"]
    log = tmp_path / "serve-logs" / "replica-0-node-1.log"
    serving = serve(*words)
    serving.until(lambda: log.exists() and "arguments: " in log.read_text())
    pid = int(subprocess.run(["pgrep", "-f", "fake_vllm.py.*29717 --headless"], capture_output=True, text=True).stdout)
    assert not serving.file.exists()
    serving.process.send_signal(signal.SIGUSR1)  # node 0 drains meanwhile
    with pytest.raises(subprocess.TimeoutExpired):
        serving.process.wait(1)
    assert alive(pid)
    serving.process.send_signal(signal.SIGUSR1)
    assert serving.end()[0] == 0
    assert not alive(pid)
    serving = serve(*words)
    serving.until(lambda: log.read_text().count("arguments: ") == 2)
    subprocess.run(["pkill", "-KILL", "-f", "fake_vllm.py.*29717 --headless"], check=True)
    code, said = serving.end()
    assert (code, "node 1 ended (SIGKILL)" in said) == (1, True)


def test_vllms_own_parser_takes_every_shipped_model() -> None:
    python = os.environ.get("DYAD_VLLM_PYTHON")
    if not python:
        pytest.skip("DYAD_VLLM_PYTHON is not set (.ci/vllm-env prints one)")
    settings = compose_serving(["model=qwen3_8b", "serving=cpu"])[0]
    commands = {name: vllm_arguments(settings, compose_serving([f"model={name}"])[1], 8000) for name in MODELS}
    assert len(commands) >= 5
    code = (
        "import json, sys\n"
        "from vllm.entrypoints.launchers.cli_args import make_arg_parser\n"
        "from vllm.utils.argparse_utils import FlexibleArgumentParser\n"
        "from vllm.reasoning import ReasoningParserManager\n"
        "parser = make_arg_parser(FlexibleArgumentParser())\n"
        "parsers = ReasoningParserManager.list_registered()\n"
        "for name, words in json.load(sys.stdin).items():\n"
        "    found = parser.parse_args(words)\n"
        "    chosen = vars(found).get('reasoning_parser') or found.structured_outputs_config.reasoning_parser\n"
        "    assert not chosen or chosen in parsers, (name, chosen)\n"
        "    print(name, found.model, found.max_model_len, found.tensor_parallel_size)\n"
    )
    done = subprocess.run(
        [python, "-c", code], input=json.dumps(commands), capture_output=True, text=True, cwd="/", timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    for name in MODELS:
        assert f"{name} {shlex.quote(compose_serving([f'model={name}'])[1].model)} " in done.stdout
