"""Plots of a finished run as PNG pictures: estimates by group with their intervals, one for each behaviour and scale.

Made from `report.json`. An interval that carries a flag is drawn hollow and thin; what the intervals are, and how many
clusters they stand on, is written below each picture.
"""

import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Interval = Mapping[str, Any]

WIDTH, LINE, TOP, BOTTOM, LEFT, RIGHT = 760, 26, 62, 66, 190, 70
_LAST = ("course_end", "session_end")
"""The moments that a picture of a score prefers."""
_INK, _GREY, _FAINT, _BLUE = "#1d2733", "#5b6773", "#dde2e7", "#2563a8"


@dataclass(frozen=True, slots=True)
class Plot:
    """What one picture shows."""

    name: str
    title: str
    rows: list[tuple[str, str, Interval]]
    """Group, estimand, interval."""
    percent: bool = False


def plots_of(summary: Mapping[str, Any], most: int) -> list[Plot]:
    """Behaviours by group, as the last coder that is not the plan itself counted them, then scores at their end."""
    found: list[Plot] = []
    parts = [part for part in summary["behaviours"] if part["probes"] == "all"]
    if parts:
        part = next((part for part in reversed(parts) if part["coder"] != "planted"), parts[-1])
        for (codebook, behaviour), rows in _by(part["rows"], "codebook", "behaviour").items():
            title = f"{codebook}: {behaviour}, share as coded by {part['coder']}"
            found.append(Plot(f"{codebook}_{behaviour}", title, _widest(rows, "shares"), percent=True))
    for (instrument, scale, respondent), rows in _by(summary["scores"], "instrument", "scale", "respondent").items():
        last = min({row["moment"] for row in rows}, key=lambda moment: (moment not in _LAST, moment))
        title = f"{instrument} {scale}, {respondent}, mean at {last}"
        means = _widest([row for row in rows if row["moment"] == last], "means")
        found.append(Plot(f"{instrument}_{scale}_{respondent}", title, means))
    return [plot for plot in found if plot.rows][:most]


def draw(plot: Plot, origin: str) -> bytes:
    """A picture as PNG.

    Args:
        plot: what it shows.
        origin: what spoke, written below it: nothing scripted looks like a language model.
    """
    from PIL import Image, ImageDraw, ImageFont

    height = TOP + LINE * len(plot.rows) + BOTTOM
    image = Image.new("RGB", (WIDTH, height), "white")
    pen = ImageDraw.Draw(image)
    font, small = ImageFont.load_default(14), ImageFont.load_default(11)
    ends = [row[end] for *_, row in plot.rows for end in ("low", "estimate", "high") if row[end] is not None]
    ticks = _ticks([0.0, *ends] if plot.percent else ends)

    def x(value: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (value - ticks[0]) / (ticks[-1] - ticks[0])

    scale = 100 if plot.percent else 1
    pen.text((16, 14), plot.title, fill=_INK, font=ImageFont.load_default(16))
    floor = height - BOTTOM + 6
    for tick in ticks:
        pen.line([(x(tick), TOP - 14), (x(tick), floor)], fill=_FAINT)
        pen.text((x(tick), floor + 4), f"{scale * tick:g}{' %' * plot.percent}", fill=_GREY, font=small, anchor="ma")
    for place, (label, _, interval) in enumerate(plot.rows):
        y = TOP + LINE * place
        pen.text((LEFT - 12, y), label[:26], fill=_INK, font=font, anchor="rm")
        if interval["estimate"] is None:
            pen.text((WIDTH - RIGHT + 12, y), "none", fill=_GREY, font=font, anchor="lm")
            continue
        if interval["low"] is not None:
            pen.line([(x(interval["low"]), y), (x(interval["high"]), y)], _BLUE, 1 if interval["flag"] else 3)
        dot = [(x(interval["estimate"]) - 5, y - 5), (x(interval["estimate"]) + 5, y + 5)]
        pen.ellipse(dot, fill="white" if interval["flag"] else _BLUE, outline=_BLUE, width=2)
        figure = f"{scale * interval['estimate']:.3g}"
        pen.text((WIDTH - RIGHT + 12, y), figure, fill=_INK, font=font, anchor="lm")
    pen.text((16, height - 34), _foot(plot.rows), fill=_GREY, font=small)
    pen.text((16, height - 18), origin, fill=_GREY, font=small)
    content = io.BytesIO()
    image.save(content, "PNG", optimize=False)
    return content.getvalue()


def _foot(rows: Sequence[tuple[str, str, Interval]]) -> str:
    intervals = [interval for *_, interval in rows]
    first = intervals[0]
    counts = sorted({interval["clusters"] for interval in intervals})
    many = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    flagged = " Hollow: flagged, see the tables." if any(interval["flag"] for interval in intervals) else ""
    what = f"{100 * first['level']:g} % intervals about {rows[0][1]}"
    return f"{what}: {first['method']}. {many} {first['cluster']} each.{flagged}"


def _by(rows: Sequence[Mapping[str, Any]], *keys: str) -> dict[tuple[Any, ...], list[Mapping[str, Any]]]:
    found: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault(tuple(row[key] for key in keys), []).append(row)
    return found


def _widest(rows: Sequence[Mapping[str, Any]], key: str) -> list[tuple[str, str, Interval]]:
    """Groups with the widest estimand and its interval."""
    return [(str(row["group"]), *next(iter(row[key].items()))) for row in rows if row[key]]


def _ticks(values: Sequence[float]) -> list[float]:
    """Round marks from below the least value to above the greatest."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    span = (high - low) or 1.0
    power: float = 10 ** math.floor(math.log10(span / 5))
    step = power * next(factor for factor in (1, 2, 5, 10) if factor * power * 6 >= span)
    return list(_steps(math.floor(low / step), math.ceil((low + span) / step), step))


def _steps(first: int, last: int, step: float) -> Iterator[float]:
    return (round(number * step, 10) for number in range(first, last + 1))
