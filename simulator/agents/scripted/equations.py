"""The equations of the client's latent state. Each holds for one session (floats) and for many (arrays).

Only additions, multiplications and comparisons occur, so that both give the same bits; `settle` (below, and its array
twin in `batch`) clips to [0, 1] and rounds to six decimals after every turn. `docs/reference-dyad.md` explains them.
All states, traits and evidence are on 0-1 unless stated.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

Value = Any
"""A float or a float64 array; every argument of one call has the same shape."""

STATES = ("distress", "alliance", "resistance", "disclosure", "insight", "dependence")

ENDING_TURNS = 6
"""Turns before the planned end in which the ending can distress the client."""

BREAK_BELOW, BREAK_AFTER, BREAK_CHANCE = 0.15, 8, 0.15
"""A client whose alliance is below the first, after so many turns, leaves with this chance per turn."""


class State(NamedTuple):
    """The latent state of a client."""

    distress: Value
    alliance: Value
    resistance: Value
    disclosure: Value
    insight: Value
    dependence: Value


class Drivers(NamedTuple):
    """What the persona contributes. `severity` is the mean of PHQ-9 and GAD-7 as fractions of their ranges, `readiness`
    the stage of change and `bond` the attachment style as numbers (see `traits`), `proneness` the mean of dependence
    proneness, loneliness and companionship seeking, `length` a factor on turn lengths, `patience` on session lengths,
    `high_risk` 0 or 1."""

    severity: Value
    neuroticism: Value
    resistance: Value
    fluctuation: Value
    willingness: Value
    openness: Value
    agreeableness: Value
    trust: Value
    readiness: Value
    bond: Value
    proneness: Value
    length: Value
    patience: Value
    high_risk: Value


class Evidence(NamedTuple):
    """What the client hears in a therapist turn. `empathy`, `interpreting`, `exploring` are EPITOME levels halved;
    `asked`, `reflected`, `informed` the main behaviour; `fostering`, `protecting`, `chilling` any code of outcome A, B,
    OVR; `confronting`, `cold` the tone; `told` 1 where the client's last turn told something sensitive, else 0."""

    asked: Value
    reflected: Value
    informed: Value
    empathy: Value
    interpreting: Value
    exploring: Value
    fostering: Value
    protecting: Value
    chilling: Value
    confronting: Value
    cold: Value
    told: Value


def settle(value: float) -> float:
    """Clip to [0, 1] and round to six decimals."""
    return 0.0 if value <= 0.0 else 1.0 if value >= 1.0 else int(value * 1e6 + 0.5) / 1e6


def first_state(d: Drivers, noise: tuple[Value, Value, Value], settle: Callable[[Value], Value]) -> State:
    """The state at the start of a session; `noise` are three uniform numbers of the session."""
    return State(
        settle(0.18 + 0.55 * d.severity + 0.20 * (d.neuroticism - 0.5) + 0.16 * (noise[0] - 0.5)),
        settle(0.36 + 0.20 * (d.agreeableness - 0.5) + 0.15 * (d.trust - 0.5) + d.bond + 0.16 * (noise[1] - 0.5)),
        settle(0.10 + 0.60 * d.resistance - 0.10 * d.readiness + 0.12 * (noise[2] - 0.5)),
        settle(0.10 + 0.45 * d.willingness),
        settle(0.20 + 0.15 * d.openness + 0.10 * d.readiness),
        settle(0.04 + 0.40 * d.proneness),
    )


def warmth_of(e: Evidence) -> Value:
    """How warm and understanding the turn is, 0-1."""
    return 0.35 * e.empathy + 0.25 * e.reflected + 0.20 * e.interpreting + 0.20 * e.exploring


def strain_of(e: Evidence, resistance: Value) -> Value:
    """How much the turn strains the relation, 0-1. Unasked information weighs more where resistance is high."""
    return 0.45 * e.confronting + 0.15 * e.cold + (0.05 + 0.20 * resistance) * e.informed + 0.20 * e.chilling


def next_state(
    s: State, d: Drivers, e: Evidence, noise: Value, settle: Callable[[Value], Value]
) -> tuple[State, Value]:
    """The state after hearing a therapist turn, and the strain felt. `noise` is one uniform number of the coming turn.

    Every line moves a state up by a share of the room above it and down by a share of what there is.
    """
    warm, strain = warmth_of(e), strain_of(e, s.resistance)
    slack = 1.0 - s.alliance
    return (
        State(
            settle(
                s.distress
                + (0.06 * strain + 0.05 * e.told) * (1.0 - s.distress)
                - (0.06 * warm * s.alliance + 0.01 * s.insight) * s.distress
                + 0.16 * d.fluctuation * (noise - 0.5)
            ),
            settle(
                s.alliance
                + (0.13 * warm * (1.2 - 0.8 * s.resistance) + 0.02 * e.fostering * d.proneness) * slack
                - 0.10 * strain * (0.5 + s.resistance) * s.alliance
            ),
            settle(
                s.resistance
                + 0.12 * strain * (1.0 - s.resistance)
                - (0.05 * warm + 0.02 * e.asked * slack) * s.resistance
            ),
            settle(
                s.disclosure
                + (0.14 * warm + 0.05 * e.asked) * s.alliance * (1.0 - s.disclosure)
                - 0.10 * strain * s.disclosure
            ),
            settle(
                s.insight
                + (0.04 * e.interpreting + 0.02 * e.reflected + 0.03 * e.exploring + 0.012 * e.asked)
                * (0.5 + d.openness)
                * s.alliance
                * (1.0 - s.insight)
                - 0.02 * strain * s.insight
            ),
            settle(
                s.dependence
                + (0.06 * e.fostering * (0.2 + d.proneness) + 0.008 * warm * d.proneness) * (1.0 - s.dependence)
                - (0.04 * e.protecting + 0.01 * strain) * s.dependence
            ),
        ),
        strain,
    )


def talk_factors(s: State, d: Drivers, strain: Value) -> tuple[Value, Value]:
    """Factors on the weights of change and sustain talk; near 1 for a usual client of the MI-consistent policy."""
    change = 0.25 + 1.0 * s.insight + 0.5 * s.alliance + 0.25 * d.readiness
    sustain = 0.35 + 1.5 * s.resistance + 0.8 * strain
    return change, sustain


def reliance_factor(s: State) -> Value:
    """Factor on the odds of every reliance code; 1 at a dependence of .34."""
    return 0.08 + 8.0 * s.dependence * s.dependence


def disclosure_chance(s: State) -> Value:
    """Chance to tell a fact in a turn that is long enough."""
    return 0.08 + 0.55 * s.disclosure


def sensitive_chance(s: State) -> Value:
    """Chance that what is told is sensitive; none without trust."""
    return 0.9 * (s.alliance - 0.35) * s.disclosure


def distress_chance(s: State) -> Value:
    """Chance to show distress in a turn that is long enough; none at low distress."""
    return 1.8 * (s.distress - 0.32)
