"""Knobs: what a reader may turn, said once.

    @dataclass(frozen=True)
    class Config(knobs.Config):
        hidden: int = knob(16, "Units in the hidden state", 2, 64)

From that one line come the check, the widget, the documentation, the name in the address and the
corner tests. A `Config` is a frozen dataclass of knobs: hashable, picklable, always legal.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

Value = bool | int | float | str
R = TypeVar("R")
C = TypeVar("C", bound="Config")

TEXT_LIMIT = 10_000
SENTENCE, LONGEST_SENTENCE = "the miller met her on the bridge", 64


@dataclass(frozen=True)
class Knob:
    """One thing to turn: a number from low to high, one of `choices`, a truth, or a text of at most `high` characters.

    name     the field's name, which is also its name in the address
    default  what it is before anybody turns it
    label    a few words for the widget
    low, high, step   the limits of a number and the grid a widget offers; for texts `high` is the longest length
    choices  the legal values, where it is a choice
    scale    "linear" or "log": how a widget lays the numbers out
    group    the heading the widget stands under
    help     a sentence more
    shared   one value for all experiments that have it: what a reader chooses for one is chosen for all
    """

    name: str
    default: Any
    label: str
    low: Any = None
    high: Any = None
    step: float | None = None
    choices: tuple[Value, ...] = ()
    scale: str = "linear"
    group: str = ""
    help: str = ""
    shared: bool = False

    @property
    def kind(self) -> str:
        """One of "choice", "truth", "text", "whole", "number"."""
        if self.choices:
            return "choice"
        kinds = {bool: "truth", str: "text", int: "whole", float: "number"}
        return kinds[type(self.default)]

    @property
    def limits(self) -> str:
        """The legal values in words, for messages and documentation."""
        return {
            "choice": f"one of {', '.join(map(str, self.choices))}",
            "truth": "true or false",
            "text": f"a text of at most {self.high:,.0f} characters" if self.high else "a text",
            "whole": f"a whole number from {self.low} to {self.high}",
            "number": f"a number from {self.low} to {self.high}",
        }[self.kind]

    def check(self, value: Any) -> Value:
        """The value, as this knob's type. Raises ValueError naming the knob, the value and the limit."""
        if not self._legal(value):
            raise ValueError(f"{self.name} = {shorten(value)} is not {self.limits}")
        if self.kind == "choice":
            return self.choices[self.choices.index(value)]
        return type(self.default)(value)

    def _legal(self, value: Any) -> bool:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        match self.kind:
            case "choice":
                return isinstance(value, Value) and value in self.choices
            case "truth":
                return isinstance(value, bool)
            case "text":
                return isinstance(value, str) and len(value) <= self.high
            case "whole":
                return number and value == int(value) and self.low <= value <= self.high if _finite(value) else False
            case _:
                return number and _finite(value) and self.low <= value <= self.high

    def write(self, value: Value) -> str:
        """The value as it stands in an address; `read` is the way back."""
        return str(value).lower() if isinstance(value, bool) else str(value)

    def read(self, text: str) -> tuple[Value, str]:
        """The nearest legal value to a text from an address, and what was wrong with it ("" if nothing)."""
        if self.kind == "text":
            text = " ".join(text.split()) if self.shared else text
            value = text[: int(self.high)]
            return value, "" if value == text else f"{self.name} was cut to {self.high:,.0f} characters"
        names: dict[str, Value] = {self.write(choice): choice for choice in self.choices or (True, False)}
        if self.kind in ("choice", "truth"):
            return (names[text], "") if text in names else self._instead(self.default, text)
        try:
            number = float(text)
        except ValueError:
            return self._instead(self.default, text)
        if math.isnan(number):
            return self._instead(self.default, text)
        nearest: Any = min(max(number, self.low), self.high)
        nearest = round(nearest) if self.kind == "whole" else float(nearest)
        if self.scale == "log":
            nearest = min(self.grid, key=lambda value: abs(math.log(value / nearest)))
        return (nearest, "") if nearest == number else self._instead(nearest, text)

    def _instead(self, value: Value, text: str) -> tuple[Value, str]:
        return value, f"{self.name} = {shorten(text)} is not {self.limits}; using {self.write(value)}"

    @property
    def grid(self) -> tuple[float, ...]:
        """The values a widget offers on a log scale: 1, 2, 3 and 5 of every decade, and the default."""
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        steps = {float(f"{digit}e{decade}") for decade in decades for digit in (1, 2, 3, 5)}
        kind = type(self.default)
        return tuple(sorted({kind(v) for v in steps if self.low <= v <= self.high and kind(v) == v} | {self.default}))

    @property
    def corners(self) -> tuple[Value, ...]:
        """The extreme legal values, for tests."""
        if self.kind == "choice":
            return self.choices
        ends: dict[str, tuple[Value, ...]] = {"truth": (False, True), "text": ("", "a")}
        return ends.get(self.kind, (self.low, self.high))


