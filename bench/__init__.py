"""Measured speed: `python -m bench` prints every table. One idea a file, each with `report() -> Iterator[str]`.

A module of this package that has a `report` is found by itself; its docstring up to the colon is the heading.

On a machine that others use too, a time means little and a ratio much, if both sides are measured
within the same instant: so everything is timed in pairs, ours and theirs in turn, and in processor
time, which does not run while somebody else has the processor.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted((ROOT / "pages").glob("[1-9]*_*.py"))
PAIRS = 15


class Comparison(NamedTuple):
    """ours, theirs: median processor seconds of one call; ratio: median of theirs / ours, pair by pair.

    Above 1 ours is faster.
    """

    ours: float
    theirs: float
    ratio: float


def compare(ours: Callable[[], object], theirs: Callable[[], object], pairs: int = PAIRS) -> Comparison:
    """Time both in turn, `pairs` times; short calls are repeated until a measurement lasts some twenty milliseconds."""
    theirs()
    repeats = max(1, round(20e-3 / seconds(theirs, 1)))
    ours()
    times = [(seconds(ours, repeats), seconds(theirs, repeats)) for _ in range(pairs)]
    mine, other = zip(*times)
    ratio = statistics.median(b / a for a, b in times)
    return Comparison(statistics.median(mine), statistics.median(other), ratio)


def seconds(call: Callable[[], object], repeats: int) -> float:
    """Mean processor time of one call among `repeats` in a row."""
    start = time.process_time()
    for _ in range(repeats):
        call()
    return (time.process_time() - start) / repeats
