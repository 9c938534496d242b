"""Charts: functions from signals to Altair charts.

A chart's specification follows from its options and from the names in its signals, never from their
values: while a model trains, only the rows change, and the browser patches the picture in place. So every
chart function has a `rows` function of the same arguments that makes its table alone.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping

import altair as alt
import numpy as np
import pandas as pd

from seqcore.record import Signal
from seqcore.symbols import AXES, symbol
from view import theme

POINTS = 300  # of one line; more cannot be seen, and cost time
POINTS_OF_A_SEED = 60
CELLS_BEFORE_CANVAS = 400
POWERS = "0⁰1¹2²3³4⁴5⁵6⁶7⁷8⁸9⁹−⁻"

Span = tuple[float, float]


def drawn_from(rows: Callable[..., pd.DataFrame], *written: str) -> Callable:
    """Names the function that makes a chart's table, and the options whose axes have their ticks in the specification."""

    def mark(chart: Callable) -> Callable:
        chart.rows, chart.written = rows, written
        return chart

    return mark


def written_out(chart: Callable, signal: Signal, options: Mapping) -> tuple:
    """The ticks of a signal that stand in a chart's specification; while a numeric x still grows, it is not among them."""
    growing = options.get("x") if options.get("across") else None
    axes = [options.get(name) for name in chart.written]
    return tuple(signal.ticks[axis] for axis in axes if axis in signal.axes and axis != growing)


def table(signal: Signal) -> pd.DataFrame:
    """The whole signal, one row a number: its axes, then its name."""
    grid = np.meshgrid(*(np.array(signal.ticks[axis], dtype=object) for axis in signal.axes), indexing="ij")
    columns = {axis: np.ravel(ticks) for axis, ticks in zip(signal.axes, grid)}
    return pd.DataFrame({**columns, signal.name: np.ravel(signal.values)})


# --- lines ----------------------------------------------------------------------------------------------------------


def line_rows(
    *signals: Signal, x: str, colour: str | None = None, log: bool = False, log_x: bool = False, **_
) -> pd.DataFrame:
    """One row a point: x, colour, kind, value, and where it is drawn: middle, low, high (decades if `log`).

    The first signal is "measured"; if it has a seed axis, the row holds the median and the range over seeds, and
    every seed's own line follows with kind "seed ...". Later signals are "theory". What cannot be drawn is left out.
    """
    parts = []
    for number, signal in enumerate(signals):
        order = tuple(axis for axis in ("seed", colour, x) if axis in signal.axes)
        if set(order) != set(signal.axes):
            raise ValueError(f"{signal.name} has axes {signal.axes}; a curve draws {x!r}, {colour!r} and 'seed'")
        values = np.transpose(signal.values.astype(float), [signal.axes.index(axis) for axis in order])
        if log:
            with np.errstate(divide="ignore", invalid="ignore"):
                values = np.log10(values)
        seeds = values if "seed" in signal.axes else values[None]
        keep = _thin(values.shape[-1], POINTS)
        ticks, names = np.array(signal.ticks[x], dtype=float), _line_names(number, signal, colour)
        kind = "theory" if number else "measured"
        spread = (_over_seeds(reduce, seeds[..., keep]) for reduce in (np.nanmedian, np.nanmin, np.nanmax))
        parts.append(_long(ticks[keep], names, kind, *spread))
        if len(seeds) > 1 and not number:
            few = _thin(values.shape[-1], POINTS_OF_A_SEED)
            for own, tick in zip(seeds[..., few], signal.ticks["seed"]):
                parts.append(_long(ticks[few], names, f"seed {tick}", own, own, own))
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    drawable = np.isfinite(columns["middle"]) & ((columns["x"] > 0) | (not log_x))
    columns = {name: column[drawable] for name, column in columns.items()}
    # A seed whose gradient is exactly zero lies below any axis: the band then ends at the median.
    for end in ("low", "high"):
        columns[end] = np.where(np.isfinite(columns[end]), columns[end], columns["middle"])
    columns["value"] = 10.0 ** columns["middle"] if log else columns["middle"]
    return pd.DataFrame(columns)


