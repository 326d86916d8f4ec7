"""Pictures as SVG that fit any width: horizontal places are percentages, so text and marks never shrink with the page.

Colours are CSS classes (light and dark theme, palettes that colour-blind readers can tell apart); nothing here writes a
style attribute, which the report's content-security policy would refuse. Every picture has a title that says in words
what it shows, the number of clusters included wherever there is an interval.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape

Interval = Mapping[str, Any]
"""An interval as `Interval.to_dict` gives it."""

MARGIN = 3.0
"""Percent of the width left free on both sides, so that marks at the ends of the scale are whole."""
STRIP_HEIGHT = 24


@dataclass(frozen=True, slots=True)
class Axis:
    """A linear scale with round ticks. `digits` is how many decimals tell neighbouring ticks apart."""

    low: float
    high: float
    ticks: tuple[float, ...]
    digits: int

    def at(self, value: float) -> float:
        """Place of a value in percent of the width, cut at the ends."""
        share = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        return MARGIN + (100 - 2 * MARGIN) * min(1.0, max(0.0, share))


def axis_for(values: Sequence[float], *, zero: bool = False, top: float | None = None, ticks: int = 4) -> Axis:
    """An axis that holds all values.

    Args:
        zero: whether it must contain zero.
        top: a value that it must not pass (1 for shares); ignored where a value lies beyond.
        ticks: about how many.
    """
    known = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
    low, high = min(known), max(known)
    if zero:
        low, high = min(low, 0.0), max(high, 0.0)
    if high - low < 1e-9:
        low, high = (low, low + 1e-2) if zero and low == 0.0 else (low - 0.5, high + 0.5)
    raw = (high - low) / ticks
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    if top is not None and last * step > top >= high:
        last = math.floor(top / step + 1e-9)
    marks = tuple(round(number * step, 10) for number in range(first, last + 1))
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    return Axis(marks[0], max(marks[-1], high), marks, digits)


def number(value: float, digits: int, percent: bool = False, sign: bool = False) -> str:
    """A figure for people: `41 %`, `+0.12`; a true minus sign."""
    scaled = 100 * value if percent else value
    text = f"{scaled:+.{digits}f}" if sign else f"{scaled:.{digits}f}"
    if float(text) == 0:
        text = text.lstrip("+-")
    return text.replace("-", "−")


def tick_labels(axis: Axis, percent: bool = False, sign: bool = False) -> Markup:
    """The axis below a column of strips."""
    digits = max(0, axis.digits - 2) if percent else axis.digits
    parts = []
    for place, tick in enumerate(axis.ticks):
        text = number(tick, digits, percent, sign) + (" %" if percent and place == len(axis.ticks) - 1 else "")
        parts.append(f'<text x="{axis.at(tick):.2f}%" y="13">{text}</text>')
    return Markup('<svg class="axis" height="18" aria-hidden="true">{}</svg>').format(Markup("".join(parts)))


def sentence(name: str, interval: Interval, digits: int, percent: bool = False, sign: bool = False) -> str:
    """An interval in words, its clusters always in it."""
    unit = " %" if percent else ""
    if interval["estimate"] is None:
        return f"{name}: nothing to measure ({interval['clusters']} {interval['cluster']})"
    value = number(interval["estimate"], digits, percent, sign)
    limits = "no interval"
    if interval["low"] is not None:
        ends = (number(interval[end], digits, percent, sign) for end in ("low", "high"))
        limits = f"{100 * interval['level']:g} % interval {' to '.join(ends)}"
    flag = f"; {interval['flag']}" if interval["flag"] else ""
    return f"{name}: {value}{unit}, {limits} ({interval['clusters']} {interval['cluster']}{flag})"


def strip(
    name: str,
    intervals: Mapping[str, Interval],
    axis: Axis,
    css: str,
    *,
    digits: int = 1,
    percent: bool = False,
    sign: bool = False,
    marks: Sequence[tuple[float, str, str]] = (),
) -> Markup:
    """One row of a dot plot: a dot with one line per estimand, the wider estimand thin, the narrower thick.

    Args:
        name: what the row shows, for the title.
        intervals: by estimand, the wider one first.
        css: class of the colour.
        marks: further values as (value, class, title): `diamond` or `bar`.
    """
    parts = [f'<line class="grid" x1="{axis.at(t):.2f}%" x2="{axis.at(t):.2f}%" y1="0" y2="100%"/>' for t in axis.ticks]
    if sign and axis.low < 0 < axis.high:
        parts.append(f'<line class="zero" x1="{axis.at(0):.2f}%" x2="{axis.at(0):.2f}%" y1="0" y2="100%"/>')
    middle = STRIP_HEIGHT / 2
    words = []
    estimate, flagged = None, False
    for place, (scope, interval) in enumerate(intervals.items()):
        words.append(sentence(f"{name}, {scope}" if len(intervals) > 1 else name, interval, digits, percent, sign))
        if interval["estimate"] is None:
            continue
        estimate, flagged = interval["estimate"], flagged or bool(interval["flag"])
        if interval["low"] is not None:
            weight = "only" if len(intervals) == 1 else ("outer", "inner")[min(place, 1)]
            dashed = " flagged" if interval["flag"] else ""
            low, high = axis.at(interval["low"]), axis.at(interval["high"])
            parts.append(
                f'<line class="ci {weight}{dashed}" x1="{low:.2f}%" x2="{high:.2f}%" y1="{middle}" y2="{middle}"/>'
            )
    for value, kind, title in marks:
        parts.append(_mark(axis.at(value), middle, kind, title))
    if estimate is not None:
        hollow = " hollow" if flagged else ""
        parts.append(f'<circle class="dot{hollow}" cx="{axis.at(estimate):.2f}%" cy="{middle}" r="4.5"/>')
    return Markup('<svg class="strip {}" height="{}" role="img"><title>{}</title>{}</svg>').format(
        css, STRIP_HEIGHT, ". ".join(words), Markup("".join(parts))
    )


def _mark(at: float, middle: float, kind: str, title: str) -> str:
    """A further value on a strip, in a nested coordinate system so that it keeps its shape at any width."""
    shape = {
        "diamond": f'<path d="M0 -5.5 L5.5 0 L0 5.5 L-5.5 0 Z" class="diamond" transform="translate(0 {middle})"/>'
    }
    bar = f'<line class="bar" x1="0" x2="0" y1="{middle - 8}" y2="{middle + 8}"/>'
    return f'<svg x="{at:.2f}%" overflow="visible">{shape.get(kind, bar)}<title>{escape(title)}</title></svg>'


def stacked(name: str, parts: Sequence[tuple[str, float, str]]) -> Markup:
    """A bar of shares that sum to one: (label, share, class) from left to right, a percentage where there is room."""
    pieces, at = [], 0.0
    for label, share, css in parts:
        width = 100 * share
        pieces.append(
            f'<g class="{css}"><title>{escape(label)}: {width:.1f} %</title>'
            f'<rect x="{at:.2f}%" width="{max(width - 0.15, 0):.2f}%" height="100%"/></g>'
        )
        if width >= 12:
            pieces.append(f'<text class="inside {css}" x="{at + width / 2:.2f}%" y="50%" dy="4">{width:.0f} %</text>')
        at += width
    words = f"{name}: " + ", ".join(f"{label} {100 * share:.1f} %" for label, share, _ in parts)
    return Markup('<svg class="stacked" height="23" role="img"><title>{}</title>{}</svg>').format(
        words, Markup("".join(pieces))
    )


def histogram(values: Sequence[float], title: str, marks: Sequence[tuple[float, str]], bins: int = 36) -> Markup:
    """How values are spread, and three of their quantiles (value, label) as lines.

    The last column collects the longest few where one of them would squeeze the others together.
    """
    cut = 3.0 * marks[-1][0]
    longest = max(values)
    axis = axis_for([min(value, cut) for value in values], zero=True, ticks=6)
    counts = [0] * bins
    for value in values:
        counts[min(bins - 1, int((value - axis.low) / (axis.high - axis.low) * bins))] += 1
    top, width = max(counts), (100 - 2 * MARGIN) / bins
    parts = [
        f'<rect class="column" x="{MARGIN + k * width + 0.12:.2f}%" width="{max(width - 0.24, 0.2):.2f}%" '
        f'y="{30 + 60 * (1 - count / top):.1f}" height="{60 * count / top:.1f}" rx="1"/>'
        for k, count in enumerate(counts)
        if count
    ]
    for (value, label), anchor in zip(marks, ("end", "middle", "start"), strict=True):
        x, low = axis.at(value), anchor == "middle"
        side = {"end": -0.8, "middle": 0.0, "start": 0.8}[anchor]
        parts.append(f'<line class="marker" x1="{x:.2f}%" x2="{x:.2f}%" y1="{14 if low else 17}" y2="90"/>')
        place = f'text-anchor="{anchor}" x="{x + side:.2f}%" y="{10 if low else 26}"'
        parts.append(f'<text class="marker" {place}>{escape(label)}</text>')
    parts.append('<line class="base" x1="0" x2="100%" y1="90.5" y2="90.5"/>')
    for tick in axis.ticks:
        more = " or more" if tick == axis.ticks[-1] and longest > tick else ""
        parts.append(f'<text x="{axis.at(tick):.2f}%" y="106">{tick:g}{more}</text>')
    return Markup('<svg class="histogram" height="112" role="img"><title>{}</title>{}</svg>').format(
        title, Markup("".join(parts))
    )
