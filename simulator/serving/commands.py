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

    def shell_line(self) -> str:
        """The command as it would be typed."""
        return " ".join(
            [*(f"{name}={shlex.quote(value)}" for name, value in self.env.items()), shlex.join(self.command)]
        )


def plan_replicas(settings: ServingSettings, model: ModelServing) -> list[ReplicaPlan]:
    """What to start.

    Raises:
        UserError: there are not GPUs or ports enough.
    """
    each = model.tensor_parallel_size * model.data_parallel_size
    gpus = [str(gpu) for gpu in settings.gpus] if settings.gpus is not None else visible_gpus()
    count = settings.replicas or max(1, len(gpus) // each)
    if gpus and len(gpus) < count * each:
        raise UserError(
            f"serving.gpus: {count} x {each} GPUs are needed (replicas x tensor parallel x data parallel), {len(gpus)} "
            f"are there ({','.join(gpus)}); set serving.replicas, or model.serving.tensor_parallel_size"
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
        plans.append(_plan(settings, model, index, ports[index], env))
    return plans


def _plan(settings: ServingSettings, model: ModelServing, index: int, port: int, env: Mapping[str, str]) -> ReplicaPlan:
    name = model.served_name or model.model
    everywhere = settings.host in ("0.0.0.0", "::")
    host = settings.advertise or (socket.gethostname() if everywhere else settings.host)
    local = "127.0.0.1" if everywhere else settings.host
    command = (interpreter(settings), *settings.entry, *vllm_arguments(settings, model, port))
    return ReplicaPlan(index, command, env, name, f"http://{local}:{port}", f"http://{host}:{port}/v1")


def interpreter(settings: ServingSettings) -> str:
    """The interpreter that has vLLM."""
    return settings.python or os.environ.get("DYAD_VLLM_PYTHON") or sys.executable


def vllm_arguments(settings: ServingSettings, model: ModelServing, port: int) -> list[str]:
    """vLLM's own arguments for one replica."""
    arguments: dict[str, Argument] = {
        "model": model.model,
        "revision": model.revision,
        "served_model_name": model.served_name or model.model,
        "host": settings.host,
        "port": port,
        "tensor_parallel_size": model.tensor_parallel_size if model.tensor_parallel_size > 1 else None,
        "data_parallel_size": model.data_parallel_size if model.data_parallel_size > 1 else None,
        "enable_prefix_caching": model.prefix_caching,
        "enable_prompt_tokens_details": True,
        "max_model_len": model.max_model_len,
    }
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
