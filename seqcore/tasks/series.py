"""Numbers in time: say the next one, for series whose noise is known and for a column of the reader's own.

    sine        x_t = sin(0.01 t) + ε_t                                  (Zhang et al., Dive into Deep Learning, 9.1)
    two tones   x_t = sin(2π t/25 + φ) + ½ sin(2π t/11 + ψ) + ε_t        φ, ψ ~ U(0, 2π)
    AR(2)       x_t = 1.8 x_{t-1} - 0.9 x_{t-2} + ε_t

ε_t ~ N(0, 0.2²), new at every step: no prediction can have a mean squared error below 0.04.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import NamedTuple

import torch
from torch import Tensor

from seqcore.tasks import Batch, Task, at_least
from seqcore.tasks.text import decode

NOISE = 0.2
TRAINING = 0.6  # the share of a series that is for training
SHORTEST, LONGEST = 50, 20_000  # rows of a reader's file
COLUMNS = 100
TRIED = 100  # rows, to tell the separators apart
SIZE = 4_000_000  # characters of a reader's file
SETTLE = 500  # steps until an AR(2) has forgotten where it began: 0.9^(500/2) = 4e-12

NUMBER = re.compile(r"[+-]?([0-9]+([.,][0-9]*)?|[.,][0-9]+)([eE][+-]?[0-9]+)?")


def sine(length: int, generator: torch.Generator) -> Tensor:
    """(length,) in double precision, t = 1 .. length."""
    return torch.sin(0.01 * _time(length)) + _noise(length, generator)


def two_tones(length: int, generator: torch.Generator) -> Tensor:
    """(length,) in double precision; the periods, 25 and 11 steps, have no common one below 275."""
    φ, ψ = 2 * math.pi * torch.rand(2, dtype=torch.float64, generator=generator)
    t = 2 * math.pi * _time(length)
    return torch.sin(t / 25 + φ) + 0.5 * torch.sin(t / 11 + ψ) + _noise(length, generator)


def ar2(length: int, generator: torch.Generator) -> Tensor:
    """(length,) in double precision, from the stationary distribution: it swings with a period of about 19 steps."""
    x = [0.0, 0.0]
    for ε in _noise(SETTLE + length, generator).tolist():
        x.append(1.8 * x[-1] - 0.9 * x[-2] + ε)
    return torch.tensor(x[-length:], dtype=torch.float64)


SERIES: dict[str, Callable[[int, torch.Generator], Tensor]] = {"sine": sine, "two tones": two_tones, "AR(2)": ar2}


def _time(length: int) -> Tensor:
    return torch.arange(1, length + 1, dtype=torch.float64)


def _noise(length: int, generator: torch.Generator) -> Tensor:
    return NOISE * torch.randn(length, dtype=torch.float64, generator=generator)


class Series(Task):
    """Windows of `length` numbers and, after each number, the next one.

    values  (time,) the whole series; its first 60 % are for training
    length  T, numbers in a window
    window  numbers a model must have seen before it answers: answers begin at step `window`
    floor   the variance of the noise, where it is known
    x (batch, length, 1), y (batch, length - window + 1), in single precision.

    train, held_out   each a Batch of one long row. The held-out answers are the last 40 % of the series, whatever
                      the window: what comes before the first of them is known by then, and may be looked at
    baseline          the variance of the training part: what answering with its mean costs

    Raises ValueError for length < window or < 1, or a training part too short for a window and the number after it.
    """

    inputs, outputs = 1, 1
    unit = "squared error"

    def __init__(self, values: Tensor, length: int, window: int = 1, floor: float = 0.0):
        self.length, self.window = at_least("length", length, at_least("window", window, 1)), window
        self.at = slice(window - 1, None)
        self.floor = floor
        train, held_out = split(values)
        if len(train) <= length:
            raise ValueError(
                f"the training part of the series has {len(train)} values, not more than length = {length}"
            )
        self.baseline = float(train.var(correction=0))
        self._windows = train.float().unfold(0, length + 1, 1)
        self._late = torch.cat([train[-window:], held_out]).float()
        self.train, self.held_out = self._batch(train.float()[None]), self._batch(self._late[None])

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        return self._batch(self._windows[torch.randint(len(self._windows), (size,), generator=generator)])

    def _batch(self, rows: Tensor) -> Batch:
        return Batch(rows[:, :-1, None], rows[:, 1:][:, self.at])

    def ahead(self, steps: int) -> Batch:
        """Every held-out stretch of `steps` numbers, and the window before it: x (starts, window, 1), y (starts, steps).

        Raises ValueError for steps < 1 or more than are held out.
        """
        held_out = len(self._late) - self.window
        if not 1 <= steps <= held_out:
            raise ValueError(f"steps = {steps} is not from 1 to {held_out}, the numbers held out")
        rows = self._late.unfold(0, self.window + steps, 1)
        return Batch(rows[:, : self.window, None], rows[:, self.window :])


def split(values: Tensor) -> tuple[Tensor, Tensor]:
    """The training part and the held-out part: one after the other, sharing nothing."""
    n = int(len(values) * TRAINING)
    return values[:n], values[n:]


def standardised(values: Tensor) -> Tensor:
    """Shifted and scaled so that the training part has mean 0 and variance 1: then errors are shares of its variance.

    Raises ValueError where the training part does not vary, or its variance is beyond floating point.
    """
    train, _ = split(values)
    mean, deviation = train.mean(), train.std(correction=0)
    if not (0 < deviation < math.inf):
        raise ValueError(f"the training part has standard deviation {float(deviation):g}: it cannot be scaled to 1")
    return (values - mean) / deviation


class Row(NamedTuple):
    """One row of a table that is not empty: the line of the file it ends on, and its cells."""

    line: int
    cells: list[str]


class Table(NamedTuple):
    """The columns of a table that are series, (rows,) each, and of every other column why it is none; in order."""

    columns: dict[str, Tensor]
    refused: dict[str, str]


def read(raw: bytes | str) -> Table:
    """The series in a reader's table.

    Cells are separated by ; or tab or comma, whichever gives the most numbers in rows as wide as the
    first; elsewhere a comma is a decimal comma. (A single column of them needs a header, or looks like
    two columns.) A first row without a number is the header; a column without a name of its own is
    called "column 1" and so on. A column with a missing value is refused: a gap cannot be closed without
    inventing data.

    Raises ValueError naming the limit for fewer than SHORTEST or more than LONGEST rows, more than
    COLUMNS columns or SIZE characters; naming the line of a row wider than the first; or saying of the
    first column why it is refused, where all are.
    """
    text = decode(raw)
    if len(text) > SIZE:
        raise ValueError(f"the table has {len(text):,} characters, more than {SIZE:,}")
    separator = max(_separators(text), key=lambda each: _numbers(list(islice(_rows(text, each), TRIED))))
    rows = list(islice(_no_wider(_rows(text, separator)), LONGEST + 2))
    width = len(rows[0].cells) if rows else 0
    header, rows = (rows[0].cells, rows[1:]) if rows and not _numbers(rows[:1]) else ([], rows)
    if not SHORTEST <= len(rows) <= LONGEST:
        raise ValueError(f"the table has {len(rows):,} rows of values, not from {SHORTEST} to {LONGEST:,}")
    columns, refused = {}, {}
    for k, name in enumerate(_names(header, width)):
        cells = [row.cells[k].strip() if k < len(row.cells) else "" for row in rows]
        values = [_number(cell) for cell in cells]
        if None in values:
            gap = values.index(None)
            refused[name] = f"{name}: line {rows[gap].line} holds no number but {cells[gap][:20]!r}"
        else:
            columns[name] = torch.tensor(values, dtype=torch.float64)
    if not columns:
        raise ValueError(f"no column of the table is a series: {next(iter(refused.values()))}")
    return Table(columns, refused)


def _separators(text: str) -> str:
    """The separators that give a first line no more cells than there may be columns: a wider one is never taken apart.

    Raises ValueError where every separator that there is gives too many.
    """
    first = text.lstrip().partition("\n")[0]
    counts = {separator: first.count(separator) for separator in ";\t,"}
    few = "".join(separator for separator, count in counts.items() if count < COLUMNS)
    if not any(counts[separator] for separator in few) and max(counts.values()) >= COLUMNS:
        raise ValueError(f"the table has {max(counts.values()) + 1:,} columns, more than {COLUMNS}")
    return few


def _rows(text: str, separator: str) -> Iterator[Row]:
    """The rows of a table that are not empty, one after the other."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        yield from (Row(reader.line_num, cells) for cells in reader if any(map(str.strip, cells)))
    except csv.Error as error:
        raise ValueError(f"the table cannot be read: {error}") from error


