"""The whole transformer in one drawing: an encoder that reads, and a decoder that writes one symbol.

    page.drawing(stack.transformer(moment), "While it writes symbol 3.")

It is read from the bottom to the top, as in the paper of 2017, with LayerNorm where these models have it: before each
sublayer. Its height depends on the number of layers and on nothing else. Every part is a link to a scene about it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from seqcore.record import Snapshot
from view.strokes import arrow, bar, box, knot, line, link, svg, text
from view.theme import BLUE, GREEN, GREY, ORANGE, PURPLE, TEAL

WIDE, SIZE = 460, 15  # of the drawing, and of its letters: 11 pixels on a phone
SUBLAYER, HEAD, BETWEEN = 72, 28, 6  # heights: of a sublayer, of a layer's name, between two layers
FOOT, TOP, LAST = 112, 108, 50  # below the layers; above the decoder's; above the encoder's
BUS = 213  # where the memory goes up or down to the layers that read it
NAMES = 24  # most letters of a row of symbols that is written as one text
PARTS = {
    "self-attention": BLUE,
    "masked self-attention": BLUE,
    "cross-attention": PURPLE,
    "feed-forward": ORANGE,
}
# part -> page and scene
LINKS = {
    "embed + positions": ("positions", 2),
    "LayerNorm": ("encoder", 4),
    "sum": ("encoder", 2),
    "self-attention": ("attention", 1),
    "masked self-attention": ("decoder", 1),
    "cross-attention": ("decoder", 2),
    "feed-forward": ("encoder", 1),
    "heads": ("heads", 1),
    "d_k": ("scaling", 2),
    "memory": ("encoder", 3),
    "linear": ("decoder", 5),
    "softmax": ("attention", 3),
    "next": ("decoder", 5),
}


class Column(NamedTuple):
    """name; places from the left: the middle, the frame of a layer, the residual line; widths of a box and of the frame.

    side  where numbers stand: 1 right of the sums, -1 left of them, away from the residual line
    """

    name: str
    middle: float
    left: float
    frame: float
    box: float
    around: float
    side: int
    sublayers: tuple[str, ...]


ENCODER = Column("encoder", 94, 1, 196, 140, 10, 1, ("self-attention", "feed-forward"))
DECODER = Column("decoder", 340, 237, 222, 160, 446, -1, ("masked self-attention", "cross-attention", "feed-forward"))


def transformer(moment: Snapshot) -> str:
    """All layers of an encoder-decoder transformer while it writes one symbol.

    moment  of `seqcore.experiments.translation.writing`
    """
    v = moment.facts
    layers = {ENCODER: v["encoder_layers"], DECODER: v["decoder_layers"]}
    tall = {column: count * _layer_height(column) for column, count in layers.items()}
    height = max(TOP + tall[DECODER], LAST + tall[ENCODER]) + FOOT
    ground = height - FOOT
    parts = _source(v, height) + _target(v, height)
    for column, states, places in ((ENCODER, v["read"], v["S"]), (DECODER, v["wrote"], v["T"])):
        parts += _embedded(column, ground, f"{places} × {v['d']}", states["embedding"])
        for number in range(1, layers[column] + 1):
            parts += _layer(column, number, ground - (number - 1) * _layer_height(column), v, states)
    memory, parts_of_memory = _memory(v, ground - tall[ENCODER])
    parts += parts_of_memory + _crossing(memory, ground, v) + _last(v, ground - tall[DECODER])
    return svg(parts, WIDE, height, _told(v), fits=True)


def _layer_height(column: Column) -> float:
    return len(column.sublayers) * SUBLAYER + HEAD + BETWEEN


def _to(key: str, name: str, drawn: Sequence[str]) -> str:
    page, scene = LINKS[key]
    return link(drawn, page, name, scene)


def _number(column: Column, y: float, value: float, off: float = 14) -> str:
    anchor = "start" if column.side > 0 else "end"
    return text(column.middle + column.side * off, y + 5, f"{value:.2f}", SIZE, anchor=anchor, weight=600)


# --- what enters -----------------------------------------------------------------------------------------------------


def _source(v: Mapping[str, Any], height: float) -> list[str]:
    """The symbols that are read, each with the weight of cross-attention on it, hanging below."""
    symbols, weights, x = v["source"], v["weights"], ENCODER.middle
    slot = min(20.0, 200 / len(symbols))
    left, most = max(x - slot * len(symbols) / 2, 0), max(weights)
    parts = [arrow(x, height - 46, x, height - 60, GREY)]
    for place, (symbol, weight) in enumerate(zip(symbols, weights)):
        parts.append(text(round(left + slot * (place + 0.5), 1), height - 32, symbol, SIZE))
        parts.append(bar(left + slot * place + 1, height - 26, slot - 2, 24 * weight / most, PURPLE, 0.6))
    return parts


def _target(v: Mapping[str, Any], height: float) -> list[str]:
    """The symbols that the decoder is given: the last ones where there are many."""
    start, *rest = v["before"]
    words = f"{start} {''.join(rest)}".strip()
    if len(words) > NAMES:
        words = f"…{words[1 - NAMES :]}"
    x = DECODER.middle
    return [
        arrow(x, height - 46, x, height - 60, GREY),
        text(x, height - 32, words, SIZE),
        text(x, height - 8, "written so far", SIZE, GREY),
    ]


def _embedded(column: Column, ground: float, shape: str, value: float) -> list[str]:
    """The box of the embedding, and what leaves it, below the first layer."""
    x, y = column.middle, ground + 28
    name = f"{column.name}: embedding plus positions, {shape}, root mean square {value:.2f}"
    return [
        _to("embed + positions", name, [box(x - column.box / 2, y, column.box, 24, "embed + positions", TEAL, SIZE)]),
        line((x, y), (x, ground), colour=GREY),
        text(x - column.side * 8, y - 9, shape, SIZE, anchor="end" if column.side > 0 else "start"),
        _number(column, y - 14, value, 8),
    ]


# --- layers ----------------------------------------------------------------------------------------------------------


def _layer(column: Column, number: int, bottom: float, v: Mapping[str, Any], states: Mapping[str, float]) -> list[str]:
    """A layer from its bottom upward, in a frame with its number, heads and d_k."""
    x, height = column.middle, _layer_height(column)
    top, where = bottom - height + BETWEEN, f"{column.name} layer {number}"
    heads = f"{v['heads']} {'head' if v['heads'] == 1 else 'heads'}"
    d_k = f"d_k = {v['d_k']}"
    beside = x + column.side * (column.box / 2 + 12)
    name = text(beside, top + 45, f"layer {number}", SIZE, weight=600)
    parts = [
        f'<rect x="{column.left}" y="{top}" width="{column.frame}" height="{height - BETWEEN}" rx="8" fill="{GREY}" '
        f'fill-opacity="0.07" stroke="{GREY}" stroke-opacity="0.6"/>',
        line((x, top + HEAD), (x, bottom - height), colour=GREY),
        f'<g transform="rotate(-90 {beside} {top + 40})">{name}</g>',
        _to("heads", f"{where}: {heads}", [box(x - 70, top + 3, 64, 22, heads, GREY, SIZE)]),
        _to("d_k", f"{where}: {d_k}", [box(x + 6, top + 3, 66, 22, d_k, GREY, SIZE)]),
    ]
    for k, part in enumerate(column.sublayers):
        parts += _sublayer(column, bottom - k * SUBLAYER, part, where, v, states[f"{number} {part}"])
    return parts


def _sublayer(column: Column, below: float, part: str, where: str, v: Mapping[str, Any], value: float) -> list[str]:
    """LayerNorm, the sublayer and the sum with the residual line, from the height `below` upward."""
    x, y = column.middle, below - SUBLAYER + 11
    words = f"{part}, {v['feedforward']}" if part == "feed-forward" else part
    told = f", {v['feedforward']} units" if part == "feed-forward" else ""
    size = f"root mean square {value:.2f}"
    around = [
        line((x, below - 3), (column.around, below - 3), (column.around, y), colour=GREEN),
        arrow(column.around, y, x - column.side * 9, y, GREEN),
        knot(x, y, "+", GREEN, 9, SIZE),
    ]
    edges = ((0, 6), (26, 29), (51, 52), (70, SUBLAYER))
    return [
        *(line((x, below - start), (x, below - end), colour=GREY) for start, end in edges),
        _to(
            "LayerNorm", f"{where}: LayerNorm before {part}", [box(x - 42, below - 26, 84, 20, "LayerNorm", TEAL, SIZE)]
        ),
        _to(
            part,
            f"{where}: {part}{told}",
            [box(x - column.box / 2, below - 51, column.box, 22, words, PARTS[part], SIZE)],
        ),
        _to("sum", f"{where}: sum after {part}, {size}", around),
        _number(column, y, value),
    ]


# --- between the two, and what leaves ---------------------------------------------------------------------------------


def _memory(v: Mapping[str, Any], top: float) -> tuple[float, list[str]]:
    """The height of the memory, and it, above the encoder's last layer."""
    x, y, words = ENCODER.middle, top - 38, f"memory {v['S']} × {v['d']}"
    value = v["read"]["memory"]
    told = f"{words}, root mean square {value:.2f}"
    return y, [
        *(line((x, start), (x, end), colour=GREY) for start, end in ((top + 6, top - 2), (top - 22, y + 12))),
        _to("LayerNorm", "encoder: last LayerNorm", [box(x - 42, top - 22, 84, 20, "LayerNorm", TEAL, SIZE)]),
        _to("memory", told, [box(2, y - 12, 194, 24, f"{words}: {value:.2f}", PURPLE, SIZE)]),
    ]


