"""The verbs of a page: head, ask, lens, predict, still, play, show, tell.

    page.head(__doc__)
    config = page.ask(Config, presets={...})
    first = page.still(before, config)
    page.show(charts.curve, first["gradient"], x="lag", log=True, caption="...")
    page.play(run, config, figures)

A page only says what stands where. Widgets, addresses, keys, sessions and fragments are dealt with here.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any, TypeVar

import streamlit as st
from streamlit.errors import StreamlitAPIException

from seqcore import knobs
from seqcore.knobs import Knob
from seqcore.record import Run, Signal
from view import address, charts, player, router

C = TypeVar("C", bound=knobs.Config)

BREATH = 0.02  # seconds between two ticks, in which the server sends what was drawn
HEARTBEAT = 0.5  # seconds after which the browser asks for a tick that got lost

_moving: ContextVar[bool] = ContextVar("moving", default=False)  # is a run being played right now?
_plays: ContextVar[int] = ContextVar("plays", default=0)  # how many runs the page has shown so far
_slot: ContextVar[Any] = ContextVar("slot", default=None)  # where complaints about the address stand


def head(docstring: str) -> None:
    """Title and claim, from the page's docstring `Title: claim`, as `router.words` reads it."""
    router.through_the_door()
    _plays.set(0)
    st.html("<style>.stMainBlockContainer { padding-top: 4rem; padding-bottom: 4rem }</style>")
    title, _, claim = docstring.split("\n\n")[0].replace("\n", " ").partition(":")
    st.title(title.strip(), anchor=False)
    st.markdown(f"##### {claim.strip()[:1].upper()}{claim.strip()[1:]}")


# --- knobs ----------------------------------------------------------------------------------------------------------


def ask(config: type[C], presets: Mapping[str, Mapping[str, knobs.Value]] | None = None) -> C:
    """A widget for every knob, in the side panel; presets as buttons where this is called. What the reader chose.

    presets  name -> the knobs it turns; all others go back to their defaults
    """
    turned = config.knobs()
    address.arrive(turned)
    _slot.set(st.empty())
    _complain()
    if presets:
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown("**Try:**")
            for name, changes in presets.items():
                st.button(name, key=f"preset {name}", on_click=address.turn, args=(turned, dict(changes)))
    with st.sidebar:
        for group in dict.fromkeys(knob.group for knob in turned.values()):
            if group:
                st.markdown(f"**{group}**")
            for knob in turned.values():
                if knob.group == group:
                    _widget(knob)
    values = {name: address.chosen(knob) for name, knob in turned.items()}
    try:
        made = config(**values)
    except ValueError as wrong:
        st.error(f"{wrong}. The page keeps to the last setting that works; nothing you wrote is lost.", icon="🚧")
        return config(**address.kept())
    address.remember(turned)
    return made


def lens(
    name: str,
    label: str,
    default: knobs.Value,
    low: float | None = None,
    high: float | None = None,
    choices: Iterable[knobs.Value] = (),
) -> knobs.Value:
    """A way of looking (which head, which time step): a widget where this is called. It never restarts a training."""
    knob = Knob(name, default, label, low, high, choices=tuple(choices))
    if (knob.choices and len(knob.choices) < 2) or (not knob.choices and low == high):
        return default
    address.fit(knob)
    _complain()
    _widget(knob)
    return address.chosen(knob)


def _complain() -> None:
    """Say, once and above everything else, what was wrong with the address. A lens is known only when it is drawn."""
    slot = _slot.get()
    if slot is not None and (told := address.complaints()):
        slot.warning(told, icon="⚠️")
    elif slot is not None:
        slot.empty()


def _widget(knob: Knob) -> None:
    """The widget that suits a knob, bound to the address under the knob's name."""
    common: dict[str, Any] = dict(key=knob.name, help=knob.help or None, bind="query-params")
    match knob.kind:
        case "choice" if len(knob.choices) <= 4 and sum(len(str(choice)) + 3 for choice in knob.choices) <= 36:
            st.segmented_control(knob.label, knob.choices, default=knob.default, required=True, **common)
        case "choice":
            st.selectbox(knob.label, knob.choices, index=knob.choices.index(knob.default), **common)
        case "truth":
            st.toggle(knob.label, knob.default, **common)
        case "text" if knob.high > 200:
            st.text_area(knob.label, knob.default, max_chars=int(knob.high), **common)
        case "text":
            st.text_input(knob.label, knob.default, max_chars=int(knob.high), **common)
        case _ if knob.scale == "log":
            st.select_slider(knob.label, knob.grid, knob.default, **common)
        case "whole":
            st.slider(knob.label, int(knob.low), int(knob.high), knob.default, step=int(knob.step or 1), **common)
        case "number":
            step = knob.step or (knob.high - knob.low) / 100
            st.slider(knob.label, float(knob.low), float(knob.high), float(knob.default), step=step, **common)


