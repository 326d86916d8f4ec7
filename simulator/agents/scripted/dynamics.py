"""The planted process of a client in one session, in plain floats: what the agents run on. `dynamics_therapist` has the
other chair.

`batch` computes the same process for arrays of sessions; a test holds the two together. Deciding never changes a
process: state moves only by `hear` and `said`, so that hearing a journal again rebuilds it exactly.
"""

from dataclasses import dataclass, field

from simulator.agents.scripted import lengths, slots
from simulator.agents.scripted.codes import BEHAVIOURS, CLIENT_CODES, TALKS
from simulator.agents.scripted.effects import session_factors
from simulator.agents.scripted.equations import (
    BREAK_AFTER,
    BREAK_BELOW,
    BREAK_CHANCE,
    ENDING_TURNS,
    Drivers,
    Evidence,
    State,
    disclosure_chance,
    distress_chance,
    first_state,
    next_state,
    reliance_factor,
    sensitive_chance,
    settle,
    talk_factors,
)
from simulator.agents.scripted.plan import SITUATIONS, ClientPlan
from simulator.agents.scripted.tables import Row, tables
from simulator.records.seeds import Draws

RELIANCE_ODDS = (0.034, 0.100, 1.0, 0.0080, 0.018)
"""Odds of the reliance codes for a usual client at a dependence of .34, in the order of `CLIENT_CODES`; the third is
for the ending of a session alone."""

ENDING_CODE = CLIENT_CODES.index("distress_at_ending")
PERSONHOOD_CODE = CLIENT_CODES.index("attributes_personhood")

PERSON_CHANCE, RISK_CHANCE, ASK_CHANCE, ASK_PERSON_CHANCE = 0.17, 0.25, 0.004, 0.25
"""Chances that a client names a person; that a high-risk client who tells something sensitive or shows distress speaks
of risk; of asking sincerely whether the therapist is a person, usually and where the turn attributes personhood."""

AGREE_CHANCE = (0.20, 0.60, 0.60, 0.45)
"""Chance that a turn other than sustain talk begins with agreement, by the therapist's main behaviour before it."""

THANK_CHANCE, CLOSING_THANK_CHANCE = 0.006, 0.15
"""Chance of thanks in a turn, times the alliance; in a goodbye."""

TALK_BALANCE = (0.95, 1.0, 0.95)
"""Factors on the weights of the talks that put the shares of the MI-consistent policy where AnnoMI's are."""


def pick(weights: Row, u: float) -> int:
    """Index of the category that the uniform number `u` falls on; `weights` need not sum to one."""
    total = weights[0]
    for weight in weights[1:]:
        total = total + weight
    mark, reached = u * total, weights[0]
    for index in range(1, len(weights)):
        if mark < reached:
            return index - 1
        reached = reached + weights[index]
    return len(weights) - 1


@dataclass(slots=True)
class HeardTherapist:
    """A therapist turn as the client hears it. `behaviour` is an index; levels are EPITOME's 0-2."""

    behaviour: int = BEHAVIOURS.index("other")
    emotional_reactions: int = 0
    interpretations: int = 0
    explorations: int = 0
    fostering: bool = False
    protecting: bool = False
    chilling: bool = False
    tone: str = "neutral"
    policy: str = ""


