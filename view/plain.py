"""Words for the page; those from outside (an address, a file, a reader) with no Markdown, HTML, formula or link in them."""

from __future__ import annotations

import re

# Markdown takes a backslash before any punctuation of ASCII as "this very character".
_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")
_BREAKS = re.compile(r"\s+")


def plain(text: object) -> str:
    """A text for a place that reads Markdown, shown character by character, on one line.

    Control characters and line breaks become spaces.
    """
    printable = "".join(character if character.isprintable() else " " for character in str(text))
    return _PUNCTUATION.sub(r"\\\1", _BREAKS.sub(" ", printable).strip())


def capital(text: str) -> str:
    """A sentence with a capital at its beginning."""
    return f"{text[:1].upper()}{text[1:]}"