def _crossing(memory: float, ground: float, v: Mapping[str, Any]) -> list[str]:
    """K and V, from the memory to each layer of the decoder."""
    heights = [ground - number * _layer_height(DECODER) - SUBLAYER - 40 for number in range(v["decoder_layers"])]
    edge = DECODER.middle - DECODER.box / 2
    ends = min(memory, *heights) - 5 * (min(heights) < memory), max(memory, *heights) + 5 * (max(heights) > memory)
    parts = [line((196, memory), (BUS, memory), colour=PURPLE), line((BUS, ends[0]), (BUS, ends[1]), colour=PURPLE)]
    for y in heights:
        parts += [
            arrow(BUS, y - 5, edge, y - 5, PURPLE),
            arrow(BUS, y + 5, edge, y + 5, PURPLE),
            text(BUS + 12, y - 10, "K", SIZE),
            text(BUS + 12, y + 21, "V", SIZE),
            text(DECODER.middle + 50, y + 29, "Q", SIZE, anchor="start"),
        ]
    return parts


def _last(v: Mapping[str, Any], top: float) -> list[str]:
    """From the decoder's last layer to the next symbol."""
    x, left, wide, d = DECODER.middle, DECODER.middle - DECODER.box / 2, DECODER.box, v["d"]
    value, chosen = v["wrote"]["last norm"], f"next: {v['next']}, {v['probability']:.2f}"
    linear = f"linear {d} → {v['vocabulary']}"
    return [
        *(line((x, start), (x, end), colour=GREY) for start, end in ((top + 6, top + 2), (top - 18, top - 24))),
        line((x, top - 46), (x, top - 52), colour=GREY),
        _to(
            "LayerNorm",
            f"decoder: last LayerNorm, root mean square {value:.2f}",
            [box(x - 42, top - 18, 84, 20, "LayerNorm", TEAL, SIZE)],
        ),
        _number(DECODER, top - 8, value, 48),
        _to("linear", linear, [box(left, top - 46, wide, 22, linear, GREY, SIZE)]),
        _to("softmax", "softmax", [box(left, top - 74, wide, 22, "softmax", GREY, SIZE)]),
        arrow(x, top - 74, x, top - 84, GREY),
        _to(
            "next",
            f"next symbol {v['next']} with probability {v['probability']:.2f}",
            [box(left, top - 107, wide, 22, chosen, GREEN, SIZE)],
        ),
    ]


def _told(v: Mapping[str, Any]) -> str:
    """The drawing in words."""

    def count(name: str) -> str:
        return f"{v[name]} {'layer' if v[name] == 1 else 'layers'}"

    def through(states: Mapping[str, float]) -> str:
        return ", ".join(f"{stage} {value:.2f}" for stage, value in states.items())

    weight, place = max((weight, -place) for place, weight in enumerate(v["weights"]))
    heads = f"{v['heads']} {'head' if v['heads'] == 1 else 'heads'}"
    return (
        f"A transformer with {count('encoder_layers')} of the encoder and {count('decoder_layers')} of the decoder, "
        f"{heads}, d_k = {v['d_k']}, feed-forward {v['feedforward']}. It reads {''.join(v['source'])}, {v['S']} × {v['d']}, "
        f"and writes symbol {v['symbol']} after {' '.join(v['before'])}, {v['T']} × {v['d']}. Root mean squares in the "
        f"encoder: {through(v['read'])}. K and V of each cross-attention come from the memory. In the decoder: "
        f"{through(v['wrote'])}. Largest weight of cross-attention: {weight:.2f} on place {1 - place}, "
        f"{v['source'][-place]}. Next symbol: {v['next']} with probability {v['probability']:.2f}."
    )
