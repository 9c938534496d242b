"""`curve`: lines over a numeric axis, one a tick of the colour axis, with the range of the seeds around them."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from seqcore.record import Signal
from seqcore.symbols import AXES, symbol
from view import theme
from view.charts.chart import Chart, Entry, legend
from view.charts.frame import (
    Part,
    Span,
    along,
    around,
    assemble,
    at_tick,
    marks,
    place_of,
    rule_part,
    ruled,
    say,
    thin,
    value_at,
    word,
)
from view.charts.vega import ALL, STEADY, TINT, TOLD, axis_of, fading, layer_of, rule_layers, whole

POINTS = 160  # of one line; more cannot be seen, and cost time
POINTS_OF_A_SEED = 60
PLACES_TO_POINT_AT = 40
DASH = np.array([-0.01, 0.01])  # of the width
POWERS = "0⁰1¹2²3³4⁴5⁵6⁶7⁷8⁸9⁹−⁻"


class Line(NamedTuple):
    """One line as it is drawn, only the points that can be; low and high are None where there is no range."""

    kind: str
    name: str
    key: str
    x: np.ndarray
    y: np.ndarray
    low: np.ndarray | None = None
    high: np.ndarray | None = None

    def part(self, tint: str, ends: Span, log_x: bool) -> Part:
        """Its rows. A single point is no line, so it is drawn as a dash on an axis with these ends."""
        known = {"x": self.x, "y": self.y, "low": self.low, "high": self.high}
        columns = {column: values for column, values in known.items() if values is not None}
        if len(self.x) == 1:
            x = self.x * (ends[1] / ends[0]) ** DASH if log_x else self.x + (ends[1] - ends[0]) * DASH
            columns = {column: np.repeat(values, 2) for column, values in columns.items()} | {"x": x}
        count = len(columns["x"])
        return {"kind": [self.kind] * count, "line": [self.key] * count, "tint": [tint] * count} | columns


def rows(
    *signals: Signal,
    x: str,
    colour: str | None = None,
    log: bool = False,
    log_x: bool = False,
    span: Span | None = None,
    across: Span | None = None,
    rules: Mapping[str, float] | None = None,
    every_seed: bool = False,
    height: int = theme.HEIGHT,
) -> pa.Table:
    """One row a point: x, and y in decades if `log`.

    kind  "line": of the first signal, the median over its seeds; low and high are their range, if there are several
          "theory": of later signals; "seed": one seed's own line; "rule": a horizontal line and its name
          "hover": a place to point at, and what is told of it; "frame": the first two rows, the ends of both axes

    span and across are fixed limits of y and x, rules are name -> y. What is no number is left out, and so is zero where
    an axis has no place for it.
    """
    lines = [
        line
        for number, signal in enumerate(signals)
        for line in _lines(number, signal, x, colour, log, log_x, every_seed)
    ]
    names = _all_names(signals, colour)
    tints = dict(zip(names, theme.colours(names)))
    places = ruled(rules, span, log)
    ends: list[Any] = [end for line in lines for end in (line.y, line.low, line.high) if end is not None]
    horizontal = along([line.x for line in lines], across, log_x)
    vertical = around([*ends, np.array(list(places.values()))], span and [place_of(end, log) for end in span])
    hover = _hover([line for line in lines if line.kind != "seed"], x, log)
    parts: list[Part] = [
        {"kind": ["frame"] * 2, "x": horizontal, "y": vertical},
        *(line.part(tints[line.name], horizontal, log_x) for line in lines),
        rule_part("y", places, vertical, height),
        {"kind": ["hover"] * len(hover), "x": list(hover), "told": list(hover.values())},
    ]
    return assemble(parts, numbers=("x", "y", "low", "high"), texts=("kind", "line", "tint", "told"))


def _lines(
    number: int, signal: Signal, x: str, colour: str | None, log: bool, log_x: bool, every_seed: bool
) -> list[Line]:
    """The lines of the number-th signal of a chart."""
    order = tuple(axis for axis in ("seed", colour, x) if axis in signal.axes)
    if set(order) != set(signal.axes):
        raise ValueError(f"{signal.name} has axes {signal.axes}; a curve draws {x!r}, {colour!r} and 'seed'")
    ticks, names = np.array(signal.ticks[x], dtype=float), _names(number, signal, colour)
    values = np.transpose(signal.values.astype(float), [signal.axes.index(axis) for axis in order])
    seeds = values.reshape(len(signal.ticks.get("seed", "1")), len(names), len(ticks))
    if log:
        with np.errstate(divide="ignore", invalid="ignore"):
            seeds = np.log10(seeds)

    def drawn(kind: str, key: str, name: str, keep: np.ndarray, y: np.ndarray, *ends: np.ndarray) -> Line:
        can = np.isfinite(y) & ((ticks[keep] > 0) | (not log_x))
        return Line(kind, name, key, ticks[keep][can], y[can], *(end[can] for end in ends))

    keep, few = thin(len(ticks), POINTS, log_x), thin(len(ticks), POINTS_OF_A_SEED, log_x)
    several, kind = not number and len(seeds) > 1, "theory" if number else "line"
    middle, *ends = _over_seeds(seeds[..., keep])
    lines = []
    for index, name in enumerate(names):
        lines.append(drawn(kind, name, name, keep, middle[index], *(end[index] for end in ends if several)))
        if several and every_seed:
            own = zip(signal.ticks["seed"], seeds[:, index, few])
            lines += [drawn("seed", f"{name}, seed {seed}", name, few, y) for seed, y in own]
    return lines


def _names(number: int, signal: Signal, colour: str | None) -> list[str]:
    """What the lines of the number-th signal are called: the ticks of its colour axis, or what it is."""
    if colour in signal.axes:
        return [word(tick) for tick in signal.ticks[colour]]
    return ["theory" if number else "measured"]


def _all_names(signals: Sequence[Signal], colour: str | None) -> list[str]:
    return list(dict.fromkeys(name for number, signal in enumerate(signals) for name in _names(number, signal, colour)))


def _over_seeds(seeds: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The median over the first axis, the least and the largest, of what are numbers; NaN where none is."""
    if len(seeds) == 1:
        return seeds[0], seeds[0], seeds[0]
    if np.isnan(seeds).any():
        known = ~np.isnan(seeds).all(axis=0)
        filled = np.where(known, seeds, 0.0)
        ways = (np.nanmedian, np.nanmin, np.nanmax)
        middle, low, high = (np.where(known, way(filled, axis=0), np.nan) for way in ways)
    else:
        middle, low, high = np.median(seeds, axis=0), seeds.min(axis=0), seeds.max(axis=0)
    # A seed whose gradient is exactly zero lies below any axis: the band then ends at the median.
    return middle, np.where(np.isfinite(low), low, middle), np.where(np.isfinite(high), high, middle)


