"""Words that came from outside (an address, a file, a reader) as they are: no Markdown, no HTML, no formula, no link."""

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
