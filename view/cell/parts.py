"""What the drawings of gated cells share: colours, gates, the frame of a cell, stages that stand out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from view.strokes import bar, signed, text
from view.theme import BLUE, GREEN, GREY, ORANGE, PURPLE, RED

GATES = {"f": ORANGE, "i": GREEN, "g": PURPLE, "o": BLUE}
KEEPS, WRITES, RESETS = GATES["f"], GATES["i"], RED  # what a GRU's z or 1 - z does as an LSTM's f and i do, and its r


def vessel(x: float, name: str, letter: str, value: float, colour: str, signs: bool, size: float = 14) -> list[str]:
    """A gate, filled up to its value; with signs it fills up or down from the middle."""
    top, height = 184.0, 54.0
    high, low = (0.5 + max(value, 0) / 2, 0.5 + min(value, 0) / 2) if signs else (value, 0.0)
    return [
        bar(x - 46, top + height * (1 - high), 92, height * (high - low), colour, 0.35),
        f'<rect x="{x - 46}" y="{top}" width="92" height="{height}" rx="4" fill="none" stroke="{colour}" stroke-width="1.5"/>',
        text(x, top + 20, name, size),
        text(x, top + 43, f"{letter} = {signed(value, 3) if signs else format(value, '.3f')}", 16, weight=600),
    ]


def frame(height: float) -> str:
    """The outline of a cell."""
    return (
        f'<rect x="14" y="42" width="438" height="{height}" rx="16" fill="{GREY}" fill-opacity="0.07" stroke="{GREY}"/>'
    )


def staged(parts: Mapping[str, Sequence[str]], stage: str, before: Mapping[str, Sequence[str]]) -> list[str]:
    """A group for each stage; `stage` and those whose results it takes (`before`) stand out, "" is all."""
    bright = {stage, *before.get(stage, ())} if stage else parts
    return [f'<g opacity="{1 if name in bright else 0.4}">{"".join(drawn)}</g>' for name, drawn in parts.items()]


def bracketed(value: float, digits: int = 2) -> str:
    return f"({signed(value, digits)})" if value < 0 else f"{value:.{digits}f}"
