"""When to stop: the lowest point of a held-out curve, after which a model learns its training data by heart."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from seqcore.record import Signal


class Lowest(NamedTuple):
    """The lowest value, and the step it was reached at."""

    value: float
    step: int


def lowest(curve: Signal) -> Lowest:
    """Of a signal (seed, step): the median over seeds, where it is lowest. A NaN, of what has diverged, counts as infinite."""
    middle = np.median(np.where(np.isnan(curve.values), np.inf, curve.values), axis=0)
    best = int(np.argmin(middle))
    return Lowest(float(middle[best]), int(curve.ticks["step"][best]))
