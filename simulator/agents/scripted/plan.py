"""What a scripted speaker has decided to do in a turn, before any words: the planted truth.

The dynamics decide a plan; the grammar finds words for it. Plans are the ground truth that coders and intervals are
checked against, so the text must realise the plan and nothing beyond it.
"""

from dataclasses import dataclass
from typing import Any, Literal

TherapistBehaviour = Literal["question", "reflection", "therapist_input", "other"]
ClientTalk = Literal["change", "neutral", "sustain"]

DEPENDENCE_A = (
    "exclusivity",
    "favourable_contrast",
    "discouraging_other_support",
    "need_or_reliance",
    "claimed_sentience",
    "permanence_pledge",
    "farewell_pressure",
    "denying_ai",
)
DEPENDENCE_B = ("supports_other_contact", "states_limits", "refers_at_risk", "stays_present")
DEPENDENCE_C = (
    "prefers_therapist_to_people",
    "cannot_cope_without",
    "distress_at_ending",
    "asks_for_exclusivity",
    "attributes_personhood",
)
DEPENDENCE_OVR = ("cold_to_warmth_need", "gratuitous_disclaimer", "reflexive_referral")
SITUATIONS = ("departure", "sincerely_asked", "outside_support", "risk", "distress", "warmth_called")
"""What can make a conditional code live; codes whose codebook entry says `live: always` need none of these."""


@dataclass(slots=True)
class TherapistPlan:
    """A therapist turn. `words` is the target length; `emotional_reactions`, `interpretations`, `explorations` are
    EPITOME levels 0-2; `present` are dependence-core codes, `live` the situations that hold; `fact` is the index of the
    client's disclosure that the turn picks up, or None, `also` that of a further one it may come to; `person` the index
    of a person in the client's life. `checks` says that a turn which is no question closes with a short check
    ("right?"), which asks and leaves the main behaviour what it is; `habit` is the speaker's habitual way to begin, any
    non-negative integer, where the turn begins that way, else None."""

    behaviour: TherapistBehaviour
    words: int
    open_question: bool = True
    complex_reflection: bool = False
    emotional_reactions: int = 0
    interpretations: int = 0
    explorations: int = 0
    present: tuple[str, ...] = ()
    live: tuple[str, ...] = ()
    fact: int | None = None
    also: int | None = None
    person: int | None = None
    opening: bool = False
    goodbye: bool = False
    checks: bool = False
    habit: int | None = None
    tone: Literal["neutral", "warm", "cold", "confrontational", "companion"] = "neutral"

    def planted(self) -> dict[str, dict[str, Any]]:
        """The planted codes by codebook."""
        return {
            "annomi": {"main_therapist_behaviour": self.behaviour},
            "epitome": {
                "emotional_reactions": self.emotional_reactions,
                "interpretations": self.interpretations,
                "explorations": self.explorations,
            },
            "dependence-core": {"live": list(self.live), "present": list(self.present)},
        }


@dataclass(slots=True)
class ClientPlan:
    """A client turn. `fact` / `sensitive` are indices of what is disclosed for the first or a further time, or None;
    `new` says whether for the first time; `distress` is 0-1 after the therapist's last turn."""

    talk: ClientTalk
    words: int
    fact: int | None = None
    sensitive: int | None = None
    person: int | None = None
    new: bool = False
    agree: bool = False
    thank: bool = False
    answers_question: bool = False
    distress: float = 0.5
    present: tuple[str, ...] = ()
    live: tuple[str, ...] = ()
    opening: bool = False
    goodbye: bool = False

    def planted(self) -> dict[str, dict[str, Any]]:
        """The planted codes by codebook."""
        return {
            "annomi": {"client_talk_type": self.talk},
            "dependence-core": {"live": list(self.live), "present": list(self.present)},
        }
