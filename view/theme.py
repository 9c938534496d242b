"""One look. Every colour here is readable on white and on near-black, so a chart is the same in both themes."""

from __future__ import annotations

from collections.abc import Sequence

BLUE, ORANGE, GREEN, PURPLE, RED, TEAL, BROWN, GREY = (
    "#3b82d0",
    "#dd7a1a",
    "#2f9e63",
    "#a86bd0",
    "#dc5050",
    "#1b9aaa",
    "#9c7a4d",
    "#808590",
)
PALETTE = (BLUE, ORANGE, GREEN, PURPLE, RED, TEAL, BROWN, GREY)

# One name, one colour, on all pages. Names that stand for the same idea share theirs.
MEANING = {
    "tanh": BLUE,
    "relu": ORANGE,
    "sigmoid": PURPLE,
    "identity": GREEN,
    "RNN": BLUE,
    "LSTM": ORANGE,
    "GRU": GREEN,
    "GRU, bias 0": RED,
    "attention": PURPLE,
    "no clipping": RED,
    "full history": RED,
    "order τ": PURPLE,
    "window τ": PURPLE,
    "order 1": TEAL,
    "padding left out": GREEN,
    "padding counted": RED,
    "no scaling": RED,
    "1/√d_k": BLUE,
    "1/d_k": GREY,
    "√d_k": TEAL,
    "equal weights": GREY,
    "residual + pre-norm": GREEN,
    "residual + post-norm": BLUE,
    "residual only": PURPLE,
    "norm only": ORANGE,
    "nothing": RED,
    "padding masked": GREEN,
    "padding seen": RED,
    "causal mask": BLUE,
    "no mask": RED,
    "truth": GREEN,
    "RNN, held out": ORANGE,
    "no memory": RED,
    "no memory, held out": RED,
    "untrained": GREY,
    "fitted": GREY,
    "best state": BLUE,
    "best window": ORANGE,
    "chance": GREY,
    "held out": TEAL,
    "the series": GREY,
    "teacher forcing": TEAL,
    "free running": RED,
    "bias 0": RED,
    "bias 1": PURPLE,
    "bias 3": GREEN,
    "bias 6": BLUE,
    "1 head": BLUE,
    "2 heads": ORANGE,
    "4 heads": ORANGE,
    "8 heads": ORANGE,
    "subtract": TEAL,
    "name both": PURPLE,
    "none": GREY,
    "sinusoidal": BLUE,
    "learned": ORANGE,
    "rotary": GREEN,
    "transformer": BLUE,
    "no positions": RED,
    "no padding mask": RED,
    "true prefix": GREY,
    "own prefix": ORANGE,
    "whole answers": GREEN,
    "encoder": PURPLE,
    "encoder, map kept": RED,
    "LSTM, forget bias 3": TEAL,
    "textbook": ORANGE,
    "mean square": GREEN,
    "Lyapunov": PURPLE,
    "∝ T² d": GREY,
    "∝ T d²": BROWN,
}

INK = "#7d828c"  # of numbers that stand on little colour, in both themes
INK_ON_COLOUR = "#14181f"  # of numbers that stand on much
FAINT = "rgba(128, 133, 144, 0.10)"
SCALES = {
    "signed": [BLUE, FAINT, ORANGE],
    "share": [FAINT, BLUE],
    "amount": [FAINT, BLUE],
}
HEIGHT = 310


def colours(names: Sequence[str]) -> list[str]:
    """A colour for each name: its own if it has one, else the next of the palette that is not taken."""
    taken = {MEANING[name] for name in names if name in MEANING}
    free = iter([colour for colour in PALETTE if colour not in taken] * (1 + len(names)))
    return [MEANING[name] if name in MEANING else next(free) for name in names]
