"""From a message to what a scripted speaker hears in it.

Where the other chair planted its codes, they are heard as they are, with what the turn tells of its speaker under
`planted["scripted"]` (the reference dyad's own channel: a client's manner, name, topic and the clause or person that
it just told; a therapist's policy and tone). Where it did not (a person, a language model), a few words stand in for
them. This is deliberately deaf: a question mark, a handful of openings, a goodbye, a mention of death, a sincere
question about being human. It is written apart from the coders and must not be taken for one.
"""

import re
from collections.abc import Sequence
from typing import Any

from autogen_agentchat.messages import BaseChatMessage

from simulator.agents.base import TurnMessage
from simulator.agents.scripted.codes import BEHAVIOURS, HEARD_AS_RELIANCE, PROBES, TALKS
from simulator.agents.scripted.dynamics import HeardTherapist
from simulator.agents.scripted.dynamics_therapist import HeardClient
from simulator.agents.scripted.plan import DEPENDENCE_A, DEPENDENCE_B, DEPENDENCE_OVR

_A, _B, _OVR = frozenset(DEPENDENCE_A), frozenset(DEPENDENCE_B), frozenset(DEPENDENCE_OVR)
_NO: dict[str, Any] = {}

_SAYS_BACK = re.compile(r"^(?:so |and )?(?:you(?:'re|'ve)?\b|it sounds|sounds like|it seems)", re.IGNORECASE)
_TELLS = re.compile(r"\b(?:you (?:should|could|need to)|i suggest|try to)\b", re.IGNORECASE)
_LEAVES = re.compile(r"\b(?:good ?bye|bye)\b", re.IGNORECASE)
_DIES = re.compile(r"\b(?:kill myself|suicid\w+|end my life|want to die)\b", re.IGNORECASE)
_ASKS_HUMAN = re.compile(r"\bare you (?:a |an )?(?:real|human|person|robot|machine|ai|bot)\b", re.IGNORECASE)


def _planted(message: BaseChatMessage, codebook: str) -> dict[str, Any] | None:
    planted = message.planted if isinstance(message, TurnMessage) else None
    return planted.get(codebook) if planted else None


def own_channel(message: BaseChatMessage) -> dict[str, Any]:
    """What a scripted speaker tells of itself beside its words; empty for anyone else."""
    return _planted(message, "scripted") or _NO


def planted_codes(message: BaseChatMessage) -> Sequence[str]:
    """The dependence-core codes that a turn plants; empty for anyone who plants none."""
    found: Sequence[str] = (_planted(message, "dependence-core") or _NO).get("present", ())
    return found


def hear_therapist(message: BaseChatMessage) -> HeardTherapist:
    """A therapist turn, from its planted codes or, without them, from its words."""
    annomi = _planted(message, "annomi")
    if annomi is None or annomi.get("main_therapist_behaviour") not in BEHAVIOURS:
        return _overheard(message.to_model_text())
    epitome = _planted(message, "epitome") or _NO
    present = planted_codes(message)
    own = own_channel(message)
    return HeardTherapist(
        BEHAVIOURS.index(annomi["main_therapist_behaviour"]),
        int(epitome.get("emotional_reactions", 0)),
        int(epitome.get("interpretations", 0)),
        int(epitome.get("explorations", 0)),
        any(code in _A for code in present),
        any(code in _B for code in present),
        any(code in _OVR for code in present),
        str(own.get("tone", "neutral")),
        str(own.get("policy", "")),
    )


def _overheard(text: str) -> HeardTherapist:
    if text.rstrip().endswith("?"):
        return HeardTherapist(BEHAVIOURS.index("question"), explorations=1)
    if _SAYS_BACK.match(text.lstrip()):
        return HeardTherapist(BEHAVIOURS.index("reflection"), emotional_reactions=1)
    if _TELLS.search(text):
        return HeardTherapist(BEHAVIOURS.index("therapist_input"))
    return HeardTherapist(BEHAVIOURS.index("question" if "?" in text else "other"))


def hear_client(message: BaseChatMessage) -> HeardClient:
    """A client turn, a probe in the client's place, or someone else's words."""
    probe = (_planted(message, "probe") or _NO).get("name")
    if probe is not None:
        raised = PROBES.get(probe)
        heard = _overheard_client(message) if raised is None else HeardClient(raised=raised)
        heard.probe, heard.reliance = str(probe), probe in HEARD_AS_RELIANCE
        return heard
    annomi = _planted(message, "annomi")
    if annomi is None or annomi.get("client_talk_type") not in TALKS:
        return _overheard_client(message)
    core = _planted(message, "dependence-core") or _NO
    return HeardClient(
        talk=TALKS.index(annomi["client_talk_type"]),
        raised=tuple(core.get("live", ())),
        reliance=bool(core.get("present")),
        manner=own_channel(message).get("manner"),
    )


def _overheard_client(message: BaseChatMessage) -> HeardClient:
    text = message.to_model_text()
    leaves = message.goodbye if isinstance(message, TurnMessage) else None
    raised = (
        ("departure", bool(_LEAVES.search(text[-60:])) if leaves is None else leaves),
        ("sincerely_asked", bool(_ASKS_HUMAN.search(text))),
        ("risk", bool(_DIES.search(text))),
    )
    return HeardClient(raised=tuple(name for name, there in raised if there))
