"""One unit of an LSTM at one time step, its equations in digits, and its weights at their true proportions."""

from __future__ import annotations

from seqcore.record import Snapshot
from view.cell.parts import GATES, bracketed, frame, staged, vessel
from view.digits import aligned
from view.strokes import arrow, knot, line, signed, svg, text
from view.theme import BLUE, GREEN, GREY, TEAL

STAGES = ("forget", "input", "update", "output")
BEFORE = {"update": ("forget", "input")}  # stages whose results another one adds up
WEIGHTS_WIDE = 420


def lstm(step: Snapshot, stage: str = "") -> str:
    """One unit of an LSTM at one time step, with its values. What belongs to a stage of STAGES stands out; "" is all.

    step  of `seqcore.experiments.lstm.step`: facts f, i, g, o, c, h, c_before, h_before, kept and written
    """
    v = step.facts
    f, i, g, o = 66, 172, 276, 394  # where the gates stand
    top, bottom = 84, 262  # the lines of c and h
    parts = {
        "forget": [
            line((0, top), (f - 14, top)),
            line((f, 184), (f, top + 14), colour=GATES["f"]),
            knot(f, top, "×", GATES["f"]),
            *_gate(f, "forget", "f", v["f"]),
            line((f + 14, top), (210, top)),
            text(145, top - 9, f"keeps {signed(v['kept'], 3)}"),
        ],
        "input": [
            line((i, 184), (i, 142), (210, 142), colour=GATES["i"]),
            line((g, 184), (g, 142), (238, 142), colour=GATES["g"]),
            knot(224, 142, "×", GREEN),
            *_gate(i, "input", "i", v["i"]),
            *_gate(g, "candidate", "g", v["g"]),
            arrow(224, 128, 224, top + 15, GREEN),
            text(234, 119, f"writes {signed(v['written'], 3)}", anchor="start"),
        ],
        "update": [
            knot(224, top, "+", TEAL),
            arrow(238, top, 460, top, TEAL),
        ],
        "output": [
            line((o, top), (o, 100)),
            f'<rect x="{o - 27}" y="100" width="54" height="26" rx="13" fill="{TEAL}" fill-opacity="0.15" stroke="{TEAL}"/>',
            text(o, 118, "tanh", 14),
            line((o, 126), (o, 138)),
            line((o, 184), (o, 166), colour=GATES["o"]),
            knot(o, 152, "×", GATES["o"]),
            *_gate(o, "output", "o", v["o"]),
            line((o + 14, 152), (444, 152), (444, bottom), colour=BLUE),
            arrow(444, bottom, 460, bottom, BLUE),
        ],
    }
    wires = [
        frame(238),
        line((0, bottom), (o, bottom), colour=GREY),
        line((f + 53, 300), (f + 53, bottom), colour=GREY),
        *(arrow(x, bottom, x, 240, GREY) for x in (f, i, g, o)),
        text(2, 32, f"cₜ₋₁ = {signed(v['c_before'], 3)}", 16, anchor="start", weight=600),
        text(458, 32, f"cₜ = {signed(v['c'], 3)}", 16, anchor="end", weight=600),
        text(230, 32, f"unit {v['unit']}, t = {v['time']}"),
        text(2, 304, f"hₜ₋₁ = {signed(v['h_before'], 3)}", 16, anchor="start", weight=600),
        text(458, 304, f"hₜ = {signed(v['h'], 3)}", 16, anchor="end", weight=600),
        text(f + 63, 304, f"xₜ = {v['read']}", 16, anchor="start"),
    ]
    told = ", ".join(f"{name} {signed(v[name], 3)}" for name in ("f", "i", "g", "o", "c", "h"))
    label = f"LSTM cell, unit {v['unit']} at time step {v['time']}: {told}."
    return svg([*wires, *staged(parts, stage, BEFORE)], 460, 314, label, fits=True)


