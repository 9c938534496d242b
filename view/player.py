"""A playback: one run of an experiment, the moments seen so far, and who may turn the crank.

Nothing trains in the background. A page that is open asks for a little work at a time; a page that is
left, or a tab that is closed, asks for nothing.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from typing import Any

from seqcore.record import Run

MOMENTS = 120  # kept of one run
PLAYBACKS = 8  # kept of one session
TICK = 0.12  # seconds of training between two pictures, shared among everybody who is watching
LEAST_TICK = 0.02


class Playback:
    """A run in progress. `advance` may be called from any thread; a second caller is sent away at once."""

    def __init__(self, runs: Iterator[Run]):
        self._runs = runs
        self._turning = threading.Lock()
        self._stride = self._seen = 0
        self._moments: list[Run] = []
        self._last: Run | None = None
        self.done = False
        self.playing = False
        self.seconds = 0.0

    @property
    def moments(self) -> list[Run]:
        """The moments to rewind through: the first, the last, and evenly spread ones between."""
        last = self._last
        kept = list(self._moments)
        return kept if last is None or (kept and kept[-1] is last) else [*kept, last]

    def advance(self, seconds: float) -> None:
        """Work for about so long: until the first moment that ends later. 0 means one moment."""
        if self.done or not self._turning.acquire(blocking=False):
            return
        try:
            start = time.perf_counter()
            while not self.done:
                moment = next(self._runs, None)
                self.done = moment is None
                if moment is not None:
                    self._keep(moment)
                if time.perf_counter() - start >= seconds:
                    break
            self.seconds += time.perf_counter() - start
        finally:
            self._turning.release()
        self.playing = self.playing and not self.done

    def _keep(self, moment: Run) -> None:
        """Every stride-th moment; when there are too many, every second one goes and the stride doubles."""
        self._last = moment
        self._stride = self._stride or 1
        if self._seen % self._stride == 0:
            self._moments.append(moment)
        self._seen += 1
        if len(self._moments) > MOMENTS:
            self._moments = self._moments[::2]
            self._stride *= 2


class Shelf:
    """The playbacks of one session, by experiment and config; an unfinished one goes when its knobs are turned."""

    def __init__(self):
        self._playbacks: OrderedDict[tuple[str, Hashable], Playback] = OrderedDict()

    def get(self, run: Callable[[Any], Iterator[Run]], config: Hashable) -> Playback:
        """The playback of this config, made anew if there is none."""
        name = f"{run.__module__}.{run.__name__}"
        for key, playback in list(self._playbacks.items()):
            if key[0] == name and key[1] != config and not playback.done:
                playback.playing = False
                del self._playbacks[key]
        key = (name, config)
        if key not in self._playbacks:
            self._playbacks[key] = Playback(run(config))
        self._playbacks.move_to_end(key)
        while len(self._playbacks) > PLAYBACKS:
            self._playbacks.popitem(last=False)
        return self._playbacks[key]

    def forget(self, run: Callable[[Any], Iterator[Run]], config: Hashable) -> None:
        """Drop the playback of this config, so that `get` starts it again."""
        self._playbacks.pop((f"{run.__module__}.{run.__name__}", config), None)


_watching: dict[int, float] = {}  # who asked for work -> when, over all sessions of this process
_counting = threading.Lock()


def budget(playback: Playback) -> float:
    """Seconds of work this playback may do now: one tick, shared among all that played in the last two seconds."""
    now = time.monotonic()
    with _counting:
        _watching[id(playback)] = now
        for key in [key for key, when in _watching.items() if now - when > 2]:
            del _watching[key]
        return max(LEAST_TICK, TICK / len(_watching))
