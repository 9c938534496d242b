"""Rewinding in the browser: once a training rests, a chart gets the rows of many moments, and the slider chooses among them.

The slider is a widget of the page; each move of it also goes into one element of the page, {training: place from 0 to 1},
to which the charts are bound (see `view.charts.vega`). So they follow at once, while the server is still to be asked for
the words and drawings of that moment. A chart waits for the server too if its moments have more than ROWS rows, or BYTES
bytes, together.
"""

from __future__ import annotations

import re
import weakref
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import streamlit as st

from seqcore.record import Signal, Snapshot
from seqcore.runs import Run
from view.charts import Chart, thin
from view.look import MOMENT

ROWS, BYTES = 30_000, 1_500_000  # of one chart, all moments together
MOST = 60  # moments to choose among
KEPT = 6  # tables of one reader

JS = """
  if (!window.rewinds) {
    const slider = '[class*="st-key-rewind"] input[type=range]';
    window.rewinds = true;
    const rewind = () => {
      const place = document.getElementById('MOMENT'), chosen = {};
      for (const input of document.querySelectorAll(slider)) {
        const training = [...input.closest('[class*="st-key-rewind"]').classList].find(name => name.startsWith('st-key-rewind'));
        chosen[training] = input.max > input.min ? (input.value - input.min) / (input.max - input.min) : 1;
      }
      if (!place || JSON.stringify(place.value) === JSON.stringify(chosen)) return;
      place.value = chosen;
      place.dispatchEvent(new Event('input'));
    };
    const moves = change => change.type === 'attributes'
      ? change.target.matches(slider)
      : [...change.addedNodes].some(node => node.nodeType === 1 && (node.matches(slider) || node.querySelector(slider)));
    const watch = { attributes: true, attributeFilter: ['aria-valuetext'], childList: true, subtree: true };
    new MutationObserver(changes => { if (changes.some(moves)) rewind(); }).observe(document.body, watch);
    rewind();
  }
""".replace("MOMENT", MOMENT)


class Rest(NamedTuple):
    """A training that rests, at a moment that is looked at; steps: those among which the slider chooses."""

    run: Run
    name: str
    moment: Snapshot
    steps: tuple[int, ...]


def stops(steps: Sequence[int], now: int) -> tuple[int, ...]:
    """The steps among which a slider chooses: MOST of all there are, and the one that is looked at."""
    return tuple(sorted({now, *(steps[place] for place in thin(len(steps), MOST))}))


def training(name: str) -> str:
    """The class that Streamlit gives to the widget with the key `rewind {name}`: the browser knows the slider by it."""
    return "st-key-rewind-" + re.sub(r"[^a-zA-Z0-9_-]", "-", name)


def moments(rest: Rest, chart: Chart, signals: Sequence[Signal], options: dict[str, Any], rows: pa.Table) -> pa.Table:
    """The rows of a chart at all moments to choose among: first the frames, and a column that says which moment.

    rows  those of the chart now; they come back if there are too many, or if the signals are no parts of the moment
    """
    try:
        if not all(signal.again(rest.moment) == signal for signal in signals):
            return rows
    except (KeyError, IndexError, ValueError):
        return rows
    made: OrderedDict[str, tuple[weakref.ref[Run], pa.Table | None]] = st.session_state.setdefault(
        "rewound", OrderedDict()
    )
    parts = [(signal.name, signal.path) for signal in signals]
    key = repr((rest.name, rest.steps, chart.verb, parts, options))
    if key not in made or made[key][0]() is not rest.run:
        made[key] = weakref.ref(rest.run), _joined(rest, chart, signals, options)
    made.move_to_end(key)
    while len(made) > KEPT:
        made.popitem(last=False)
    _, found = made[key]
    return rows if found is None else found


def _joined(rest: Rest, chart: Chart, signals: Sequence[Signal], options: dict[str, Any]) -> pa.Table | None:
    tables, room = [], ROWS
    try:
        for step in rest.steps:
            moment = rest.run.at(step)
            tables.append(chart.rows(*(signal.again(moment) for signal in signals), **options))
            room -= len(tables[-1])
            if room < 0:
                return None
    except (KeyError, IndexError, ValueError):
        return None  # something is not there at all moments
    frames, marks = [table.slice(0, 2) for table in tables], [table.slice(2) for table in tables]
    which = [np.repeat(np.arange(len(tables)), [len(table) for table in part]) for part in (frames, marks)]
    joined = pa.concat_tables([*frames, *marks]).unify_dictionaries().combine_chunks()
    if joined.nbytes > BYTES:
        return None
    nothing = [None] * (len(joined) - 1)
    return (
        joined.append_column("moment", pa.array(np.concatenate(which), pa.int32()))
        .append_column("moments", pa.array([len(tables), *nothing], pa.int32()))
        .append_column("training", pa.array([training(rest.name), *nothing], pa.string()))
    )
