"""Line charts with ribbons: how something moves through the session, one small chart per state or group.

Lines live in an inner coordinate system that stretches with the page; labels stand at their right ends, moved apart
where they would overlap, and keep their size at any width.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from simulator.reporting.plots import Axis, Interval, number, sentence

TOP, HEIGHT, BOTTOM = 10, 150, 24
LEFT = 11.0
"""Where the lines begin, in percent of the width."""
LABEL_GAP = 14.5
"""Smallest vertical distance between two labels, in pixels."""


@dataclass(frozen=True, slots=True)
class Series:
    """A line: points as (place from 0 to 1, interval), in order. `css` is the class of its colour."""

    label: str
    css: str
    points: Sequence[tuple[float, Interval]]


def line_chart(
    title: str, series: Sequence[Series], axis: Axis, *, percent: bool = False, ends: tuple[str, str] = ("start", "end")
) -> Markup:
    """A chart of several lines over the session (or a course), from its start to its end, which are called `ends`."""
    right = max(54.0, 94.0 - 1.75 * max((len(line.label) for line in series), default=0))
    inner, words = [], [title]
    for line in series:
        known = [(place, each) for place, each in line.points if each["estimate"] is not None]
        if not known:
            continue
        inner.append(f'<g class="line {line.css}" data-series="{escape(line.label)}">{_ribbon(known, axis)}')
        path = " ".join(f"{100 * place:.1f},{_y(axis, each['estimate']):.2f}" for place, each in known)
        inner.append(f'<polyline points="{path}"/></g>')
        words.append(sentence(f"{line.label} at the end", known[-1][1], 1 if percent else 2, percent))
    outer = _grid(axis, percent, right, ends)
    labels = _labels(series, axis, right)
    return Markup(
        '<svg class="lines" height="{height}" role="img"><title>{words}</title>{grid}'
        '<svg x="{left}%" y="{top}" width="{width}%" height="{inner_height}" viewBox="0 0 100 100" '
        'preserveAspectRatio="none" overflow="visible">{inner}</svg>{labels}</svg>'
    ).format(
        height=TOP + HEIGHT + BOTTOM, words=". ".join(words), grid=Markup(outer), left=LEFT, top=TOP,
        width=right - LEFT, inner_height=HEIGHT, inner=Markup("".join(inner)), labels=Markup(labels),
    )  # fmt: skip


def _y(axis: Axis, value: float) -> float:
    share = (value - axis.low) / (axis.high - axis.low)
    return 100 * (1 - min(1.0, max(0.0, share)))


def _ribbon(points: Sequence[tuple[float, Interval]], axis: Axis) -> str:
    whole = [(place, each) for place, each in points if each["low"] is not None]
    if len(whole) < 2:
        return ""
    upper = [f"{100 * place:.1f},{_y(axis, each['high']):.2f}" for place, each in whole]
    lower = [f"{100 * place:.1f},{_y(axis, each['low']):.2f}" for place, each in reversed(whole)]
    return f'<polygon points="{" ".join(upper + lower)}"/>'


def _grid(axis: Axis, percent: bool, right: float, ends: tuple[str, str]) -> str:
    digits = max(0, axis.digits - 2) if percent else axis.digits
    parts = []
    for tick in axis.ticks:
        y = TOP + HEIGHT * _y(axis, tick) / 100
        text = number(tick, digits, percent) + (" %" if percent and tick == axis.ticks[-1] else "")
        parts.append(f'<line class="grid" x1="{LEFT}%" x2="{right}%" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text text-anchor="end" x="{LEFT - 1.5}%" y="{y + 3.5:.1f}">{text}</text>')
    base = TOP + HEIGHT + 16
    parts.append(
        f'<text text-anchor="start" x="{LEFT}%" y="{base}">{escape(ends[0])}</text>'
        f'<text text-anchor="end" x="{right}%" y="{base}">{escape(ends[1])}</text>'
    )
    return "".join(parts)


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Places near `wanted` (in any order) that are at least `gap` apart and, where there is room, inside low..high."""
    order = sorted(range(len(wanted)), key=lambda k: wanted[k])
    places = [0.0] * len(wanted)
    at = low - gap
    for k in order:
        at = places[k] = max(wanted[k], at + gap)
    at = high + gap
    for k in reversed(order):
        at = places[k] = min(places[k], at - gap)
    return places


def _labels(series: Sequence[Series], axis: Axis, right: float) -> str:
    ends: Mapping[int, float] = {
        k: TOP + HEIGHT * _y(axis, known[-1]) / 100
        for k, line in enumerate(series)
        if (known := [each["estimate"] for _, each in line.points if each["estimate"] is not None])
    }
    places = spread(list(ends.values()), LABEL_GAP, TOP + 2.0, TOP + HEIGHT + 8.0)
    parts = []
    for (k, y), place in zip(ends.items(), places, strict=True):
        line = series[k]
        parts.append(
            f'<g class="label {line.css}" data-series="{escape(line.label)}">'
            f'<line x1="{right}%" x2="{right + 3}%" y1="{y:.1f}" y2="{place:.1f}"/>'
            f'<text text-anchor="start" x="{right + 4}%" y="{place + 4:.1f}">{escape(line.label)}</text></g>'
        )
    return "".join(parts)
