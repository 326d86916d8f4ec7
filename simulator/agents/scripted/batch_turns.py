"""The turns of a chunk of sessions, as arrays; see `batch`. Every line mirrors one of the scalar process."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from simulator.agents.scripted import lengths, slots
from simulator.agents.scripted.codes import BEHAVIOURS, CLIENT_CODES, LIVE_WHEN, OUTCOMES, TALKS, THERAPIST_CODES
from simulator.agents.scripted.dynamics import (
    ASK_CHANCE,
    ASK_PERSON_CHANCE,
    ENDING_CODE,
    PERSON_CHANCE,
    PERSONHOOD_CODE,
    RELIANCE_ODDS,
    RISK_CHANCE,
    TALK_BALANCE,
)
from simulator.agents.scripted.dynamics_therapist import REPLY_WEIGHTS, policy_numbers
from simulator.agents.scripted.effects import session_factor_arrays
from simulator.agents.scripted.equations import (
    BREAK_AFTER,
    BREAK_BELOW,
    BREAK_CHANCE,
    ENDING_TURNS,
    STATES,
    Drivers,
    Evidence,
    State,
    disclosure_chance,
    distress_chance,
    first_state,
    next_state,
    reliance_factor,
    sensitive_chance,
    talk_factors,
)
from simulator.agents.scripted.plan import SITUATIONS
from simulator.agents.scripted.tables import tables
from simulator.records.seeds import UInt64Array, turn_seed_array, uniforms

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IndexArray = npt.NDArray[np.intp]

_ROW_TALK, _ROW_LEVEL, _ROW_THERAPIST_CODE, _ROW_CLIENT_CODE, _ROW_OUTCOME, _ROW_SITUATION = 4, 7, 10, 25, 30, 34
"""Where each group starts in `batch.COUNTED`; after the last: therapist turns, client turns, short client turns."""
_OUTCOME_ROW = {name: _ROW_OUTCOME + index for index, name in enumerate(OUTCOMES)}
_TONES = ("confrontational", "cold")


def settle_array(value: FloatArray) -> FloatArray:
    """`equations.settle` of every element."""
    settled: FloatArray = np.floor(np.minimum(np.maximum(value, 0.0), 1.0) * 1e6 + 0.5) / 1e6
    return settled


def _pick(weights: list[FloatArray], u: FloatArray) -> IndexArray:
    """`dynamics.pick` for arrays."""
    total = weights[0]
    for weight in weights[1:]:
        total = total + weight
    mark, reached = u * total, weights[0]
    found = (mark >= reached).astype(np.intp)
    for weight in weights[1:-1]:
        reached = reached + weight
        found += mark >= reached
    return found


@dataclass(slots=True)
class _Heard:
    """The last therapist turn as arrays: what the client's equations need."""

    behaviour: IndexArray
    levels: list[FloatArray]
    fostering: BoolArray
    protecting: BoolArray
    chilling: BoolArray


