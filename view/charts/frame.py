"""What the rows of all charts share: limits, names along axes, horizontal lines, thinning, and how a number is said."""

from __future__ import annotations

import math
import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from seqcore.symbols import AXES

SEPARATOR = "\x1f"  # between the names along an axis
CHARACTERS_OF_A_PHONE = 48  # below a chart, in one line

Span = tuple[float, float]
Part = dict[str, Any]  # columns of equal length, "kind" among them; any other may be missing


def assemble(parts: Iterable[Part], numbers: Iterable[str], texts: Iterable[str]) -> pa.Table:
    """All parts below each other; what is missing, or NaN, is null."""
    sized, columns = [(part, len(part["kind"])) for part in parts], {}
    for name in numbers:
        column = [np.asarray(part.get(name, np.full(length, np.nan)), dtype=float) for part, length in sized]
        columns[name] = pa.array(np.concatenate(column), from_pandas=True)
    for name in texts:
        written = [text for part, length in sized for text in part.get(name, [None] * length)]
        columns[name] = pa.array(written, pa.string()).dictionary_encode()
    return pa.table(columns)


def marks(rows: pa.Table, kind: str, *columns: str) -> list[np.ndarray]:
    """Some columns of the rows of a kind."""
    chosen = np.flatnonzero(rows["kind"].to_numpy() == kind)
    return [rows[column].to_numpy()[chosen] if len(chosen) else np.empty(0) for column in columns]


def thin(length: int, most: int, log: bool = False) -> np.ndarray:
    """At most `most` indices of `length`, the ends included; `log`: as many among the first n as among the next n."""
    if length <= most:
        return np.arange(length)
    spread = np.geomspace(1, length, most) - 1 if log else np.linspace(0, length - 1, most)
    return np.unique(spread.round().astype(int))


# --- limits ---------------------------------------------------------------------------------------------------------


def around(values: Iterable[Any], span: Sequence[float] | None) -> Span:
    """The ends of a vertical axis: as given, or round numbers around all values."""
    if span and span[0] < span[1]:
        return span[0], span[1]
    every = np.concatenate([np.asarray(some, dtype=float) for some in values])
    if not every.any():
        return 0.0, 1.0
    low, high = float(every.min()), float(every.max())
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        low, high = low - abs(low) / 10, high + abs(high) / 10
    step = 10.0 ** math.floor(math.log10((high - low) / 10))
    step *= next(factor for factor in (1, 2, 5, 10) if high - low <= 12 * step * factor)
    return math.floor(low / step) * step, math.ceil(high / step) * step


def along(values: Iterable[Any], across: Span | None, log: bool = False) -> Span:
    """The ends of a horizontal axis: as given, or those of all values; `log`: above zero."""
    every = np.concatenate([np.empty(0), *values])
    low, high = across or ((every.min(), every.max()) if len(every) else (1, 2))
    if log and low <= 0:
        low = every.min() if len(every) else min(1, high)
    if low < high:
        return low, high
    return (low / 2, low * 2) if log else (low - 0.5, low + 0.5)


def place_of(value: float, log: bool) -> float:
    """Where a value is drawn: at its decades, if `log`."""
    return math.log10(max(value, 1e-300)) if log else value


def value_at(place: float, log: bool) -> float:
    """The value that is drawn at a place."""
    return 10.0**place if log else place


# --- horizontal lines -----------------------------------------------------------------------------------------------


def ruled(rules: Mapping[str, float] | None, span: Span | None, log: bool = False) -> dict[str, float]:
    """name -> place of horizontal lines: of those that have a place on the axis."""
    low, high = span or (-math.inf, math.inf)
    return {
        name: place_of(value, log)
        for name, value in (rules or {}).items()
        if math.isfinite(value) and low <= value <= high and (value > 0 or not log)
    }


def rule_part(field: str, places: Mapping[str, float], ends: Span, height: int) -> Part:
    """A row for each horizontal line. Of lines too close for two names, the upper bears both."""
    room = 16 * (ends[1] - ends[0]) / height
    at: list[float] = []
    told: list[str] = []
    bearer = 0
    for name, place in sorted(places.items(), key=lambda rule: -rule[1]):
        if at and at[bearer] - place < room:
            told[bearer] += f" · {name}"
            name = ""
        else:
            bearer = len(at)
        at.append(place)
        told.append(name)
    return {"kind": ["rule"] * len(at), field: at, "told": told}


# --- names ----------------------------------------------------------------------------------------------------------


def shown(ticks: Sequence, height: float = math.inf) -> tuple[int, Sequence]:
    """The names along an axis, and how many places each stands for: every tick of a short axis, about a dozen numbers
    or two dozen words of a long one, more if they are letters.

    height  of the chart in pixels, if the axis is the vertical one
    """
    letters = all(isinstance(tick, str) and len(tick) == 1 for tick in ticks)
    room = 64 if letters else 24 if len(ticks) and isinstance(ticks[0], str) else 12
    step = max(1, math.ceil(len(ticks) / max(1, min(room, height // 14))))
    return step, ticks[::step]


def joined(names: Sequence, wrap: bool = False) -> str:
    """All names as one text; `wrap`: in several lines each, if a phone has no room for them side by side."""
    room = max(8, CHARACTERS_OF_A_PHONE // max(1, len(names)))
    written = [word(name) for name in names]
    if wrap:
        lines = (textwrap.wrap(name, room, break_long_words=False) if len(name) > room else [name] for name in written)
        written = ["\n".join(line) for line in lines]
    return SEPARATOR.join(written)


def distinct(ticks: Sequence) -> list[str]:
    """Ticks as words, each different from all others: the second "the" is "the (2)"."""
    seen: Counter = Counter()
    found = []
    for tick in map(word, ticks):
        seen[tick] += 1
        found.append(tick if seen[tick] == 1 else f"{tick} ({seen[tick]})")
    return found


def word(tick: Any) -> str:
    """A tick as it is written: one line, and numbers without needless digits."""
    if isinstance(tick, float):
        return f"{tick:.0f}" if tick.is_integer() else f"{tick:g}"
    return str(tick).replace("\n", " ")


def at_tick(axis: str, tick: Any) -> str:
    """A tick and what its axis is called, without the explanation: "lag 3"."""
    return f"{AXES.get(axis, axis).partition(':')[0]} {word(tick)}".strip()


def say(value: float) -> str:
    """A value to three digits."""
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e6 else f"{value:.3g}"