@drawn_from(line_rows, "colour")
def curve(
    *signals: Signal,
    x: str,
    colour: str | None = None,
    log: bool = False,
    log_x: bool = False,
    span: Span | None = None,
    across: Span | None = None,
    rules: Mapping[str, float] | None = None,
    height: int = theme.HEIGHT,
) -> alt.LayerChart:
    """Lines over the axis `x`, one a tick of the axis `colour`: the median over seeds, their range and each of them.

    span, across  fixed limits of y and x; rules  name -> y of horizontal lines (baselines, floors)
    log           y in decades, so that twenty of them are as even as two; log_x  x in doublings
    """
    first = signals[0]
    names = list(dict.fromkeys(name for n, signal in enumerate(signals) for name in _line_names(n, signal, colour)))
    at = (lambda value: math.log10(value)) if log else (lambda value: value)
    # Zero would be a lie on this axis: losses and norms never come near it.
    y_scale = alt.Scale(zero=False, nice=span is None, **({"domain": [at(end) for end in span]} if span else {}))
    y_axis = alt.Axis(values=alt.ExprRef(_decades()), labelExpr=_powers()) if log else alt.Axis(tickCount=5)
    title, x_title = symbol(first.name).title, AXES.get(x, x)
    y = alt.Y("middle:Q", scale=y_scale, title=title, axis=y_axis)
    doublings = {"type": "log", "base": 2} if log_x else {}
    x_scale = alt.Scale(nice=False, **doublings, **({"domain": list(across)} if across else {}))
    tint = alt.Color("colour:N", scale=_tints(names), legend=_legend(names), title=None)
    base = alt.Chart().encode(
        x=alt.X("x:Q", scale=x_scale, title=x_title, axis=alt.Axis(tickMinStep=1, grid=False)), color=tint
    )
    tooltip = [
        alt.Tooltip("x:Q", title=x_title),
        alt.Tooltip("value:Q", title=title, format=".3~g"),
        *([alt.Tooltip("colour:N", title=" ")] if len(names) > 1 else []),
    ]
    measured, seed = alt.datum.kind == "measured", alt.expr.indexof(alt.datum.kind, "seed") == 0
    layers = []
    if "seed" in first.axes and len(first.ticks["seed"]) > 1:
        band = base.mark_area(opacity=0.15, clip=True).encode(y=alt.Y("low:Q", scale=y_scale, title=title), y2="high:Q")
        thin = base.mark_line(opacity=0.35, strokeWidth=0.8, clip=True).encode(y=y, detail="kind:N")
        layers += [band.transform_filter(measured), thin.transform_filter(seed)]
    layers.append(base.mark_line(strokeWidth=2.4, clip=True).encode(y=y).transform_filter(measured))
    if len(signals) > 1:
        # Above the measured line, which shows between the dashes where the two agree.
        dashed = base.mark_line(strokeDash=[6, 4], strokeWidth=1.8, clip=True).encode(y=y)
        layers.append(dashed.transform_filter(alt.datum.kind == "theory"))
    points = base.mark_point(opacity=0, size=90, clip=True).encode(y=y, tooltip=tooltip)
    layers += [
        points.transform_filter(~seed),
        *_rules({name: at(value) for name, value in (rules or {}).items()}, y_scale),
    ]
    return alt.layer(*layers, data=line_rows(*signals, x=x, colour=colour, log=log)).properties(height=height)


def _line_names(number: int, signal: Signal, colour: str | None) -> list[str]:
    """What the lines of the number-th signal of a curve are called: the ticks of its colour axis, or what it is."""
    if colour in signal.axes:
        return [str(tick) for tick in signal.ticks[colour]]
    return ["theory" if number else "measured"]


def _over_seeds(reduce: Callable, seeds: np.ndarray) -> np.ndarray:
    """A reduction over the first axis that leaves NaN where every seed is NaN, without a warning."""
    known = ~np.isnan(seeds).all(axis=0)
    filled = np.where(known, seeds, 0.0)
    return np.where(known, reduce(filled, axis=0), np.nan)


def _long(ticks, names, kind: str, middle, low, high) -> dict[str, np.ndarray]:
    """Columns of one row a point, for values (names, ticks)."""
    count = len(names) * len(ticks)
    return {
        "x": np.tile(ticks, len(names)),
        "colour": np.repeat(np.array(names, dtype=object), len(ticks)),
        "kind": np.full(count, kind, dtype=object),
        "middle": np.ravel(middle),
        "low": np.ravel(low),
        "high": np.ravel(high),
    }


