"""The side panel: the knobs of the open scene first, all others folded below them.

What a knob says lives in `view.address`; a widget that is not drawn loses nothing, so the folded ones are drawn only
when the reader unfolds them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import streamlit as st

from seqcore.knobs import Config, Knob
from view import address
from view.plain import plain

# What a reader turns first stands first, wherever it has a meaning.
FIRST = ("length", "hidden", "width", "heads", "d_k")


def draw(knobs: Mapping[str, Knob], names: Sequence[str], fold: bool, trains: bool) -> None:
    """Widgets for the knobs of `names`, and for the others by group.

    fold    whether the others are folded away
    trains  whether the open scene trains: then there is a switch for starting by itself
    """
    in_view = sorted(names, key=lambda name: FIRST.index(name) if name in FIRST else len(FIRST))
    folded = [knob for name, knob in knobs.items() if name not in in_view]
    with st.sidebar:
        for name in in_view:
            widget(knobs[name])
        if trains:
            st.toggle("Start by itself", True, key="autoplay", persist_state="session")
        if folded and fold:
            more = st.expander("More knobs" if in_view else "Knobs", key="more knobs", on_change="rerun")
            if more.open:
                with more:
                    _grouped(folded)
        elif folded:
            _grouped(folded)


def _grouped(knobs: Iterable[Knob]) -> None:
    knobs = list(knobs)
    for group in dict.fromkeys(knob.group for knob in knobs):
        if group:
            st.markdown(f"**{group}**")
        for knob in knobs:
            if knob.group == group:
                widget(knob)


def widget(knob: Knob) -> None:
    """The widget that suits a knob, under the knob's name."""
    if knob.name not in st.session_state:
        st.session_state[knob.name] = address.here().values.get(knob.name, knob.default)
    common: dict[str, Any] = dict(key=knob.name, help=knob.help or None)
    numbers = len(knob.choices) > 1 and all(type(choice) in (int, float) for choice in knob.choices)
    match knob.kind:
        case "choice" if numbers:
            st.select_slider(knob.label, knob.choices, knob.default, **common)
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


def config_of(config: type[Config]) -> Config:
    """The config that the knobs say; if it cannot work, the last that did, and the reader is told why."""
    page = address.here()
    try:
        made = config(**page.values)
    except ValueError as wrong:
        st.error(
            f"{plain(wrong)}. The page keeps to the last setting that works; nothing you wrote is lost.", icon="🚧"
        )
        return config(**page.works)
    page.works = dict(page.values)
    return made


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
                st.session_state[into] = address.here().values[into] = parse(file.getvalue())
            except ValueError as wrong:
                st.session_state[f"{key} failed"] = f"{file.name}: {wrong}"

    st.file_uploader(label, list(kinds), key=key, on_change=fill)
    if wrong := st.session_state.get(f"{key} failed"):
        st.warning(f"{plain(wrong)}. What was there stays.", icon="⚠️")