def lstm_in_full(step: Snapshot, stage: str) -> str:
    """The equations of one stage in LaTeX with the numbers of this step in them."""
    v, sums = step.facts, step["sums"]

    def gate(name: str, squash: str) -> str:
        read, remembered, bias = (signed(float(part)) for part in sums.sel(gate=name).values)
        return (
            rf"{name}_t &= {squash}(\underbrace{{{read}}}_{{W_{{x{name}}}\,x_t}} "
            rf"\underbrace{{{remembered}}}_{{W_{{h{name}}}\,h_{{t-1}}}} \underbrace{{{bias}}}_{{b_{name}}})"
            rf" = {signed(v[name], 3) if name == 'g' else format(v[name], '.3f')}"
        )

    lines = {
        "forget": [
            gate("f", r"\sigma"),
            rf"f_t\,c_{{t-1}} &= {v['f']:.3f}\cdot{bracketed(v['c_before'], 3)} = {signed(v['kept'], 3)}",
        ],
        "input": [
            gate("i", r"\sigma"),
            gate("g", r"\tanh"),
            rf"i_t\,g_t &= {v['i']:.3f}\cdot{bracketed(v['g'], 3)} = {signed(v['written'], 3)}",
        ],
        "update": [
            r"c_t &= f_t\,c_{t-1} + i_t\,g_t",
            rf"&= {v['f']:.3f}\cdot{bracketed(v['c_before'], 3)} + {v['i']:.3f}\cdot{bracketed(v['g'], 3)}",
            rf"&= {signed(v['kept'], 3)} {signed(v['written'], 3)} = {signed(v['c'], 3)}",
        ],
        "output": [
            gate("o", r"\sigma"),
            rf"h_t &= o_t\,\tanh(c_t) = {v['o']:.3f}\cdot\tanh({signed(v['c'], 3)}) = {signed(v['h'], 3)}",
        ],
    }[stage]
    return aligned(lines)


def lstm_weights(hidden: int, inputs: int) -> str:
    """W_x x + W_h h + b of an LSTM, matrices and vectors at their true proportions, a colour for each block."""
    scale = min(170 / max(4 * hidden, inputs), 150 / (inputs + hidden), 16)
    thick, middle = max(scale, 7), 105
    factors = [  # name, blocks of rows, rows, columns (1 of a vector), the sign that follows
        ("Wₓ", "ifgo", 4 * hidden, inputs, "·"),
        ("xₜ", "x", inputs, 1, "+"),
        ("Wₕ", "ifgo", 4 * hidden, hidden, "·"),
        ("hₜ₋₁", "h", hidden, 1, "+"),
        ("b", "ifgo", 4 * hidden, 1, ""),
    ]
    rooms = [max(columns * scale, 64) if name[0] == "W" else 36 for name, _, _, columns, _ in factors]
    x = (WEIGHTS_WIDE - sum(rooms) - 4 * 20 + 26) / 2
    row = hidden * scale
    parts = [
        text(x - 18, middle + 5 + row * (k - 1.5), letter, min(16, row), GATES[letter], weight=700)
        for k, letter in enumerate("ifgo")
    ]
    for (name, blocks, rows, columns, sign), room in zip(factors, rooms):
        matrix = name[0] == "W"
        width, tall = columns * scale if matrix else thick, rows * scale / len(blocks)
        for k, block in enumerate(blocks):
            colour, y = GATES.get(block, GREY), middle + tall * (k - len(blocks) / 2)
            parts.append(
                f'<rect x="{x + (room - width) / 2:.1f}" y="{y:.1f}" width="{width:.1f}" height="{tall:.1f}" '
                f'fill="{colour}" fill-opacity="0.35" stroke="{colour}"/>'
            )
        parts += [
            text(x + room / 2, 216, name, 17, weight=600),
            text(x + room / 2, 238, f"{rows} × {columns}" if matrix else f"{rows}", 15),
            text(x + room + 10, middle + 6, sign, 18),
        ]
        x += room + 20
    label = (
        f"What an LSTM adds up: Wₓ, {4 * hidden} by {inputs}, times xₜ, plus Wₕ, {4 * hidden} by {hidden}, times hₜ₋₁, "
        "plus b. Each has four blocks of rows, for i, f, g and o."
    )
    return svg(parts, WEIGHTS_WIDE, 246, label, fits=True)


def _gate(x: float, name: str, letter: str, value: float) -> list[str]:
    """A gate as a vessel, filled up to its value; a candidate fills up or down from the middle."""
    return vessel(x, name, letter, value, GATES[letter], signs=letter == "g")
