"""The replaying client: its turns are fixed, from any stored or imported dataset.

The plan reads the dataset and hands the turns over in `Seat.memory["replay"]` (see `simulator.studies.replay`): the
agent opens no store. The therapist answers each turn on what was really said back then (`history: recorded`) or on its
own answers (`history: own`).
"""

from simulator.agents.base import DyadAgent, Seat, TurnMessage
from simulator.errors import SessionError, UserError

MODEL = "replay"


class ReplayClient(DyadAgent):
    """A client that says again what a client has said.

    Args:
        seat: the chair; `memory["replay"]["turns"]` holds (role, text) of every turn, in order.

    Raises:
        UserError: nothing was handed over: the study names no dataset to replay.
    """

    def __init__(self, seat: Seat) -> None:
        super().__init__(seat, "client whose turns are replayed from a dataset")
        if "replay" not in seat.memory:
            raise UserError(f"{seat.role}: there is nothing to replay; name a run or an import as replay.run=FOLDER")
        self._script = seat.memory["replay"]["turns"]

    async def respond(self, turn: int, seed: int) -> TurnMessage:
        role, text = self._script[turn] if turn < len(self._script) else ("", "")
        if role != self.seat.role:
            raise SessionError(
                "protocol", "replay_out_of_step", f"turn {turn} of the recorded session is not {self.seat.role}'s"
            )
        return TurnMessage(
            content=text, source=self.name, role=self.seat.role, turn=turn, model=MODEL, seed=seed, goodbye=False
        )