def knob(
    default: Value,
    label: str,
    low: float | None = None,
    high: float | None = None,
    *,
    step: float | None = None,
    choices: Iterable[Value] = (),
    scale: str = "linear",
    group: str = "",
    help: str = "",
    shared: bool = False,
) -> Any:
    """A dataclass field that is a knob; the arguments are those of `Knob`, whose name is the field's."""
    if isinstance(default, str) and not choices and high is None:
        high = TEXT_LIMIT
    options: dict[str, Any] = dict(
        label=label,
        low=low,
        high=high,
        step=step,
        choices=tuple(choices),
        scale=scale,
        group=group,
        help=help,
        shared=shared,
    )
    Knob(name="?", default=default, **options).check(default)
    return dataclasses.field(default=default, metadata={"knob": options})


def sentence(help: str, group: str = "Data") -> Any:
    """A dataclass field for the sentence that all experiments read that read one: `SENTENCE`, or the reader's own."""
    return knob(SENTENCE, "Sentence", high=LONGEST_SENTENCE, group=group, help=help, shared=True)


@dataclass(frozen=True)
class Config:
    """The knobs of one experiment. Subclasses are frozen dataclasses whose fields are made with `knob`.

    Raises ValueError naming the knob, the value and the limit.
    """

    def __post_init__(self) -> None:
        for each in self.knobs().values():
            object.__setattr__(self, each.name, each.check(getattr(self, each.name)))
        self.check()

    def check(self) -> None:
        """Raise ValueError where knobs do not fit each other. Most configs need no such rule."""

    @classmethod
    def knobs(cls) -> Mapping[str, Knob]:
        """name -> Knob, in the order they were written, a class's own before those it inherits or changes."""
        return _knobs(cls)  # type: ignore[arg-type]

    def but(self: C, **changes: Value) -> C:
        """The same config with some knobs turned."""
        return dataclasses.replace(self, **changes)

    def address(self) -> dict[str, str]:
        """The knobs that are not at their default, as they stand in an address."""
        return {k.name: k.write(v) for k in self.knobs().values() if (v := getattr(self, k.name)) != k.default}

    def only(self: C, names: Iterable[str]) -> C:
        """The same config with every knob but the named ones at its default.

        Whoever is given such a config cannot depend on the other knobs. Rules among knobs were checked when this config
        was made, and are not checked again. Raises ValueError for a name it does not have.
        """
        knobs, kept = self.knobs(), set(names)
        if unknown := kept - set(knobs):
            raise ValueError(f"{sorted(unknown)} are no knobs of {type(self).__module__}; it has {', '.join(knobs)}")
        made = object.__new__(type(self))
        for name, each in knobs.items():
            object.__setattr__(made, name, getattr(self, name) if name in kept else each.default)
        return made


@functools.cache
def _knobs(config: type[Config]) -> Mapping[str, Knob]:
    inherited = {name for base in config.__mro__[1:] for name in getattr(base, "__annotations__", ())}
    fields = sorted(dataclasses.fields(config), key=lambda f: f.name in inherited)
    return types.MappingProxyType({f.name: Knob(f.name, f.default, **f.metadata["knob"]) for f in fields})


def uses(*names: str) -> Callable[[Callable[[Any], R]], Callable[[Any], R]]:
    """Declare the knobs that a picture or a training depends on: `@uses("length", "hidden")`.

    The function is then given a config in which every other knob has its default, so it cannot depend on them; its
    result may be kept under the named knobs alone. The names stand in its attribute `uses`.
    """

    def declare(make: Callable[[Any], R]) -> Callable[[Any], R]:
        @functools.wraps(make)
        def reduced(config: Any) -> R:
            return make(config.only(names))

        reduced.uses = names  # type: ignore[attr-defined]
        return reduced

    return declare


def shorten(value: object, limit: int = 40) -> str:
    """A value for a message: quoted if it is a text, and never longer than about `limit` characters."""
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…" + text[0] * (text[0] in "'\"")


def _finite(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


@dataclass(frozen=True)
class Repeated(Config):
    """The knobs of an experiment that is repeated, with other weights and other data each time."""

    seeds: int = knob(3, "Seeds", 1, 8, group="Repetition", help="How many models, each with its own weights and data.")
    seed: int = knob(0, "First seed", 0, 999, group="Repetition")

    @property
    def repetitions(self) -> range:
        """The seeds."""
        return range(self.seed, self.seed + self.seeds)