@dataclass(slots=True)
class ChunkOfSessions:
    """Sessions that are simulated together.

    Args:
        keys: session keys, shape (n,).
        drivers: of the sessions' personas, arrays of shape (n,).
        lasting: persona effects by role, shape (effects, n), with the policy's part; `client_alone` without it.
        planned: planned turns, shape (n,).
        policy: name of the therapist's policy.
    """

    keys: UInt64Array
    drivers: Drivers
    lasting: dict[str, FloatArray]
    client_alone: FloatArray
    planned: FloatArray
    policy: str
    state: State = field(init=False)
    strain: FloatArray = field(init=False)
    just_told: FloatArray = field(init=False)
    client: FloatArray = field(init=False)
    client_before: FloatArray = field(init=False)
    therapist: FloatArray = field(init=False)
    therapist_before: FloatArray = field(init=False)
    talk: IndexArray = field(init=False)
    raised: list[BoolArray] = field(init=False)
    reliance: BoolArray = field(init=False)
    tally: npt.NDArray[np.uint16] = field(init=False)
    sums: FloatArray = field(init=False)
    previous: _Heard | None = None

    def __post_init__(self) -> None:
        seeds = turn_seed_array(self.keys, -1, "client", slots.SESSION)
        noise = (
            uniforms(seeds, slots.FIRST_NOISE[0]),
            uniforms(seeds, slots.FIRST_NOISE[1]),
            uniforms(seeds, slots.FIRST_NOISE[2]),
        )
        self.state = first_state(self.drivers, noise, settle_array)
        self.client = session_factor_arrays("client", self.lasting["client"], seeds)
        self.client_before = session_factor_arrays("client", self.client_alone, seeds)
        seeds = turn_seed_array(self.keys, -1, "therapist", slots.SESSION)
        self.therapist = session_factor_arrays("therapist", self.lasting["therapist"], seeds)
        unknown = np.zeros_like(self.lasting["therapist"])
        self.therapist_before = session_factor_arrays("therapist", unknown, seeds)
        n = len(self.keys)
        self.strain, self.just_told = np.zeros(n), np.zeros(n)
        self.talk, self.reliance = np.full(n, TALKS.index("neutral")), np.zeros(n, dtype=bool)
        self.raised = [np.zeros(n, dtype=bool) for _ in SITUATIONS]
        self.sums = np.zeros((2 * len(STATES) + 2, n))

    def run(
        self, rows: IndexArray, opener: str, max_turns: int, tally: npt.NDArray[np.uint16], sums: FloatArray
    ) -> None:
        """Simulate to the end; columns `rows` of `tally` and `sums` receive what was counted."""
        self.tally = np.zeros((tally.shape[0], len(rows)), dtype=np.uint16)
        therapist_first = opener == "therapist"
        for turn in range(max_turns):
            if (turn % 2 == 0) == therapist_first:
                self.therapist_turn(turn)
                done = self.raised[0] if turn + 1 < max_turns else np.ones(len(rows), dtype=bool)
            else:
                self.client_turn(turn)
                done = np.full(len(rows), turn + 1 == max_turns)
            if done.any():
                tally[:, rows[done]] = self.tally[:, done]
                sums[:, rows[done]] = self.sums[:, done]
                rows = self._keep(~done, rows)
                if not len(rows):
                    return

    def _keep(self, keep: BoolArray, rows: IndexArray) -> IndexArray:
        self.keys, self.planned = self.keys[keep], self.planned[keep]
        self.drivers = Drivers(*(values[keep] for values in self.drivers))
        self.state = State(*(values[keep] for values in self.state))
        self.strain, self.just_told = self.strain[keep], self.just_told[keep]
        self.client, self.therapist = self.client[:, keep], self.therapist[:, keep]
        self.talk, self.reliance = self.talk[keep], self.reliance[keep]
        self.raised = [values[keep] for values in self.raised]
        self.tally, self.sums = self.tally[:, keep], self.sums[:, keep]
        heard = self.previous
        if heard is not None:
            self.previous = _Heard(
                heard.behaviour[keep],
                [level[keep] for level in heard.levels],
                heard.fostering[keep],
                heard.protecting[keep],
                heard.chilling[keep],
            )
        return rows[keep]

    def _hear(self, noise: FloatArray, heard: _Heard) -> None:
        tone = policy_numbers(self.policy).policy.tone
        confronting, cold = (float(tone == name) for name in _TONES)
        evidence = Evidence(
            (heard.behaviour == 0).astype(np.float64),
            (heard.behaviour == 1).astype(np.float64),
            (heard.behaviour == 2).astype(np.float64),
            0.5 * heard.levels[0],
            0.5 * heard.levels[1],
            0.5 * heard.levels[2],
            heard.fostering.astype(np.float64),
            heard.protecting.astype(np.float64),
            heard.chilling.astype(np.float64),
            confronting,
            cold,
            self.just_told,
        )
        self.state, self.strain = next_state(self.state, self.drivers, evidence, noise, settle_array)

    def client_turn(self, turn: int) -> None:
        """Hear the therapist, then decide: mirrors `ClientProcess.hear`, `decide` and `said`."""
        seeds = turn_seed_array(self.keys, turn, "client", "turn")
        heard, d = self.previous, self.drivers
        if heard is None:
            self._client_opens(seeds)
            return
        self._hear(uniforms(seeds, slots.HEARING), heard)
        s = self.state
        leaving = (turn + 2 >= self.planned) | (
            (s.alliance < BREAK_BELOW) & (turn >= BREAK_AFTER) & (uniforms(seeds, slots.BREAK) < BREAK_CHANCE)
        )
        change, sustain = talk_factors(s, d, self.strain)
        base = np.array(tables().client_weights) * np.array(TALK_BALANCE)
        talk = _pick(
            [
                base[heard.behaviour, 0] * self.client[0] * change,
                base[heard.behaviour, 1] * self.client[1],
                base[heard.behaviour, 2] * self.client[2] * sustain,
            ],
            uniforms(seeds, slots.TALK),
        )
        drawn = (heard.behaviour == 1) | (heard.behaviour == 2)
        knots = np.array(lengths.client_words()).reshape(2 * len(TALKS), -1)
        length = lengths.between_arrays(knots, len(TALKS) * drawn + talk, uniforms(seeds, slots.CLIENT_WORDS))
        words = np.maximum(1.0, np.floor(length * d.length * self.client[3] + 0.5))
        low, high = lengths.CLOSING_WORDS
        words = np.where(leaving, np.minimum(np.maximum(words, low), high), words)
        tells = (words >= lengths.TELLING_WORDS) & ~leaving
        tells &= uniforms(seeds, slots.TELL) < disclosure_chance(s) * self.client[4]
        sensitive = tells & (uniforms(seeds, slots.SENSITIVE) < sensitive_chance(s))
        named = (words >= lengths.NAMING_WORDS) & ~leaving & (uniforms(seeds, slots.PERSON) < PERSON_CHANCE)
        shows = (words >= lengths.SHOWING_WORDS) & (uniforms(seeds, slots.DISTRESS) < distress_chance(s))
        reliance, ending = reliance_factor(s), leaving | (turn + ENDING_TURNS >= self.planned)
        present: list[BoolArray] = []
        for index in range(len(CLIENT_CODES)):
            odds = RELIANCE_ODDS[index] * self.client[5 + index] * reliance
            there = uniforms(seeds, slots.CLIENT_CODE + index) * (1.0 + odds) < odds
            present.append(there & ending if index == ENDING_CODE else there)
        ask = np.where(present[PERSONHOOD_CODE], ASK_PERSON_CHANCE, ASK_CHANCE)
        asks = ~leaving & (uniforms(seeds, slots.ASK) < ask)
        risk = (sensitive | shows) & (d.high_risk > 0.0) & (uniforms(seeds, slots.RISK) < RISK_CHANCE)
        warmth = sensitive | (shows & (uniforms(seeds, slots.WARMTH) < 0.5))
        expressed = np.zeros(len(talk), dtype=np.intp)
        for index, there in enumerate(present):
            self.tally[_ROW_CLIENT_CODE + index] += there
            expressed += there
        words += lengths.CLIENT_CODE_WORDS * expressed + lengths.ASKING_WORDS * asks
        self.talk, self.reliance, self.just_told = talk, expressed > 0, sensitive.astype(np.float64)
        self.raised = [leaving, asks, named, risk, shows | risk, warmth]
        self.tally[_OUTCOME_ROW["C"]] += self.reliance
        self._count_client(words)

    def _client_opens(self, seeds: UInt64Array) -> None:
        opening = [np.full(len(seeds), share) for share in tables().client_opening]
        self.talk = _pick(opening, uniforms(seeds, slots.TALK))
        knots = np.array(lengths.client_words()[0])
        length = lengths.between_arrays(knots, self.talk, uniforms(seeds, slots.CLIENT_WORDS))
        words = np.floor(length * self.drivers.length * self.client_before[3] + 0.5)
        self._count_client(np.maximum(lengths.TELLING_WORDS, words))

    def _count_client(self, words: FloatArray) -> None:
        for index in range(len(TALKS)):
            self.tally[_ROW_TALK + index] += self.talk == index
        for index, values in enumerate(self.state):
            self.sums[index] += values
            self.sums[len(STATES) + index] = values
        self.sums[-1] += words
        self.tally[-2] += 1
        self.tally[-1] += words <= 5

    def therapist_turn(self, turn: int) -> None:
        """Decide a therapist turn: mirrors `TherapistProcess.decide` and `said`."""
        seeds = turn_seed_array(self.keys, turn, "therapist", "turn")
        if turn == 0:
            self._therapist_opens(seeds)
            return
        numbers = policy_numbers(self.policy)
        policy, factors, raised = numbers.policy, self.therapist, self.raised
        leaving = raised[0]
        before = np.full(len(seeds), 3) if self.previous is None else self.previous.behaviour
        rows = np.array(numbers.weights).reshape(len(TALKS) * len(BEHAVIOURS), len(BEHAVIOURS))
        row = len(BEHAVIOURS) * self.talk + before
        weights = [rows[row, k] * factors[k] for k in range(len(BEHAVIOURS))]
        weights = [np.where(leaving, w * reply, w) for w, reply in zip(weights, REPLY_WEIGHTS, strict=True)]
        behaviour = _pick(weights, uniforms(seeds, slots.BEHAVIOUR))
        subtype = uniforms(seeds, slots.SUBTYPE)
        called = raised[SITUATIONS.index("distress")] | raised[SITUATIONS.index("warmth_called")]
        knots = np.array(lengths.therapist_words())
        length = lengths.between_arrays(knots, behaviour, uniforms(seeds, slots.THERAPIST_WORDS))
        least = np.array(lengths.LEAST_WORDS, dtype=np.float64)[behaviour]
        words = np.maximum(least, np.floor(length * policy.words * factors[7] + 0.5))
        low, high = lengths.CLOSING_WORDS
        words = np.where(leaving, np.minimum(np.maximum(words, low), high), words)
        shares = (
            np.ones(len(seeds)),
            np.where(behaviour == 1, np.where(subtype < policy.complex_reflection, 1.0, 0.4), 0.0),
            np.where(behaviour == 0, np.where(subtype < policy.open_question, 1.0, 0.5), 0.0),
        )
        levels = []
        mechanisms = (policy.emotional_reactions, policy.interpretations, policy.explorations)
        for index, (mechanism, share) in enumerate(zip(mechanisms, shares, strict=True)):
            usual, when_called = numbers.mechanisms[index]
            odds = np.where(called, when_called, usual) * factors[4 + index]
            chance = odds / (1.0 + odds) * share
            u = uniforms(seeds, slots.EMOTIONAL + index)
            there = u < chance
            levels.append(there + (u < chance * mechanism.strong).astype(np.float64))
            self.tally[_ROW_LEVEL + index] += there
        words += lengths.EMPATHY_WORDS * ((levels[0] > 0) & (behaviour == 3))
        anything = {outcome: np.zeros(len(seeds), dtype=bool) for outcome in ("A", "B", "OVR")}
        for index, code in enumerate(THERAPIST_CODES):
            usual, after = numbers.codes[index]
            if usual == 0.0 and after == 0.0:
                continue
            odds = np.where(self.reliance, after, usual) * factors[8 + index]
            there = uniforms(seeds, slots.THERAPIST_CODE + index) * (1.0 + odds) < odds
            if code in LIVE_WHEN:
                there &= raised[SITUATIONS.index(LIVE_WHEN[code])]
            self.tally[_ROW_THERAPIST_CODE + index] += there
            words += lengths.THERAPIST_CODE_WORDS * there
            for outcome, any_of in anything.items():
                if code in OUTCOMES[outcome]:
                    any_of |= there
        for outcome, any_of in anything.items():
            self.tally[_OUTCOME_ROW[outcome]] += any_of
        for index, holds in enumerate(raised):
            self.tally[_ROW_SITUATION + index] += holds
        self.previous = _Heard(behaviour, levels, anything["A"], anything["B"], anything["OVR"])
        self._count_therapist(behaviour, words)

    def _therapist_opens(self, seeds: UInt64Array) -> None:
        opening = [np.full(len(seeds), share) for share in tables().therapist_opening]
        behaviour = _pick(opening, uniforms(seeds, slots.BEHAVIOUR))
        knots = np.array(lengths.therapist_words())
        length = lengths.between_arrays(knots, behaviour, uniforms(seeds, slots.THERAPIST_WORDS))
        factor = policy_numbers(self.policy).policy.words
        words = np.floor(length * factor * self.therapist_before[7] + 0.5)
        none, zero = np.zeros(len(seeds), dtype=bool), np.zeros(len(seeds))
        self.previous = _Heard(behaviour, [zero, zero, zero], none, none, none)
        self._count_therapist(behaviour, np.maximum(lengths.CLOSING_WORDS[0], words))

    def _count_therapist(self, behaviour: IndexArray, words: FloatArray) -> None:
        for index in range(len(BEHAVIOURS)):
            self.tally[index] += behaviour == index
        self.sums[-2] += words
        self.tally[-3] += 1
