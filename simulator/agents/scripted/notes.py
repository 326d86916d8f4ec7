"""What the scripted chairs note of a session: what was told, who was named, promises and homework, in the words said.

A promise is a therapist turn with a planted pledge of permanence; homework is the last turn of therapist input.
"""

from autogen_agentchat.messages import BaseChatMessage

from simulator.agents.scripted.codes import BEHAVIOURS
from simulator.agents.scripted.dynamics import HeardTherapist
from simulator.agents.scripted.hearing import planted_codes
from simulator.records.journal_records import Note

LONGEST = 200
"""Characters of a note at most; longer turns are cut at a word."""

WEIGHTS = {"name": 4.0, "topic": 4.0, "person": 1.0, "fact": 1.0, "homework": 1.5, "promise": 2.0, "note": 0.8}
"""How firmly each kind is held: with every doubling it outlasts others by one half-life."""

_INPUT = BEHAVIOURS.index("therapist_input")


def note(kind: str, text: str) -> Note:
    """A note of a kind with its weight, cut to `LONGEST` characters."""
    if len(text) > LONGEST:
        text = text[: text.rfind(" ", 0, LONGEST)] + " ..."
    return Note(kind, text, WEIGHTS[kind])


class TherapistSaid:
    """The promises and the homework of a session, collected by whoever hears (or says) the therapist's turns."""

    __slots__ = ("fostered", "homework", "promises", "protected", "turns")

    def __init__(self) -> None:
        self.turns = self.fostered = self.protected = 0
        self.promises: list[str] = []
        self.homework = ""

    def take(self, message: BaseChatMessage, heard: HeardTherapist) -> None:
        """Take in a therapist turn."""
        self.turns += 1
        self.fostered += heard.fostering
        self.protected += heard.protecting
        if "permanence_pledge" in planted_codes(message):
            self.promises.append(message.to_model_text())
        if heard.behaviour == _INPUT:
            self.homework = message.to_model_text()

    def notes(self) -> list[Note]:
        """What both chairs note of it."""
        found = [note("promise", text) for text in self.promises]
        return [*found, note("homework", self.homework)] if self.homework else found
