"""Runs: the log of one training, which grows while somebody asks for more and is never rewritten.

    run = scaling.run(scaling.Config(d_k=64))     nothing is computed yet
    run.advance(0.1)                              train for a tenth of a second
    run.steps, run.at(40)["loss"]                 what there is to look at, and one moment of it
    for snapshot in run: ...                      every moment, trained as it is asked for

A reading is what was measured at one step. Numbers that are measured again and again (a loss) are stored once each,
in one array a name; a moment is a view of its beginning. Pictures (a gradient curve, a map of weights) are kept for
about MOMENTS steps, evenly spread. Weights are kept of the newest moment only.

A `Store` keeps runs and pictures for all readers of a process: the same experiment and config is computed once.
"""

from __future__ import annotations

import contextlib
import contextvars
import threading
import time
import types
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from seqcore.record import Signal, Snapshot

MOMENTS = 120  # of one run, of which pictures are kept
RUN_BYTES = 8_000_000  # of one run's pictures: beyond that, every second moment goes
STORE_BYTES = 128_000_000  # of all runs and pictures of a process
UNFINISHED = 24  # trainings that are kept though they have not ended, with all their models
NEWEST = ("parameters",)  # signals that are kept of the newest moment only

Facts = Mapping[str, Any]


# --- cancelling -----------------------------------------------------------------------------------------------------


class Cancelled(BaseException):
    """Raised by `checkpoint` inside a computation that nobody waits for any more. No error: nothing should keep it."""


_gone: contextvars.ContextVar[Callable[[], bool] | None] = contextvars.ContextVar("gone", default=None)


def checkpoint() -> None:
    """Raise Cancelled if whoever asked for the computation under way has left. Cheap: call it between two parts."""
    gone = _gone.get()
    if gone is not None and gone():
        raise Cancelled


@contextlib.contextmanager
def cancelled_if(gone: Callable[[], bool]) -> Iterator[None]:
    """Within it, `checkpoint` raises Cancelled as soon as `gone()` is true."""
    token = _gone.set(gone)
    try:
        yield
    finally:
        _gone.reset(token)


# --- one run --------------------------------------------------------------------------------------------------------


class Reading(NamedTuple):
    """What was measured at one step.

    series    signals without a step axis: the run appends them, and a moment has all so far, with "step" as last axis
    pictures  signals of this moment
    facts     numbers and texts of this moment
    """

    step: int
    series: Iterable[Signal] = ()
    pictures: Iterable[Signal] = ()
    facts: Facts = types.MappingProxyType({})


class Series:
    """The readings of one name in one array that grows along its last axis; what was written is never changed."""

    def __init__(self, first: Signal):
        self.name, self.axes, self.ticks = first.name, first.axes, dict(first.ticks)
        self.steps: list[int] = []
        self._values = np.empty((*first.values.shape, 16), first.values.dtype)

    def append(self, step: int, signal: Signal) -> None:
        """Add a reading. Raises ValueError if its shape is another than before."""
        if signal.values.shape != self._values.shape[:-1]:
            raise ValueError(f"{self.name}: a reading of shape {signal.values.shape} after {self._values.shape[:-1]}")
        if len(self.steps) == self._values.shape[-1]:
            self._values = np.concatenate([self._values, np.empty_like(self._values)], axis=-1)
        self._values[..., len(self.steps)] = signal.values
        self.steps.append(step)

    def until(self, count: int) -> Signal:
        """The first `count` readings: a view that later readings do not change."""
        values = self._values[..., :count]
        values.flags.writeable = False
        return Signal(self.name, (*self.axes, "step"), values, {**self.ticks, "step": tuple(self.steps[:count])})

    @property
    def nbytes(self) -> int:
        return self._values.nbytes + 64 * len(self.steps)


class Moment(NamedTuple):
    """What a run keeps of one step: how long each series was by then, and what else was measured."""

    step: int
    counts: Mapping[str, int]
    pictures: tuple[Signal, ...]
    facts: Facts

    def without_weights(self) -> Moment:
        return self._replace(pictures=tuple(each for each in self.pictures if each.name not in NEWEST))

    @property
    def arrays(self) -> dict[int, int]:
        """id -> bytes of every array: what is measured seldom stands in several moments, and is kept once."""
        return {id(signal.values): signal.values.nbytes for signal in self.pictures}