def upload(label: str, into: str, parse: Callable[[bytes], str], kinds: Iterable[str]) -> None:
    """A file of the reader's that fills the text knob `into`, and so becomes part of the address.

    parse  file -> text; its ValueError is shown, and the knob stays as it was
    """
    key = f"upload {into}"

    def fill() -> None:
        file = st.session_state[key]
        st.session_state[f"{key} failed"] = ""
        if file is not None:
            try:
                st.session_state[into] = parse(file.getvalue())
            except ValueError as wrong:
                st.session_state[f"{key} failed"] = f"{file.name}: {wrong}"

    st.file_uploader(label, list(kinds), key=key, on_change=fill)
    if wrong := st.session_state.get(f"{key} failed"):
        st.warning(f"{wrong}. What was there stays.", icon="⚠️")


def predict(question: str, answers: Iterable[str], right: str, because: str) -> None:
    """Ask before showing. Anybody may skip it; whoever answers is told what happens, and why."""
    answers = list(answers)
    if right not in answers:
        raise ValueError(f"right = {right!r} is not one of {answers}")
    with st.container(border=True):
        st.markdown(f"**Before you look:** {question}")
        chosen = st.pills(question, answers, key=f"predict {question}", label_visibility="collapsed")
        if chosen is not None:
            verdict = "**Yes.**" if chosen == right else f"Most people are surprised: it is **{right}**."
            st.markdown(f"{verdict} {because}")


# --- pictures -------------------------------------------------------------------------------------------------------


def still(picture: Callable[[C], Run], config: C) -> Run:
    """A picture that needs no training, computed once for each config."""
    return _still(f"{picture.__module__}.{picture.__name__}", config, picture)


@st.cache_resource(max_entries=256, show_spinner=False)
def _still(name: str, config: knobs.Config, _picture: Callable) -> Run:
    return _picture(config)


def show(chart: Callable, *signals: Signal, caption: str = "", title: str = "", **options: Any) -> None:
    """Draw signals with a chart of `view.charts`; the options are the chart's.

    caption  what is drawn, and where its limits are: it stands below
    title    a few words above the chart; no numbers, they belong to the data
    """
    if title:
        st.markdown(f"**{title}**")
    layout = tuple((signal.name, signal.axes, charts.written_out(chart, signal, options)) for signal in signals)
    rows = chart.rows(*signals, **options)
    st.vega_lite_chart(
        rows,
        _specification(
            f"{chart.__module__}.{chart.__name__}", layout, repr(sorted(options.items())), chart, signals, options
        ),
        key=f"{chart.__name__} {layout} {sorted(options.items())}",
        alt=charts.describe(chart, None if _moving.get() else rows, *signals, **options),
        width="stretch",
    )
    if caption:
        st.caption(caption)


@st.cache_resource(max_entries=1024, show_spinner=False)
def _specification(name: str, layout: tuple, options_text: str, _chart, _signals, _options) -> dict:
    """The chart as Vega-Lite without its rows: building and checking one costs more than drawing it."""
    chart = _chart(*_signals, **_options)
    chart.data = charts.alt.NamedData("rows")
    specification = chart.to_dict()
    for needless in ("data", "$schema", "config", "datasets"):
        specification.pop(needless, None)
    return specification


def course(moment: Run, name: str, **options: Any) -> None:
    """How a signal (arm, step), or (arm, seed, step), has gone so far, on an axis as long as the training."""
    show(charts.curve, moment[name], x="step", colour="arm", across=(0, moment.config.steps), **options)


def losses(moment: Run, caption: str = "") -> None:
    """The picture every experiment owes its reader: loss by step, an arm a line, between knowing nothing and the floor."""
    facts = moment.facts
    rules = {"knows nothing": facts["baseline"], "best possible": facts.get("floor", 0.0)}
    course(
        moment,
        "loss",
        log=True,
        rules={name: loss for name, loss in rules.items() if loss > 0},
        title="Loss",
        caption=caption
        or "Mean loss on fresh batches since the moment before; line: median, band: range of the seeds. "
        "All arms start from the same weights and see the same batches.",
    )


def ledger(*rows: tuple[str, str, str]) -> None:
    """A table of (what, shape, meaning): the tensors on this page at their present sizes."""
    table(("", "shape", ""), *((what, f"`{shape}`", meaning) for what, shape, meaning in rows))


def table(head: tuple[str, ...], *rows: tuple[str, ...]) -> None:
    """A small table of texts."""
    lines = [head, ("---",) * len(head), *rows]
    st.markdown("\n".join(f"| {' | '.join(line)} |" for line in lines))


def tell(**facts: tuple[str, str] | str) -> None:
    """Numbers worth reading from afar: label -> value, or (value, what it means)."""
    with st.container(horizontal=True):
        for label, fact in facts.items():
            value, meaning = fact if isinstance(fact, tuple) else (fact, None)
            st.metric(label.replace("_", " "), value, help=meaning, border=True)


