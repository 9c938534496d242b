"""What a chart is to a page: rows, a legend, a specification, and words for who cannot see it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from seqcore.record import Signal
from seqcore.symbols import AXES, symbol
from view import theme
from view.charts.vega import alone

if TYPE_CHECKING:
    from altair import LayerChart


class Entry(NamedTuple):
    """One entry of a legend. style: "line", "dashed" or "square"."""

    name: str
    colour: str
    style: str


@dataclass(frozen=True, eq=False)
class Chart:
    """One kind of picture, in functions of signals, or of their names, and of the options that a page writes.

    rows(*signals, **options)    a pyarrow.Table, the frame first
    legend(*signals, **options)  its entries; none where there is nothing to tell apart

    Both raise ValueError for signals whose axes the chart cannot draw, TypeError for options it does not know.
    """

    rows: Callable[..., pa.Table]
    legend: Callable[..., list[Entry]]
    written: Callable[..., dict]  # the specification, of the first name, whether there are others, and options
    words: tuple[str, ...]  # options that are text of the page
    given: tuple[str, ...]  # options of which the page's text says only that there are some
    verb: str
    numbers: Callable[..., str]

    def specification(self, names: Sequence[str], **options: Any) -> dict:
        """Vega-Lite without rows, for signals of these names: the same object for the same words, not to be changed."""
        form = {word: options[word] for word in self.words if word in options}
        form |= {f"has_{word}": options.get(word) is not None for word in self.given}
        return self.written(names[0], len(names) > 1, **form)

    def alt(self, names: Sequence[str], **options: Any) -> str:
        """What is drawn, in words that no knob changes."""
        axes = " and ".join(AXES.get(options[axis]) or options[axis] for axis in ("y", "x") if axis in options)
        return f"{self.verb} {symbol(names[0]).title} by {axes}."

    def told(self, rows: pa.Table, names: Sequence[str], **options: Any) -> str:
        """What is drawn, with the numbers."""
        return f"{self.alt(names, **options)} {self.numbers(rows, symbol(names[0]).title, **options)}"

    def altair(self, *signals: Signal, **options: Any) -> LayerChart:
        """The chart with its rows in it, as Altair's own, for a notebook or a file. Raises what `rows` raises.

        The colours of its lines are told by `legend`.
        """
        import altair  # a quarter of a second that no page has to wait for

        specification = alone(self.specification([signal.name for signal in signals], **options))
        rows = self.rows(*signals, **options).to_pylist()
        specification["data"] = {**specification["data"], "values": rows}
        return altair.LayerChart.from_dict(specification)


def legend(names: list[str], style: Callable[[str], str]) -> list[Entry]:
    """An entry for every name; none for a single one."""
    entries = [Entry(name, colour, style(name)) for name, colour in zip(names, theme.colours(names))]
    return entries if len(entries) > 1 else []


def table(signal: Signal) -> pd.DataFrame:
    """The whole signal, one row a number: its axes, then its name."""
    grid = np.meshgrid(*(np.array(signal.ticks[axis], dtype=object) for axis in signal.axes), indexing="ij")
    columns = {axis: np.ravel(ticks) for axis, ticks in zip(signal.axes, grid)}
    return pd.DataFrame({**columns, signal.name: np.ravel(signal.values)})
