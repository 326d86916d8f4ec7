"""The group `tracking`: whether and how a run is told to Weights & Biases. No part of a run's identity.

There is no key for an API key: it is W&B's own business and stands in no configuration, journal or log of ours.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from simulator.studies.config import parse_group

Count = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(gt=0)]


class TrackingSettings(BaseModel):
    """What `conf/tracking/*.yaml` holds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["none", "wandb"] = "none"
    mode: Literal["offline", "online"] = "offline"
    project: Annotated[str, Field(min_length=1)] = "dyad"
    entity: str | None = None
    group: str | None = None
    """Runs that W&B shows together; those of one sweep share the sweep's name."""
    name: str | None = None
    """By default the name of the run's folder."""
    tags: list[str] = []
    every: Seconds = 15.0
    """Seconds between two looks at the journals."""
    rows: Count = 1000
    """Rows of each table."""
    estimates: Count = 200
    """Estimates in the summary."""
    plots: Count = 8
    artifact_mb: Annotated[float, Field(ge=0)] = 500.0
    """How large (10^6 bytes) what is attached may be; each of report and dataset."""
    system: bool = False
    """W&B's own figures of the machine."""
    wait_seconds: Seconds = 60.0
    """How long the end of W&B is waited for, and any single thing that is asked of it."""


def parse_tracking(content: Mapping[str, Any]) -> TrackingSettings:
    """Check the group `tracking`.

    Raises:
        UserError: the first mistake, in one line.
    """
    return parse_group("tracking", TrackingSettings, content)
