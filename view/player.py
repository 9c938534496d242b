"""Playing a run: a reader's own place in a log that all readers share, with play, pause, step, reset and rewind.

Nothing trains in the background. A page that is open asks for a little work at a time; a page that is left, or a tab
that is closed, asks for nothing. What somebody else has trained already is played from the log.
"""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any, NamedTuple

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from seqcore import knobs
from seqcore.record import Signal, Snapshot
from seqcore.runs import Run
from view import address, charts, reader, rewind, router, trouble, visit
from view.desk import desk
from view.pictures import store
from view.plain import plain

TICK = 0.075  # seconds of training between two pictures
BREATH = 0.015  # seconds between two ticks, in which the server sends what was drawn
HEARTBEAT = 0.25  # seconds after which the browser asks for a tick that got lost
REPLAY = 80  # pictures in which a log that is there already is played
PLACES = 60  # that are remembered of one reader

_playing: dict[int, float] = {}  # id of a cursor that plays -> when it had its last tick, over all sessions


class Cursor:
    """One reader's place in a run.

    step     the step that is looked at; the newest one there is while `playing`
    playing  does the reader want it to go on? Only the reader's own presses change that.
    new      has the reader never been in this run before?
    """

    def __init__(self, run: Run):
        self.run = run
        self.step = 0
        self.playing = False
        self.new = False
        self._presses = 0
        self._moving = threading.Lock()
        self._drawn: Snapshot | None = None

    @property
    def finished(self) -> bool:
        """Is there nothing more to play: has the run ended, and is its last moment looked at?"""
        return self.run.done and (not self.run.steps or self.step >= self.run.steps[-1])

    @property
    def going(self) -> bool:
        return self.playing and not self.finished

    def begin(self) -> None:
        """Make sure that there is a first moment to draw."""
        if not self.run.steps and not self.run.done:
            self.run.advance(wait=True)

    def press(self, playing: bool, step: int | None = None) -> None:
        """What the reader wants: to play or not, and maybe another place. A tick under way does not undo it."""
        with self._moving:
            self._presses += 1
            self.playing = playing
            self.step = self.step if step is None else step

    def forward(self) -> None:
        """One moment on: the next in the log, or a new one. Waits if another thread is at it; nothing is lost."""
        later = [step for step in self.run.steps if step > self.step]
        if not later and self.run.advance(wait=True):
            later = [step for step in self.run.steps if step > self.step]
        self.press(False, later[0] if later else None)

    def tick(self, seconds: float) -> None:
        """What happens between two pictures: further through the log, or else about so much training."""
        presses, steps = self._presses, self.run.steps
        later = [step for step in steps if step > self.step]
        if later:
            self._move(later[min(len(steps) // REPLAY, len(later) - 1)], presses)
            return
        with desk.turn() as stop:
            self.run.advance(seconds, stop=stop)
        self._move(self.run.steps[-1] if self.run.steps else 0, presses)

    def _move(self, step: int, presses: int) -> None:
        """Go to a step, unless the reader has pressed something since."""
        with self._moving:
            if self._presses == presses:
                self.step = step

    @property
    def snapshot(self) -> Snapshot:
        """The moment that is looked at, as it was first seen: what another reader trains meanwhile changes nothing in it."""
        found = self.run.at(self.step)
        if self._drawn is None or self._drawn.step != found.step:
            self._drawn = found
        return self._drawn


class Place(NamedTuple):
    """Where a reader has left a run."""

    step: int
    playing: bool


class Cursors:
    """The places of one session. Only the runs of the page that is open are held; others may go from the store."""

    def __init__(self) -> None:
        self.page = ""
        self.reader = object()  # what tells this session from all others
        self.open: dict[str, Cursor] = {}
        self.trained: set[tuple[str, ...]] = set()  # scenes whose training the reader has seen
        self._places: OrderedDict[Hashable, Place] = OrderedDict()

    def get(self, make: Callable[[Any], Run], config: knobs.Config, page: str = "") -> Cursor:
        """The reader's place in the run of this config. A config that is new goes on playing if the one before did."""
        if page != self.page:
            for name in list(self.open):
                self._leave(name)
            self.page = page
        name, run = name_of(make), store().run(make, config, self.reader)
        if name in self.open and self.open[name].run is run:
            self.open[name].new = False
            return self.open[name]
        going = name in self.open and self.open[name].going
        self._leave(name)
        place = self._places.get((name, run.config), Place(0, False))
        cursor = self.open[name] = Cursor(run)
        cursor.new = (name, run.config) not in self._places
        cursor.step = min(place.step, run.steps[-1] if run.steps else 0)
        cursor.playing = place.playing or going
        return cursor

    def _leave(self, name: str) -> None:
        cursor = self.open.pop(name, None)
        if cursor is not None:
            self._places[name, cursor.run.config] = Place(cursor.step, cursor.going)
            self._places.move_to_end((name, cursor.run.config))
            cursor.playing = False
            while len(self._places) > PLACES:
                self._places.popitem(last=False)


def name_of(make: Callable[[Any], Run]) -> str:
    return f"{make.__module__}.{make.__qualname__}"


def pause_after(cursor: Cursor, spent: float) -> float:
    """Seconds until the next tick: the more readers play, the longer, so that all together do what the processors can.

    spent  seconds that the tick took, drawing and all
    """
    now = time.monotonic()
    _playing[id(cursor)] = now
    for key, when in list(_playing.items()):
        if now - when > 3:
            _playing.pop(key, None)
    crowd = max(1.0, len(_playing) / max(1, (os.cpu_count() or 1) - 1)) - 1.0
    return min(BREATH + crowd * spent, 2.0)


def play(
    make: Callable[[Any], Run],
    config: knobs.Config,
    figures: Callable[[Snapshot], None],
    verb: tuple[str, str] = ("Train", "Trained"),
) -> None:
    """Train live: buttons, then the figures of the newest moment, then a way back through all moments.

    make     an experiment's `run`
    figures  draws one moment
    verb     what the button does, and what is then done

    The first of a page's experiments takes the keys. A run that is new to the reader starts by itself when its scene is
    opened for the first time, unless the switch in the side panel, or the reader's system, says otherwise.
    """
    cursors = st.session_state.setdefault("cursors", Cursors())
    cursor = cursors.get(make, config, router.here())
    name, outer = name_of(make), visit.current()
    scene = (router.here(), outer.part, name)
    if (cursor.new and scene not in cursors.trained) or name in st.session_state.get("waiting", ()):
        _start(cursor, name)
    cursors.trained.add(scene)
    cursor.begin()
    outer.plays += 1
    if name in outer.options:  # on a page that shows all scenes a training may stand twice
        if cursor.run.steps:
            figures(cursor.snapshot)
        return
    outer.options.add(name)
    elsewhere = frozenset(outer.options)
    _buttons(make, config, cursor, verb, first=outer.plays == 1)

    @st.fragment(run_every=HEARTBEAT if cursor.going else None)
    def live() -> None:
        start = time.perf_counter()
        # A full run answers a reader: it draws what there is, and the first tick comes with the heartbeat.
        played = cursor.going and _by_itself()
        if played:
            cursor.tick(TICK)
        here = visit.begin(name, moving=cursor.going)
        here.options |= elsewhere
        here.slot = outer.slot if not _by_itself() else None
        if cursor.run.steps:
            moment = _place(cursor, name)
            with trouble.told(f"{name} at step {moment.step}"):
                figures(moment)
        if cursor.run.error is not None:
            _failed(cursor.run)
        if not played:
            outer.told.extend(here.told)
            outer.options |= here.options
            if _by_itself() and address.query(config.knobs()) != address.here().written:
                st.rerun()  # a way of looking has changed, which belongs into the address
            return
        if not cursor.going:
            st.rerun()  # the buttons stand outside
        time.sleep(pause_after(cursor, time.perf_counter() - start))
        st.rerun(scope="fragment")

    live()
    visit.resume(outer)
    if cursor.going:
        # A tick that begins before the server has sent what was drawn takes its place in the queue, and the browser would
        # take the picture away until the tick draws its own.
        time.sleep(BREATH)
    if cursor.finished and cursor.run.error is None:
        _take(make, cursor.run)


def _by_itself() -> bool:
    """Does a live part run by itself now, and not as part of the whole page?"""
    context = get_script_run_ctx()
    return context is not None and bool(context.fragment_ids_this_run)


def _start(cursor: Cursor, name: str) -> None:
    """Start by itself, as soon as the browser has told whether motion is welcome."""
    waiting = st.session_state.setdefault("waiting", set())
    if not reader.motion():
        waiting.add(name)
        return
    waiting.discard(name)
    if reader.motion() == "full" and st.session_state.get("autoplay", True) and not cursor.run.personal:
        cursor.playing = True


def _buttons(
    make: Callable[[Any], Run], config: knobs.Config, cursor: Cursor, verb: tuple[str, str], first: bool
) -> None:
    """Play or pause, step, reset. Every press says what it wants, so none can be undone by what happens meanwhile."""
    name = name_of(make)
    keys = ("p", "s") if first else (None, None)
    failed = cursor.run.error is not None

    def reset() -> None:
        cursor.press(False, 0)
        if cursor.run.personal or failed:
            store().forget(make, config, st.session_state["cursors"].reader)

    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        idle = "Stopped" if failed else f"✓ {verb[1]}" if cursor.finished else f"▶ {verb[0]}"
        st.button(
            "❚❚ Pause" if cursor.going else idle,
            key=f"{name} play",
            on_click=cursor.press,
            args=(not cursor.going,),
            disabled=cursor.finished,
            shortcut=keys[0],
        )
        still = cursor.going or cursor.finished
        st.button("Step", key=f"{name} step", on_click=cursor.forward, disabled=still, shortcut=keys[1])
        st.button("↺ Reset", key=f"{name} reset", on_click=reset)


def _place(cursor: Cursor, name: str) -> Snapshot:
    """The moment to draw: the one that plays, else the one the reader went back to. With a line about it."""
    run = cursor.run
    with st.container(height=70, border=False):
        steps = run.steps
        if cursor.going or len(steps) < 2:
            share = cursor.step / max(run.total, 1)
            st.progress(min(share, 1.0), text=f"step {cursor.step:,} · {run.seconds:.1f} s of work")
        else:
            key = f"rewind {name}"
            at = cursor.snapshot.step
            rest = visit.current().rest = rewind.Rest(run, name, cursor.snapshot, rewind.stops(steps, at))
            if st.session_state.get(key) != at:  # to set it again would undo what the reader does meanwhile
                st.session_state[key] = at

            def go() -> None:
                cursor.press(False, st.session_state[key])

            words = f"Rewind: {steps[-1]:,} steps, {run.seconds:.1f} s of work"
            st.select_slider(words, rest.steps, key=key, on_change=go)
    moment = cursor.snapshot
    if moment.facts.get("event"):
        st.error(moment.facts["event"], icon="💥")
    return moment


def _failed(run: Run) -> None:
    """Say in words that an experiment ended with an error; what was measured until then stays above."""
    after = f"after step {run.steps[-1]:,}" if run.steps else "before its first step"
    error = f"{type(run.error).__name__}: {run.error}" if str(run.error) else type(run.error).__name__
    st.error(
        f"**The training stopped {after}.** {plain(error)}. What was measured until then is shown. "
        "Turn a knob, or press Reset to try again.",
        icon="🚧",
    )


def _csv(signal: Signal) -> str:
    return charts.table(signal).to_csv(index=False)


def _take(make: Callable[[Any], Run], run: Run) -> None:
    """The same picture outside: three lines of Python, and the numbers as a table."""
    module, config = make.__module__.rsplit(".", 1)[-1], run.config
    turned = ", ".join(f"{name}={getattr(config, name)!r}" for name in config.address())
    with st.expander("Take it with you"):
        st.code(
            f"from seqcore.experiments import last, {module}\n\n"
            f"final = last({module}.{make.__name__}({module}.{type(config).__name__}({turned})))",
            language="python",
        )
        with st.container(horizontal=True):
            for name, signal in run.last.signals.items():
                st.download_button(
                    f"{name}.csv",
                    partial(_csv, signal),
                    f"{module}-{name}.csv",
                    "text/csv",
                    key=f"take {make.__name__} {name}",
                    on_click="ignore",
                )
