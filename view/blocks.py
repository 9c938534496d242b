"""Drawings of transformer layers: the sublayers, what stands around them, and the size of one token's vector everywhere.

    page.drawing(blocks.encoder(step), "Right of each part: the root mean square of what leaves it.")

A layer is read from the bottom to the top, as in the paper of 2017. The size of a drawing depends on no number and on no
knob; what a layer does not have is not drawn. A part is a link to the scene that is about it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from seqcore.record import Snapshot
from view.digits import aligned
from view.strokes import arrow, bar, box, knot, line, link, signed, svg, text
from view.theme import BLUE, GREEN, GREY, ORANGE, PURPLE, TEAL

WIDE = 400
HEAD, FOOT, GAP, SUBLAYER = 38, 44, 18, 152  # heights; a gap stands under each sublayer and belongs to it
SIZE = 13  # of the smallest letters: 11 pixels on a phone
ROWS = 5  # of a table of entries
HALF = {"norm": 12, "f": 18, "added": 14}  # of a part's height
# part -> page, scene and name of what is about it
LINKS = {
    "norm": ("encoder", 4, "LayerNorm in digits"),
    "added": ("encoder", 2, "Residual connections through the stack"),
    "self-attention": ("attention", 1, "Self-attention"),
    "masked self-attention": ("decoder", 1, "The causal mask"),
    "cross-attention": ("translation", 2, "Attention to the encoder's output while writing"),
    "feed-forward": ("encoder", 1, "Attention and the feed-forward network compared"),
    "encoder": ("encoder", 3, "A layer of the encoder"),
}


class Sublayer(NamedTuple):
    """key: its name in the record; title, a key of LINKS, and below: the words in its box; out: the name of its result."""

    key: str
    title: str
    below: str
    colour: str
    out: str


class Column(NamedTuple):
    """Places from the left: the middle of the boxes, their width, the residual line, the end of numbers and the bars."""

    middle: float
    box: float
    around: float
    number: float
    bar: float


ENCODER, DECODER = Column(92, 164, 194, 254, 262), Column(182, 148, 272, 324, 330)


def encoder(step: Snapshot) -> str:
    """One layer of an encoder, with the root mean square of one token's vector after every part.

    step  of `seqcore.experiments.encoder.step`: facts rms, norm, residual, T, d, heads, feedforward, layer, position, token
    """
    v = step.facts
    sublayers = [
        Sublayer("attention", "self-attention", _heads(v), BLUE, "m"),
        Sublayer("feed-forward", "feed-forward", _units(v), ORANGE, "y"),
    ]
    return _layer("encoder", ENCODER, sublayers, v, v["norm"], v["residual"])


def decoder(step: Snapshot) -> str:
    """One pre-norm layer of a decoder, likewise. Without an encoder there is no cross-attention, and its room stays empty.

    step  of `seqcore.experiments.decoder.step`: facts rms, T, S, d, heads, feedforward, memory, layer, position, token
    """
    v = step.facts
    sublayers = [
        Sublayer("attention", "masked self-attention", _heads(v), BLUE, "m"),
        Sublayer("cross", "cross-attention", _heads(v), PURPLE, "n" if v["S"] else ""),
        Sublayer("feed-forward", "feed-forward", _units(v), ORANGE, "y"),
    ]
    return _layer("decoder", DECODER, sublayers, v, "pre", True)


def encoder_in_full(step: Snapshot) -> str:
    """The equations of the same layer in LaTeX, with its sizes."""
    v = step.facts

    def around(x: str, sublayer: str) -> str:
        read = rf"\mathrm{{LN}}({x})" if v["norm"] == "pre" else x
        added = rf"{x} + \mathrm{{{sublayer}}}({read})" if v["residual"] else rf"\mathrm{{{sublayer}}}({read})"
        return rf"\mathrm{{LN}}({added})" if v["norm"] == "post" else added

    return (
        r"\begin{aligned} "
        rf"m &= {around('x', 'Attention')} \\ y &= {around('m', 'FFN')} \\"
        r"\mathrm{FFN}(m) &= \max(0,\ m\,W_1^\top + b_1)\,W_2^\top + b_2 \\"
        rf"x, m, y &: {v['T']} \times {v['d']} \qquad W_1, W_2^\top : {v['feedforward']} \times {v['d']} \end{{aligned}}"
    )


def _heads(v: Mapping[str, Any]) -> str:
    return f"{v['heads']} {'head' if v['heads'] == 1 else 'heads'}, d_k = {v['d'] // v['heads']}"


def _units(v: Mapping[str, Any]) -> str:
    return f"{v['d']} → {v['feedforward']} → {v['d']}"


def _layer(
    what: str, column: Column, sublayers: Sequence[Sublayer], v: Mapping[str, Any], norm: str, residual: bool
) -> str:
    """The whole drawing; norm is "pre", "post" or "none"."""
    bottom = HEAD + SUBLAYER * len(sublayers)
    parts = [
        text(WIDE - 2, 15, "root mean square", SIZE, anchor="end"),
        *_number(column, bottom + 16, "x", v),
        line((column.middle, bottom + 20), (column.middle, bottom), colour=GREY),
        text(column.middle - 8, bottom + 16, _shape("x", v), SIZE, anchor="end", weight=600),
        text(column.middle, bottom + 38, f"token {v['token']} at position {v['position']}", 14),
    ]
    told = [f"x {v['rms']['x']:.2f}"]
    for k, sublayer in enumerate(sublayers):
        below = bottom - k * SUBLAYER
        if f"{sublayer.key} f" not in v["rms"]:
            parts += [
                line((column.middle, below), (column.middle, below - SUBLAYER), colour=GREY),
                text(column.middle + 12, below - SUBLAYER / 2, "no encoder: no cross-attention", SIZE, anchor="start"),
            ]
            continue
        stages = _stages(norm, residual)
        room = (SUBLAYER - GAP) / len(stages)
        middles = {kind: below - GAP - room * (i + 0.5) for i, (_, kind) in enumerate(stages)}
        parts += _wires(column, below, middles)
        if sublayer.key == "cross":
            parts += _memory(column, middles["f"], v)
        for part, kind in stages:
            parts += _part(column, below, middles[kind], kind, sublayer)
            parts += _number(column, middles[kind] + 5, f"{sublayer.key} {part}", v)
            name = {"norm": "LayerNorm", "f": sublayer.title, "added": "added"}[kind]
            told.append(f"{name} {v['rms'][f'{sublayer.key} {part}']:.2f}")
        above = below - SUBLAYER
        parts.append(text(column.middle - 8, above - 5, _shape(sublayer.out, v), SIZE, anchor="end", weight=600))
    parts.append(arrow(column.middle, HEAD, column.middle, 14, GREY))
    around = {"pre": "LayerNorm before each sublayer", "post": "LayerNorm after each sum", "none": "no LayerNorm"}[norm]
    if norm == "post" and not residual:
        around = "LayerNorm after each sublayer"
    label = (
        f"Layer {v['layer']} of the {what}, {around}, {'with' if residual else 'without'} residual connections. "
        f"Root mean square of the vector of token {v['token']} at position {v['position']}, from the input to the output: "
        f"{', '.join(told)}."
    )
    if what == "decoder":
        label += (
            f" K and V of cross-attention come from the encoder's output, {v['S']} × {v['d']}, root mean square "
            f"{v['memory']:.2f}; Q comes from the decoder."
            if v["S"]
            else " There is no encoder and no cross-attention."
        )
    return svg(parts, WIDE, bottom + FOOT, label, fits=True)


def _stages(norm: str, residual: bool) -> list[tuple[str, str]]:
    """(part in the record, key of HALF) of a sublayer, from the bottom to the top."""
    return [
        *([("before", "norm")] if norm == "pre" else []),
        ("f", "f"),
        *([("sum", "added")] if residual else []),
        *([("after", "norm")] if norm == "post" else []),
    ]


def _wires(column: Column, below: float, middles: Mapping[str, float]) -> list[str]:
    """Through the parts of a sublayer, whose middles are given from the bottom to the top."""
    x, edge, parts = column.middle, below, []
    for kind, y in middles.items():
        parts.append(arrow(x, edge, x, y + HALF[kind], GREY))
        edge = y - HALF[kind]
    parts.append(line((x, edge), (x, below - SUBLAYER), colour=GREY))
    return parts


def _part(column: Column, below: float, y: float, kind: str, sublayer: Sublayer) -> list[str]:
    """A box around the height y, or the knot of a sum with the residual line that comes from below the sublayer."""
    x, leaves, left = column.middle, below - 5, column.middle - column.box / 2
    drawn = {
        "norm": lambda: [box(x - 50, y - 12, 100, 24, "LayerNorm", TEAL)],
        "added": lambda: [
            line((x, leaves), (column.around, leaves), (column.around, y), colour=GREEN),
            arrow(column.around, y, x + HALF["added"], y, GREEN),
            knot(x, y, "+", GREEN),
        ],
        "f": lambda: [
            box(left, y - 18, column.box, 36, "", sublayer.colour),
            text(x, y - 3, sublayer.title, SIZE, weight=600),
            text(x, y + 13, sublayer.below, SIZE),
        ],
    }[kind]()
    page, scene, name = LINKS[sublayer.title if kind == "f" else kind]
    return [link(drawn, page, name, scene)]


def _memory(column: Column, y: float, v: Mapping[str, Any]) -> list[str]:
    """The encoder's output at the left, whose K and V go into the box around the height y; Q comes from below."""
    edge = column.middle - column.box / 2
    drawn = [
        box(2, y - 31, 66, 62, "", PURPLE),
        text(35, y - 13, "encoder", SIZE),
        text(35, y + 4, f"{v['S']} × {v['d']}", SIZE),
        text(35, y + 22, f"{v['memory']:.2f}", SIZE + 1, weight=600),
    ]
    page, scene, name = LINKS["encoder"]
    return [
        link(drawn, page, name, scene),
        arrow(68, y - 8, edge, y - 8, PURPLE),
        arrow(68, y + 8, edge, y + 8, PURPLE),
        text((68 + edge) / 2 - 3, y - 14, "K", SIZE),
        text((68 + edge) / 2 - 3, y + 24, "V", SIZE),
        text(column.middle + 8, y + 30, "Q", SIZE, anchor="start"),
    ]


