"""What is known while one page, or one live part of it, is being drawn: how often, and what to read aloud afterwards."""

from __future__ import annotations

from collections import Counter
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from view.rewind import Rest


@dataclass
class Visit:
    """part: the scene or live part that is drawn, a prefix of the keys of all that stands in it; moving: does it train?

    told     what the pictures show, in words
    options  view options that were drawn already, by name
    slot     where complaints about the address stand
    rest     a training that rests, whose charts the browser rewinds by itself
    plays    how many trainings stand on the page so far
    asked    was a question asked in the scene that is drawn?
    """

    part: str = ""
    moving: bool = False
    told: list[str] = field(default_factory=list)
    options: set[str] = field(default_factory=set)
    slot: Any = None
    rest: Rest | None = None
    plays: int = 0
    asked: bool = False
    _count: Counter = field(default_factory=Counter)

    def key(self, name: str) -> str:
        """A key for a widget or picture: the same whenever the same part is drawn again."""
        self._count[self.part, name] += 1
        return f"{self.part} {name} {self._count[self.part, name]}"


_visit: ContextVar[Visit | None] = ContextVar("visit", default=None)


def begin(part: str = "", moving: bool = False) -> Visit:
    """Begin to draw."""
    made = Visit(part, moving)
    _visit.set(made)
    return made


def resume(earlier: Visit) -> None:
    """Go on with a visit that another one has interrupted."""
    _visit.set(earlier)


def current() -> Visit:
    """The visit under way; a new one if there is none, as in a script that uses the verbs by themselves."""
    return _visit.get() or begin()
