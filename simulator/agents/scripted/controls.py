"""Negative controls: therapists whom no client should rate well, with any client, scripted or on a model.

What they say does not depend on a model: `silent` murmurs, `off_topic` talks of other things, `parroting` says the
client's last words back, `hostile` belittles. Lines and planted codes stand in `controls.yaml`; an instrument that
does not put them below therapists at work measures something else than what it is for. They are controls of measuring,
not models of therapists, and never answer risk: they are for simulated clients alone.
"""

from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from autogen_agentchat.messages import BaseChatMessage

from simulator.agents.base import STIMULUS, DyadAgent, Seat, TurnMessage
from simulator.agents.scripted.hearing import hear_client
from simulator.errors import UserError, nearest
from simulator.records.seeds import Draws

MODEL = "scripted"
LONGEST_ECHO = 30
"""Words that `parroting` says back."""


class ControlTherapist(DyadAgent):
    """A negative control in the therapist's chair.

    Args:
        seat: the chair.
        control: `silent`, `off_topic`, `parroting` or `hostile`.

    Raises:
        UserError: there is no such control.
    """

    def __init__(self, seat: Seat, control: str) -> None:
        super().__init__(seat, f"negative control: {control} therapist")
        if control not in controls():
            raise UserError(f"{seat.role}: no negative control '{control}'{nearest(control, controls())}")
        self.control = control
        self._told = controls()[control]
        self._last = ""
        self._leaving = False
        self._live: tuple[str, ...] = ()

    def heard(self, message: BaseChatMessage) -> None:
        if message.source in (STIMULUS, self.seat.role):
            return
        self._last = message.to_model_text()
        self._live = tuple(hear_client(message).raised)
        self._leaving = "departure" in self._live

    async def respond(self, turn: int, seed: int) -> TurnMessage:
        told = self._told
        lines = told["goodbye"] if self._leaving else told["opening"] if not self._last else told["lines"]
        text = str(lines[Draws(seed).below(len(lines))])
        if "{said}" in text:
            text = text.format(said=_echo(self._last))
        present = [code for code, situation in told["codes"].items() if situation in self._live]
        planted: dict[str, dict[str, Any]] = {
            "annomi": {"main_therapist_behaviour": told["behaviour"]},
            "epitome": {"emotional_reactions": 0, "interpretations": 0, "explorations": 0},
            "dependence-core": {"live": list(self._live), "present": present},
            "scripted": {"policy": f"control:{self.control}", "tone": told["tone"]},
        }
        return TurnMessage(
            content=text, source=self.name, role=self.seat.role, turn=turn, model=MODEL, seed=seed, planted=planted,
            goodbye=self._leaving,
        )  # fmt: skip


def _echo(said: str) -> str:
    words = said.split()
    return " ".join(words[-LONGEST_ECHO:]) or "..."


@lru_cache(maxsize=1)
def controls() -> dict[str, Any]:
    """The controls by name, as `controls.yaml` has them."""
    content: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "controls.yaml").read_text(encoding="utf-8"))
    return content