def badge(agreement: float | None) -> None:
    """How far this page's model is from torch.nn, measured now for the current knobs."""
    if agreement is None:
        st.caption("torch.nn has no such network to compare with.")
    else:
        st.caption(f"max |ours − torch.nn| = {agreement:.1e} for these knobs, measured now.")


# --- live training --------------------------------------------------------------------------------------------------


def play(
    run: Callable[[C], Iterator[Run]],
    config: C,
    figures: Callable[[Run], None],
    verb: tuple[str, str] = ("Train", "Trained"),
) -> None:
    """Train live: buttons, then the figures of the newest moment, then a way back through all moments.

    run      an experiment, which ends at step config.steps, or at facts["steps"] if it says so
    figures  draws one moment
    verb     what the button does, and what is then done

    The first of a page's experiments takes the keys.
    """
    shelf = st.session_state.setdefault("shelf", player.Shelf())
    playback = shelf.get(run, config)
    if not playback.moments:
        playback.advance(0)
    _buttons(shelf, playback, run, config, verb)

    @st.fragment(run_every=HEARTBEAT if playback.playing else None)
    def live() -> None:
        played = playback.playing
        if played:
            playback.advance(player.budget(playback))
        token = _moving.set(playback.playing)
        try:
            figures(_place(playback, config))
        finally:
            _moving.reset(token)
        if not played:
            return
        time.sleep(BREATH)
        if playback.done:
            st.rerun()  # the buttons stand outside
        # In a full run a fragment may not ask for its own next run: the heartbeat does.
        with contextlib.suppress(StreamlitAPIException):
            st.rerun(scope="fragment")

    live()
    if playback.done:
        _take(run, config, playback.moments[-1])


def _buttons(
    shelf: player.Shelf, playback: player.Playback, run: Callable, config: knobs.Config, verb: tuple[str, str]
) -> None:
    def toggle() -> None:
        playback.playing = not playback.playing

    name = f"{run.__module__}.{run.__name__}"
    keys = ("p", "s") if _plays.get() == 0 else (None, None)
    _plays.set(_plays.get() + 1)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        idle = f"✓ {verb[1]}" if playback.done else f"▶ {verb[0]}"
        label = "❚❚ Pause" if playback.playing else idle
        st.button(label, key=f"{name} play", on_click=toggle, disabled=playback.done, shortcut=keys[0])
        still = playback.playing or playback.done
        st.button("Step", key=f"{name} step", on_click=playback.advance, args=(0,), disabled=still, shortcut=keys[1])
        st.button("↺ Reset", key=f"{name} reset", on_click=shelf.forget, args=(run, config))


def _place(playback: player.Playback, config: knobs.Config) -> Run:
    """The moment to draw: the newest while it plays, else the one the reader went back to. With a line about it."""
    moments = playback.moments
    with st.container(height=78, border=False):
        if playback.playing or len(moments) < 2:
            moment = moments[-1]
            share = moment.step / max(moment.facts.get("steps") or getattr(config, "steps", moment.step), 1)
            st.progress(min(share, 1.0), text=f"step {moment.step:,} · {playback.seconds:.1f} s of work")
        else:
            steps = [moment.step for moment in moments]
            step = st.select_slider(
                f"Rewind: step ({steps[-1]:,} steps took {playback.seconds:.1f} s)",
                steps,
                steps[-1],
                key=f"rewind {id(playback)} {len(steps)}",
            )
            moment = moments[steps.index(step)]
    if moment.facts.get("event"):
        st.error(moment.facts["event"], icon="💥")
    return moment


def _take(run: Callable, config: knobs.Config, moment: Run) -> None:
    """The same picture outside: three lines of Python, and the numbers as a table."""
    module = run.__module__.rsplit(".", 1)[-1]
    changed = {
        name: getattr(config, name) for name, knob in config.knobs().items() if getattr(config, name) != knob.default
    }
    turned = ", ".join(f"{name}={value!r}" for name, value in changed.items())
    with st.expander("Take it with you"):
        st.code(
            f"from seqcore.experiments import last, {module}\n\n"
            f"final = last({module}.{run.__name__}({module}.{type(config).__name__}({turned})))",
            language="python",
        )
        with st.container(horizontal=True):
            for name, signal in moment.signals.items():
                st.download_button(
                    f"{name}.csv",
                    lambda signal=signal: charts.table(signal).to_csv(index=False),
                    f"{module}-{name}.csv",
                    "text/csv",
                    key=f"take {run.__name__} {name}",
                    on_click="ignore",
                )


def chapters() -> None:
    """All pages by chapter, each with its claim, as links."""
    every = router.pages()
    numbers = sorted({each.chapter for each in every} - {0})
    for column, chapter in zip(st.columns(len(numbers)), numbers):
        with column:
            st.markdown(f"**{router.CHAPTERS[chapter]}**")
            for each in every:
                if each.chapter == chapter:
                    with st.container(border=True, gap=None):
                        st.page_link(each.path, label=f"**{each.title}**")
                        st.caption(each.claim)
