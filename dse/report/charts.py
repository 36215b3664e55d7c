"""Charts as inline SVG: points, steps and lines on linear or logarithmic axes.

They need no library in the page: colours come from its style sheet by class, and a mark says its
values in ``data-tip``. Everything that is text is escaped.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from markupsafe import Markup

#: Size of a chart in its own units, about those of a phone's pixels; it scales with its column.
WIDTH, HEIGHT = 380, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 10, 10, 36
#: Marks of one series; beyond it they are thinned out.
_MOST = 700


@dataclass(frozen=True)
class Series:
    """One series of a chart.

    Attributes:
        name: in the legend.
        points: x and y.
        tips: what each point says; as many as points, or none.
        kind: dots, a line, or steps that hold each value to the next x.
        color: class of the style sheet, as ``c0``.
    """

    name: str
    points: Sequence[tuple[float, float]]
    tips: Sequence[str] = ()
    kind: Literal["dots", "line", "step"] = "dots"
    color: str = "c0"


@dataclass(frozen=True)
class Axis:
    """An axis with its range; where logarithmic, values of 0 or less are not drawn."""

    label: str
    log: bool = False
    least: float | None = None
    most: float | None = None
    names: dict[float, str] = field(default_factory=dict)

    def over(self, values: Sequence[float]) -> Axis:
        """Return the axis with a range that holds all values, and those given before."""
        known = [*values, *(x for x in (self.least, self.most) if x is not None)]
        shown = [x for x in known if math.isfinite(x) and (x > 0 or not self.log)]
        low, high = (min(shown), max(shown)) if shown else (1.0, 10.0)
        if self.log:
            low, high = low / 1.15, high * 1.15
        else:
            room = 0.05 * (high - low) or abs(high) * 0.05 or 1.0
            low, high = (low - room if low < 0 or low > room else 0.0), high + room
        return Axis(self.label, self.log, low, high, self.names)

    def share(self, value: float) -> float:
        """Return where a value lies between the ends, 0 to 1."""
        low, high = self.least or 0.0, self.most or 1.0
        if self.log:
            low, high, value = math.log(low), math.log(high), math.log(value)
        return (value - low) / (high - low)

    def ticks(self) -> list[tuple[float, str]]:
        """Return a few values with their texts."""
        if self.names:
            return list(self.names.items())
        low, high = self.least or 0.0, self.most or 1.0
        if self.log:
            decades = math.log10(high / low)
            steps = (1, 2, 5) if decades < 2 else (1,)
            every = max(1, math.ceil(decades / 5))
            tens = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
            found = [s * 10.0**e for e in tens if e % every == 0 for s in steps]
            found = [x for x in found if low <= x <= high]
            if len(found) >= 2:
                return [(x, compact(x)) for x in found]
        step = _nice((high - low) / 4)
        first = math.ceil(low / step)
        count = math.floor(high / step) - first + 1
        return [(step * (first + i), compact(step * (first + i))) for i in range(min(count, 12))]


def _nice(step: float) -> float:
    power = 10.0 ** math.floor(math.log10(step))
    return next(power * n for n in (1, 2, 5, 10) if power * n >= step)


def compact(value: float) -> str:
    """Return a number in few letters, as in ``12k`` or ``3.4M``."""
    size = abs(value)
    for factor, suffix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if size >= factor:
            if size >= 1e15:
                return f"{value:.1e}".replace("e+", "e")
            return f"{value / factor:.3g}{suffix}"
    return f"{value:.3g}"


def chart(
    title: str,
    x: Axis,
    y: Axis,
    series: Sequence[Series],
    levels: Sequence[tuple[str, float]] = (),
) -> Markup:
    """Draw series on two axes.

    Args:
        title: for those who cannot see it.
        x: one axis; its range grows to hold all points.
        y: the other.
        series: what is drawn, the last on top; several have a legend whose entries toggle them.
        levels: names and values of horizontal lines.
    """
    points = [p for one in series for p in one.points]
    x = x.over([p[0] for p in points])
    y = y.over([p[1] for p in points] + [value for _, value in levels])
    parts = [Markup('<figure class="chart">')]
    if len(series) > 1:
        parts.append(_legend(series))
    parts.append(
        Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">').format(WIDTH, HEIGHT, title)
    )
    parts += _axes(x, y)
    for name, value in levels:
        at = _y(y, value)
        parts.append(
            Markup(
                '<line class="level" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}" data-tip="{}"/>'
                '<text class="levelname" x="{}" y="{:.1f}">{}</text>'
            ).format(_LEFT, WIDTH - _RIGHT, at, at, name, WIDTH - _RIGHT - 2, at - 4, name)
        )
    for number, one in enumerate(series):
        parts.append(_drawn(one, number, x, y))
    parts.append(Markup("</svg></figure>"))
    return Markup("").join(parts)


def _legend(series: Sequence[Series]) -> Markup:
    entry = Markup(
        '<button type="button" class="key" aria-pressed="true" data-series="{}">'
        '<span class="swatch {}"></span>{}</button>'
    )
    entries = (entry.format(n, one.color, one.name) for n, one in enumerate(series))
    return Markup('<div class="legend">{}</div>').format(Markup("").join(entries))


def _axes(x: Axis, y: Axis) -> list[Markup]:
    bottom = HEIGHT - _BOTTOM
    parts = []
    for value, text in x.ticks():
        at = _x(x, value)
        parts.append(
            Markup(
                '<line class="grid" x1="{0:.1f}" x2="{0:.1f}" y1="{1}" y2="{2}"/>'
                '<text class="tick" text-anchor="middle" x="{0:.1f}" y="{3}">{4}</text>'
            ).format(at, _TOP, bottom, bottom + 13, text)
        )
    for value, text in y.ticks():
        at = _y(y, value)
        parts.append(
            Markup(
                '<line class="grid" x1="{0}" x2="{1}" y1="{2:.1f}" y2="{2:.1f}"/>'
                '<text class="tick" text-anchor="end" x="{3}" y="{4:.1f}">{5}</text>'
            ).format(_LEFT, WIDTH - _RIGHT, at, _LEFT - 5, at + 3.5, text)
        )
    middle = (_TOP + bottom) / 2
    parts.append(
        Markup(
            '<text class="axis" text-anchor="middle" x="{}" y="{}">{}</text>'
            '<text class="axis" text-anchor="middle" transform="translate(11 {}) rotate(-90)">{}'
            "</text>"
        ).format((_LEFT + WIDTH - _RIGHT) / 2, HEIGHT - 5, x.label, middle, y.label)
    )
    return parts


def _drawn(one: Series, number: int, x: Axis, y: Axis) -> Markup:
    shown = [
        (i, p)
        for i, p in enumerate(one.points)
        if all(math.isfinite(v) for v in p) and (p[0] > 0 or not x.log) and (p[1] > 0 or not y.log)
    ]
    places = [(i, _x(x, p[0]), _y(y, p[1])) for i, p in shown]
    if one.kind == "dots":
        step = max(1, -(-len(places) // _MOST))
        dot = Markup('<circle class="{} fill" cx="{:.1f}" cy="{:.1f}" r="{}"{}/>')
        radius = 4 if len(places) < 60 else 2.4
        marks = Markup("").join(
            dot.format(one.color, px, py, radius, _tip(one, i)) for i, px, py in places[::step]
        )
    else:
        marks = Markup('<path class="{} stroke" d="{}"/>').format(one.color, _path(one, places))
        if one.tips:
            dot = Markup('<circle class="hit" cx="{:.1f}" cy="{:.1f}" r="6"{}/>')
            step = max(1, -(-len(places) // _MOST))
            marks += Markup("").join(
                dot.format(px, py, _tip(one, i)) for i, px, py in places[::step]
            )
    return Markup('<g data-series="{}">{}</g>').format(number, marks)


def _tip(one: Series, index: int) -> Markup:
    return Markup(' data-tip="{}"').format(one.tips[index]) if one.tips else Markup("")


def _path(one: Series, places: Sequence[tuple[int, float, float]]) -> str:
    parts: list[str] = []
    for _, px, py in places:
        if not parts:
            parts.append(f"M{px:.1f} {py:.1f}")
        elif one.kind == "step":
            parts.append(f"H{px:.1f}V{py:.1f}")
        else:
            parts.append(f"L{px:.1f} {py:.1f}")
    return "".join(parts)


def _x(axis: Axis, value: float) -> float:
    return _LEFT + axis.share(value) * (WIDTH - _LEFT - _RIGHT)


def _y(axis: Axis, value: float) -> float:
    return HEIGHT - _BOTTOM - axis.share(value) * (HEIGHT - _TOP - _BOTTOM)


def mesh(columns: int, rows: int) -> Markup:
    """Draw a fan-out as a little mesh, of at most 16 x 16 cells."""
    across, down = min(columns, 16), min(rows, 16)
    cells = Markup("").join(
        Markup('<rect x="{}" y="{}" width="4" height="4"/>').format(5 * i, 5 * j)
        for i in range(across)
        for j in range(down)
    )
    return Markup(
        '<svg class="mesh" width="{0}" height="{1}" viewBox="0 0 {0} {1}" role="img" '
        'aria-label="{2} by {3}">{4}</svg>'
    ).format(5 * across - 1, 5 * down - 1, columns, rows, cells)
