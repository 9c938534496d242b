"""What crosses the border between mathematics and pictures: named arrays, and moments made of them.

A `Signal` is one array whose axes have names; a `Snapshot` is one moment of an experiment: its config, its step,
its signals and a few facts. Both are immutable and picklable, so a moment can be kept, compared, drawn again or
exported, and no later training step can change it. The log of all moments of a training is a `seqcore.runs.Run`.
"""

from __future__ import annotations

import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

Tick = int | float | str
Ticks = Sequence[Tick]  # a range, or a tuple


@dataclass(frozen=True, eq=False)
class Signal:
    """One array on named axes, e.g. `Signal("weights", ("query", "key"), values)`.

    name    what is drawn; a key of `seqcore.symbols.SYMBOLS` gives it a title and a colour scale
    axes    one name a dimension
    values  any array; a read-only copy is kept, or the array itself if it is read-only already
    ticks   the labels along an axis, as many as it is long; a range stays one, and `range(length)` stands where none
            are given, since a label for each of a million weights would cost more than the weights

    Raises ValueError where axes, values and ticks do not fit each other.
    """

    name: str
    axes: tuple[str, ...]
    values: np.ndarray
    ticks: Mapping[str, Ticks] = field(default_factory=dict)
    # What was selected to make it, one after the other: ("isel" or "sel", ((axis, where), ...)); a pickle forgets it.
    path: tuple[tuple[str, tuple[tuple[str, Any], ...]], ...] = field(default=(), init=False, repr=False)

    if TYPE_CHECKING:  # anything that is as good as an array, or as labels, may be given

        def __init__(
            self, name: str, axes: Sequence[str], values: Any, ticks: Mapping[str, Iterable[Any]] = ...
        ) -> None: ...

    def __post_init__(self):
        values = self.values
        if not isinstance(values, np.ndarray) or values.flags.writeable:
            values = np.array(values)
            values.flags.writeable = False
        axes = tuple(self.axes)
        if len(axes) != values.ndim:
            raise ValueError(f"{self.name}: axes {axes} name {len(axes)} dimensions, values have {values.ndim}")
        if len(set(axes)) != len(axes):
            raise ValueError(f"{self.name}: axes {axes} name one axis twice")
        if unknown := set(self.ticks) - set(axes):
            raise ValueError(f"{self.name}: ticks for {sorted(unknown)}, but the axes are {axes}")
        ticks = {}
        for axis, length in zip(axes, values.shape, strict=True):
            ticks[axis] = _ticks(self.ticks.get(axis), length)
            if len(ticks[axis]) != length:
                raise ValueError(f"{self.name}: {len(ticks[axis])} ticks for axis {axis!r} of length {length}")
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "axes", axes)
        object.__setattr__(self, "ticks", types.MappingProxyType(ticks))

    def isel(self, **where: int) -> Signal:
        """The signal at one index of some axes, which then disappear: `weights.isel(layer=0, head=2)`.

        Negative indices count from the end. Raises KeyError for an axis it does not have, and
        IndexError for an index outside the axis.
        """
        if unknown := set(where) - set(self.axes):
            raise KeyError(f"{self.name} has no axis {sorted(unknown)}; its axes are {self.axes}")
        index = tuple(where.get(axis, slice(None)) for axis in self.axes)
        kept = tuple(axis for axis in self.axes if axis not in where)
        selected = Signal(self.name, kept, self.values[index], {axis: self.ticks[axis] for axis in kept})
        object.__setattr__(selected, "path", (*self.path, ("isel", tuple(where.items()))))
        return selected

    def sel(self, **where: Tick) -> Signal:
        """Like `isel`, by tick instead of index: `loss.sel(arm="scaled")`. ValueError for a tick it does not have."""
        indices = {}
        for axis, tick in where.items():
            ticks = self.ticks.get(axis, ())
            if tick not in ticks:
                raise ValueError(f"{self.name}: {tick!r} is not on axis {axis!r}, which has {tuple(ticks)}")
            indices[axis] = ticks.index(tick)
        selected = self.isel(**indices)
        object.__setattr__(selected, "path", (*self.path, ("sel", tuple(where.items()))))
        return selected

    def again(self, moment: Snapshot) -> Signal:
        """The same part of this signal as it is at another moment. KeyError, IndexError or ValueError if it is not there."""
        found = moment[self.name]
        for way, where in self.path:
            found = getattr(found, way)(**dict(where))
        return found

    @property
    def nbytes(self) -> int:
        """Bytes of the values, and about as many as its labels take."""
        return self.values.nbytes + sum(64 * len(ticks) for ticks in self.ticks.values() if isinstance(ticks, tuple))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Signal):
            return NotImplemented
        if (self.name, self.axes, self.values.shape) != (other.name, other.axes, other.values.shape):
            return False
        same = all(_same(self.ticks[axis], other.ticks[axis]) for axis in self.axes)
        return same and np.array_equal(self.values, other.values, equal_nan=self.values.dtype.kind == "f")

    def __hash__(self) -> int:
        return hash((self.name, self.axes, self.values.shape))

    def __reduce__(self):
        return Signal, (self.name, self.axes, self.values, dict(self.ticks))


@dataclass(frozen=True, init=False)
class Snapshot:
    """One moment of an experiment.

    config   the knobs it was made with
    step     optimiser steps done so far
    signals  name -> Signal; `snapshot["loss"]` is the short way
    facts    name -> number, text or truth: baselines, floors, events
    """

    config: Any
    step: int
    signals: Mapping[str, Signal]
    facts: Mapping[str, Any]

    def __init__(self, config: Any, step: int, signals: Iterable[Signal], facts: Mapping[str, Any] | None = None):
        named = {signal.name: signal for signal in signals}
        object.__setattr__(self, "config", config)
        object.__setattr__(self, "step", step)
        object.__setattr__(self, "signals", types.MappingProxyType(named))
        object.__setattr__(self, "facts", types.MappingProxyType(dict(facts or {})))

    def __getitem__(self, name: str) -> Signal:
        """The signal of that name. Raises KeyError listing the names there are."""
        if name not in self.signals:
            raise KeyError(f"no signal {name!r}; this moment has {', '.join(sorted(self.signals)) or 'none'}")
        return self.signals[name]

    def __contains__(self, name: str) -> bool:
        return name in self.signals

    @property
    def nbytes(self) -> int:
        """Bytes of all signals."""
        return sum(signal.nbytes for signal in self.signals.values())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Snapshot):
            return NotImplemented
        mine = (self.config, self.step, dict(self.signals), dict(self.facts))
        return mine == (other.config, other.step, dict(other.signals), dict(other.facts))

    def __hash__(self) -> int:
        return hash((self.config, self.step))

    def __reduce__(self):
        return Snapshot, (self.config, self.step, tuple(self.signals.values()), dict(self.facts))


def _ticks(given: Iterable[Tick] | None, length: int) -> Ticks:
    """The labels of an axis as a range or a tuple of plain values, the very object given where it is one already."""
    if given is None:
        return range(length)
    if isinstance(given, range):
        return given
    if isinstance(given, tuple) and not any(isinstance(tick, np.generic) for tick in given):
        return given
    return tuple(tick.item() if isinstance(tick, np.generic) else tick for tick in given)


def _same(one: Ticks, other: Ticks) -> bool:
    """Do two sequences hold the same labels, be it as a range or as a tuple?"""
    return one is other or (type(one) is type(other) and one == other) or tuple(one) == tuple(other)
