"""The static client: a persona that stands still; nothing is decided beside what is said."""

from simulator.agents.base import Seat
from simulator.agents.clients.base import PersonaClient
from simulator.models.messages import Completer


class StaticClient(PersonaClient):
    """A client who plays its persona from the prompt alone.

    Args:
        seat: the chair, with a persona.
        model_client: the model.
        prompt: `static`, or the path of a .jinja file with the same blocks.
    """

    def __init__(self, seat: Seat, model_client: Completer, prompt: str = "static") -> None:
        super().__init__(seat, model_client, prompt)
