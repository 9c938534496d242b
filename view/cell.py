"""Drawings of recurrent cells: boxes and arrows, with the true values of one moment in them.

    page.drawing(cell.unrolled(moment, time=5), "The same weights at every step.")

A drawing is SVG made from records. Text and thin lines take the colour of the page's text, all else is in mid-tones, so
a drawing is the same in both themes. Its size does not depend on the numbers in it. The LSTM and the GRU fit a phone; the
unrolled network scrolls sideways there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from seqcore.record import Snapshot, Tick
from view.strokes import arrow, box, knot, line, signed, svg, text
from view.theme import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, TEAL

COLUMNS, UNITS = 5, 10  # of an unrolled network that fit side by side, and units of a state that are drawn
READ, REMEMBER, ANSWER = GREEN, PURPLE, TEAL  # the arrows of W_x, W_h and W_y
GATES = {"f": ORANGE, "i": GREEN, "g": PURPLE, "o": BLUE}
STAGES = ("forget", "input", "update", "output")
BEFORE = {"update": ("forget", "input")}  # stages whose results another one adds up
GRU_STAGES = ("reset", "candidate", "update")
GRU_BEFORE = {"candidate": ("reset",), "update": ("candidate",)}
KEEPS, WRITES, RESETS = GATES["f"], GATES["i"], RED  # what a GRU's z or 1 - z does as an LSTM's f and i do, and its r
TERMS_A_LINE, TERMS_IN_FULL = 3, 12
WEIGHTS_WIDE = 420


# --- a recurrent network ---------------------------------------------------------------------------------------------


def unrolled(moment: Snapshot, time: int) -> str:
    """A few steps of a recurrent network around the step `time`: what it reads, its state, and its guess.

    moment  of `seqcore.experiments.rnn`: signals states (time, unit) and next (time, symbol), fact piece
    """
    states, piece = moment["states"].values, moment.facts["piece"]
    first = max(0, min(time - COLUMNS + 2, len(states) - COLUMNS))
    steps = range(first, min(first + COLUMNS, len(states)))
    parts = [text(6, y, label, anchor="start", colour=GREY) for y, label in ((40, "guess"), (150, "h"), (290, "x"))]
    parts.append(text(48, 150, "0" if first == 0 else "…", colour=GREY))
    for column, t in enumerate(steps):
        x = 130 + 118 * column
        if t == time:
            parts.append(
                f'<rect x="{x - 54}" y="2" width="108" height="334" rx="10" fill="{BLUE}" fill-opacity="0.10"/>'
            )
        parts += [
            arrow(x - 118 + 36 if column else 58, 150, x - 36, 150, REMEMBER),
            text(x - 59, 141, "W_h", 12, REMEMBER),
            arrow(x, 268, x, 204, READ),
            text(x + 6, 242, "W_x", 12, READ, "start"),
            arrow(x, 98, x, 76, ANSWER),
            text(x + 6, 92, "W_y", 12, ANSWER, "start"),
            *_state(x, states[t][:UNITS]),
            *_guess(x, moment["next"].values[t], moment["next"].ticks["symbol"], piece[t + 1]),
            f'<rect x="{x - 17}" y="272" width="34" height="32" rx="6" fill="{READ}" fill-opacity="0.18" stroke="{READ}"/>',
            text(x, 294, _visible(piece[t]), 17, weight=600),
            text(x, 326, f"t = {t}", 12, GREY),
        ]
    return svg(
        parts,
        76 + 118 * len(steps),
        340,
        f"Recurrent network unrolled over {len(steps)} steps that read {piece[steps[0] : steps[-1] + 1]!r}: "
        "each state is made from the state before and one character, with the same weights.",
    )


def _state(x: float, h: Iterable[float]) -> list[str]:
    """The first units of a state, two in a row: orange above zero, blue below, stronger when larger."""
    frame = f'<rect x="{x - 34}" y="102" width="68" height="98" rx="8" fill="none" stroke="currentColor"/>'
    cells = []
    for k, value in enumerate(h):
        colour = ORANGE if value > 0 else BLUE
        cells.append(
            f'<rect x="{x - 30 + 31 * (k % 2)}" y="{106 + 18.2 * (k // 2):.1f}" width="29" height="16" rx="3" '
            f'fill="{colour}" fill-opacity="{abs(value):.2f}" stroke="{colour}" stroke-opacity="0.3"/>'
        )
        cells.append(text(x - 15.5 + 31 * (k % 2), 118 + 18.2 * (k // 2), signed(value, 1), 10))
    return [frame, *cells]


def _guess(x: float, chances: Iterable[float], symbols: Sequence[Tick], truth: str) -> list[str]:
    """The two likeliest next characters and the true one, with their chances as bars."""
    ranked = sorted(zip(chances, symbols), reverse=True)
    rows = ranked[:2] if truth in [symbol for _, symbol in ranked[:2]] else [ranked[0]]
    rows += [] if len(rows) == 2 else [next(row for row in ranked if row[1] == truth)]
    parts = []
    for place, (chance, symbol) in enumerate(rows):
        y = 22 + 24 * place
        true = symbol == truth
        parts += [
            f'<rect x="{x - 22}" y="{y - 13}" width="{44 * chance:.1f}" height="16" rx="2" '
            f'fill="{GREEN if true else GREY}" fill-opacity="0.55"/>',
            text(x - 34, y, _visible(str(symbol)), 15, GREEN if true else "currentColor", weight=700 if true else 400),
            text(x + 48, y, f"{chance:.0%}", 11, "currentColor", "end"),
        ]
    return parts


def terms_in_full(step: Snapshot) -> str:
    """The sum of one unit at one step in LaTeX, weight times value, the largest terms first if there are many.

    step  of `seqcore.experiments.rnn.step`
    """
    signal, facts = step["terms"], step.facts
    weights, values, products = signal.values
    order = list(range(len(products)))
    if len(products) > TERMS_IN_FULL:
        order = sorted(sorted(order, key=lambda k: -abs(products[k]))[:TERMS_IN_FULL])
    terms = [
        rf"\overset{{{_index(str(signal.ticks['term'][k]))}}}{{{signed(weights[k])}\cdot{_bracketed(values[k])}}}"
        for k in order
    ]
    left = len(products) - len(terms)
    if left:
        rest = products.sum() - sum(products[k] for k in order)
        terms.append(rf"\overset{{\text{{{left} smaller ones}}}}{{{signed(rest)}}}")
    lines = [" ".join(terms[k : k + TERMS_A_LINE]) for k in range(0, len(terms), TERMS_A_LINE)]
    j, t = facts["unit"], facts["time"]
    sums = (
        rf"\underbrace{{{signed(facts['read'])}}}_{{W_x x_t}} \underbrace{{{signed(facts['b_x'])}}}_{{b_x}} "
        rf"\underbrace{{{signed(facts['remembered'])}}}_{{W_h h_{{t-1}}}} \underbrace{{{signed(facts['b_h'])}}}_{{b_h}}"
    )
    body = r" \\ &\quad ".join(lines)
    return (
        rf"\begin{{aligned}} a_{{{t},{j}}} &= {body} \\ &= {sums} = {signed(facts['a'], 3)} \\"
        rf" h_{{{t},{j}}} &= \tanh({signed(facts['a'], 3)}) = {signed(facts['h'], 3)} \end{{aligned}}"
    )


# --- an LSTM ---------------------------------------------------------------------------------------------------------


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
        f'<rect x="14" y="42" width="438" height="238" rx="16" fill="{GREY}" fill-opacity="0.07" stroke="{GREY}"/>',
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
    bright = {stage, *BEFORE.get(stage, ())} if stage else parts
    groups = [f'<g opacity="{1 if name in bright else 0.4}">{"".join(drawn)}</g>' for name, drawn in parts.items()]
    told = ", ".join(f"{name} {signed(v[name], 3)}" for name in ("f", "i", "g", "o", "c", "h"))
    label = f"LSTM cell, unit {v['unit']} at time step {v['time']}: {told}."
    return svg([*wires, *groups], 460, 314, label, fits=True)


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
            rf"f_t\,c_{{t-1}} &= {v['f']:.3f}\cdot{_bracketed(v['c_before'], 3)} = {signed(v['kept'], 3)}",
        ],
        "input": [
            gate("i", r"\sigma"),
            gate("g", r"\tanh"),
            rf"i_t\,g_t &= {v['i']:.3f}\cdot{_bracketed(v['g'], 3)} = {signed(v['written'], 3)}",
        ],
        "update": [
            r"c_t &= f_t\,c_{t-1} + i_t\,g_t",
            rf"&= {v['f']:.3f}\cdot{_bracketed(v['c_before'], 3)} + {v['i']:.3f}\cdot{_bracketed(v['g'], 3)}",
            rf"&= {signed(v['kept'], 3)} {signed(v['written'], 3)} = {signed(v['c'], 3)}",
        ],
        "output": [
            gate("o", r"\sigma"),
            rf"h_t &= o_t\,\tanh(c_t) = {v['o']:.3f}\cdot\tanh({signed(v['c'], 3)}) = {signed(v['h'], 3)}",
        ],
    }[stage]
    return r"\begin{aligned} " + r" \\ ".join(lines) + r" \end{aligned}"


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
    return _vessel(x, name, letter, value, GATES[letter], signs=letter == "g")


def _vessel(x: float, name: str, letter: str, value: float, colour: str, signs: bool, size: float = 14) -> list[str]:
    top, height = 184.0, 54.0
    high, low = (0.5 + max(value, 0) / 2, 0.5 + min(value, 0) / 2) if signs else (value, 0.0)
    return [
        f'<rect x="{x - 46}" y="{top + height * (1 - high):.1f}" width="92" height="{height * (high - low):.1f}" '
        f'fill="{colour}" fill-opacity="0.35"/>',
        f'<rect x="{x - 46}" y="{top}" width="92" height="{height}" rx="4" fill="none" stroke="{colour}" stroke-width="1.5"/>',
        text(x, top + 20, name, size),
        text(x, top + 43, f"{letter} = {signed(value, 3) if signs else format(value, '.3f')}", 16, weight=600),
    ]


# --- a GRU -----------------------------------------------------------------------------------------------------------


def gru(step: Snapshot, stage: str = "", lets_in: bool = False) -> str:
    """One unit of a GRU at one time step, with its values. What belongs to a stage of GRU_STAGES stands out; "" is all.

    step     of `seqcore.experiments.gru.step`: facts r, z, n, h, h_before, past, kept, written and convention
    lets_in  show 1 - z in place of z, as texts do in which z = 1 lets the candidate in
    """
    v = step.facts
    z, n, r, mix, recall = 80, 240, 402, 200, 328  # where the gates stand, and where two lines meet
    top, past, read = 84, 256, 272  # the lines of the state, of the old state to the gates, and of the input
    shown = 1 - v["z"] if lets_in else v["z"]
    rest = f"1−z = {1 - shown:.3f}"
    if lets_in:  # z goes to the candidate, 1 - z to the old state
        split = [
            line((z, 184), (z, 142), (mix - 14, 142), colour=WRITES),
            line((z, 142), (z, 134), colour=WRITES),
            box(z - 46, 108, 92, 26, rest, KEEPS, 15),
            line((z, 108), (z, top + 14), colour=KEEPS),
        ]
    else:
        split = [
            line((z, 184), (z, top + 14), colour=KEEPS),
            line((z, 142), (z + 10, 142), colour=KEEPS),
            box(z + 10, 129, 88, 26, rest, WRITES, 15),
            line((z + 98, 142), (mix - 14, 142), colour=WRITES),
        ]
    product = (
        (recall + 6, 247) if v["convention"] == "torch" else (n + 49, 203)
    )  # where W_h multiplies: before r, or after
    parts = {
        "reset": [
            *_vessel(r, "reset", "r", v["r"], RESETS, signs=False, size=15),
            line((r - 46, 211), (recall + 14, 211), colour=RESETS),
            line((recall, past), (recall, 225), colour=GREY),
            knot(recall, 211, "×", RESETS),
            arrow(recall - 14, 211, n + 47, 211, RESETS),
            text(*product, "Wₕ", 15, anchor="start"),
            text(recall + 6, 176, f"past {signed(v['past'], 3)}", 15),
        ],
        "candidate": [
            *_vessel(n, "candidate", "n", v["n"], GATES["g"], signs=True, size=15),
        ],
        "update": [
            line((0, top), (z - 14, top)),
            *split,
            knot(z, top, "×", KEEPS),
            *_vessel(z, "update", "z", shown, WRITES if lets_in else KEEPS, signs=False, size=15),
            line((z + 14, top), (mix - 14, top)),
            text((z + mix) / 2, top - 16, f"keeps {signed(v['kept'], 3)}", 15),
            line((n, 184), (n, 142), (mix + 14, 142), colour=GATES["g"]),
            knot(mix, 142, "×", WRITES),
            arrow(mix, 128, mix, top + 15, WRITES),
            text(mix + 10, 119, f"writes {signed(v['written'], 3)}", 15, anchor="start"),
            knot(mix, top, "+", TEAL),
            arrow(mix + 14, top, 460, top, TEAL),
        ],
    }
    wires = [
        f'<rect x="14" y="42" width="438" height="242" rx="16" fill="{GREY}" fill-opacity="0.07" stroke="{GREY}"/>',
        line((26, top), (26, past), (r - 10, past), colour=GREY),
        line((172, 300), (172, read), colour=GREY),
        line((z + 10, read), (r + 10, read), colour=GREY),
        *(arrow(x - 10, past, x - 10, 240, GREY) for x in (z, r)),
        *(arrow(x, read, x, 240, GREY) for x in (z + 10, n, r + 10)),
        text(2, 32, f"hₜ₋₁ = {signed(v['h_before'], 3)}", 16, anchor="start", weight=600),
        text(458, 32, f"hₜ = {signed(v['h'], 3)}", 16, anchor="end", weight=600),
        text(230, 32, f"unit {v['unit']}, t = {v['time']}", 15),
        text(182, 306, f"xₜ = {v['read']}", 16, anchor="start"),
    ]
    bright = {stage, *GRU_BEFORE.get(stage, ())} if stage else parts
    groups = [f'<g opacity="{1 if name in bright else 0.4}">{"".join(drawn)}</g>' for name, drawn in parts.items()]
    told = f"r {v['r']:.3f}, z {shown:.3f}, n {signed(v['n'], 3)}, h {signed(v['h'], 3)}"
    mixed = (
        f"{signed(v['kept'], 3)} is kept of the old state {signed(v['h_before'], 3)}, {signed(v['written'], 3)} is new"
    )
    label = f"GRU cell, unit {v['unit']} at time step {v['time']}: {told}; {mixed}. {'z lets in' if lets_in else 'z keeps'}."
    return svg([*wires, *groups], 460, 314, label, fits=True)


def gru_in_full(step: Snapshot, stage: str = "", lets_in: bool = False) -> str:
    """The equations of one stage of GRU_STAGES in LaTeX with the numbers of this step in them; "" is all stages.

    With `lets_in` z is 1 - z, and so the sum of its gate has the other sign.
    """
    v, sums = step.facts, step["sums"]
    z = 1 - v["z"] if lets_in else v["z"]
    (from_n, past_n), torch = sums.sel(gate="n").values.tolist(), v["convention"] == "torch"

    def gate(name: str, value: float) -> str:
        turned = lets_in and name == "z"
        read, past = (signed(-part if turned else part, 3) for part in sums.sel(gate=name).values.tolist())
        of_x, of_h = (f"W_{{{at}{name}}}{to} + b_{{{at}{name}}}" for at, to in (("x", "x_t"), ("h", "h_{t-1}")))
        if turned:
            of_x, of_h = f"-({of_x})", f"-({of_h})"
        return rf"{name}_t &= \sigma(\underbrace{{{read}}}_{{{of_x}}} \underbrace{{{past}}}_{{{of_h}}}) = {value:.3f}"

    def share(factor: str, value: float) -> str:
        return rf"{factor}\cdot{_bracketed(value, 3)}"

    rest, kept, new = f"(1 - {z:.3f})", f"{z:.3f}", (r"(1 - z_t)\,n_t", r"z_t\,h_{t-1}")
    if lets_in:
        rest, kept, new = kept, rest, (r"z_t\,n_t", r"(1 - z_t)\,h_{t-1}")
    recalled = [
        r"\text{past} &= " + (r"r_t\,(W_{hn}h_{t-1} + b_{hn})" if torch else r"W_{hn}(r_t \odot h_{t-1}) + b_{hn}"),
        (rf"&= {v['r']:.3f}\cdot{_bracketed(past_n, 3)} = " if torch else "&= ") + signed(v["past"], 3),
    ]
    lines = {
        "reset": [gate("r", v["r"]), *recalled],
        "candidate": [
            rf"n_t &= \tanh(\underbrace{{{signed(from_n, 3)}}}_{{W_{{xn}}x_t + b_{{xn}}}} "
            rf"\underbrace{{{signed(v['past'], 3)}}}_{{\text{{past}}}}) = {signed(v['n'], 3)}"
        ],
        "update": [
            gate("z", z),
            rf"h_t &= {new[0]} + {new[1]}",
            rf"&= {share(rest, v['n'])}",
            rf"&\quad + {share(kept, v['h_before'])}",
            rf"&= {signed(v['written'], 3)} {signed(v['kept'], 3)} = {signed(v['h'], 3)}",
        ],
    }
    chosen = lines[stage] if stage else [each for stage in GRU_STAGES for each in lines[stage]]
    return r"\begin{aligned} " + r" \\ ".join(chosen) + r" \end{aligned}"


# --- numbers ---------------------------------------------------------------------------------------------------------


def _bracketed(value: float, digits: int = 2) -> str:
    return f"({signed(value, digits)})" if value < 0 else f"{value:.{digits}f}"


def _index(term: str) -> str:
    """x3 -> x_{3}; biases stay."""
    return term if "_" in term else f"{term[0]}_{{{term[1:]}}}"


def _visible(character: str) -> str:
    return "␣" if character == " " else character
