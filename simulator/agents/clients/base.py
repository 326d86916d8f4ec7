"""What all clients on models share: the persona in words, and the prompt file of a method."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from simulator.agents.base import Seat
from simulator.agents.between_sessions import Decision, course_memory
from simulator.agents.model_agent import ModelAgent
from simulator.agents.model_memory import decide_between
from simulator.agents.prompting import Prompt, load_prompt, path_of
from simulator.errors import UserError
from simulator.instruments.loading import load_instrument
from simulator.models.messages import Completer, Message
from simulator.personas.schema import Attachment, Persona, StageOfChange

BLOCKS = ("system", "persona", "reminder")

ATTACHMENT = {
    Attachment.SECURE: "at ease with being close and with being alone",
    Attachment.PREOCCUPIED: "looks for closeness and reassurance, and fears to be left",
    Attachment.DISMISSING: "keeps people at a distance and likes to need nobody",
    Attachment.FEARFUL: "wishes for closeness and draws back from it, for fear of being hurt",
}
"""Adult attachment styles in words (after Bartholomew & Horowitz 1991)."""

STAGES = {
    StageOfChange.PRECONTEMPLATION: "sees no need to change, or has given up on it",
    StageOfChange.CONTEMPLATION: "sees reasons for change and reasons against it, and has not decided",
    StageOfChange.PREPARATION: "means to change soon and is looking for a way",
    StageOfChange.ACTION: "has begun to change and finds it hard to keep up",
    StageOfChange.MAINTENANCE: "has changed some time ago and works at not falling back",
}
"""Stages of change in words (after Prochaska & DiClemente 1983), in their order."""

AMOUNTS = ("not at all", "on several days", "on more than half the days", "nearly every day")
"""The answers of PHQ-9 and GAD-7 in words."""


class PersonaClient(ModelAgent):
    """A client who speaks from a persona with a prompt file.

    Args:
        seat: the chair, with a persona.
        model_client: the model.
        method: name of the shipped prompt, or the path of a .jinja file of the user's own.
        blocks: blocks that the method needs beyond `system`, `persona` and `reminder`.
        extra: variables of the method's own that the reminder uses at the session's start.

    Raises:
        UserError: no persona, or no such prompt.
    """

    def __init__(
        self,
        seat: Seat,
        model_client: Completer,
        method: str,
        blocks: tuple[str, ...] = (),
        extra: dict[str, Any] | None = None,
    ) -> None:
        if seat.persona is None:
            raise UserError(f"{seat.role}: a client on a model needs a persona; seat it in the client's chair")
        self.persona: Persona = seat.persona
        self.prompt: Prompt = client_prompt(method, blocks)
        name = self.persona.identity.name.split()[0]
        self._values: dict[str, Any] = {"persona": self.persona, "name": name}
        system, described = _described(self.prompt, self.persona, self._values)
        super().__init__(
            seat,
            model_client,
            system,
            described,
            self.prompt.render("reminder", **self._values, **(extra or {})),
            (name, self.persona.identity.name),
            f"client on a model, method {method}",
        )

    async def decide(self, options: Sequence[str], seed: int) -> Decision:
        """What the client does between two sessions."""
        return await decide_between(self.model, self.conversation, self.called, options, seed)

    def taken_up(self) -> None:
        """Go on from the state in which the last session was left; a method with a state calls this when it is made."""
        memory = course_memory(self.seat)
        if memory is not None and memory.state:
            self.restore(dict(memory.state))

    def said_of(self, block: str, **values: Any) -> Message:
        """One block of the prompt as the last message of a request."""
        return Message("system", self.prompt.render(block, **self._values, **values))

    @property
    def called(self) -> str:
        return self.persona.identity.name


KEPT = 512
"""Personas whose descriptions are kept: a study seats each many times, and rendering costs more than a turn."""
_kept: OrderedDict[tuple[int, int], tuple[Prompt, Persona, tuple[str, str]]] = OrderedDict()


def _described(prompt: Prompt, persona: Persona, values: Mapping[str, Any]) -> tuple[str, str]:
    """The blocks `system` and `persona` for a persona, the one used longest ago forgotten first."""
    key = (id(prompt), id(persona))
    found = _kept.get(key)
    if found is not None and found[0] is prompt and found[1] is persona:
        _kept.move_to_end(key)
        return found[2]
    texts = (prompt.render("system", **values), prompt.render("persona", **values, **in_words(persona)))
    _kept[key] = (prompt, persona, texts)
    if len(_kept) > KEPT:
        _kept.popitem(last=False)
    return texts


def client_prompt(method: str, blocks: tuple[str, ...] = ()) -> Prompt:
    """The prompt file of a client method."""
    return load_prompt(_path(method), (*BLOCKS, *blocks))


@lru_cache(maxsize=64)
def _path(method: str) -> Path:
    return path_of("client", method, "client prompt")


def in_words(persona: Persona) -> dict[str, Any]:
    """What a prompt says of a persona that does not stand in it word for word."""
    return {
        "symptoms": symptoms_of(persona),
        "attachment": ATTACHMENT[persona.attachment],
        "stage": f"about {persona.problem.target_behaviour}: {STAGES[persona.stage_of_change]}",
    }


def symptoms_of(persona: Persona) -> list[tuple[str, str]]:
    """Complaints with how often they were there, from the persona's PHQ-9 and GAD-7 items of 1 and above."""
    found = []
    for name, scores in (("PHQ-9", persona.severity.phq9), ("GAD-7", persona.severity.gad7)):
        for item, score in zip(load_instrument(name).items, scores, strict=False):
            if score and item.topic:
                found.append((item.topic, AMOUNTS[score]))
    return found