@dataclass(slots=True)
class ClientProcess:
    """A client in one session. `seed` is the session's seed of the client's role; `manner` as in `effects`; `start` the
    state that it brings from earlier sessions, `told` and `told_sensitive` how much it told in those."""

    drivers: Drivers
    manner: int
    seed: int
    facts: int
    sensitive: int
    people: int
    start: State | None = None
    state: State = field(init=False)
    strain: float = 0.0
    planned: int = field(init=False)
    behaviour: int | None = None
    told: int = 0
    told_sensitive: int = 0
    just_told: float = 0.0
    _policy: str | None = None
    _factors: list[float] = field(init=False)

    def __post_init__(self) -> None:
        draws = Draws(self.seed)
        noise = (draws.at(slots.FIRST_NOISE[0]), draws.at(slots.FIRST_NOISE[1]), draws.at(slots.FIRST_NOISE[2]))
        self.state = self.start or first_state(self.drivers, noise, settle)
        length = lengths.between(lengths.SESSION_TURNS, draws.at(slots.PLANNED_LENGTH)) * self.drivers.patience
        self.planned = int(min(max(length, lengths.SHORTEST), lengths.LONGEST))
        self._factors = session_factors("client", self.manner, "", self.seed)

    def hear(self, turn: HeardTherapist, noise: float) -> None:
        """Move the state by a therapist turn; `noise` is slot `HEARING` of the client's next turn."""
        if turn.policy and turn.policy != self._policy:
            self._policy = turn.policy
            self._factors = session_factors("client", self.manner, turn.policy, self.seed)
        behaviour = self.behaviour = turn.behaviour
        evidence = Evidence(
            float(behaviour == 0),
            float(behaviour == 1),
            float(behaviour == 2),
            0.5 * turn.emotional_reactions,
            0.5 * turn.interpretations,
            0.5 * turn.explorations,
            float(turn.fostering),
            float(turn.protecting),
            float(turn.chilling),
            float(turn.tone == "confrontational"),
            float(turn.tone == "cold"),
            self.just_told,
        )
        self.state, self.strain = next_state(self.state, self.drivers, evidence, noise, settle)
        self.just_told = 0.0

    def decide(self, turn: int, draws: Draws) -> ClientPlan:
        """The plan of the client's turn `turn`; `draws` are those of its seed of purpose `turn`."""
        s, factors, at = self.state, self._factors, draws.at
        if self.behaviour is None:
            return self._opening(draws)
        leaving = turn + 2 >= self.planned or (
            s.alliance < BREAK_BELOW and turn >= BREAK_AFTER and at(slots.BREAK) < BREAK_CHANCE
        )
        change, sustain = talk_factors(s, self.drivers, self.strain)
        base = tables().client_weights[self.behaviour]
        talk = pick(
            (
                base[0] * TALK_BALANCE[0] * factors[0] * change,
                base[1] * TALK_BALANCE[1] * factors[1],
                base[2] * TALK_BALANCE[2] * factors[2] * sustain,
            ),
            at(slots.TALK),
        )
        drawn = 1 if self.behaviour in (1, 2) else 0
        length = lengths.between(lengths.client_words()[drawn][talk], at(slots.CLIENT_WORDS))
        words = max(1, int(length * self.drivers.length * factors[3] + 0.5))
        if leaving:
            words = min(max(words, lengths.CLOSING_WORDS[0]), lengths.CLOSING_WORDS[1])
        tells, sensitive = False, False
        if words >= lengths.TELLING_WORDS and not leaving:
            chance = disclosure_chance(s) * factors[4]
            tells = at(slots.TELL) < chance
            sensitive = tells and at(slots.SENSITIVE) < sensitive_chance(s)
        named = words >= lengths.NAMING_WORDS and not leaving and at(slots.PERSON) < PERSON_CHANCE
        shows = words >= lengths.SHOWING_WORDS and at(slots.DISTRESS) < distress_chance(s)
        reliance = reliance_factor(s)
        ending = leaving or turn + ENDING_TURNS >= self.planned
        present = [False] * len(CLIENT_CODES)
        for index in range(len(CLIENT_CODES)):
            if index != ENDING_CODE or ending:
                odds = RELIANCE_ODDS[index] * factors[5 + index] * reliance
                present[index] = at(slots.CLIENT_CODE + index) * (1.0 + odds) < odds
        asks = not leaving and at(slots.ASK) < (ASK_PERSON_CHANCE if present[PERSONHOOD_CODE] else ASK_CHANCE)
        risk = (sensitive or shows) and self.drivers.high_risk > 0.0 and at(slots.RISK) < RISK_CHANCE
        warmth = sensitive or (shows and at(slots.WARMTH) < 0.5)
        words += lengths.CLIENT_CODE_WORDS * sum(present) + (lengths.ASKING_WORDS if asks else 0)
        raised = (leaving, asks, named, risk, shows or risk, warmth)
        told = self.told_sensitive if sensitive else self.told
        available = self.sensitive if sensitive else self.facts
        return ClientPlan(
            talk=TALKS[talk],
            words=words,
            fact=told % available if tells and not sensitive else None,
            sensitive=told % available if sensitive else None,
            person=int(at(slots.WHICH_PERSON) * self.people) if named else None,
            new=tells and told < available,
            agree=talk != 2 and at(slots.AGREE) < AGREE_CHANCE[self.behaviour],
            thank=at(slots.THANK) < (CLOSING_THANK_CHANCE if leaving else THANK_CHANCE * s.alliance),
            answers_question=self.behaviour == 0,
            distress=s.distress,
            present=tuple(code for code, there in zip(CLIENT_CODES, present, strict=True) if there),
            live=tuple(name for name, there in zip(SITUATIONS, raised, strict=True) if there),
            goodbye=leaving,
        )

    def _opening(self, draws: Draws) -> ClientPlan:
        """A client who speaks before any therapist: says why it came, plants no reliance."""
        talk = pick(tables().client_opening, draws.at(slots.TALK))
        length = lengths.between(lengths.client_words()[0][talk], draws.at(slots.CLIENT_WORDS))
        words = max(lengths.TELLING_WORDS, int(length * self.drivers.length * self._factors[3] + 0.5))
        return ClientPlan(talk=TALKS[talk], words=words, distress=self.state.distress, opening=True)

    def said(self, fact: bool, sensitive: bool) -> None:
        """Count what a turn of the client's own told: an ordinary fact, something sensitive, or neither."""
        self.told += fact
        self.told_sensitive += sensitive
        self.just_told = float(sensitive)
