"""`heat`: cells coloured by value, one map or several next to each other."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from seqcore.record import Signal
from seqcore.symbols import AXES, symbol
from view import theme
from view.charts.chart import Chart
from view.charts.frame import Part, Span, along, assemble, at_tick, distinct, joined, marks, say, shown, thin, word
from view.charts.vega import STEADY, TINT, TOLD, axis_of, fading, layer_of, places_of, whole

COLUMNS_THAT_GROW = 60
COLUMNS_WITH_DIGITS = 8


def side_by_side(signal: Signal, x: str, y: str, beside: str) -> Signal:
    """The maps along the axis `beside` as one wide map, with a column of no numbers between two."""
    order = [signal.axes.index(axis) for axis in (y, beside, x)]
    lines, maps, columns = (signal.values.shape[axis] for axis in order)
    wide = np.full((lines, maps, columns + 1), np.nan)
    wide[..., :-1] = signal.values.transpose(order)
    ticks = {y: signal.ticks[y], x: ((*signal.ticks[x], "") * maps)[:-1]}
    return Signal(signal.name, (y, x), wide.reshape(lines, -1)[:, :-1], ticks)


def rows(
    signal: Signal,
    *,
    x: str,
    y: str,
    span: Span | None = None,
    across: Span | None = None,
    beside: str | None = None,
    digits: bool = False,
    frame: int | None = None,
    legend: bool = True,
    large: bool = False,
    height: int = theme.HEIGHT,
) -> pa.Table:
    """One row a cell: left, right, top and bottom in places 0, 1, 2 ..., value, and what is told of it.

    kind  "cell"; "box": around the line of number `frame`; "frame": the first two rows, the ends of the axes in left and top
          and of the colours in value. Their told are the names across and those down; right and bottom of the first
          are how many places a name stands for.

    span are fixed limits of the colour, across those of a numeric x that still grows: a cell then reaches from its tick to
    the next one. What is no number is left out, and keeps its place.
    """
    maps = signal.ticks[beside] if beside else ()
    across_one = distinct(signal.ticks[x]) if not across else []
    if beside:
        signal = side_by_side(signal, x, y, beside)
    if set(signal.axes) != {x, y}:
        raise ValueError(f"{signal.name} has axes {signal.axes}; a heat map draws {x!r} and {y!r}")
    values = (signal.values if signal.axes == (y, x) else signal.values.T).astype(float)
    columns, lines = signal.ticks[x], signal.ticks[y]
    if across:
        keep = thin(len(columns), COLUMNS_THAT_GROW)
        values, columns = values[:, keep], [columns[index] for index in keep]
    line, column = np.nonzero(np.isfinite(values))
    known, edges = values[line, column], _edges(columns, across)
    limits, kind = _colour_limits(signal.name, known, span), symbol(signal.name).kind
    heads, (step, names) = [at_tick(x, tick) for tick in columns], shown(columns)
    if beside:
        step, names = (len(columns) + 1) // len(maps), maps
        heads = [f"{word(maps[place // step])}\n{head}" for place, head in enumerate(heads)]
    step_down, names_down = shown(lines, height)
    parts: list[Part] = [
        {
            "kind": ["frame"] * 2,
            "left": along([], across or (0, len(columns))),
            "right": [step, np.nan],
            "top": [0, max(1, len(lines))],
            "bottom": [step_down, np.nan],
            "value": limits,
            "told": [joined(names, wrap=True), joined(names_down)],
            "ticks": [joined([*across_one, ""] * max(1, len(maps))), joined(distinct(lines))],
        },
        {
            "kind": ["cell"] * len(known),
            "left": edges[column],
            "right": edges[column + 1],
            "top": line,
            "bottom": line + 1,
            "value": known,
            "told": _told(known, line, column, heads, [at_tick(y, tick) for tick in lines], symbol(signal.name).title),
        },
    ]
    if frame is not None:
        parts.append({"kind": ["box"], "top": [frame], "bottom": [frame + 1]})
    if digits:
        parts[1] |= _digits(known, limits, kind, len(columns))
    written = ("digits", "ink") if digits else ()
    return assemble(
        parts, numbers=("left", "right", "top", "bottom", "value"), texts=("kind", "told", "ticks", *written)
    )


def _edges(columns: Sequence, across: Span | None) -> np.ndarray:
    """Where columns begin, and where the last one ends."""
    if not across or not len(columns):
        return np.arange(len(columns) + 1)
    ticks = np.array(columns, dtype=float)
    last = ticks[-1] - ticks[-2] if len(ticks) > 1 else across[1] / 40
    return np.append(ticks, ticks[-1] + last)


def _colour_limits(name: str, values: np.ndarray, span: Span | None) -> Span:
    """The ends of the colours: 0 and 1 for a share, even on both sides of zero for what has a sign, so that -0.4 is as
    strong as 0.4 whatever else there is, and those of the values for an amount."""
    kind = symbol(name).kind
    if span or kind == "share":
        return span or (0.0, 1.0)
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 0.0)
    if kind == "signed":
        largest = max(abs(low), abs(high)) or 1.0
        return -largest, largest
    return (low, high) if low < high else (min(low, 0.0), max(high, 0.0) or 1.0)


def _told(values: np.ndarray, line: np.ndarray, column: np.ndarray, heads: list, sides: list, title: str) -> list[str]:
    """What is told of every cell: its column, its line, its value."""
    cells = zip(column.tolist(), line.tolist(), values.tolist())
    return [f"{heads[across]}\n{sides[down]}\n{title} {say(value)}" for across, down, value in cells]


def _digits(values: np.ndarray, limits: Span, kind: str, columns: int) -> Part:
    """Each value as it is written into its cell, and the ink for it; nothing where the cells are too narrow."""
    share = (values - limits[0]) / (limits[1] - limits[0])
    strong = (abs(2 * share - 1) if kind == "signed" else share) > 0.45
    written = [f"{value:.2f}" if columns <= COLUMNS_WITH_DIGITS else None for value in values.tolist()]
    return {"digits": written, "ink": [theme.INK_ON_COLOUR if much else theme.INK for much in strong.tolist()]}


def numbers(rows: pa.Table, title: str, **_: Any) -> str:
    """The least and the largest value, and where the largest is."""
    values, told = marks(rows, "cell", "value", "told")
    if not len(values):
        return "No cell of it can be drawn."
    where = ", ".join(told[values.argmax()].splitlines()[:-1])
    return f"From {say(values.min())} to {say(values.max())}, which is at {where}."


@functools.cache
def specification(
    name: str,
    has_theory: bool,
    *,
    x: str,
    y: str,
    beside: str | None = None,
    digits: bool = False,
    legend: bool = True,
    large: bool = False,
    has_across: bool = False,
    has_frame: bool = False,
    height: int = theme.HEIGHT,
) -> dict:
    """Cells, perhaps with their numbers, perhaps with a frame around a line of them.

    beside  a third axis: a map for each of its ticks, next to each other, with the tick's name below
    digits  write the numbers into the cells, where there is room
    legend  whether to show the colour scale; a small map whose numbers are written needs none
    large   there may be many cells: they are painted, instead of each being an element of the page
    """
    if has_across:
        horizontal = axis_of("left", AXES.get(x, x), {"grid": False, "tickMinStep": 1}, round=True)
    else:
        middle = "(frame[0].right - 1) / 2" if beside else "0.5"
        horizontal = places_of("left", AXES.get(beside or x, beside or x), "right", 0, middle, round=True)
    vertical = places_of("top", AXES.get(y, y), "bottom", 1, reverse=True, round=True)
    vertical["axis"] |= STEADY
    corners = {"x": horizontal, "x2": {"field": "right"}, "y": vertical, "y2": {"field": "bottom"}}
    looked = {x: "toString(datum.left)" if has_across else "ticks0[datum.left]", y: "ticks1[datum.top]"}
    cell = {"color": _colour(name, legend), "opacity": fading(looked, 1, 0.3), "tooltip": TOLD}
    layers = [layer_of("rect", "datum.kind == 'cell'", corners | cell)]
    if digits:
        middles = {"x": horizontal | {"field": "x"}, "y": vertical | {"field": "y"}}
        ink = {"color": TINT | {"field": "ink"}, "text": {"field": "digits"}, "tooltip": TOLD}
        layers.append(layer_of("text", "isValid(datum.digits)", middles | ink, fontSize=11))
        between = {"x": "(datum.left + datum.right) / 2", "y": "(datum.top + datum.bottom) / 2"}
        layers[-1]["transform"] += [{"calculate": middle, "as": field} for field, middle in between.items()]
    if has_frame:
        box = {"x": {"value": 0}, "x2": {"value": "width"}, "y": vertical, "y2": {"field": "bottom"}}
        border = dict(filled=False, stroke=theme.PURPLE, strokeWidth=2.5)
        layers.append(layer_of("rect", "datum.kind == 'box'", box, **border))
    return whole(layers, height, looked) | ({"usermeta": {"embedOptions": {"renderer": "canvas"}}} if large else {})


def _colour(name: str, legend: bool) -> dict:
    """The colour of a value between the ends that the frame has in that column."""
    entry = symbol(name)
    ends: list[Any] = [{"expr": "frame[0].value"}, {"expr": "frame[1].value"}]
    if entry.kind == "signed":
        ends.insert(1, {"expr": "(frame[0].value + frame[1].value) / 2"})
    scale = {"domain": ends, "range": theme.SCALES[entry.kind], "interpolate": "rgb", "clamp": True}
    size = {"gradientLength": 160, "gradientThickness": 8, "titleLimit": 300}
    shown = {"orient": "top", "offset": 4, "titlePadding": 4} | size if legend else None
    return {"field": "value", "type": "quantitative", "title": entry.title, "scale": scale, "legend": shown}


heat = Chart(
    rows,
    lambda *signals, **options: [],
    specification,
    words=("x", "y", "beside", "digits", "legend", "large", "height"),
    given=("across", "frame"),
    verb="Heat map of",
    numbers=numbers,
)
