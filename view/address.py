"""The address is the state: every knob, every view option and the open scene stand in it; opening it gives the picture.

One walk: an address is read when a reader comes to a page, the values live here, by page, and widgets are views of
them; after every run the values are written into the address, by `view.reader`, in the reader's browser. So a knob that
is folded away, or belongs to another scene, keeps its value and its place in the address without a widget.

An address may hold anything. What is not legal is mended before anything is drawn, and the reader is told; a text that
is too long for an address is left out of it, and the reader is told.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote_plus, urlencode

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from seqcore.knobs import Knob, Value, shorten
from view import router

SCENE, ALL = "scene", "all"
ROOM = 6_000  # bytes behind the question mark of an address: servers and proxies refuse addresses from 8,000 on


class Page:
    """What a reader has chosen on one page.

    values   the knobs, by name; works, the last of them that made a legal config
    options  view options, by name: what is chosen, and whether that is the default
    asked    what the address says of names that are no knobs, until a view option takes it
    written  what was last put into the address; too_long, the texts that did not fit
    """

    def __init__(self) -> None:
        self.scene = "1"
        self.values: dict[str, Value] = {}
        self.works: dict[str, Value] = {}
        self.options: dict[str, tuple[Knob, Value]] = {}
        self.asked: dict[str, list[str]] = {}
        self.complaints: dict[str, str] = {}
        self.complained: tuple | None = None
        self.written = ""
        self.too_long: list[str] = []


def here() -> Page:
    """The page that is open."""
    pages: dict[str, Page] = st.session_state.setdefault("pages", {})
    return pages.setdefault(router.here(), Page())


def arrive(knobs: Mapping[str, Knob], scenes: int) -> None:
    """At the beginning of every run of a page: bring its values up to date.

    scenes  how many there are
    """
    state, page = st.session_state, here()
    went = getattr(get_script_run_ctx(), "is_history_navigation", False)
    if state.get("page") != router.here() or went:
        given = any(name in st.query_params for name in (*knobs, SCENE))
        if "page" not in state or given:
            _read(page, knobs, scenes)
        elif went and state["page"] == router.here():
            page.scene = "1"  # Back within the page, to an address without anything in it
        page.values = {name: page.values.get(name, knob.default) for name, knob in knobs.items()}
        # Back and Forward bring an address as it was, and what it leaves out is at its default.
        _share(page, knobs, set(knobs) if went else {name for name in knobs if name in st.query_params})
        state.update(page.values)
        for name, (_, value) in page.options.items():
            state[name] = value
        state["page"] = router.here()
    else:
        before, page.values = page.values, {name: state.get(name, page.values.get(name)) for name in knobs}
        page.values = {name: knobs[name].default if v is None else v for name, v in page.values.items()}
        _share(page, knobs, {name for name in knobs if page.values[name] != before.get(name)})
        if page.complained not in (None, _now(page)):
            page.complaints = {}  # the reader has read them, and gone on
    page.complained = _now(page)


def shared() -> dict[str, Value]:
    """What the reader has chosen of the knobs that all pages share, by name."""
    return st.session_state.setdefault("shared", {})


def _share(page: Page, knobs: Mapping[str, Knob], chosen: set[str]) -> None:
    """Take over what was chosen on other pages of the shared knobs, and keep what is `chosen` on this one for the others."""
    for name, knob in knobs.items():
        if knob.shared and name in chosen:
            shared()[name] = page.values[name]
        elif knob.shared and name in shared():
            page.values[name] = shared()[name]


def _now(page: Page) -> tuple:
    return page.scene, *page.values.values()


def _read(page: Page, knobs: Mapping[str, Knob], scenes: int) -> None:
    """Take what the address says, mended."""
    page.complaints = {}
    given = {name: st.query_params.get_all(name) for name in st.query_params}
    page.scene = _scene(page, given.pop(SCENE, []), scenes)
    page.values = {name: mend(page, knob, given.pop(name)) for name, knob in knobs.items() if name in given}
    for name in page.options:
        st.session_state.pop(name, None)
    page.options, page.asked = {}, {name: texts for name, texts in given.items() if name in router.options()}
    page.complaints |= {name: f"{shorten(name)} is no knob of this page" for name in given if name not in page.asked}


def _scene(page: Page, texts: list[str], scenes: int) -> str:
    """The scene that the address asks for: "1", "2" ... or "all"."""
    legal = {str(number) for number in range(1, scenes + 1)} | {ALL}
    if not texts or texts[-1] in legal:
        return texts[-1] if texts else "1"
    asked = f"scene = {shorten(texts[-1])} is not a whole number from 1 to {scenes}, or {ALL}"
    page.complaints[SCENE] = f"{asked}; using 1"
    return "1"


def mend(page: Page, knob: Knob, texts: list[str]) -> Value:
    """The nearest legal value to what the address says of a knob; what was wrong goes among the complaints."""
    value, wrong = knob.read(texts[-1])
    if len(texts) > 1:
        wrong = wrong or f"{knob.name} is given {len(texts)} times; using the last, {shorten(texts[-1])}"
    if wrong:
        page.complaints[knob.name] = wrong
    return value


def open_scene(name: str, page: str = "") -> None:
    """Open a scene of this page, or let another page begin with it."""
    st.session_state["pages"].setdefault(page or router.here(), Page()).scene = name


def turn(knobs: Mapping[str, Knob], changes: Mapping[str, Value]) -> None:
    """Turn some knobs, and all others back to their defaults: what a preset does."""
    for name, knob in knobs.items():
        here().values[name] = st.session_state[name] = changes.get(name, knob.default)
        if knob.shared:
            shared()[name] = here().values[name]


def offer(knob: Knob) -> None:
    """Before the widget of a view option: its value from the address, or as it was left, within today's limits."""
    page, state = here(), st.session_state
    if knob.name in page.asked:
        state[knob.name] = mend(page, knob, page.asked.pop(knob.name))
        page.options.pop(knob.name, None)
    before, left = page.options.get(knob.name, (knob, knob.default))
    if knob.name not in state:
        state[knob.name] = left
    if state[knob.name] == before.default != knob.default:
        state[knob.name] = knob.default  # nobody has touched it: it follows what is worth looking at
    value = looked_at(knob)
    if state[knob.name] != value:
        state[knob.name] = value


