"""Which pages there are, and which one is open.

There is no list to edit: a page is a file in pages/. Its first digit is its chapter, its docstring up to
the colon is its title, and the rest of the docstring's first line is its claim.
"""

from __future__ import annotations

import ast
import functools
from pathlib import Path
from typing import NamedTuple

import streamlit as st

PAGES = Path(__file__).resolve().parents[1] / "pages"
CHAPTERS = ("", "1 · Sequences as probability", "2 · Recurrence", "3 · Attention", "4 · The transformer")

_routed = False  # has this process told Streamlit about the pages yet?


class Page(NamedTuple):
    """path of the file; chapter, an index of CHAPTERS; title and claim from its docstring."""

    path: Path
    chapter: int
    title: str
    claim: str

    @property
    def address(self) -> str:
        """The file's name without its number: what Streamlit itself calls the page until it has met the router."""
        return self.path.stem.partition("_")[2]


@functools.cache
def pages() -> tuple[Page, ...]:
    """All pages in reading order."""
    return tuple(Page(path, int(path.stem[0]), *words(path)) for path in sorted(PAGES.glob("[0-9]*_*.py")))


def words(path: Path) -> tuple[str, str]:
    """Title and claim of a page file. Raises ValueError if its docstring does not begin with `Title: claim`."""
    line = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n\n")[0].replace("\n", " ")
    title, colon, claim = line.partition(":")
    if not colon:
        raise ValueError(f"{path.name}: its docstring should begin with 'Title: claim', not {line!r}")
    return title.strip(), claim.strip()


def go() -> None:
    """Draw the navigation and run the page that is open."""
    st.set_page_config(page_icon="🔁", layout="wide")
    route().run()


def route():
    """Tell Streamlit about the pages; the one that is open."""
    global _routed
    sections: dict[str, list] = {name: [] for name in CHAPTERS}
    for page in pages():
        sections[CHAPTERS[page.chapter]].append(
            st.Page(page.path, title=page.title, url_path=page.address, default=page.chapter == 0)
        )
    opened = st.navigation({name: entries for name, entries in sections.items() if entries}, position="top")
    _routed = True
    st.session_state["here"] = opened.url_path or pages()[0].address
    return opened


def opened() -> Page:
    """The page that is open."""
    return next(page for page in pages() if page.address == here())


def here() -> str:
    """The page that is open, by its address."""
    return st.session_state["here"]


def through_the_door() -> None:
    """Start again through dashboard.py if this page was run without it.

    The first request to a fresh server, if it asks for a page of its own, runs that page's file alone.
    """
    if not _routed:
        route()
        st.rerun()
