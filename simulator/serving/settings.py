"""How vLLM is served: the group `serving` says where and how often, the key `serving` of a model what.

An unknown key or a wrong value is one line that names the field.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from simulator.errors import UserError, nearest

Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0)]
Argument = bool | int | float | str | None | list[int | float | str] | dict[str, Any]
Arguments = dict[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_]*$")], Argument]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=(), coerce_numbers_to_str=True)


class ModelServing(_Settings):
    """What a replica serves: `conf/model/<name>.yaml`, key `serving`."""

    model: Annotated[str, Field(min_length=1)]
    """Repository or folder of the weights."""
    revision: str | None = None
    """Revision of the weights."""
    served_name: str | None = None
    """The name that requests use; by default the model's `name`, else `model`."""
    tensor_parallel_size: Count = 1
    """GPUs that one copy of the weights is spread over."""
    data_parallel_size: Count = 1
    """Copies of the weights behind one address."""
    pipeline_parallel_size: Count = 1
    """Parts of the layers, one after the other, each on GPUs of its own; for weights that one machine cannot hold."""
    prefix_caching: bool = True
    """Whether the keys and values of a common beginning are kept."""
    max_model_len: Count | None = None
    """Tokens of prompt and answer together; the model's own maximum by default."""
    lora_modules: dict[str, str] = {}
    """LoRA adapters: the name that requests use, and where the adapter lies."""
    args: Arguments = {}
    """Further arguments of vLLM, by name with underscores: true a bare flag, false its `--no-` form, null nothing."""
    env: dict[str, str] = {}
    """Environment variables."""


class ServingSettings(_Settings):
    """Where and how often: `conf/serving/*.yaml`."""

    replicas: Count | None = None
    """Servers to start; by default as many as the GPUs permit, at least one."""
    gpus: list[int | str] | None = None
    """GPU ids, given to the replicas in order; by default those that are visible."""
    python: str | None = None
    """The interpreter that has vLLM; by default $DYAD_VLLM_PYTHON, else this one."""
    entry: Annotated[list[str], Field(min_length=1)] = ["-m", "vllm.entrypoints.openai.api_server"]
    """What the interpreter runs."""
    host: str = "127.0.0.1"
    """The address to listen at; 0.0.0.0 for other machines, which then read `advertise`."""
    advertise: str | None = None
    """The host that stands in the endpoint file; by default `host`, or this machine's name where that is 0.0.0.0."""
    ports: list[Annotated[int, Field(ge=1, le=65535)]] | None = None
    """One per replica; by default free ones."""
    restart: bool = False
    """Start a replica again that has ended."""
    ready_seconds: Seconds = 1800.0
    """How long a replica may take until it is ready."""
    drain_seconds: Seconds = 60.0
    """How long requests in flight may take to end after SIGTERM."""
    nodes: Count = 1
    """Machines that one server is spread over; `dyad serve` runs on each of them."""
    node: Annotated[int, Field(ge=0)] | None = None
    """Which of them this is; by default $SLURM_NODEID. Node 0 answers requests."""
    head: str | None = None
    """Where the others find node 0; by default $SLURM_LAUNCH_NODE_IPADDR."""
    head_port: Annotated[int, Field(ge=1, le=65535)] = 29501
    """The port of node 0 that they meet at."""
    headless_entry: Annotated[list[str], Field(min_length=1)] = ["-m", "vllm.entrypoints.cli.main", "serve"]
    """What the interpreter runs on the other nodes."""
    endpoints: Annotated[str, Field(min_length=1)] = "endpoints.json"
    """The file that says where replicas listen."""
    logs: Annotated[str, Field(min_length=1)] = "serve-logs"
    """The folder of the replicas' logs."""
    args: Arguments = {}
    """Further arguments of vLLM that the machine asks for; they win over the model's."""
    env: dict[str, str] = {}
    """Environment variables that the machine asks for; they win over the model's."""


def parse_serving(content: Mapping[str, Any]) -> tuple[ServingSettings, ModelServing]:
    """Check a composed configuration with the groups `serving` and `model`.

    Raises:
        UserError: the first mistake, in one line.
    """
    model = content.get("model") or {}
    if not model.get("serving"):
        raise UserError(
            f"model: '{model.get('name', '?')}' has no key 'serving', so there is nothing to start; give "
            "model.serving.model=<repository or folder of the weights>, or another model=..."
        )
    serving = dict(model["serving"])
    serving.setdefault("served_name", model.get("name"))
    return (
        _checked(ServingSettings, content.get("serving") or {}, "serving"),
        _checked(ModelServing, serving, "model.serving"),
    )


def _checked(kind: type[Any], content: Mapping[str, Any], where: str) -> Any:
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join([where, *(str(part) for part in problem["loc"])])
        if problem["type"] == "extra_forbidden":
            raise UserError(f"{place}: unknown key{nearest(str(problem['loc'][-1]), kind.model_fields)}") from None
        message = str(problem["msg"])
        raise UserError(f"{place}: {message[0].lower()}{message[1:]}") from None


def compose_serving(overrides: list[str], config_dir: str | None = None) -> tuple[ServingSettings, ModelServing]:
    """The settings that overrides in Hydra's grammar make of `conf/serve.yaml`.

    Raises:
        UserError: an unknown option, key or value.
    """
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    from simulator.resources import resource_root

    own = [f"hydra.searchpath=[file://{Path(config_dir).resolve()}]"] if config_dir else []
    # Keys that the chosen files leave out can be set all the same; what is no key is refused below.
    overrides = [f"++{one}" if one.startswith(("model.", "serving.")) else one for one in overrides]
    outer, GlobalHydra.instance().hydra = GlobalHydra.instance().hydra, None  # `dyad submit` asks from inside a job
    try:
        with initialize_config_dir(version_base="1.3", config_dir=str(resource_root("conf"))):
            config = compose("serve", overrides=[*own, *overrides])
        content: Any = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(f"configuration: {_one_line(str(error))}") from None
    finally:
        GlobalHydra.instance().hydra = outer
    return parse_serving(content)


def _one_line(message: str) -> str:
    from simulator.resources import resource_root

    missing = re.search(r"Could not (?:find|load) '(.+)/([^/']+)'", message)
    if missing:
        group, name = missing.groups()
        choices = (path.stem for path in (resource_root("conf") / group).glob("*.yaml"))
        return f"{group}: no option '{name}'{nearest(name, choices)}"
    return " ".join(message.split())[:300]
