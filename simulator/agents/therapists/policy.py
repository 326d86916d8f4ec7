"""A therapist on a model, working by a policy: a prompt file and nothing else, so that like is compared with like."""

from functools import lru_cache
from pathlib import Path

from simulator.agents.base import Seat
from simulator.agents.model_agent import ModelAgent
from simulator.agents.prompting import load_prompt, path_of
from simulator.models.messages import Completer

BLOCKS = ("system", "reminder")


class PolicyTherapist(ModelAgent):
    """A therapist who never sees the persona and knows only what was said.

    Args:
        seat: the chair.
        model_client: the model.
        policy: name of a shipped policy (`prompts/therapist`), or the path of a .jinja file with the same blocks.

    Raises:
        UserError: there is no such policy, or its file lacks a block.
    """

    def __init__(self, seat: Seat, model_client: Completer, policy: str) -> None:
        prompt = load_prompt(_path(policy), BLOCKS)
        super().__init__(
            seat, model_client, prompt.render("system"), "", prompt.render("reminder"),
            description=f"therapist on a model, policy {policy}",
        )  # fmt: skip


@lru_cache(maxsize=64)
def _path(policy: str) -> Path:
    return path_of("therapist", policy, "therapist policy")