class Run:
    """The log of one training. Any thread may look at it while another one lets it grow.

    config    of the experiment
    readings  what is measured, step by step, made as it is asked for; a None among them is a place to pause. A function
              that makes them can be called again, if the first moment is cancelled while it is made
    total     how many steps there will be
    facts     what is true of every moment, or a function that derives it from one
    personal  whether it belongs to one reader, because it measures time on a clock
    working   bytes of models and optimisers, which are held until it has ended

    done says that it will not grow any more; `error` is then what the experiment raised, or None. `seconds` is the
    processor time it took.
    """

    def __init__(
        self,
        config: Any,
        readings: Iterable[Reading | None] | Callable[[], Iterable[Reading | None]],
        total: int,
        facts: Facts | Callable[[Snapshot], Facts] | None = None,
        personal: bool = False,
        working: Callable[[], int] = lambda: 0,
    ):
        self.config, self.total, self.personal = config, total, personal
        self.done = False
        self.error: Exception | None = None
        self.seconds = 0.0
        self._make = readings if callable(readings) else None
        self._readings: Iterator[Reading | None] | None = iter(readings()) if callable(readings) else iter(readings)
        self._working = working
        self._facts = facts or {}
        self._growing = threading.Lock()
        self._series: dict[str, Series] = {}
        self._even: list[Moment] = []
        self._stride, self._count = 1, 0
        self._kept: tuple[Moment, ...] = ()  # replaced as a whole, so that readers need no lock

    def advance(self, seconds: float = 0.0, wait: bool = False, stop: Callable[[], bool] = lambda: False) -> int:
        """Let it grow for about so long, or until `stop()`; 0 seconds mean until the next reading.

        Returns how many readings were added. While another thread is at it a second one is sent away at once, unless it
        waits. It can end between any two optimiser steps: what was begun is taken up the next time.
        """
        if self.done or not self._growing.acquire(blocking=wait):
            return 0
        added, start, worked = 0, time.perf_counter(), time.thread_time()
        # The first moment is for the reader who asks. Later ones are in the log for all, whoever leaves meanwhile.
        token = _gone.set(None) if self._kept or self._make is None else None
        try:
            while not self.done:
                added += self._next()
                if (added if seconds <= 0 else time.perf_counter() - start >= seconds) or stop():
                    break
        except Cancelled:
            assert self._make is not None
            self._readings = iter(self._make())
            raise
        finally:
            if token is not None:
                _gone.reset(token)
            self.seconds += time.thread_time() - worked
            self._growing.release()
        return added

    def _next(self) -> bool:
        """Take one reading, or one step without one; whether there was a reading."""
        assert self._readings is not None
        try:
            reading = next(self._readings)
        except StopIteration:
            self.done, self._readings = True, None
            return False
        except Exception as error:
            self.error, self.done, self._readings = error, True, None
            return False
        if reading is not None:
            self._keep(reading)
        return reading is not None

    def _keep(self, reading: Reading) -> None:
        for signal in reading.series:
            self._series.setdefault(signal.name, Series(signal)).append(reading.step, signal)
        counts = {name: len(series.steps) for name, series in self._series.items()}
        moment = Moment(reading.step, counts, tuple(map(self._share, reading.pictures)), dict(reading.facts))
        if self._even and self._kept[-1] is self._even[-1]:
            self._even[-1] = self._even[-1].without_weights()
        if self._count % self._stride == 0:
            self._even.append(moment)
        self._count += 1
        if len(self._even) > MOMENTS or (len(self._even) > 2 and _bytes(self._even) > RUN_BYTES):
            self._even = self._even[::2]
            self._stride *= 2
        last = () if self._even[-1] is moment else (moment,)
        self._kept = (*self._even, *last)

    def _share(self, signal: Signal) -> Signal:
        """The signal with the labels of the picture before, where they are the same, so that they are kept once."""
        before = (
            next((each for each in self._kept[-1].pictures if each.name == signal.name), None) if self._kept else None
        )
        if before is None or before.axes != signal.axes or any(before.ticks[a] != signal.ticks[a] for a in signal.axes):
            return signal
        return Signal(signal.name, signal.axes, signal.values, before.ticks)

    @property
    def steps(self) -> tuple[int, ...]:
        """The steps that can be looked at, from the first to the newest."""
        return tuple(moment.step for moment in self._kept)

    def at(self, step: int) -> Snapshot:
        """The newest moment that is not after a step. Raises ValueError if there is none."""
        return self._snapshot(self._find(step))

    @property
    def last(self) -> Snapshot:
        """The newest moment. Raises ValueError if nothing was measured yet."""
        return self.at(self._kept[-1].step if self._kept else 0)

    def _find(self, step: int) -> Moment:
        found = next((moment for moment in reversed(self._kept) if moment.step <= step), None)
        if found is None:
            raise ValueError(f"nothing was measured up to step {step}; there are steps {self.steps}")
        return found

    def _snapshot(self, moment: Moment) -> Snapshot:
        series = [self._series[name].until(count) for name, count in moment.counts.items()]
        made = Snapshot(self.config, moment.step, [*series, *moment.pictures], moment.facts)
        facts = self._facts(made) if callable(self._facts) else self._facts
        return Snapshot(self.config, moment.step, made.signals.values(), {**facts, **moment.facts})

    def __iter__(self) -> Iterator[Snapshot]:
        """Every moment that is kept, then every further one as it is made. Raises what the experiment raises."""
        step = -1
        while True:
            following = next((moment for moment in self._kept if moment.step > step), None)
            if following is not None:
                step = following.step
                yield self._snapshot(following)
            elif not self.done:
                self.advance(wait=True)
            elif self.error is not None:
                raise self.error
            else:
                return

    @property
    def log_bytes(self) -> int:
        """Bytes of all that was measured and is kept."""
        return _bytes(self._kept) + sum(each.nbytes for each in list(self._series.values()))

    @property
    def nbytes(self) -> int:
        """Bytes of the log, and until it has ended of the models and optimisers it works with."""
        return self.log_bytes + (0 if self.done else self._working())


