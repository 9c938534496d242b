"""Who computes now: a turned knob before a training, as many trainings at once as there are processors, in turn.

All sessions of a process share one interpreter. A script that answers a reader's knob works `first()`; a tick of a
training takes a `turn()`, waits while anybody's knob is being answered, and is told to stop early when one comes.
A tick always trains for the same time: when many readers train, each of them waits longer between two ticks, so that
the share of time that goes into drawing stays what it was.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator

PATIENCE = 1.0  # seconds a training waits for knobs at most, so that nobody is starved


class Desk:
    """places: how many trainings may work at the same time."""

    def __init__(self, places: int | None = None):
        self.places = places or os.cpu_count() or 1
        self._changed = threading.Condition()
        self._answering = self._training = 0
        self._queue: deque[object] = deque()

    @contextlib.contextmanager
    def first(self) -> Iterator[None]:
        """Within it, a reader's knob is being answered: no training begins a turn."""
        with self._changed:
            self._answering += 1
        try:
            yield
        finally:
            with self._changed:
                self._answering -= 1
                self._changed.notify_all()

    @contextlib.contextmanager
    def turn(self) -> Iterator[Callable[[], bool]]:
        """Within it, one training works; who came first is served first.

        Gives a function that says when to stop early: when a knob is being answered, unless the training has waited so
        long already that it may take its whole turn.
        """
        ticket = object()
        with self._changed:
            self._queue.append(ticket)
            # whoever has waited long is not held up by knobs any more, only by those before it
            calm = self._changed.wait_for(lambda: self._free(ticket) and not self._answering, PATIENCE)
            if not calm:
                self._changed.wait_for(lambda: self._free(ticket))
            self._queue.remove(ticket)
            self._training += 1
            self._changed.notify_all()
        try:
            yield self.wanted if calm else lambda: False
        finally:
            with self._changed:
                self._training -= 1
                self._changed.notify_all()

    def _free(self, ticket: object) -> bool:
        return self._queue[0] is ticket and self._training < self.places

    def wanted(self) -> bool:
        """Is a reader's knob being answered at this moment? Then a training should end its turn."""
        return self._answering > 0


desk = Desk()