def _no_wider(rows: Iterable[Row]) -> Iterator[Row]:
    """The rows as long as none is wider than the first. Raises ValueError at one that is."""
    width = 0
    for line, cells in rows:
        width = width or len(cells)
        if len(cells) > width:
            raise ValueError(f"line {line} has {len(cells):,} cells, more than the {width} of the first row")
        yield Row(line, cells)


def _numbers(rows: list[Row]) -> int:
    """How many cells of rows as wide as the first hold numbers; a hundred rows are enough to tell separators apart."""
    wide = [row.cells for row in rows[:TRIED] if len(row.cells) == len(rows[0].cells)]
    return sum(_number(cell) is not None for cells in wide for cell in cells[:COLUMNS])


def _number(cell: str) -> float | None:
    """A cell as a finite number, with decimal point or decimal comma; None for anything else, NaN included."""
    if not NUMBER.fullmatch(cell.strip()):
        return None
    value = float(cell.replace(",", "."))
    return value if math.isfinite(value) else None


def _names(header: list[str], width: int) -> list[str]:
    """One name a column, none twice."""
    names: list[str] = []
    for k in range(width):
        name = (header[k].strip() if header else "") or f"column {k + 1}"
        while name in names:
            name += f" ({k + 1})"
        names.append(name)
    return names