def _shape(name: str, v: Mapping[str, Any]) -> str:
    return f"{name}: {v['T']} × {v['d']}" if name else ""


def _number(column: Column, y: float, stage: str, v: Mapping[str, Any]) -> list[str]:
    """A root mean square, and a bar as long as its share of the largest one of this token in this layer."""
    share = v["rms"][stage] / max(v["rms"].values())
    return [
        text(column.number, y, f"{v['rms'][stage]:.2f}", 15, anchor="end", weight=600),
        bar(column.bar, y - 10, (WIDE - 4 - column.bar) * share, 10, GREY, 0.5, 2),
    ]


# --- layer normalisation in digits -----------------------------------------------------------------------------------


def norm_in_full(digits: Snapshot, entry: int) -> str:
    """Mean, variance and one entry of layer normalisation in LaTeX, with their numbers.

    digits  of `seqcore.experiments.encoder.normalise`
    entry   from 1
    """
    v, i = digits.facts, entry - 1
    x, d, normalised = v["vector"], len(v["vector"]), signed(v["normalised"][i], 3)
    mean, variance = signed(v["mean"], 3), f"{v['variance']:.3f}"
    lines = [
        rf"\mu &= \tfrac{{1}}{{{d}}}\,({signed(x[0])} {signed(x[1])} + \dots) = {mean}",
        rf"\sigma^2 &= \tfrac{{1}}{{{d}}}\,(({signed(x[0])} - \mu)^2 + \dots) = {variance}",
        rf"\hat x_{{{entry}}} &= (x_{{{entry}}} - \mu) / \sqrt{{\sigma^2 + \varepsilon}}",
        rf"&= \frac{{{signed(x[i], 3)} {signed(-v['mean'], 3)}}}{{\sqrt{{{variance} + \varepsilon}}}} = {normalised}",
        rf"y_{{{entry}}} &= \gamma_{{{entry}}}\,\hat x_{{{entry}}} + \beta_{{{entry}}}",
        rf"&= {v['gamma'][i]:.3f} \cdot ({normalised}) {signed(v['beta'][i], 3)} = {signed(v['y'][i], 3)}",
    ]
    return aligned(lines)


def norm_rows(digits: Snapshot, entry: int) -> list[tuple[str, ...]]:
    """A table's head and a few entries around one, which is in bold type: i, x, x̂, γ, β, y."""
    v = digits.facts
    d = len(v["vector"])
    first = max(0, min(entry - 1 - ROWS // 2, d - ROWS))
    rows: list[tuple[str, ...]] = [("i", "x", "x̂", "γ", "β", "y")]
    for i in range(first, min(first + ROWS, d)):
        x, gamma, beta, normalised, y = (v[name][i] for name in ("vector", "gamma", "beta", "normalised", "y"))
        cells = [str(i + 1), signed(x), signed(normalised), f"{gamma:.2f}", signed(beta), signed(y)]
        rows.append(tuple(f"**{cell}**" if i == entry - 1 else cell for cell in cells))
    return rows