def looked_at(knob: Knob) -> Value:
    """What is chosen of a view option, whose limits move with the knobs: step 80 of 100 becomes step 50 of 50."""
    value = st.session_state.get(knob.name)
    value, _ = (knob.default, "") if value is None else knob.read(knob.write(value))
    here().options[knob.name] = knob, value
    return value


def query(knobs: Mapping[str, Knob]) -> str:
    """What should stand in the address behind the question mark: all that is not at its default, and fits."""
    page = here()
    wanted: dict[str, Any] = {} if page.scene == "1" else {SCENE: page.scene}
    chosen = [(knob, page.values[name]) for name, knob in knobs.items()] + list(page.options.values())
    wanted |= {knob.name: knob.write(value) for knob, value in chosen if value != knob.default}
    wanted |= {name: texts[-1] for name, texts in page.asked.items()}
    texts = sorted(
        (name for name, knob in knobs.items() if knob.kind == "text" and name in wanted), key=lambda n: -len(wanted[n])
    )
    page.too_long = []
    while texts and len(urlencode(wanted)) > ROOM:
        page.too_long.append(texts.pop(0))
        del wanted[page.too_long[-1]]
    return urlencode(wanted)


def too_long(knobs: Mapping[str, Knob]) -> list[str]:
    """A sentence for every text that is too long for the address."""
    query(knobs)
    return [
        f"{knobs[name].label} takes {len(quote_plus(str(here().values[name]))):,} bytes, and an address has room for {ROOM:,}: "
        "it stays on this page while it is open, but a link to this page opens without it"
        for name in here().too_long
    ]


def complaints() -> str:
    """What was wrong with the address the reader came by, in one line of plain text; "" if nothing."""
    told = list(here().complaints.values())
    return " · ".join(told[:6]) + (" · …" if len(told) > 6 else "")
