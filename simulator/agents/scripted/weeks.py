"""The scripted client between sessions: how its state moves over days, and how it decides. `docs/courses.md` explains.

The six states of a session go on, and three join them: `support`, how much the client has from people and other help
(0-1); `pull`, whether the last sessions drew it towards the therapist (above 0) or towards others (below 0), -1 to 1;
and `helped`, 1 while it uses other help, else 0. Outside sessions a state returns to the client's usual level by
half-lives; what happened moves it; distress has noise. Decisions are draws from logit weights of the state. Sizes are a
design: with an MI-consistent therapist about a sixth of a general population leaves a course of twelve weekly sessions
(trials: 19.7 %, Swift & Greenberg, Journal of Consulting and Clinical Psychology 80, 2012), and misses one in nine.
"""

import math
from collections.abc import Mapping, Sequence

from simulator.agents.between_sessions import Decision, question_of
from simulator.agents.life_events import LIFE_EVENTS
from simulator.agents.scripted.equations import STATES, Drivers, State, settle
from simulator.records.seeds import Draws

HALF_LIFE = {
    "distress": 14.0,
    "alliance": 45.0,
    "resistance": 28.0,
    "disclosure": 45.0,
    "insight": 90.0,
    "dependence": 35.0,
    "support": 56.0,
    "pull": 10.0,
}
"""Days in which a state covers half of the way back to its usual level."""

NOISE = 0.12
"""Width of the weekly noise of distress for a client of the highest fluctuation."""

HAPPENS: Mapping[str, Mapping[str, float]] = {
    "seek_help": {"distress": -0.04, "support": 0.12, "dependence": -0.05, "helped": 1.0},
    "drop_help": {"distress": 0.02, "support": -0.12, "dependence": 0.03, "helped": -1.0},
    "seek_contact": {"distress": -0.02, "support": 0.10, "dependence": -0.03},
    "drop_contact": {"distress": 0.02, "support": -0.25, "dependence": 0.03},
    **{name: {"distress": event.distress, "support": event.support} for name, event in LIFE_EVENTS.items()},
}
"""How far what happened moves a state: a share of the room above it where positive, of what there is where negative.
Other names move nothing."""

WEIGHTS: Mapping[str, Mapping[str, float]] = {
    "return": {},
    "skip": {"": -1.5, "alliance": -1.6, "resistance": 1.0, "dependence": -2.0},
    "stop": {"": -3.1, "alliance": -2.6, "resistance": 1.0, "dependence": -2.5, "distress": -1.0},
    "stay_away": {},
    "come_back": {"": -3.4, "alliance": 2.0, "distress": 2.0, "dependence": 3.0},
    "wait": {},
    "extra_session": {"": -3.9, "alliance": 1.0, "distress": 2.0, "dependence": 3.5, "support": -1.0},
    "as_before": {},
    "seek_help": {"": -3.7, "distress": 2.5, "dependence": -2.0, "pull": -1.5, "helped": -2.0},
    "drop_help": {"": -9.0, "dependence": 3.0, "pull": 2.0, "helped": 6.0},
    "seek_contact": {"": -2.0, "dependence": -2.5, "support": 1.0, "pull": -2.0},
    "drop_contact": {"": -3.6, "dependence": 3.0, "distress": 1.0, "pull": 2.0},
}
"""Log weight of every option: a constant (under the empty name) and weights of the states' distances from `MIDDLE`."""

MIDDLE = {
    "distress": 0.45,
    "alliance": 0.45,
    "resistance": 0.35,
    "dependence": 0.20,
    "support": 0.45,
    "pull": 0.0,
    "helped": 0.0,
}

Whole = dict[str, float]


def usual_support(loneliness: float) -> float:
    """The support that a client has when nothing moves it."""
    return 0.70 - 0.50 * loneliness


def usual_levels(d: Drivers, loneliness: float, now: Mapping[str, float]) -> Whole:
    """Where the states return to.

    What was understood lasts: insight above its first level lowers distress, as support above .45 does. Who leans on
    the therapist has less of other people: dependence above its first level lowers support.
    """
    insight = 0.20 + 0.15 * d.openness + 0.10 * d.readiness
    dependence = 0.04 + 0.40 * d.proneness
    return {
        "distress": 0.18 + 0.55 * d.severity + 0.20 * (d.neuroticism - 0.5)
        - 0.30 * (now["insight"] - insight) - 0.15 * (now["support"] - MIDDLE["support"]),
        "alliance": 0.36 + 0.20 * (d.agreeableness - 0.5) + 0.15 * (d.trust - 0.5) + d.bond,
        "resistance": 0.10 + 0.60 * d.resistance - 0.10 * d.readiness,
        "disclosure": 0.10 + 0.45 * d.willingness,
        "insight": insight,
        "dependence": dependence,
        "support": usual_support(loneliness) - 0.40 * max(0.0, now["dependence"] - dependence),
        "pull": 0.0,
    }  # fmt: skip


def live(
    now: Mapping[str, float], d: Drivers, loneliness: float, days: float, happened: Sequence[str], seed: int
) -> Whole:
    """The state after `days` in which `happened`; what else it holds (counters) stays as it is.

    Args:
        now: the six states, `support`, `pull` and `helped`.
        d, loneliness: who the client is.
        days: simulated days since the state was `now`.
        happened: life events and own decisions of that time, in order.
        seed: of the noise.
    """
    usual = usual_levels(d, loneliness, now)
    moved = dict(now)
    for name, half_life in HALF_LIFE.items():
        moved[name] = usual[name] + (now[name] - usual[name]) * 0.5 ** (days / half_life)
    for event in happened:
        for name, size in HAPPENS.get(event, {}).items():
            moved[name] += size * (1.0 - moved[name] if size > 0 else moved[name])
    draws = Draws(seed)
    moved["distress"] += NOISE * d.fluctuation * math.sqrt(days / 7.0) * (draws.at(0) + draws.at(1) - 1.0)
    for name in (*STATES, "support"):
        moved[name] = settle(moved[name])
    moved["pull"] = round(moved["pull"], 6)
    return moved


def chances(options: Sequence[str], now: Mapping[str, float]) -> list[float]:
    """The probability of each option of one question, in their order."""
    logs = []
    for option in options:
        weights = WEIGHTS[option]
        logs.append(
            weights.get("", 0.0) + sum(weight * (now[name] - MIDDLE[name]) for name, weight in weights.items() if name)
        )
    top = max(logs)
    raw = [math.exp(log - top) for log in logs]
    return [round(weight / sum(raw), 6) for weight in raw]


def decide(options: Sequence[str], now: Mapping[str, float], seed: int) -> Decision:
    """The option on which the seed's number falls, and the probabilities.

    Raises:
        ValueError: the options belong to no question.
    """
    question_of(options)
    probabilities = chances(options, now)
    mark = Draws(seed).at(0) * sum(probabilities)
    for option, chance in zip(options, probabilities, strict=True):
        if mark < chance:
            return Decision(option, probabilities)
        mark -= chance
    return Decision(options[-1], probabilities)


def states_of(now: Mapping[str, float]) -> State:
    """The six states of a session."""
    return State(*(now[name] for name in STATES))
