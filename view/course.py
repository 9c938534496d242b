"""The course as a map: a sentence goes in, a next word comes out, and every page on the way is a block that leads to it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import streamlit as st

from seqcore.knobs import LONGEST_SENTENCE, SENTENCE
from view import address, router
from view.router import Page
from view.strokes import arrow, link, svg, text
from view.theme import BLUE, BROWN, GREEN, GREY, PURPLE, TEAL

WIDE, BLOCK, ROW, GAP = 400, 30, 36, 8
ROOM = 38  # characters of the sentence that the map has room for
COLOURS = ("", BROWN, BLUE, PURPLE, TEAL)  # of the chapters
LEFT = 220  # of the two roads the left one, whose titles are longer


class Place(NamedTuple):
    """A scene of a page, by its number."""

    page: str
    scene: str


def seen() -> set[tuple[str, str]]:
    """Page and title of every scene that was open in this session."""
    return st.session_state.setdefault("seen", set())


def remember(scene: str) -> None:
    """Keep the place where the reader is, but for the start page, to go on from there later."""
    if router.opened().chapter:
        st.session_state["last place"] = Place(router.here(), scene)


def sentence() -> str:
    """The sentence that all pages read that read one: the reader's own, if there is one."""
    return str(address.shared().get("sentence", SENTENCE))


def begin() -> None:
    """Two buttons, to the first page and to where the reader was last, and a field for the sentence of the course."""
    pages = {page.address: page for page in router.pages()}
    first = next(page for page in router.pages() if page.chapter)
    place = st.session_state.get("last place")
    key = "sentence of the course"
    st.session_state[key] = sentence()

    def keep() -> None:
        address.shared()["sentence"] = st.session_state[key] or SENTENCE

    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.button("Begin", key="begin", on_click=leave, args=(first.address, "1"))
        if place:
            where = pages[place.page].title + (f", scene {place.scene}" if place.scene.isdecimal() else "")
            st.button(f"Go on: {where}", key="go on", on_click=leave, args=place)
        words = "Your sentence, for all pages that read one"
        st.text_input(
            words, key=key, max_chars=LONGEST_SENTENCE, on_change=keep, label_visibility="collapsed", placeholder=words
        )


def leave(page: str, scene: str = "") -> None:
    """Go to another page with the next run, whatever interrupts this one; scene: the one to begin with, if not as left."""
    st.session_state["leave"] = page
    if scene:
        address.open_scene(scene, page)


def drawing() -> str:
    """The map of all pages as SVG: the sentence, chapter 1, the two roads of chapters 2 and 3 side by side, and chapter 4."""
    chapters: list[list[Page]] = [[] for _ in router.CHAPTERS]
    for page in router.pages():
        chapters[page.chapter].append(page)
    visited = {page for page, _ in seen()}
    half, middle = (WIDE - GAP) / 2, WIDE / 2
    read = sentence()
    shown = read if len(read) <= ROOM else f"{read[: ROOM - 1]}…"
    parts = [*_end(4, shown), arrow(middle, 34, middle, 48, GREY)]
    y = 50.0
    parts += _block(chapters[1], 1, y, (0.0, half + GAP), half, visited)
    y += 16 + ROW * _rows(chapters[1])
    right = LEFT + GAP
    for x in (LEFT / 2, (right + WIDE) / 2):
        parts.append(arrow(x, y - 4, x, y + 10, GREY))
    y += 12
    parts += _block(chapters[2], 2, y, (0.0,), LEFT, visited)
    parts += _block(chapters[3], 3, y, (right,), WIDE - right, visited)
    ends = [y + 12 + ROW * len(pages) for pages in chapters[2:4]]
    y += 16 + ROW * max(len(chapters[2]), len(chapters[3]))
    for x, end in zip((LEFT / 2, (right + WIDE) / 2), ends):
        parts.append(arrow(x, end, x, y + 10, GREY))
    y += 12
    parts += _block(chapters[4], 4, y, (0.0, half + GAP), half, visited)
    y += 16 + ROW * _rows(chapters[4])
    parts += [arrow(middle, y - 4, middle, y + 10, GREY), *_end(y + 12, "the next word:  P(next | the sentence)")]
    told = (
        f"Map of the course. A sentence goes in, here “{read}”; chapter 1 asks for probabilities; chapter 2, recurrence, "
        "and chapter 3, attention, are two roads; chapter 4, the transformer; the next word comes out."
    )
    return svg(parts, WIDE, y + 44, told, fits=True)


def _rows(pages: Sequence[Page]) -> int:
    """Rows of blocks that stand two in a row."""
    return -(-len(pages) // 2)


def _end(y: float, words: str) -> list[str]:
    """Where the sentence enters, or the word leaves."""
    return [
        f'<rect x="60" y="{y}" width="{WIDE - 120}" height="28" rx="14" fill="{GREY}" fill-opacity="0.12"/>',
        text(WIDE / 2, y + 19, words, 14),
    ]


def _block(
    pages: Iterable[Page], chapter: int, y: float, columns: Sequence[float], width: float, visited: set[str]
) -> list[str]:
    """The pages of a chapter below its name, row by row."""
    colour = COLOURS[chapter]
    centre = (columns[0] + columns[-1] + width) / 2
    parts = [text(centre, y + 11, router.CHAPTERS[chapter], 12, colour, weight=600)]
    for number, page in enumerate(pages):
        x, top = columns[number % len(columns)], y + 16 + ROW * (number // len(columns))
        been = page.address in visited
        block = [
            f'<rect x="{x + 1:.1f}" y="{top:.1f}" width="{width - 2:.1f}" height="{BLOCK}" rx="6" fill="{colour}" '
            f'fill-opacity="{0.4 if been else 0.12}" stroke="{colour}" stroke-width="{2 if been else 1}"/>',
            text(x + width / 2, top + 20, page.title, 13, weight=600 if been else 400),
        ]
        if been:
            block.append(f'<circle cx="{x + width - 5:.1f}" cy="{top + 4:.1f}" r="4" fill="{GREEN}"/>')
        parts.append(link(block, page.address, f"{page.title}: {page.claim}{' (visited)' if been else ''}"))
    return parts