def _hover(lines: list[Line], x: str, log: bool) -> dict[float, str]:
    """Places along x, at most some forty, and for each the values of all lines there."""
    places = np.unique(np.concatenate([np.empty(0), *(line.x for line in lines)]))
    places = places[thin(len(places), PLACES_TO_POINT_AT)].tolist()
    told = {place: [at_tick(x, place)] for place in places}
    for line in lines:
        name = "" if len(lines) == 1 else f"{line.name}{', dashed' if line.kind == 'theory' else ''}: "
        values = dict(zip(line.x.tolist(), line.y.tolist()))
        for place in places:
            if place in values:
                told[place].append(f"{name}{say(value_at(values[place], log))}")
    return {place: "\n".join(texts) for place, texts in told.items()}


def entries(*signals: Signal, colour: str | None = None, **_: Any) -> list[Entry]:
    """A stroke for every name, dashed for those that only later signals have."""
    measured = _names(0, signals[0], colour)
    return legend(_all_names(signals, colour), lambda name: "line" if name in measured else "dashed")


def numbers(rows: pa.Table, title: str, *, log: bool = False, **_: Any) -> str:
    """Where every line starts, and where it ends."""
    told = []
    for kind, dashed in (("line", ""), ("theory", ", dashed,")):
        keys, y = marks(rows, kind, "line", "y")
        for key in dict.fromkeys(keys):
            start, end = (say(value_at(place, log)) for place in y[keys == key][[0, -1]])
            goes = f"goes from {start} to {end}" if start != end else f"is {end}"
            told.append(f"{title if key == 'measured' else key}{dashed} {goes}")
    return f"{'; '.join(told)}." if told else "No point of it can be drawn."