def _thin(length: int, most: int) -> np.ndarray:
    """At most `most` indices of `length`, the ends included."""
    return np.arange(length) if length <= most else np.unique(np.linspace(0, length - 1, most).round().astype(int))


def _rules(rules: Mapping[str, float], y_scale: alt.Scale) -> list[alt.Chart]:
    """Horizontal lines with their names above them, at the right edge."""
    if not rules:
        return []
    places = alt.Data(values=[{"name": name, "at": at} for name, at in rules.items()])
    line = alt.Chart(places).mark_rule(strokeDash=[2, 3], color=theme.GREY).encode(y=alt.Y("at:Q", scale=y_scale))
    name = (
        alt.Chart(places)
        .mark_text(align="right", baseline="bottom", dy=-2, color=theme.GREY)
        .encode(y=alt.Y("at:Q", scale=y_scale), x=alt.value("width"), text="name:N")
    )
    return [line, name]


def _tints(names: list[str]) -> alt.Scale:
    return alt.Scale(domain=names, range=theme.colours(names))


def _legend(names: list[str], symbol: str = "stroke") -> alt.Legend | None:
    """Above the chart, in as many columns as fit a phone; none for a single line. symbol: "stroke" or "square"."""
    if len(names) < 2:
        return None
    columns = max(1, min(len(names), 48 // (max(map(len, names)) + 4)))
    solid = dict(symbolOpacity=1, symbolDash=[], **({"symbolStrokeWidth": 3} if symbol == "stroke" else {}))
    return alt.Legend(
        orient="top", columns=columns, columnPadding=12, labelLimit=300, offset=4, symbolType=symbol, **solid
    )


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


# --- heat maps ------------------------------------------------------------------------------------------------------


def side_by_side(signal: Signal, x: str, y: str, beside: str) -> Signal:
    """The maps along the axis `beside` as one wide map, with a column of no numbers between two."""
    order = [signal.axes.index(axis) for axis in (y, beside, x)]
    lines, maps, columns = (signal.values.shape[axis] for axis in order)
    wide = np.full((lines, maps, columns + 1), np.nan)
    wide[..., :-1] = signal.values.transpose(order)
    ticks = {y: signal.ticks[y], x: ((*signal.ticks[x], "") * maps)[:-1]}
    return Signal(signal.name, (y, x), wide.reshape(lines, -1)[:, :-1], ticks)


def cell_rows(
    signal: Signal,
    *,
    x: str,
    y: str,
    span: Span | None = None,
    across: Span | None = None,
    beside: str | None = None,
    **_,
) -> pd.DataFrame:
    """One row a cell: x, y, value. Cells that are no number are left out.

    For a signed symbol without a fixed span two rows follow that are no cells, of the largest size with either sign: they
    make the colour scale even, so that -0.4 is as strong as 0.4 whatever else there is.
    x and y are places 0, 1, 2 ..., since names may come twice; with `across`, x is the number itself and `end` the next.
    """
    if beside:
        signal = side_by_side(signal, x, y, beside)
    if set(signal.axes) != {x, y}:
        raise ValueError(f"{signal.name} has axes {signal.axes}; a heat map draws {x!r} and {y!r}")
    values = signal.values if signal.axes == (y, x) else signal.values.T
    columns, lines = signal.ticks[x], signal.ticks[y]
    table = pd.DataFrame(
        {
            "x": np.tile(columns if across else np.arange(len(columns)), len(lines)),
            "y": np.repeat(np.arange(len(lines)), len(columns)),
            "across": np.tile(np.array(columns, dtype=str), len(lines)),
            "down": np.repeat(np.array(lines, dtype=str), len(columns)),
            "value": np.ravel(values).astype(float),
        }
    )
    if across:
        edges = np.append(columns, columns[-1] + (columns[-1] - columns[-2] if len(columns) > 1 else across[1] / 40))
        table["end"] = np.tile(edges[1:], len(lines))
    table = table[np.isfinite(table["value"])].assign(cell=True)
    if symbol(signal.name).kind == "signed" and span is None and len(table):
        largest = table["value"].abs().max()
        ends = table.iloc[[0, 0]].assign(cell=False, value=[-largest, largest])
        table = pd.concat([table, ends])
    return table.reset_index(drop=True)


@drawn_from(cell_rows, "x", "y", "beside")
def heat(
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
    height: int = theme.HEIGHT,
) -> alt.LayerChart:
    """Cells coloured by value. span: fixed limits of the colour; digits: write the numbers into the cells.

    frame   the number of a line to draw a frame around, counted from the top
    legend  whether to show the colour scale; a small map whose numbers are written needs none
    across  fixed limits of a numeric x that still grows (training steps): a cell then reaches to the next column
    beside  a third axis: a map for each of its ticks, next to each other, with the tick's name below
    """
    maps = signal.ticks[beside] if beside else ()
    if beside:
        signal = side_by_side(signal, x, y, beside)
    entry = symbol(signal.name)
    limits = list(span) if span else {"share": [0, 1]}.get(entry.kind)
    if entry.kind == "signed":
        domain = {"domain": [limits[0], sum(limits) / 2, limits[1]]} if limits else {"domainMid": 0}
    else:
        domain = {"domain": limits} if limits else {}
    colour = alt.Color(
        "value:Q",
        title=entry.title,
        scale=alt.Scale(range=theme.SCALES[entry.kind], interpolate="rgb", clamp=True, **domain),
        legend=alt.Legend(orient="top", gradientLength=160, gradientThickness=8, titleLimit=300) if legend else None,
    )
    tooltip = [
        alt.Tooltip("across:N", title=AXES.get(x) or x),
        alt.Tooltip("down:N", title=AXES.get(y) or y),
        alt.Tooltip("value:Q", title=entry.title, format=".3~g"),
    ]
    vertical = alt.Y("y:O", title=AXES.get(y, y), axis=_places(signal.ticks[y], height), scale=_room(signal.ticks[y]))
    base = alt.Chart().encode(y=vertical, tooltip=tooltip)
    if across is None:
        axis = _middles(maps, len(signal.ticks[x])) if beside else _places(signal.ticks[x])
        title = AXES.get(beside or x, beside or x)
        horizontal = alt.X("x:O", title=title, axis=axis, scale=_room(signal.ticks[x]))
        base = base.encode(x=horizontal)
    else:
        scale = alt.Scale(domain=list(across), nice=False)
        axis = alt.Axis(grid=False, tickMinStep=1)
        base = base.encode(x=alt.X("x:Q", title=AXES.get(x, x), scale=scale, axis=axis), x2="end:Q")
    cell = alt.datum.cell
    layers = [base.mark_rect(clip=True).encode(color=colour).transform_filter(cell)]
    if "domainMid" in domain:
        ends = base.mark_point(size=0, opacity=0).encode(color=colour, tooltip=alt.value(None))
        layers.append(ends.transform_filter(~cell))
    if digits:
        opaque = "rgb(scale('color', datum.value)).opacity > 0.5"
        ink = alt.condition(opaque, alt.value(theme.INK_ON_COLOUR), alt.value(theme.INK))
        written = base.mark_text(fontSize=11).encode(text=alt.Text("value:Q", format=".2f"), color=ink)
        layers.append(written.transform_filter(cell))
    if frame is not None:
        line = alt.Chart(alt.Data(values=[{"y": frame}])).mark_rect(filled=False, stroke=theme.PURPLE, strokeWidth=2.5)
        layers.append(line.encode(y=vertical))
    table = cell_rows(signal, x=x, y=y, span=span, across=across)
    chart = alt.layer(*layers, data=table).properties(height=height)
    cells = len(signal.ticks[y]) * (40 if across else len(signal.ticks[x]))
    return (
        chart.properties(usermeta={"embedOptions": {"renderer": "canvas"}}) if cells >= CELLS_BEFORE_CANVAS else chart
    )


def _room(ticks: tuple) -> alt.Scale:
    """A place for every tick, also for those without a cell."""
    return alt.Scale(domain=list(range(len(ticks))))


def _places(ticks: tuple, height: float = math.inf) -> alt.Axis:
    """Every tick's name at its place on a short axis, about a dozen names on a long one, more if they are letters.

    height  of the chart in pixels, if the axis is the vertical one
    """
    letters = all(isinstance(tick, str) and len(tick) == 1 for tick in ticks)
    room = 64 if letters else 24 if isinstance(ticks[0], str) else 12
    every = math.ceil(len(ticks) / min(room, height // 14))
    names = json.dumps([str(tick) for tick in ticks], ensure_ascii=False)
    shown = list(range(0, len(ticks), every))
    return alt.Axis(
        grid=False, ticks=False, labelAngle=0, labelExpr=f"{names}[datum.value]", values=shown, labelOverlap=not letters
    )


def _middles(names: tuple, columns: int) -> alt.Axis:
    """The name of each of several maps that share so many columns, below its middle."""
    each = (columns + 1) // len(names)
    middles = [number * each + (each - 1) // 2 for number in range(len(names))]
    written = json.dumps([str(name) for name in names], ensure_ascii=False)
    label = f"{written}[floor(datum.value / {each})]"
    return alt.Axis(grid=False, ticks=False, labelAngle=0, labelExpr=label, values=middles)


# --- bars -----------------------------------------------------------------------------------------------------------


def bar_rows(signal: Signal, *, x: str, colour: str | None = None, **_) -> pd.DataFrame:
    """One row a bar: x, colour, value; x is a place 0, 1, 2 ..., since names may come twice."""
    order = tuple(axis for axis in (colour, x) if axis in signal.axes)
    if set(order) != set(signal.axes):
        raise ValueError(f"{signal.name} has axes {signal.axes}; bars draw {x!r} and {colour!r}")
    values = np.transpose(signal.values.astype(float), [signal.axes.index(axis) for axis in order])
    names = signal.ticks[colour] if colour in signal.axes else ("",)
    table = pd.DataFrame(
        {
            "x": np.tile(np.arange(len(signal.ticks[x])), len(names)),
            "across": [str(tick) for tick in signal.ticks[x]] * len(names),
            "colour": np.repeat([str(name) for name in names], len(signal.ticks[x])),
            "value": np.ravel(values),
        }
    )
    return table[np.isfinite(table["value"])].reset_index(drop=True)


@drawn_from(bar_rows, "x", "colour")
def bars(
    signal: Signal,
    *,
    x: str,
    colour: str | None = None,
    span: Span | None = None,
    rules: Mapping[str, float] | None = None,
    height: int = theme.HEIGHT,
) -> alt.LayerChart:
    """A bar for every tick of x, in groups if there is a colour axis."""
    names = [str(name) for name in (signal.ticks[colour] if colour in signal.axes else ("",))]
    scale = alt.Scale(**({"domain": list(span)} if span else {}))
    chart = (
        alt.Chart()
        .mark_bar(clip=True)
        .encode(
            x=alt.X("x:O", title=AXES.get(x, x), axis=_places(signal.ticks[x]), scale=_room(signal.ticks[x])),
            y=alt.Y("value:Q", scale=scale, title=symbol(signal.name).title, axis=alt.Axis(tickCount=5)),
            color=alt.Color(
                "colour:N",
                scale=_tints(names),
                legend=_legend(names, "square"),
                title=None,
            ),
            tooltip=[alt.Tooltip("across:N", title=AXES.get(x) or x), alt.Tooltip("value:Q", format=".3~g")],
        )
    )
    if len(names) > 1:
        chart = chart.encode(xOffset=alt.XOffset("colour:N", sort=names))
    return alt.layer(chart, *_rules(rules or {}, scale), data=bar_rows(signal, x=x, colour=colour)).properties(
        height=height
    )


# --- words ----------------------------------------------------------------------------------------------------------


def describe(chart: Callable, rows: pd.DataFrame | None, *signals: Signal, **options) -> str:
    """What the chart shows, in words, for a reader who cannot see it; without its rows, nothing that may still change."""
    first = signals[0]
    title = symbol(first.name).title
    if chart is heat:
        text = f"Heat map of {title} by {options['y']} and {options['x']}."
        values = first.values[np.isfinite(first.values.astype(float))]
        return f"{text} From {values.min():.3g} to {values.max():.3g}." if rows is not None and values.size else text
    x = options["x"]
    text = f"{'Bars' if chart is bars else 'Lines'} of {title} by {AXES.get(x) or x}."
    if rows is None:
        return text
    main = rows if chart is bars else rows[rows["kind"].isin(("measured", "theory"))]
    names, values = main["colour"].to_numpy(), main["value"].to_numpy()
    told = []
    for name in dict.fromkeys(names):
        line = values[names == name]
        told.append(f"{name or title} goes from {line[0]:.3g} to {line[-1]:.3g}")
    return f"{text} {'; '.join(told)}." if told else text
