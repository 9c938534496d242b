"""What crosses the border between mathematics and pictures: named arrays, and moments made of them.

A `Signal` is one array whose axes have names; a `Run` is one moment of an experiment: its config,
its step, its signals and a few facts. Both are immutable and picklable, so a moment can be kept,
compared, drawn again or exported, and no later training step can change it.
"""

from __future__ import annotations

import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Tick = int | float | str


@dataclass(frozen=True, eq=False)
class Signal:
    """One array on named axes, e.g. `Signal("weights", ("query", "key"), values)`.

    name    what is drawn; a key of `seqcore.symbols.SYMBOLS` gives it a title and a colour scale
    axes    one name a dimension
    values  any array; a read-only copy is kept
    ticks   the labels along an axis, as many as it is long; 0, 1, 2 ... where none are given

    Raises ValueError where axes, values and ticks do not fit each other.
    """

    name: str
    axes: tuple[str, ...]
    values: np.ndarray
    ticks: Mapping[str, tuple[Tick, ...]] = field(default_factory=dict)

    def __post_init__(self):
        values = np.array(self.values)
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
            given = self.ticks.get(axis)
            ticks[axis] = tuple(range(length) if given is None else (_plain(tick) for tick in given))
            if len(ticks[axis]) != length:
                raise ValueError(f"{self.name}: {len(ticks[axis])} ticks for axis {axis!r} of length {length}")
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "axes", axes)
        object.__setattr__(self, "ticks", types.MappingProxyType(ticks))

    def at(self, **where: int) -> Signal:
        """The signal at one index of some axes, which then disappear: `weights.at(layer=0, head=2)`.

        Negative indices count from the end. Raises KeyError for an axis it does not have, and
        IndexError for an index outside the axis.
        """
        if unknown := set(where) - set(self.axes):
            raise KeyError(f"{self.name} has no axis {sorted(unknown)}; its axes are {self.axes}")
        index = tuple(where.get(axis, slice(None)) for axis in self.axes)
        kept = tuple(axis for axis in self.axes if axis not in where)
        return Signal(self.name, kept, self.values[index], {axis: self.ticks[axis] for axis in kept})

    def pick(self, **where: Tick) -> Signal:
        """Like `at`, by tick instead of index: `loss.pick(arm="scaled")`. ValueError for a tick it does not have."""
        indices = {}
        for axis, tick in where.items():
            ticks = self.ticks.get(axis, ())
            if tick not in ticks:
                raise ValueError(f"{self.name}: {tick!r} is not on axis {axis!r}, which has {ticks}")
            indices[axis] = ticks.index(tick)
        return self.at(**indices)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Signal):
            return NotImplemented
        same = (self.name, self.axes, dict(self.ticks)) == (other.name, other.axes, dict(other.ticks))
        return same and np.array_equal(self.values, other.values, equal_nan=self.values.dtype.kind == "f")

    def __hash__(self) -> int:
        return hash((self.name, self.axes, self.values.shape))

    def __reduce__(self):
        return Signal, (self.name, self.axes, self.values, dict(self.ticks))


@dataclass(frozen=True, init=False)
class Run:
    """One moment of an experiment.

    config   the knobs it was made with
    step     optimiser steps done so far
    signals  name -> Signal; `run["loss"]` is the short way
    facts    name -> number, text or truth: baselines, floors, timings, events
    """

    config: Any
    step: int
    signals: Mapping[str, Signal]
    facts: Mapping[str, Any]

    def __init__(self, config, step: int, signals: Iterable[Signal], facts: Mapping[str, Any] | None = None):
        named = {signal.name: signal for signal in signals}
        object.__setattr__(self, "config", config)
        object.__setattr__(self, "step", step)
        object.__setattr__(self, "signals", types.MappingProxyType(named))
        object.__setattr__(self, "facts", types.MappingProxyType(dict(facts or {})))

    def __getitem__(self, name: str) -> Signal:
        """The signal of that name. Raises KeyError listing the names there are."""
        if name not in self.signals:
            raise KeyError(f"no signal {name!r}; this run has {', '.join(sorted(self.signals)) or 'none'}")
        return self.signals[name]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Run):
            return NotImplemented
        mine = (self.config, self.step, dict(self.signals), dict(self.facts))
        return mine == (other.config, other.step, dict(other.signals), dict(other.facts))

    def __hash__(self) -> int:
        return hash((self.config, self.step))

    def __reduce__(self):
        return Run, (self.config, self.step, tuple(self.signals.values()), dict(self.facts))


def _plain(tick) -> Tick:
    """A tick as a plain Python value, so that signals compare, hash and pickle alike wherever they came from."""
    return tick.item() if isinstance(tick, np.generic) else tick
