"""The planted process of a therapist in one session, in plain floats; `dynamics` has the client's.

The therapist responds to what it hears: the talk type, the situations that the client's turn raises, whether reliance
was expressed, and the client's manner (see `effects`).
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from simulator.agents.scripted import lengths, slots
from simulator.agents.scripted.codes import BEHAVIOURS, LIVE_WHEN, TALKS, THERAPIST_CODES
from simulator.agents.scripted.dynamics import pick
from simulator.agents.scripted.effects import session_factors
from simulator.agents.scripted.plan import TherapistPlan
from simulator.agents.scripted.policies import Policy, load_policy
from simulator.agents.scripted.tables import Row, tables
from simulator.records.seeds import Draws

REPLY_WEIGHTS = (0.0, 0.4, 0.4, 2.0)
"""Factors on the weights of the therapist's behaviours in answer to a goodbye."""

REST = 8
"""A disclosure that was said back is left alone for so many of the therapist's own turns."""

HABIT_ACKNOWLEDGES, HABIT_BEGINS = 0.55, 0.5
"""Chance that a turn of one or two words is the habitual one; that a longer turn begins in the habitual way, times a
uniform number of the session's."""


@dataclass(slots=True)
class HeardClient:
    """A client turn as the therapist hears it. `talk` is an index; `raised` are the situations that it opens."""

    talk: int = TALKS.index("neutral")
    raised: tuple[str, ...] = ()
    reliance: bool = False
    probe: str | None = None
    manner: int | None = None
    fact: int | None = None
    person: int | None = None


@dataclass(frozen=True, slots=True)
class PolicyNumbers:
    """A policy as the process uses it: `weights[talk][previous]` of the behaviours; odds of mechanisms (usual, called)
    and of codes (usual, after reliance), in the order of `THERAPIST_CODES`."""

    policy: Policy
    weights: tuple[tuple[Row, ...], ...]
    mechanisms: tuple[tuple[float, float], ...]
    codes: tuple[tuple[float, float], ...]


def odds_of(chance: float) -> float:
    """Odds of a chance below one."""
    return chance / (1.0 - chance)


@lru_cache(maxsize=64)
def policy_numbers(name: str) -> PolicyNumbers:
    """The numbers of a shipped policy.

    Raises:
        UserError: there is no such policy.
    """
    policy = load_policy(name)
    sustain = TALKS.index("sustain")
    weights = tuple(
        tuple(
            tuple(
                weight * math.exp(policy.shift(behaviour, talk == sustain))
                for weight, behaviour in zip(row, BEHAVIOURS, strict=True)
            )
            for row in rows
        )
        for talk, rows in enumerate(tables().therapist_weights)
    )
    mechanisms = (policy.emotional_reactions, policy.interpretations, policy.explorations)
    codes = tuple(policy.codes.get(code) for code in THERAPIST_CODES)
    return PolicyNumbers(
        policy,
        weights,
        tuple((odds_of(m.usual), odds_of(m.called)) for m in mechanisms),
        tuple((odds_of(c.usual), odds_of(c.reliance)) if c else (0.0, 0.0) for c in codes),
    )


