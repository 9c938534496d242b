"""The address is the state: every knob stands in it, and opening it gives the same picture.

Widgets are bound to the address under their knob's name. Two things are left to do here: pages share
names (each has a `hidden`), so a page gets its own values back when the reader returns to it; and an
address may hold anything, so it is mended before a widget reads it, and the reader is told.
"""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from seqcore.knobs import Knob, Value, shorten
from view import router


def arrive(knobs: Mapping[str, Knob]) -> None:
    """Before the widgets of a page: give every knob its value, if the reader has just come to the page.

    The first page of a session takes what the address says, later ones what the reader left there.
    """
    state, page = st.session_state, router.here()
    first = "page" not in state
    if first and "complaints" not in state:
        state["complaints"], state["unknown"] = {}, [name for name in st.query_params if name not in knobs]
        legal = {knob.name: knob.write(mend(knob)) for knob in knobs.values() if st.query_params.get_all(knob.name)}
        if state["complaints"]:
            # A widget believes the address it finds on its first run: begin again with one that is legal.
            others = {name: st.query_params.get_all(name) for name in state["unknown"]}
            st.switch_page(router.opened().path, query_params=others | legal)
    elif state.get("page") == page and all(name in state for name in knobs):
        state["complaints"], state["unknown"] = {}, []
    elif not first:
        left = kept()
        state.update({name: left.get(name, knob.default) for name, knob in knobs.items()})
    state["page"] = page


def mend(knob: Knob) -> Value:
    """The nearest legal value to what the address says of a knob; what was wrong goes among the complaints."""
    texts = st.query_params.get_all(knob.name)
    value, wrong = knob.read(texts[-1])
    if len(texts) > 1:
        wrong = wrong or f"{knob.name} is given {len(texts)} times; using the last, {shorten(texts[-1])}"
    if wrong:
        st.session_state["complaints"][knob.name] = wrong
    return value


def fit(lens: Knob) -> None:
    """Before the widget of a lens, whose limits move with the knobs: step 80 of 100 becomes step 50 of 50."""
    state = st.session_state
    if lens.name in state:
        state[lens.name], _ = lens.read(lens.write(state[lens.name]))
    elif lens.name in state.get("unknown", []):
        state["unknown"].remove(lens.name)
        value = mend(lens)
        if lens.name in state["complaints"]:
            state[lens.name] = value


def complaints() -> str:
    """What was wrong with the address the reader came by, in one line; "" if nothing."""
    state = st.session_state
    unknown = [f"{shorten(name)} is no knob of this page" for name in state.get("unknown", [])]
    told = [*state.get("complaints", {}).values(), *unknown]
    return " · ".join(told[:6]) + (" · …" if len(told) > 6 else "")


def chosen(knob: Knob) -> Value:
    """What the widget of a knob says now."""
    value = st.session_state.get(knob.name)
    return knob.default if value is None else value


def turn(knobs: Mapping[str, Knob], changes: Mapping[str, Value]) -> None:
    """Turn some knobs, and all others back to their defaults: what a preset does."""
    for name, knob in knobs.items():
        st.session_state[name] = changes.get(name, knob.default)


def remember(knobs: Mapping[str, Knob]) -> None:
    """Keep what the reader has chosen, for a return to this page and for when a later choice does not work."""
    st.session_state[f"left {router.here()}"] = {name: chosen(knob) for name, knob in knobs.items()}


def kept() -> dict[str, Value]:
    """What was last remembered of this page: the knobs by name, none if nothing was."""
    return st.session_state.get(f"left {router.here()}", {})