@functools.cache
def specification(
    name: str,
    has_theory: bool,
    *,
    x: str,
    colour: str | None = None,
    log: bool = False,
    log_x: bool = False,
    every_seed: bool = False,
    has_rules: bool = False,
    height: int = theme.HEIGHT,
) -> dict:
    """The range of the seeds, lines above it, the theory dashed above these, and a rule at the place that is pointed at.

    log  y in decades, so that twenty of them are as even as two; log_x  x in doublings
    """
    doublings = {"type": "log", "base": 2} if log_x else {}
    horizontal = axis_of("x", AXES.get(x, x), {"grid": False, "tickMinStep": 1}, **doublings)
    ticks = {"values": {"expr": _decades()}, "labelExpr": _powers(), **ALL} if log else {"tickCount": 5}
    vertical = axis_of("y", symbol(name).title, ticks | STEADY)
    stroke = {"x": horizontal, "y": vertical, "color": TINT, "detail": {"field": "line"}}

    arm = {colour: "split(datum.line, ', seed ')[0]"} if colour else {}

    def drawn(much: float) -> dict:
        return stroke | {"opacity": fading(arm, much, much / 5) if arm else {"value": much}}

    band = drawn(0.15) | {"y": vertical | {"field": "low"}, "y2": {"field": "high"}}
    layers = [layer_of("area", "isValid(datum.low)", band)]
    if every_seed:
        layers.append(layer_of("line", "datum.kind == 'seed'", drawn(0.35), strokeWidth=0.8))
    layers.append(layer_of("line", "datum.kind == 'line'", drawn(1), strokeWidth=2.4, strokeCap="round"))
    if has_theory:
        # Above the measured line, which shows between the dashes where the two agree.
        layers.append(layer_of("line", "datum.kind == 'theory'", drawn(1), strokeWidth=1.8, strokeDash=[6, 4]))
    if has_rules:
        layers += rule_layers(vertical)
    return whole([*layers, _pointer(x, horizontal)], height, {x: "toString(datum.datum.x)"}, "datum.datum")


def _pointer(x: str, horizontal: dict) -> dict:
    """A vertical rule at the place that is looked at, and what is there told at the place nearest to the pointer."""
    nearest = {"type": "point", "on": "pointerover", "clear": "pointerout", "nearest": True, "toggle": False}
    pointed = {"condition": {"test": f"look && look[{json.dumps(x)}] == toString(datum.x)", "value": 0.7}, "value": 0}
    encoding = {"x": horizontal, "opacity": pointed, "tooltip": TOLD}
    layer = layer_of("rule", "datum.kind == 'hover'", encoding, color=theme.GREY)
    return layer | {"params": [{"name": "pointed", "select": nearest | {"encodings": ["x"]}}]}


def _decades() -> str:
    """A Vega expression for the ticks of an axis in decades: about six whole ones, or 1, 2 and 5 where there are few."""
    few = [round(decade + math.log10(digit), 4) for decade in range(-6, 6) for digit in (1, 2, 5)]
    step = "max(1, round(span(domain('y')) / 6))"
    return (
        f"span(domain('y')) < 2.2 ? {few} : "
        f"sequence(ceil(domain('y')[0] / {step}) * {step}, domain('y')[1] + 0.001, {step})"
    )


def _powers() -> str:
    """A Vega expression for the labels of an axis in decades: 10⁻³ for whole ones far from 1, plain numbers elsewhere."""
    digits = "format(datum.value, '.0f')"
    for plain, raised in zip(POWERS[::2], POWERS[1::2]):
        digits = f"replace({digits}, /{plain}/g, '{raised}')"
    plain = "abs(datum.value) < 2.5 || datum.value != floor(datum.value)"
    return f"{plain} ? format(pow(10, datum.value), '.1~r') : '10' + {digits}"


curve = Chart(
    rows,
    entries,
    specification,
    words=("x", "colour", "log", "log_x", "every_seed", "height"),
    given=("rules",),
    verb="Lines of",
    numbers=numbers,
)
