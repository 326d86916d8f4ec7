"""Dyad's agents join AutoGen's teams, and AutoGen's agents take Dyad's chairs."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from autogen_agentchat.conditions import MaxMessageTermination
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_core.models import CreateResult, LLMMessage
from autogen_ext.models.replay import ReplayChatCompletionClient

from simulator.agents.base import Seat, TurnMessage
from simulator.agents.scripted.client import ScriptedClient
from simulator.agents.scripted.therapist import ScriptedTherapist
from simulator.personas.loading import load_persona_set
from simulator.records.seeds import derive_seed
from simulator.resources import resource_root
from simulator.studies.composing import compose
from simulator.studies.running import run_study

SEEDS: list[int] = []


class CountingReplayClient(ReplayChatCompletionClient):
    """AutoGen's replay client; answers by the length of the history, so that a resumed agent gets the same words."""

    async def create(self, messages: Sequence[LLMMessage], **arguments: Any) -> CreateResult:  # type: ignore[override]
        extra: Mapping[str, Any] = arguments.get("extra_create_args", {})
        SEEDS.append(int(extra["seed"]))
        self.set_cached_bool_value(False)
        result = await super().create(messages, **{k: v for k, v in arguments.items() if k != "extra_create_args"})
        heard = sum(len(str(message.content)) for message in messages)
        result.content = f"You have said {len(messages) - 1} things in {heard} letters."
        self._current_index = 0
        return result


ASSISTANT = (
    "+therapist.assistant={_target_: autogen_agentchat.agents.AssistantAgent, system_message: Listen., "
    "model_client: {_target_: tests.test_autogen.CountingReplayClient, chat_completions: [x]}}"
)


def test_our_agents_talk_inside_an_autogen_team() -> None:
    persona = load_persona_set(resource_root("personas") / "shipped")[0]
    client = ScriptedClient(Seat("client", ("therapist",), "c", "c", persona=persona))
    therapist = ScriptedTherapist(Seat("therapist", ("client",), "c", "c"), policy="mi_consistent")
    team = RoundRobinGroupChat(
        [therapist, client], termination_condition=MaxMessageTermination(8), custom_message_types=[TurnMessage]
    )
    result = asyncio.run(team.run(task="Begin."))
    said = [message for message in result.messages if isinstance(message, TurnMessage)]
    assert [message.source for message in said] == ["therapist", "client"] * 3 + ["therapist"]
    assert all(message.planted for message in said)


def study(out: Path, *more: str) -> Any:
    return compose(
        "therapist=[]", ASSISTANT, "personas.limit=1", "instruments=[]", "session.max_turns=8", f"out={out}", *more
    )


def test_a_stock_assistant_agent_takes_a_chair_and_carries_derived_seeds(tmp_path: Path) -> None:
    SEEDS.clear()
    result = run_study(study(tmp_path / "a", "replicates=1"))
    assert result.tally.ended == 1
    turns = pl.read_parquet(tmp_path / "a/dataset/turns/*.parquet")
    course = turns["course_id"][0]
    asked = turns.filter(role="therapist")["turn"].to_list()
    assert [derive_seed(course, 0, turn, "therapist", "turn") for turn in asked] == SEEDS
    calls = pl.read_parquet(tmp_path / "a/dataset/executions/*.parquet").filter(scope="call")
    assert calls.height == len(asked)
    assert calls["prompt_tokens"].null_count() == 0


@pytest.mark.parametrize("stop", [1, 2, 3, 5])
def test_it_is_resumed_from_its_own_saved_state(tmp_path: Path, stop: int, monkeypatch: pytest.MonkeyPatch) -> None:
    run_study(study(tmp_path / "whole", "replicates=1"))
    import simulator.studies.scheduler as scheduler

    asked = scheduler.Drain.asked
    calls = iter(range(10_000))
    monkeypatch.setattr(scheduler.Drain, "asked", lambda self: next(calls) > stop or asked(self))
    stopped = run_study(study(tmp_path / "parts", "replicates=1"))
    assert stopped.tally.ended == 0
    monkeypatch.undo()
    run_study(study(tmp_path / "parts", "replicates=1"))
    whole, parts = (pl.read_parquet(tmp_path / name / "dataset/turns/*.parquet") for name in ("whole", "parts"))
    assert parts.equals(whole)
