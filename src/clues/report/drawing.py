"""Small charts as inline SVG, without a script: shapes stretch with the page, texts are HTML and keep their size.

A plotting library would add megabytes to each page. Coordinates are in per cent of the plot; colours are classes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from markupsafe import Markup, escape

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Axis:
    """A range of numbers along one side of a plot."""

    low: float
    high: float
    log: bool = False

    @classmethod
    def over(cls, values: Iterable[float], *, log: bool = False, trim: float = 0.0) -> Axis:
        """From the lowest to the highest value. `trim`: the share at each end that lies outside."""
        known = np.fromiter(values, dtype=np.float64)
        known = known[np.isfinite(known)]
        low, high = (float(each) for each in np.quantile(known if len(known) else [0.0], [trim, 1 - trim]))
        if low == high:
            low, high = (low / 2 or 0.5, low * 2 or 1.0) if log else (low - 0.5, high + 0.5)
        return cls(low, high, log)

    def with_values(self, *values: float) -> Axis:
        return Axis(min((self.low, *values)), max((self.high, *values)), self.log)

    def place(self, value: float) -> float:
        """Where a value is, 0 to 100; a value outside is at the end."""
        low, high, value = (math.log(each) if self.log else each for each in (self.low, self.high, value))
        return round(100 * min(max((value - low) / (high - low), 0.0), 1.0), 2)

    def ticks(self) -> list[tuple[float, str]]:
        """Round values, with their texts."""
        if self.log:
            powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            values = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
            inside = [value for value in values if self.low <= value <= self.high]
            inside = inside if len(inside) <= 5 else [value for value in inside if f"{value:e}"[0] == "1"]
            return [(value, f"{value:,.6g}") for value in inside]
        rough = (self.high - self.low) / 5
        unit = 10.0 ** math.floor(math.log10(rough))
        step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= rough)
        values = [step * number for number in range(math.ceil(self.low / step), math.floor(self.high / step) + 1)]
        return [(value, number(value)) for value in values]


def number(value: float | None, digits: int = 3) -> str:
    """A number for people: short, with a real minus sign."""
    return "–" if value is None else f"{value:.{digits}g}".replace("-", "−") if value else "0"


@dataclass
class Plot:
    """A chart under construction. `title`: what a screen reader says of it."""

    title: str
    x: Axis
    y: Axis = field(default_factory=lambda: Axis(0, 1))
    shapes: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)

    def bar(self, kind: str, left: float, right: float, bottom: float, top: float) -> None:
        x, width = self.x.place(left), self.x.place(right) - self.x.place(left)
        y, height = 100 - self.y.place(top), self.y.place(top) - self.y.place(bottom)
        if height > 0 and width > 0:
            self.shapes.append(f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}"/>')

    def dots(self, kind: str, points: Points) -> None:
        """Strokes without length, whose ends are round."""
        path = "".join(f"M{self.x.place(x):g} {100 - self.y.place(y):g}h0" for x, y in points)
        self.shapes.append(f'<path class="dots {kind}" d="{path}"/>')

    def line(self, kind: str, points: Points) -> None:
        path = "L".join(f"{self.x.place(x):g} {100 - self.y.place(y):g}" for x, y in points)
        self.shapes.append(f'<path class="line {kind}" d="M{path}"/>')

    def upright(self, kind: str, value: float, text: str = "") -> None:
        """A vertical line, and what it is."""
        self.line(kind, [(value, self.y.low), (value, self.y.high)])
        if text:
            place = self.x.place(value)
            side = "left" if place < 55 else "right"
            offset = place if side == "left" else 100 - place
            self.labels.append(f'<span class="mark" style="{side}:{offset:g}%">{escape(text)}</span>')

    def x_ticks(self, name: str = "") -> None:
        for value, text in self.x.ticks():
            self.labels.append(f'<span class="tick" style="left:{self.x.place(value):g}%">{escape(text)}</span>')
        self.labels.append(f'<span class="axis">{escape(name)}</span>' if name else "")

    def y_ticks(self, name: str, *, counts: bool = False) -> None:
        """Round values and what they are. `counts`: whole numbers from 0 only."""
        for value, text in self.y.ticks():
            if counts and (value < 0 or value % 1):
                continue
            bottom = self.y.place(value)
            self.shapes.append(f'<path class="line rule" d="M0 {100 - bottom:g}H100"/>')
            self.labels.append(f'<span class="level" style="bottom:{bottom:g}%">{escape(text)}</span>')
        self.labels.append(f'<span class="up">{escape(name)}</span>')

    def drawn(self, kind: str = "") -> Markup:
        shapes, labels = "".join(self.shapes), "".join(self.labels)
        svg = '<svg viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true" focusable="false">'
        start = f'<div class="plot {kind}" role="img" aria-label="{escape(self.title)}">'
        return Markup(f"{start}{svg}{shapes}</svg>{labels}</div>")


def histogram(scores: np.ndarray, kept: np.ndarray, anchors: np.ndarray, limit: float | None) -> Markup:
    """The distribution of scores, kept ones and dropped ones, with the anchors below and the threshold."""
    axis = Axis.over(scores, trim=0.002 if len(scores) > 1000 else 0).with_values(*anchors.tolist())
    axis = axis if limit is None else axis.with_values(limit)
    bins = min(60, max(12, round(2 * len(scores) ** (1 / 3)) * 2))
    width = (axis.high - axis.low) / bins
    start = axis.low if limit is None else limit - width * np.ceil((limit - axis.low) / width)  # the limit is an edge
    edges = start + width * np.arange(np.ceil((axis.high - start) / width) + 1)
    if limit is not None:  # exactly, or a sample at the limit would stand below it
        edges[np.argmin(np.abs(edges - limit))] = limit
    bins = len(edges) - 1
    place = np.clip(np.digitize(scores, edges) - 1, 0, bins - 1)
    low, high = (np.bincount(place[kept == which], minlength=bins) for which in (False, True))
    most = int((low + high).max())
    said = f"{int(kept.sum())} samples are kept and {int((~kept).sum())} dropped; scores from {number(axis.low)} to "
    axis = Axis(float(edges[0]), float(edges[-1]))
    plot = Plot(f"Distribution of scores: {said}{number(axis.high)}.", axis, Axis(-0.12 * most, 1.12 * most))
    plot.y_ticks("samples", counts=True)
    for left, right, below, above in zip(edges[:-1], edges[1:], low.tolist(), high.tolist(), strict=True):
        plot.bar("dropped", left, right, 0, below)
        plot.bar("kept", left, right, below, below + above)
    plot.line("base", [(axis.low, 0), (axis.high, 0)])
    plot.dots("anchors", [(value, -0.06 * most) for value in anchors.tolist()])
    if limit is not None:
        plot.upright("limit", limit, f"threshold {number(limit)}")
    plot.x_ticks("score")
    return plot.drawn("tall")


def scatter(title: str, groups: Mapping[str, Points], *, name: str, log: bool = False) -> Markup:
    """Points by class, the second coordinate being the score. `name`: of the first coordinate."""
    points = [point for some in groups.values() for point in some]
    x, y = (Axis.over(values) for values in zip(*points, strict=True))
    plot = Plot(title, Axis(x.low, x.high, log) if x.low > 0 else x, y)
    plot.y_ticks("score")
    for kind, some in groups.items():
        plot.dots(kind, some)
    plot.x_ticks(name)
    return plot.drawn("scatter")


def strip(title: str, values: Sequence[float], axis: Axis, limit: float | None) -> Markup:
    """Values along a line, and the threshold."""
    plot = Plot(title, axis)
    plot.line("base", [(axis.low, 0.5), (axis.high, 0.5)])
    if limit is not None:
        plot.upright("limit", limit)
    plot.dots("anchors", [(value, 0.5) for value in values])
    return plot.drawn("strip")


def interval(title: str, low: float, middle: float, high: float, axis: Axis) -> Markup:
    """A mean with its interval, and where zero is."""
    plot = Plot(title, axis)
    plot.upright("base", 0.0)
    plot.line("interval", [(low, 0.5), (high, 0.5)])
    plot.dots("interval", [(middle, 0.5)])
    return plot.drawn("strip")


def curves(title: str, series: Mapping[str, Sequence[float]], *, name: str, measure: str) -> Markup:
    """A line for each series, over 1, 2, 3, … `name`: of these numbers."""
    longest = max(len(values) for values in series.values())
    plot = Plot(title, Axis(1, max(longest, 2)), Axis.over([value for values in series.values() for value in values]))
    plot.y_ticks(measure)
    for place, values in enumerate(series.values()):
        points = list(enumerate(values, start=1))
        plot.line(f"series-{place % 4}", points)
        plot.dots(f"series-{place % 4}", points)
    for step in range(1, longest + 1, max(1, longest // 8)):
        plot.labels.append(f'<span class="tick" style="left:{plot.x.place(step):g}%">{step}</span>')
    plot.labels.append(f'<span class="axis">{escape(name)}</span>')
    return plot.drawn("scatter")