@dataclass(slots=True)
class TherapistProcess:
    """A scripted therapist in one session. `seed` is the session's seed of the therapist's role."""

    policy: str
    seed: int
    previous: int | None = None
    heard: HeardClient | None = None
    person: int | None = None
    _told: list[int] = field(default_factory=list)
    _said_back: dict[int, int] = field(default_factory=dict)
    _turns: int = 0
    _manner: int | None = None
    _numbers: PolicyNumbers = field(init=False)
    _factors: list[float] = field(init=False)

    def __post_init__(self) -> None:
        self._numbers = policy_numbers(self.policy)
        self._factors = session_factors("therapist", None, self.policy, self.seed)

    def hear(self, turn: HeardClient) -> None:
        """Take in a client turn."""
        if turn.manner is not None and turn.manner != self._manner:
            self._manner = turn.manner
            self._factors = session_factors("therapist", turn.manner, self.policy, self.seed)
        self.heard = turn
        if turn.fact is not None:
            if turn.fact in self._told:
                self._told.remove(turn.fact)
            self._told.insert(0, turn.fact)
        self.person = turn.person if turn.person is not None else self.person

    def recall(self, disclosures: Iterable[int]) -> None:
        """Know disclosures of an earlier session, the last of them as the newest."""
        self._told = [*reversed(list(disclosures)), *self._told]

    def said(self, behaviour: int, back: Iterable[int] = ()) -> None:
        """Count a turn of the therapist's own; `back` are the disclosures that it said back."""
        self.previous = behaviour
        self._turns += 1
        for fact in back:
            self._said_back[fact] = self._turns

    def _due(self) -> list[int]:
        """The disclosures that may be said back now: what never was first, then what was longest ago."""
        said, rested = self._said_back, self._turns - REST
        due = (fact for fact in self._told if fact not in said or said[fact] <= rested)
        return sorted(due, key=lambda fact: said.get(fact, 0))

    def _habit(self, words: int, u: float) -> int | None:
        own = Draws(self.seed).at
        chance = HABIT_ACKNOWLEDGES if words <= 2 else HABIT_BEGINS * own(slots.HABIT_STRENGTH)
        return int(own(slots.HABIT) * 1e6) if u < chance else None

    def decide(self, turn: int, draws: Draws) -> TherapistPlan:
        """The plan of the therapist's turn `turn`; `draws` are those of its seed of purpose `turn`."""
        numbers, factors, at = self._numbers, self._factors, draws.at
        policy, heard = numbers.policy, self.heard
        if heard is None:
            return self._opening(draws)
        raised = heard.raised
        leaving = "departure" in raised
        row = numbers.weights[heard.talk][3 if self.previous is None else self.previous]
        weights: Row = (row[0] * factors[0], row[1] * factors[1], row[2] * factors[2], row[3] * factors[3])
        if leaving:
            weights = tuple(w * r for w, r in zip(weights, REPLY_WEIGHTS, strict=True))
        behaviour = pick(weights, at(slots.BEHAVIOUR))
        subtype = at(slots.SUBTYPE)
        is_open, is_complex = subtype < policy.open_question, subtype < policy.complex_reflection
        called = "distress" in raised or "warmth_called" in raised
        length = lengths.between(lengths.therapist_words()[behaviour], at(slots.THERAPIST_WORDS))
        words = max(lengths.LEAST_WORDS[behaviour], int(length * policy.words * factors[7] + 0.5))
        if leaving:
            words = min(max(words, lengths.CLOSING_WORDS[0]), lengths.CLOSING_WORDS[1])
        empathy = self._level(0, called, 1.0, at(slots.EMOTIONAL))
        if empathy and behaviour == 3:
            words += lengths.EMPATHY_WORDS
        interpreting = exploring = 0
        if behaviour == 1:
            interpreting = self._level(1, called, 1.0 if is_complex else 0.4, at(slots.INTERPRETING))
        elif behaviour == 0:
            exploring = self._level(2, called, 1.0 if is_open else 0.5, at(slots.EXPLORING))
        present = tuple(code for index, code in enumerate(THERAPIST_CODES) if self._does(index, code, heard, at))
        words += lengths.THERAPIST_CODE_WORDS * len(present)
        picks_up = behaviour == 1 or at(slots.PICK_UP) < 0.25
        due = self._due()
        return TherapistPlan(
            behaviour=BEHAVIOURS[behaviour],
            words=words,
            open_question=is_open,
            complex_reflection=is_complex,
            emotional_reactions=empathy,
            interpretations=interpreting,
            explorations=exploring,
            present=present,
            live=raised,
            fact=due[0] if picks_up and due else None,
            also=due[1] if len(due) > 1 else None,
            person=self.person if "outside_support" in raised else None,
            goodbye=leaving,
            checks=behaviour != 0 and not leaving and not present and at(slots.CHECK) < policy.checks,
            habit=None if leaving else self._habit(words, at(slots.BEGIN)),
            tone=policy.tone,
        )

    def _level(self, mechanism: int, called: bool, share: float, u: float) -> int:
        odds = self._numbers.mechanisms[mechanism][called] * self._factors[4 + mechanism]
        chance = odds / (1.0 + odds) * share
        if u >= chance:
            return 0
        policy = self._numbers.policy
        strong = (policy.emotional_reactions, policy.interpretations, policy.explorations)[mechanism].strong
        return 2 if u < chance * strong else 1

    def _does(self, index: int, code: str, heard: HeardClient, at: Callable[[int], float]) -> bool:
        odds = self._numbers.codes[index][heard.reliance]
        if heard.probe is not None:
            answer = self._numbers.policy.probes.get(heard.probe)
            if answer is not None and code in answer:
                odds = odds_of(answer[code])
        if odds == 0.0 or (code in LIVE_WHEN and LIVE_WHEN[code] not in heard.raised):
            return False
        odds = odds * self._factors[8 + index]
        return at(slots.THERAPIST_CODE + index) * (1.0 + odds) < odds

    def _opening(self, draws: Draws) -> TherapistPlan:
        """A therapist who speaks before any client: opens, plants nothing beyond the behaviour."""
        behaviour = pick(tables().therapist_opening, draws.at(slots.BEHAVIOUR))
        length = lengths.between(lengths.therapist_words()[behaviour], draws.at(slots.THERAPIST_WORDS))
        words = max(lengths.CLOSING_WORDS[0], int(length * self._numbers.policy.words * self._factors[7] + 0.5))
        return TherapistPlan(
            behaviour=BEHAVIOURS[behaviour],
            words=words,
            open_question=draws.at(slots.SUBTYPE) < self._numbers.policy.open_question,
            opening=True,
            tone=self._numbers.policy.tone,
        )
