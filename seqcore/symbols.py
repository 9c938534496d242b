"""The glossary as data: what every symbol on screen means, along which axes it runs, and how it is coloured.

Charts take their titles and scales from here, so one name has one meaning on all pages.
"""

from __future__ import annotations

from typing import NamedTuple


class Symbol(NamedTuple):
    """title: the words at the axis; sentence: what it is; kind: "signed", "share" (0 to 1) or "amount" (0 upward)."""

    title: str
    sentence: str
    kind: str = "amount"


SYMBOLS: dict[str, Symbol] = {
    "loss": Symbol("loss", "How wrong the model is on fresh batches, averaged between two moments."),
    "norm": Symbol("gradient norm", "The length of the gradient of all weights together, before clipping."),
    "gradient": Symbol("‖dL/dh‖", "How much the loss changes when the hidden state at one time step is nudged."),
    "theory": Symbol("‖dL/dh‖ in theory", "A straight line on this log axis: one factor for every step back."),
    "activations": Symbol("‖dL/dh‖", "The same gradient curve for each activation, all else equal."),
    "split": Symbol(
        "decades lost or won",
        "The gradient's logarithm, split into what saturation takes and the weights give.",
        "signed",
    ),
    "singular": Symbol(
        "singular value", "How far the product of Jacobians stretches the most, middle and least stretched direction."
    ),
    "history": Symbol("log₁₀ ‖dL/dh‖", "The gradient curve of every moment of the training, side by side.", "signed"),
    "h": Symbol("h", "The hidden state: what the network carries from one step to the next.", "signed"),
    "x": Symbol("x", "The input.", "signed"),
}

AXES: dict[str, str] = {
    "lag": "lag: steps back from the loss",
    "step": "training step",
    "time": "time step t",
    "seed": "seed",
    "arm": "",
    "unit": "unit",
    "query": "query",
    "key": "key",
    "activation": "activation",
    "line": "",
}


def symbol(name: str) -> Symbol:
    """The entry of a name. Raises KeyError telling where to add it."""
    if name not in SYMBOLS:
        raise KeyError(f"{name!r} is not in the glossary: add it to SYMBOLS in seqcore/symbols.py")
    return SYMBOLS[name]
