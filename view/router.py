"""Which pages there are, and which one is open.

There is no list to edit: a page is a file in pages/. Its first digit is its chapter, its docstring up to
the colon is its title, and the rest of the docstring's first line is its claim.
"""

from __future__ import annotations

import ast
import functools
import re
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NamedTuple

import streamlit as st

from view import janitor, look
from view.plain import capital

PAGES = Path(__file__).resolve().parents[1] / "pages"
CHAPTERS = ("", "1 · Sequences as probability", "2 · Recurrence", "3 · Attention", "4 · The transformer")

STYLE = """<style>
.stMainBlockContainer { padding-top: 3.6rem; padding-bottom: 3rem }
.stMainBlockContainer h1 { font-size: 1.9rem; padding: 0.4rem 0 0 }
@media (max-width: 640px) {
  .stMainBlockContainer { padding-top: 3.2rem }
  .stMainBlockContainer h1 { font-size: 1.6rem }
  .stMainBlockContainer h4 { font-size: 1.25rem }
}
.stMainBlockContainer h4 { padding: 0.4rem 0 0.3rem }
</style>"""

_through: ContextVar[bool] = ContextVar("through", default=False)  # did this run come by dashboard.py?


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
    """Draw the navigation and the head of the page that is open, then run it.

    The head comes from the page's docstring, before the page is imported: a reader has something to read while a fresh
    server loads torch.
    """
    janitor.few_arenas()
    st.set_page_config(page_icon="🔁", layout="wide")
    opened = route()
    st.html(STYLE + look.STYLE + look.HTML)
    page = next(page for page in pages() if page.address == here())
    st.title(page.title, anchor=False)
    st.markdown(capital(page.claim))
    token = _through.set(True)
    try:
        opened.run()
    finally:
        _through.reset(token)
    janitor.begin()


def route() -> Any:
    """Tell Streamlit about the pages; the one that is open."""
    sections: dict[str, list] = {name: [] for name in CHAPTERS}
    for page in pages():
        sections[CHAPTERS[page.chapter]].append(
            st.Page(page.path, title=page.title, url_path=page.address, default=page.chapter == 0)
        )
    opened = st.navigation({name: entries for name, entries in sections.items() if entries}, position="top")
    st.session_state["here"] = opened.url_path or pages()[0].address
    return opened


def opened() -> Page:
    """The page that is open."""
    return next(page for page in pages() if page.address == here())


def here() -> str:
    """The page that is open, by its address."""
    return st.session_state["here"]


@functools.cache
def _options(path: Path) -> frozenset[str]:
    # Some pages keep the arguments of an option in a table, so every quoted word of a page may be the name of one.
    return frozenset(re.findall(r'"([a-z_]+)"', path.read_text(encoding="utf-8")))


def options() -> frozenset[str]:
    """What may be the name of a view option of the open page, whichever scene it belongs to."""
    return _options(opened().path)


def through_the_door() -> None:
    """Start again through dashboard.py if this page was run without it.

    The first request to a fresh server, if it asks for a page of its own, runs that page's file alone.
    """
    if not _through.get():
        route()
        st.rerun()
