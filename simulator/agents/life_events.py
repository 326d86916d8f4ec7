"""What happens to a client outside sessions: events with their chance per week. A design, not an epidemiology.

Whoever plays the client is told of an event in words (it is a note in its memory); the scripted client's state moves by
`distress` and `support`. At most one event happens in a week; the chances add up to about one event in seven weeks.
"""

from typing import NamedTuple

from simulator.records.seeds import Draws


class LifeEvent(NamedTuple):
    """One kind of event. `distress` and `support` say how far the scripted client's state moves: a share of the room
    above it where positive, of what there is where negative."""

    chance: float
    distress: float
    support: float
    text: str


LIFE_EVENTS = {
    "conflict": LifeEvent(0.035, 0.14, -0.15, "there was an argument with somebody close"),
    "setback": LifeEvent(0.035, 0.16, 0.0, "something went wrong at work or with money"),
    "loss": LifeEvent(0.010, 0.30, -0.20, "somebody close died or moved away"),
    "illness": LifeEvent(0.015, 0.12, 0.0, "an illness came up"),
    "good_news": LifeEvent(0.030, -0.15, 0.0, "there was good news"),
    "new_acquaintance": LifeEvent(0.015, -0.08, 0.15, "somebody new came into the client's life"),
}
"""The events by name, in the order in which the drawn number passes them."""


def draw_event(seed: int) -> str | None:
    """The event of one week, or None in most weeks."""
    mark = Draws(seed).at(0)
    for name, event in LIFE_EVENTS.items():
        if mark < event.chance:
            return name
        mark -= event.chance
    return None
