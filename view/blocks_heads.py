"""The matrices of multi-head attention at their true proportions: one scale for all, a colour for each head.

page.drawing(blocks_heads.matrices(sizes(config)), "One scale for all matrices.")
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate

from seqcore.record import Snapshot
from view.strokes import svg, text
from view.theme import PALETTE

WIDE, TALL = 420, 440
EACH = ("Q", "K", "V", "weights", "z")  # rows with a matrix for every head
GUTTER, GAP = 124, 6  # where a row's matrices begin, beside their name; the least gap between two rows or heads
ROOM, BETWEEN = 62, 22  # least width of a factor of the last row, which has its name below; between two factors
HEADING, LINE, NAMES = 24, 18, 44  # heights: of the heads' numbers; least of a row; of the names below the last row
MOST = 8.0  # pixels of an entry
Shapes = Mapping[str, tuple[int, int]]


def matrices(moment: Snapshot) -> str:
    """x, then Q, K, V, the weights and z of every head, then the z of all heads side by side times W_o, which is y.

    moment  of `seqcore.experiments.heads.sizes`: facts heads, and the shapes (rows, columns) of x, Q, K, V, weights, z,
            joined, W_o and y
    """
    shapes, h = moment.facts, moment.facts["heads"]
    scale = MOST
    while max(_over(shapes, h, scale)) > 0:
        scale *= 0.98
    gap = GAP + min(-_over(shapes, h, scale)[1] / (len(EACH) + 2), 10)
    row = max(LINE, scale * shapes["x"][0])
    y = (TALL - (len(EACH) + 1) * (row + gap) - HEADING - _last(shapes, scale)) / 2

    wide = scale * shapes["x"][1]
    parts = [
        *_named("x", shapes["x"], y + row / 2),
        _matrix(GUTTER + wide / 2, y + row / 2, shapes["x"], scale),
        text(GUTTER + wide + 8, y + row / 2 + 5, "times W_q, W_k, W_v", anchor="start"),
    ]
    y += row + gap
    column = scale * _widest(shapes)
    middles = [GUTTER + column / 2 + (column + GAP) * head for head in range(h)]
    parts.append(text(4, y + 12, "head", anchor="start"))
    parts += [text(x, y + 12, f"{head + 1}", 15, PALETTE[head], weight=700) for head, x in enumerate(middles)]
    y += HEADING
    for key in EACH:
        parts += _named(key, shapes[key], y + row / 2)
        parts += [_matrix(x, y + row / 2, shapes[key], scale, PALETTE[head]) for head, x in enumerate(middles)]
        y += row + gap

    (T, joined), (_, d) = shapes["joined"], shapes["W_o"]
    rooms = _rooms(shapes, scale)
    left = (WIDE - sum(rooms) - 2 * BETWEEN) / 2
    centres = [
        left + start + room / 2 for start, room in zip(accumulate((r + BETWEEN for r in rooms), initial=0), rooms)
    ]
    below = y + _last(shapes, scale) - NAMES
    middle, piece = (y + below) / 2, joined // h
    for head in range(h):
        off = (head + 0.5 - h / 2) * piece * scale
        parts.append(_matrix(centres[0] + off, middle, (T, piece), scale, PALETTE[head]))
        parts.append(_matrix(centres[1], middle + off, (piece, d), scale, PALETTE[head]))
    parts.append(_matrix(centres[2], middle, shapes["y"], scale))
    names = "z₁" if h == 1 else f"z₁ … z{chr(ord('₀') + h)}", "W_o (+ b_o)", "y"
    for x, name, (lines, columns) in zip(centres, names, (shapes["joined"], shapes["W_o"], shapes["y"])):
        parts += [text(x, below + 20, name, 15, weight=600), text(x, below + 38, f"{lines} × {columns}")]
    for x, room, sign in zip(centres, rooms, "·="):
        parts.append(text(x + room / 2 + BETWEEN / 2, middle + 6, sign, 20, weight=700))
    return svg(parts, WIDE, TALL, _told(shapes, h), fits=True)


def _over(shapes: Shapes, h: int, scale: float) -> tuple[float, float]:
    """By how many pixels the drawing would be too wide and too tall."""
    heads = GUTTER + h * scale * _widest(shapes) + (h - 1) * GAP
    wide = max(heads, sum(_rooms(shapes, scale)) + 2 * BETWEEN) - WIDE + 8
    rows = (len(EACH) + 1) * (max(LINE, scale * shapes["x"][0]) + GAP)
    return wide, rows + HEADING + _last(shapes, scale) - TALL


def _widest(shapes: Shapes) -> int:
    return max(shapes[key][1] for key in EACH)


def _rooms(shapes: Shapes, scale: float) -> list[float]:
    return [max(ROOM, scale * shapes[key][1]) for key in ("joined", "W_o", "y")]


def _last(shapes: Shapes, scale: float) -> float:
    """The height of the last row with the names below it."""
    return scale * max(shapes["joined"][0], shapes["W_o"][0]) + NAMES


def _named(name: str, shape: tuple[int, int], middle: float) -> list[str]:
    """A row's name and the shape of each of its matrices."""
    return [
        text(4, middle + 5, name, 15, anchor="start", weight=600),
        text(GUTTER - 10, middle + 5, f"{shape[0]} × {shape[1]}", anchor="end"),
    ]


def _matrix(x: float, y: float, shape: tuple[int, int], scale: float, colour: str = "currentColor") -> str:
    """A matrix around its middle."""
    tall, wide = (scale * size for size in shape)
    return (
        f'<rect x="{x - wide / 2:.2f}" y="{y - tall / 2:.2f}" width="{wide:.2f}" height="{tall:.2f}" fill="{colour}" '
        f'fill-opacity="{0.15 if colour == "currentColor" else 0.4}" stroke="{colour}" stroke-width="0.8"/>'
    )


def _told(shapes: Shapes, h: int) -> str:
    by = {key: f"{shapes[key][0]} by {shapes[key][1]}" for key in ("x", *EACH, "joined", "W_o", "y")}
    heads = "the head has" if h == 1 else f"each of {h} heads has"
    return (
        f"Matrices at true proportions: x is {by['x']}; {heads} Q {by['Q']}, K {by['K']}, V {by['V']}, weights "
        f"{by['weights']} and z {by['z']}; all z side by side, {by['joined']}, times W_o, {by['W_o']}, plus b_o, is y, {by['y']}."
    )
