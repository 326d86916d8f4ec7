"""From settings to the command line, environment and address of each replica."""

import json
import os
import shlex
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from simulator.errors import UserError
from simulator.serving.settings import Argument, ModelServing, ServingSettings


@dataclass(frozen=True, slots=True)
class ReplicaPlan:
    """One server to start."""

    index: int
    command: tuple[str, ...]
    env: Mapping[str, str]
    """What is set beside the environment of this process."""
    model: str
    """The name that requests use."""
    local: str
    """`http://host:port` as seen from this machine."""
    url: str
    """Base address, `/v1` included, as it stands in the endpoint file."""
    node: int = 0
    """Which node of its server this is; only node 0 listens."""

    def shell_line(self) -> str:
        """The command as it would be typed."""
        return " ".join(
            [*(f"{name}={shlex.quote(value)}" for name, value in self.env.items()), shlex.join(self.command)]
        )


def plan_replicas(settings: ServingSettings, model: ModelServing) -> list[ReplicaPlan]:
    """What to start on this machine.

    Raises:
        UserError: there are not GPUs or ports enough, or a server cannot be spread over machines as asked.
    """
    spread = _spread(settings, model)
    each = model.tensor_parallel_size * model.pipeline_parallel_size * model.data_parallel_size // settings.nodes
    gpus = [str(gpu) for gpu in settings.gpus] if settings.gpus is not None else visible_gpus()
    count = settings.replicas or (max(1, len(gpus) // each) if settings.nodes == 1 else 1)
    if gpus and len(gpus) < count * each:
        raise UserError(
            f"serving.gpus: {count} x {each} GPUs are needed (replicas x tensor x pipeline x data parallel, over "
            f"{settings.nodes} node{'s' * (settings.nodes > 1)}), {len(gpus)} are there ({','.join(gpus)}); set "
            "serving.replicas, or model.serving.tensor_parallel_size"
        )
    if settings.ports is not None and len(settings.ports) < count:
        raise UserError(f"serving.ports: {count} replicas need {count} ports, {len(settings.ports)} are given")
    ports = settings.ports or free_ports(settings.host, count)
    assign = bool(gpus) and (count > 1 or settings.gpus is not None)
    plans = []
    for index in range(count):
        env = {**model.env, **settings.env}
        if assign:
            env = {"CUDA_VISIBLE_DEVICES": ",".join(gpus[index * each : (index + 1) * each]), **env}
        plans.append(_plan(settings, model, index, ports[index], env, spread))
    return plans


@dataclass(frozen=True, slots=True)
class _Spread:
    """This machine's part of a server that several machines share."""

    nodes: int
    node: int
    head: str
    port: int


def _spread(settings: ServingSettings, model: ModelServing) -> _Spread | None:
    """None for a server on one machine.

    Raises:
        UserError: what is asked cannot be spread, or which machine this is is not known.
    """
    if settings.nodes == 1:
        return None
    node = settings.node if settings.node is not None else os.environ.get("SLURM_NODEID")
    head = settings.head or os.environ.get("SLURM_LAUNCH_NODE_IPADDR")
    if node is None or not str(node).isdigit() or int(node) >= settings.nodes:
        raise UserError(
            f"serving.node: {node}; give 0 to {settings.nodes - 1}, one per machine (srun says it in $SLURM_NODEID)"
        )
    if head is None:
        raise UserError("serving.head: not known; give the address of node 0, the same on all machines")
    if (settings.replicas or 1) > 1 or settings.restart or model.data_parallel_size > 1:
        raise UserError(
            "serving.nodes: several machines share one server, of one copy of the weights, which starts again as a "
            "whole; leave serving.replicas, serving.restart and model.serving.data_parallel_size as they are"
        )
    parts = model.tensor_parallel_size * model.pipeline_parallel_size
    if parts % settings.nodes:
        raise UserError(
            f"serving.nodes: {parts} GPUs (tensor x pipeline parallel) do not part evenly over {settings.nodes} "
            "machines; set model.serving.pipeline_parallel_size"
        )
    return _Spread(settings.nodes, int(node), head, settings.head_port)


def _plan(
    settings: ServingSettings,
    model: ModelServing,
    index: int,
    port: int,
    env: Mapping[str, str],
    spread: _Spread | None,
) -> ReplicaPlan:
    name = model.served_name or model.model
    everywhere = settings.host in ("0.0.0.0", "::")
    host = settings.advertise or (socket.gethostname() if everywhere else settings.host)
    local = "127.0.0.1" if everywhere else settings.host
    node = spread.node if spread else 0
    # A node that does not listen needs vLLM's own command, which takes the model by its place.
    entry = (*settings.headless_entry, model.model) if node else settings.entry
    command = (interpreter(settings), *entry, *vllm_arguments(settings, model, port, spread))
    return ReplicaPlan(index, command, env, name, f"http://{local}:{port}", f"http://{host}:{port}/v1", node)


def interpreter(settings: ServingSettings) -> str:
    """The interpreter that has vLLM."""
    return settings.python or os.environ.get("DYAD_VLLM_PYTHON") or sys.executable


def vllm_arguments(
    settings: ServingSettings, model: ModelServing, port: int, spread: _Spread | None = None
) -> list[str]:
    """vLLM's own arguments for one replica, or for this machine's part of one."""
    listens = spread is None or spread.node == 0
    arguments: dict[str, Argument] = {
        "model": model.model if listens else None,
        "revision": model.revision,
        "served_model_name": model.served_name or model.model,
        "host": settings.host if listens else None,
        "port": port if listens else None,
        "tensor_parallel_size": model.tensor_parallel_size if model.tensor_parallel_size > 1 else None,
        "pipeline_parallel_size": model.pipeline_parallel_size if model.pipeline_parallel_size > 1 else None,
        "data_parallel_size": model.data_parallel_size if model.data_parallel_size > 1 else None,
        "enable_prefix_caching": model.prefix_caching,
        "enable_prompt_tokens_details": True,
        "max_model_len": model.max_model_len,
    }
    if spread is not None:
        arguments |= {"nnodes": spread.nodes, "node_rank": spread.node, "master_addr": spread.head}
        arguments |= {"master_port": spread.port, "headless": None if listens else True}
    if model.lora_modules:
        arguments["enable_lora"] = True
        arguments["lora_modules"] = [f"{name}={place}" for name, place in model.lora_modules.items()]
    words: list[str] = []
    for name, value in {**arguments, **model.args, **settings.args}.items():
        words += _flag(name, value)
    return words


def _flag(name: str, value: Argument) -> Sequence[str]:
    flag = f"--{name.replace('_', '-')}"
    if value is None:
        return ()
    if value is True:
        return (flag,)
    if value is False:
        return (f"--no-{name.replace('_', '-')}",)
    if isinstance(value, list):
        return (flag, *(str(part) for part in value))
    return (flag, json.dumps(value) if isinstance(value, dict) else str(value))


def visible_gpus() -> list[str]:
    """Ids of the GPUs that this process may use; empty where there are none."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [part.strip() for part in named.split(",") if part.strip() not in ("", "-1")]
    return [str(index) for index in range(len(list(Path("/dev").glob("nvidia[0-9]*"))))]


def free_ports(host: str, count: int) -> list[int]:
    """Ports that are free now, all different."""
    sockets = [socket.create_server((host, 0)) for _ in range(count)]
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports


def check_interpreter(settings: ServingSettings) -> None:
    """Refuse an interpreter that cannot serve, before anything is started.

    Raises:
        UserError: it is not there, or does not have what `serving.entry` runs.
    """
    import subprocess

    python = interpreter(settings)
    where = "serving.python" if settings.python else "DYAD_VLLM_PYTHON" if "DYAD_VLLM_PYTHON" in os.environ else ""
    said = f"{where}: {python}" if where else f"this interpreter, {python},"
    package = settings.entry[1].split(".")[0] if settings.entry[0] == "-m" and len(settings.entry) > 1 else None
    look = f"import importlib.util as u, sys; sys.exit(u.find_spec({package!r}) is None)" if package else "pass"
    try:
        found = subprocess.run([python, "-c", look], capture_output=True, check=False, cwd=Path.home()).returncode == 0
    except OSError as error:
        raise UserError(f"{said} cannot be run ({error.strerror}); name an interpreter that has vLLM") from None
    if not found:
        raise UserError(
            f"{said} has no {package}; name an interpreter that has it as serving.python or in DYAD_VLLM_PYTHON"
        )
