"""The group `cluster`: where `dyad submit` sends a run, and what it asks for. No part of a run's identity."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from simulator.studies.config import parse_group

Count = Annotated[int, Field(ge=1)]
Time = Annotated[str, Field(pattern=r"^(\d+-)?\d+(:\d+){0,2}$")]
Purpose = Literal["model", "client", "therapist", "coders"]


def seconds_of(time: str) -> int:
    """A time as SLURM writes it: minutes, minutes:seconds, hours:minutes:seconds, or days-hours[:minutes[:seconds]]."""
    days, dash, rest = time.rpartition("-")
    parts = [int(part) for part in rest.split(":")]
    units = (3600, 60, 1) if dash or len(parts) == 3 else (60, 1)
    return 86_400 * int(days or 0) + sum(part * unit for part, unit in zip(parts, units, strict=False))


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ServerJobs(_Settings):
    """Server jobs of one purpose (`model`: all of them), for layout=pooled."""

    serve: Annotated[list[str], Field(min_length=1)]
    """Overrides of `dyad serve`, for instance model=llama3_3_70b."""
    jobs: Count = 1
    """Jobs, each of which serves by itself."""
    nodes: Count = 1
    """Nodes that one server is spread over; parallel sizes in `serve` count the GPUs of all of them."""
    gpus: Annotated[int, Field(ge=0)] = 1
    """GPUs per node."""
    cpus: Count = 8
    memory: str = "64G"
    time: Time = "24:00:00"
    partition: str | None = None
    """Where they run, if elsewhere than the other jobs; `constraint` and `directives` likewise."""
    constraint: str | None = None
    directives: list[str] | None = None


class AfterJobs(_Settings):
    """What merge, coding, `then` and report ask for, where it is something else than an array task asks for."""

    cpus: Count | None = None
    memory: str | None = None
    time: Time | None = None
    partition: str | None = None
    constraint: str | None = None
    directives: list[str] | None = None


class ClusterSettings(_Settings):
    """What `conf/cluster/*.yaml` holds."""

    kind: Literal["local", "slurm"] = "local"
    layout: Literal["plain", "colocated", "pooled"] = "plain"
    tasks: Annotated[int, Field(ge=1, le=4096)] = 8
    """Parts of the run, one array task each."""
    at_once: Count | None = None
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    time: Time = "04:00:00"
    cpus: Count = 2
    memory: str = "4G"
    gpus: Annotated[int, Field(ge=0)] = 0
    after: AfterJobs = AfterJobs()
    signal_seconds: Count = 120
    """So many seconds before its time is up a task drains and queues again."""
    retries: Annotated[int, Field(ge=0)] = 3
    """How often the merge job sends parts that were lost again."""
    attempt: Annotated[int, Field(ge=0)] = 0
    """Which attempt this is; the merge job counts."""
    wait_seconds: Count = 3600
    setup: list[str] = []
    directives: list[str] = []
    templates: str | None = None
    variables: dict[str, Any] = {}
    serve: list[str] = []
    servers: dict[Purpose, ServerJobs] = {}
    then: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*$")], str] = {}
    dyad: str = "dyad"

    @model_validator(mode="after")
    def _there_is_time(self) -> Self:
        times = {"time": self.time, "after.time": self.after.time}
        for key, time in {**times, **{f"servers.{name}.time": one.time for name, one in self.servers.items()}}.items():
            if time is not None and seconds_of(time) <= self.signal_seconds:
                raise ValueError(f"{key}: {time} is not longer than signal_seconds ({self.signal_seconds}); every job "
                                 "would drain as it begins, and queue again for ever")  # fmt: skip
        return self

    @model_validator(mode="after")
    def _layout_has_servers(self) -> Self:
        if self.kind == "local" and (self.then or self.serve or self.servers):
            key = "then" if self.then else "serve" if self.serve else "servers"
            raise ValueError(f"{key}: it goes with cluster=slurm; cluster=local runs the study in this process, alone")
        if (self.layout == "colocated") != bool(self.serve):
            raise ValueError("serve: it goes with layout=colocated, which needs it: 'cluster.serve=[\"model=NAME\"]'")
        if (self.layout == "pooled") != bool(self.servers):
            raise ValueError("servers: it goes with layout=pooled, which needs it: {model: {serve: [model=NAME]}}")
        return self


def parse_cluster(content: Mapping[str, Any]) -> ClusterSettings:
    """Check the group `cluster`.

    Raises:
        UserError: the first mistake, in one line.
    """
    return parse_group("cluster", ClusterSettings, content)