def _bytes(moments: Iterable[Moment]) -> int:
    """Bytes of the pictures of some moments, each array once."""
    arrays: dict[int, int] = {}
    for moment in moments:
        arrays |= moment.arrays
    return sum(arrays.values())


# --- all runs -------------------------------------------------------------------------------------------------------


class Store:
    """Runs and pictures of a process, by what made them and the knobs it depends on, in a budget of bytes.

    When there is no more room, what was not looked at for the longest time goes first; so do unfinished trainings beyond
    UNFINISHED. Whoever still holds a run that had to go keeps it, and it is found again.
    """

    def __init__(self, budget: int = STORE_BYTES):
        self.budget = budget
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()  # runs and snapshots
        self._sizes: dict[Hashable, int] = {}
        self._held: weakref.WeakValueDictionary[Hashable, Run] = weakref.WeakValueDictionary()
        self._making: dict[Hashable, threading.Event] = {}
        self._lock = threading.Lock()

    def run(self, make: Callable[[Any], Run], config: Any, reader: Hashable = None) -> Run:
        """The run of an experiment: the same one for all who ask, unless it is personal; then one for each reader.

        reader  an object of the reader's own, which nobody else has
        """
        shared = self._key(make, config)
        found = self._find(shared, (*shared, reader))
        if found is None:
            made = make(config)  # which may take its time: nobody waits for it but who has asked
            key = (*shared, reader) if made.personal else shared
            with self._lock:
                found = self._kept.get(key) or self._held.get(key) or made
                self._keep(key, found)
        return found

    def forget(self, make: Callable[[Any], Run], config: Any, reader: Hashable = None) -> None:
        """Drop a run, so that the next who asks begins a new one. Whoever holds the old one keeps it."""
        shared = self._key(make, config)
        with self._lock:
            for key in (shared, (*shared, reader)):
                self._drop(key)
                self._held.pop(key, None)

    def picture(self, make: Callable[[Any], Snapshot], config: Any) -> Snapshot:
        """The picture of a config, computed once: whoever asks meanwhile waits for it. Raises what `make` raises."""
        key = self._key(make, config)
        while True:
            with self._lock:
                if key in self._kept:
                    self._kept.move_to_end(key)
                    return self._kept[key]
                making = self._making.get(key)
                if making is None:
                    self._making[key] = threading.Event()
            if making is None:
                return self._make(key, make, config)
            while not making.wait(0.02):
                checkpoint()

    def _make(self, key: Hashable, make: Callable[[Any], Snapshot], config: Any) -> Snapshot:
        try:
            made = make(config)
            with self._lock:
                self._keep(key, made)
            return made
        finally:
            with self._lock:
                self._making.pop(key).set()

    def _find(self, *keys: Hashable) -> Any:
        with self._lock:
            for key in keys:
                found = self._kept.get(key) or self._held.get(key)
                if found is not None:
                    self._keep(key, found)  # runs grow: there may be too many bytes by now
                    return found
            return None

    def _keep(self, key: Hashable, made: Run | Snapshot) -> None:
        """Put something at the young end, and let the oldest go while there is too much."""
        self._kept[key] = made
        self._kept.move_to_end(key)
        self._sizes[key] = made.nbytes
        if isinstance(made, Run):
            self._held[key] = made
            unfinished = [each for each, run in self._kept.items() if isinstance(run, Run) and not run.done]
            for each in unfinished[:-UNFINISHED]:
                self._drop(each)
        while sum(self._sizes.values()) > self.budget and len(self._kept) > 1:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: Hashable) -> None:
        self._kept.pop(key, None)
        self._sizes.pop(key, None)

    @staticmethod
    def _key(make: Callable, config: Any) -> tuple:
        names = getattr(make, "uses", None)
        return f"{make.__module__}.{make.__qualname__}", config if names is None else config.only(names)

    @property
    def nbytes(self) -> int:
        """Bytes of all that is kept."""
        with self._lock:
            return sum(each.nbytes for each in self._kept.values())

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._kept.clear()
            self._sizes.clear()
            self._held.clear()
