"""The dashboard of a W&B project: sections and panels over what the tracker logs, as data, and saving it.

W&B's own package `wandb-workspaces` turns the layout into a workspace's specification. It is optional: without it, one
line says how to get it. Printing the specification needs no network and no account.
"""

import os
from dataclasses import dataclass
from typing import Any, Literal

from simulator.errors import UserError
from simulator.tracking.live import STEP

PanelKind = Literal["line", "number", "pictures", "table", "runs"]


@dataclass(frozen=True, slots=True)
class PanelPlan:
    """One panel. `metrics` are names that the tracker logs; a regular expression where `pattern` is set."""

    kind: PanelKind
    title: str
    metrics: tuple[str, ...] = ()
    pattern: str | None = None


def _line(title: str, *metrics: str, pattern: str | None = None) -> PanelPlan:
    return PanelPlan("line", title, metrics, pattern)


LAYOUT: dict[str, tuple[PanelPlan, ...]] = {
    "Progress": (
        PanelPlan("number", "Courses ended", (STEP,)),
        _line("Courses per minute", "live/courses_per_minute"),
        _line("Turns per second", "live/turns_per_second"),
        _line("In flight and failed", "live/in_flight", "live/failed"),
    ),
    "Model servers": (
        _line("Share of the prompt from the prefix cache", "tokens/cache_hit_share"),
        _line("Completion tokens per second", "tokens/completion_per_second"),
        _line("Tokens", "tokens/prompt", "tokens/cached", "tokens/completion"),
        _line("Calls and retries", "calls/made", "calls/retries"),
    ),
    "Failures and guards": (
        _line("Courses that failed, by boundary and kind", pattern="failures/.*"),
        _line("Guards, firings per turn", pattern="guards/.*"),
    ),
    "Estimates": (
        PanelPlan("pictures", "Estimates with their intervals", ("plots/.*",)),
        PanelPlan("table", "Behaviours", ("tables/behaviours",)),
        PanelPlan("table", "Scores", ("tables/scores",)),
        PanelPlan("table", "Contrasts", ("tables/contrasts",)),
        PanelPlan("table", "Failures", ("tables/failures",)),
    ),
    "Runs side by side": (PanelPlan("runs", "Configuration and figures"),),
}
"""Panels by section, in order; every line has the finished courses as its axis."""


def specification(name: str, entity: str | None, project: str) -> dict[str, Any]:
    """The workspace as W&B stores it.

    Raises:
        UserError: `wandb-workspaces` is not installed.
    """
    view = workspace(name, entity or os.environ.get("WANDB_ENTITY") or "", project)._to_model()
    return {"entity": view.entity, "project": project, "name": name, "spec": _plain(view.spec)}


def save_layout(name: str, entity: str | None, project: str) -> str:
    """Save the workspace to W&B's server, with the account that W&B knows; returns its address.

    Raises:
        UserError: `wandb-workspaces` is not installed, or W&B refuses or cannot be reached.
    """
    _library()
    try:
        import wandb

        owner = entity or os.environ.get("WANDB_ENTITY") or wandb.Api().default_entity
        saved = workspace(name, str(owner), project).save()
    except UserError:
        raise
    except Exception as error:  # whatever W&B raises without a network, an account, or the right
        why = " ".join(str(error).split())[:200]
        raise UserError(f"the dashboard was not saved ({why}); see `wandb login`, or print it with --dry-run") from None
    return str(saved.url)


def workspace(name: str, entity: str, project: str) -> Any:
    """The layout as an object of `wandb-workspaces`; runs are grouped by sweep.

    Raises:
        UserError: `wandb-workspaces` is not installed.
    """
    workspaces, panels = _library()
    sections = [
        workspaces.Section(name=section, panels=[_panel(panels, plan) for plan in plans], is_open=True)
        for section, plans in LAYOUT.items()
    ]
    return workspaces.Workspace(
        entity=entity, project=project, name=name, sections=sections,
        settings=workspaces.WorkspaceSettings(x_axis=STEP),
        runset_settings=workspaces.RunsetSettings(groupby=[workspaces.Metric("Group")]),
    )  # fmt: skip


def _panel(panels: Any, plan: PanelPlan) -> Any:
    if plan.kind == "line":
        return panels.LinePlot(title=plan.title, x=STEP, y=list(plan.metrics), metric_regex=plan.pattern)
    if plan.kind == "number":
        return panels.ScalarChart(title=plan.title, metric=plan.metrics[0], groupby_aggfunc="sum")
    if plan.kind == "pictures":
        return panels.MediaBrowser(title=plan.title, media_keys=list(plan.metrics))
    if plan.kind == "table":
        return panels.WeavePanelSummaryTable(table_name=plan.metrics[0])
    return panels.RunComparer(diff_only="split")


def _library() -> tuple[Any, Any]:
    try:
        import wandb_workspaces.reports.v2 as panels
        import wandb_workspaces.workspaces as workspaces
    except ImportError as error:
        raise UserError(
            f"dyad track layout needs wandb-workspaces ({error}); install it: pip install 'dyad[dashboard]'"
        ) from None
    return workspaces, panels


def _plain(spec: Any) -> Any:
    return spec.model_dump(mode="json", by_alias=True, exclude_none=True)
