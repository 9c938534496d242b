"""`bars`: a bar for every tick of an axis, in groups if there is a colour axis."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from seqcore.record import Signal
from seqcore.symbols import AXES, symbol
from view import theme
from view.charts.chart import Chart, Entry, legend
from view.charts.frame import (
    Part,
    Span,
    around,
    assemble,
    at_tick,
    distinct,
    joined,
    marks,
    rule_part,
    ruled,
    say,
    shown,
    word,
)
from view.charts.vega import STEADY, TINT, TOLD, axis_of, fading, layer_of, places_of, rule_layers, whole

BARS_TOLD = 12


def rows(
    signal: Signal,
    *,
    x: str,
    colour: str | None = None,
    span: Span | None = None,
    rules: Mapping[str, float] | None = None,
    height: int = theme.HEIGHT,
) -> pa.Table:
    """One row a bar: left and right in places 0, 1, 2 ..., value, and what is told of it.

    kind  "bar"; "rule": a horizontal line and its name; "frame": the first two rows, the ends of the axes in left and value.
          The first one's told are the names along x, its right is how many places a name stands for.

    span are fixed limits of y, rules are name -> y. What is no number is left out, and keeps its place.
    """
    order = tuple(axis for axis in (colour, x) if axis in signal.axes)
    if set(order) != set(signal.axes):
        raise ValueError(f"{signal.name} has axes {signal.axes}; bars draw {x!r} and {colour!r}")
    values = np.transpose(signal.values.astype(float), [signal.axes.index(axis) for axis in order])
    ticks, names = signal.ticks[x], _names(signal, colour)
    values = values.reshape(len(names), len(ticks))
    which, place = np.nonzero(np.isfinite(values))
    known, tints, width = values[which, place], theme.colours(names), 0.8 / len(names)
    (step, told), places = shown(ticks), ruled(rules, span)
    vertical = around([known, list(places.values()), [0.0]], span)
    left = place + 0.1 + which * width
    bars = list(zip(place.tolist(), which.tolist(), known.tolist()))
    parts: list[Part] = [
        {
            "kind": ["frame"] * 2,
            "left": [0, max(1, len(ticks))],
            "right": [step, np.nan],
            "value": vertical,
            "told": [joined(told, wrap=True), None],
            "ticks": [joined(distinct(ticks)), ""],
        },
        {
            "kind": ["bar"] * len(bars),
            "left": left,
            "right": left + width * (0.95 if len(names) > 1 else 1),
            "value": known,
            "tint": [tints[name] for _, name, _ in bars],
            "line": [names[name] for _, name, _ in bars],
            "told": [f"{at_tick(x, ticks[at])}\n{names[name]} {say(value)}" for at, name, value in bars],
        },
        rule_part("value", places, vertical, height),
    ]
    return assemble(parts, numbers=("left", "right", "value"), texts=("kind", "line", "tint", "told", "ticks"))


def _names(signal: Signal, colour: str | None) -> list[str]:
    return [word(tick) for tick in signal.ticks[colour]] if colour in signal.axes else [""]


def entries(signal: Signal, *, colour: str | None = None, **_: Any) -> list[Entry]:
    """A square for every name."""
    return legend(_names(signal, colour), lambda name: "square")


def numbers(rows: pa.Table, title: str, **_: Any) -> str:
    """Every bar, or the lowest and the highest of many."""
    values, told = marks(rows, "bar", "value", "told")
    if len(values) > BARS_TOLD:
        told = told[[values.argmin(), values.argmax()]]
    if not len(told):
        return "No bar of it can be drawn."
    return f"{'; '.join(': '.join(line.strip() for line in text.splitlines()) for text in told)}."


@functools.cache
def specification(
    name: str,
    has_theory: bool,
    *,
    x: str,
    colour: str | None = None,
    has_rules: bool = False,
    height: int = theme.HEIGHT,
) -> dict:
    """Bars from zero, and horizontal lines."""
    horizontal = places_of("left", AXES.get(x, x), "right", 0)
    vertical = axis_of("value", symbol(name).title, {"tickCount": 5} | STEADY)
    corners = {"x": horizontal, "x2": {"field": "right"}, "y": vertical, "y2": {"datum": 0}}
    looked = {x: "ticks0[floor(datum.left)]"} | ({colour: "datum.line"} if colour else {})
    bar = {"color": TINT, "opacity": fading(looked, 1, 0.3), "tooltip": TOLD}
    layers = [layer_of("rect", "datum.kind == 'bar'", corners | bar)]
    return whole(layers + (rule_layers(vertical) if has_rules else []), height, looked)


bars = Chart(
    rows,
    entries,
    specification,
    words=("x", "colour", "height"),
    given=("rules",),
    verb="Bars of",
    numbers=numbers,
)
