"""What the specifications of all charts share: layers, and axes whose ends and names stand in the first two rows.

The rows are called "source": that is the name under which Streamlit hands them to Vega in the browser.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from view import theme
from view.look import LOOK, MOMENT

TINT = {"field": "tint", "type": "nominal", "scale": None}
TOLD = {"field": "told", "type": "nominal"}
ALL = {"tickCount": 100}  # beside values of an axis: without it Vega would thin them out
STEADY = {"minExtent": 34}  # the plot keeps its place while the numbers beside it get longer or shorter
# Streamlit draws a chart once before it has rows.
NO_FRAME = (
    "[{x: 1, y: 0, left: 0, right: 1, top: 0, bottom: 1, value: 0, told: '', ticks: ''}, "
    "{x: 2, y: 1, left: 1, top: 1, value: 1, told: '', ticks: ''}]"
)


def whole(layers: list[dict], height: int, looked: Mapping[str, str], row: str = "datum") -> dict:
    """A specification; `frame` in its expressions is the first two rows, and the axes are those of the first layer.

    looked  axis -> an expression for the tick of the mark that is pointed at, whose row is called `row`
    """
    for layer in layers[1:]:
        layer["encoding"] = {
            channel: {part: text for part, text in definition.items() if part != "axis"}
            for channel, definition in layer["encoding"].items()
        }
    lists = {"names": "told"} | ({"ticks": "ticks"} if any("ticks" in tick for tick in looked.values()) else {})
    rows = "data('source')"
    here = f"isValid(moment) && isValid(moment[{rows}[0].training]) ? moment[{rows}[0].training] : 1"
    at = f"length({rows}) && isValid({rows}[0].moments) ? round(({here}) * ({rows}[0].moments - 1)) : -1"
    frame = f"length({rows}) < 2 ? {NO_FRAME} : at < 0 ? {rows} : slice({rows}, 2 * at, 2 * at + 2)"
    names = (
        {"name": f"{name}{row}", "expr": f"split(frame[{row}].{column}, '\\u001f')"}
        for name, column in lists.items()
        for row in (0, 1)
    )
    return {
        "data": {"name": "source", "format": {"parse": None}},
        "params": [{"name": "at", "expr": at}, {"name": "frame", "expr": frame}, *names],
        # After a training its rows are those of many moments.
        "transform": [{"filter": "!isValid(datum.moment) || datum.moment == at"}],
        "layer": layers,
        "height": height,
        # The chart has its words; to write some for every mark would take a third of the time.
        "config": {
            "aria": False,
            "mark": {"invalid": "filter", "aria": False},
            "axis": {"labelPadding": 8, "titlePadding": 8},
            "signals": [{"name": "moment", "value": None, "bind": {"element": f"#{MOMENT}"}}, _look(looked, row)],
        },
    }


def _look(looked: Mapping[str, str], row: str) -> dict:
    """What the reader looks at, {axis: tick} or nothing: one value for all charts of a page, held by its element `LOOK`."""
    ticks = ", ".join(f"{json.dumps(axis)}: {tick}" for axis, tick in looked.items())
    return {
        "name": "look",
        "value": None,
        "bind": {"element": f"#{LOOK}"},
        "on": [
            {
                "events": "pointerover",
                "update": f"datum && {row} && test(/cell|bar|hover/, {row}.kind) ? {{{ticks}}} : look",
            },
            {"events": "pointerout", "update": "event.pointerType == 'touch' ? look : null"},
        ],
    }


def alone(specification: dict) -> dict:
    """A specification for a place that has no element to share a look through: nothing is ever looked at there, or rewound."""
    config = {name: part for name, part in specification["config"].items() if name != "signals"}
    unbound = [{"name": name, "value": None} for name in ("look", "moment")]
    return {**specification, "config": config, "params": [*unbound, *specification["params"]]}


def fading(looked: Mapping[str, str], much: float, little: float) -> dict:
    """Opacity of a mark: little of it while something on its axes is looked at that it has no part in.

    looked  axis -> an expression for the tick of the mark
    """
    said = {axis: f"isValid(look[{json.dumps(axis)}])" for axis in looked}
    fits = (f"{said[axis]} && look[{json.dumps(axis)}] == {tick}" for axis, tick in looked.items())
    test = f"look && ({' || '.join(said.values())}) && !({' || '.join(fits)})"
    return {"condition": {"test": test, "value": little}, "value": much}


def layer_of(mark: str, chosen: str, encoding: dict, **look: Any) -> dict:
    """Marks for those rows of which the expression `chosen` is true."""
    silent = {} if "tooltip" in encoding else {"tooltip": None}
    look = {"type": mark, "clip": mark not in ("text", "rule"), **silent, **look}
    return {"transform": [{"filter": chosen}], "mark": look, "encoding": encoding}


def axis_of(field: str, title: str, axis: dict, **scale: Any) -> dict:
    """A position between the ends that the frame has in the same column."""
    ends = [{"expr": f"frame[{row}].{field}"} for row in (0, 1)]
    zero = {} if scale.get("type") == "log" else {"zero": False}
    scale = {"domain": ends, "nice": False, **zero, **scale}
    return {"field": field, "type": "quantitative", "title": title, "scale": scale, "axis": axis}


def places_of(field: str, title: str, steps: str, row: int, first: str = "0.5", **scale: Any) -> dict:
    """A position on an axis of names, each below the middle of its place.

    steps  the column of the frame that says how many places a name stands for
    row    the row of the frame that tells the names
    first  an expression for where the first name stands
    """
    step = f"frame[0].{steps}"
    axis = {
        "grid": False,
        "values": {"expr": f"sequence({first}, frame[1].{field}, {step})"},
        "labelExpr": f"split(names{row}[floor(datum.value / {step})], '\\n')",
        **ALL,
        "labelAngle": 0,
        "labelLimit": 170,
        "labelOverlap": True,
        # Lines, and letters, may stand closer than words next to each other.
        "labelSeparation": {"expr": f"length(frame[{row}].told) < 2 * length(names{row}) ? 0 : 4"} if row == 0 else 0,
    }
    return axis_of(field, title, axis, **scale)


def rule_layers(vertical: dict) -> list[dict]:
    """Horizontal lines with their names above them, at the right edge; at the top of the chart, below them."""
    at_top = f"scale('y', datum.{vertical['field']}) < 14"
    beside = {"baseline": {"expr": f"{at_top} ? 'top' : 'bottom'"}, "dy": {"expr": f"{at_top} ? 4 : -1"}}
    name = {"y": vertical, "x": {"value": "width"}, "text": {"field": "told"}}
    line = layer_of("rule", "datum.kind == 'rule'", {"y": vertical}, strokeDash=[2, 3], color=theme.GREY)
    return [line, layer_of("text", "datum.kind == 'rule'", name, align="right", color=theme.GREY, **beside)]
