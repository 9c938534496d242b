"""Drawings of recurrent cells: boxes and arrows, with the true values of one moment in them.

    cell.draw(cell.unrolled(moment, time=5), "The same weights at every step.")

A drawing is SVG made from records. Text and thin lines take the colour of the page's text, all else is in
mid-tones, so a drawing is the same in both themes. On a narrow screen it scrolls sideways rather than shrink.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

import streamlit as st

from seqcore.record import Run
from view.theme import BLUE, GREEN, GREY, ORANGE, PURPLE, TEAL

COLUMNS, UNITS = 5, 10  # of an unrolled network that fit side by side, and units of a state that are drawn
READ, REMEMBER, ANSWER = GREEN, PURPLE, TEAL  # the arrows of W_x, W_h and W_y
GATES = {"f": ORANGE, "i": GREEN, "g": PURPLE, "o": BLUE}
STAGES = ("forget", "write", "update", "output")
TERMS_A_LINE, TERMS_IN_FULL = 3, 12


def draw(drawing: str, caption: str) -> None:
    """Put a drawing on the page, with the words that belong under it."""
    st.markdown(drawing, unsafe_allow_html=True)
    st.caption(caption)


# --- a recurrent network ---------------------------------------------------------------------------------------------


def unrolled(moment: Run, time: int) -> str:
    """A few steps of a recurrent network around the step `time`: what it reads, its state, and its guess.

    moment  of `seqcore.experiments.rnn`: signals states (time, unit) and next (time, symbol), fact piece
    """
    states, text = moment["states"].values, moment.facts["piece"]
    first = max(0, min(time - COLUMNS + 2, len(states) - COLUMNS))
    steps = range(first, min(first + COLUMNS, len(states)))
    parts = [_text(6, y, label, anchor="start", colour=GREY) for y, label in ((40, "guess"), (150, "h"), (290, "x"))]
    parts.append(_text(48, 150, "0" if first == 0 else "…", colour=GREY))
    for column, t in enumerate(steps):
        x = 130 + 118 * column
        if t == time:
            parts.append(
                f'<rect x="{x - 54}" y="2" width="108" height="334" rx="10" fill="{BLUE}" fill-opacity="0.10"/>'
            )
        parts += [
            _arrow(x - 118 + 36 if column else 58, 150, x - 36, 150, REMEMBER),
            _text(x - 59, 141, "W_h", 12, REMEMBER),
            _arrow(x, 268, x, 204, READ),
            _text(x + 6, 242, "W_x", 12, READ, "start"),
            _arrow(x, 98, x, 76, ANSWER),
            _text(x + 6, 92, "W_y", 12, ANSWER, "start"),
            *_state(x, states[t][:UNITS]),
            *_guess(x, moment["next"].values[t], moment["next"].ticks["symbol"], text[t + 1]),
            f'<rect x="{x - 17}" y="272" width="34" height="32" rx="6" fill="{READ}" fill-opacity="0.18" stroke="{READ}"/>',
            _text(x, 294, _visible(text[t]), 17, weight=600),
            _text(x, 326, f"t = {t}", 12, GREY),
        ]
    return _svg(
        parts,
        76 + 118 * len(steps),
        340,
        f"Recurrent network unrolled over {len(steps)} steps that read {text[steps[0] : steps[-1] + 1]!r}: "
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
        cells.append(_text(x - 15.5 + 31 * (k % 2), 118 + 18.2 * (k // 2), _signed(value, 1), 10))
    return [frame, *cells]


def _guess(x: float, chances: Iterable[float], symbols: tuple[str, ...], truth: str) -> list[str]:
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
            _text(x - 34, y, _visible(symbol), 15, GREEN if true else "currentColor", weight=700 if true else 400),
            _text(x + 48, y, f"{chance:.0%}", 11, "currentColor", "end"),
        ]
    return parts


def terms_in_full(step: Run) -> str:
    """The sum of one unit at one step in LaTeX, weight times value, the largest terms first if there are many.

    step  of `seqcore.experiments.rnn.step`
    """
    signal, facts = step["terms"], step.facts
    weights, values, products = signal.values
    order = range(len(products))
    if len(products) > TERMS_IN_FULL:
        order = sorted(sorted(order, key=lambda k: -abs(products[k]))[:TERMS_IN_FULL])
    terms = [
        rf"\overset{{{_index(signal.ticks['term'][k])}}}{{{_signed(weights[k])}\cdot{_bracketed(values[k])}}}"
        for k in order
    ]
    left = len(products) - len(terms)
    if left:
        rest = products.sum() - sum(products[k] for k in order)
        terms.append(rf"\overset{{\text{{{left} smaller ones}}}}{{{_signed(rest)}}}")
    lines = [" ".join(terms[k : k + TERMS_A_LINE]) for k in range(0, len(terms), TERMS_A_LINE)]
    j, t = facts["unit"], facts["time"]
    sums = (
        rf"\underbrace{{{_signed(facts['read'])}}}_{{W_x x_t}} \underbrace{{{_signed(facts['b_x'])}}}_{{b_x}} "
        rf"\underbrace{{{_signed(facts['remembered'])}}}_{{W_h h_{{t-1}}}} \underbrace{{{_signed(facts['b_h'])}}}_{{b_h}}"
    )
    body = r" \\ &\quad ".join(lines)
    return (
        rf"\begin{{aligned}} a_{{{t},{j}}} &= {body} \\ &= {sums} = {_signed(facts['a'], 3)} \\"
        rf" h_{{{t},{j}}} &= \tanh({_signed(facts['a'], 3)}) = {_signed(facts['h'], 3)} \end{{aligned}}"
    )


# --- an LSTM ---------------------------------------------------------------------------------------------------------


def lstm(step: Run, stage: str) -> str:
    """One unit of an LSTM at one time step, with its values. What belongs to a stage of STAGES stands out.

    step  of `seqcore.experiments.lstm.step`: facts f, i, g, o, c, h, c_before, h_before, kept and written
    """
    v = step.facts
    parts = {
        "forget": [
            _line((8, 84), (134, 84)),
            _line((148, 176), (148, 98), colour=GATES["f"]),
            _knot(148, 84, "×", GATES["f"]),
            *_gate(148, "forget", "f", v["f"]),
            _text(46, 73, f"c = {_signed(v['c_before'])}", 15, TEAL, weight=600),
        ],
        "write": [
            _line((240, 176), (240, 134), (271, 134), colour=GATES["i"]),
            _line((330, 176), (330, 134), (299, 134), colour=GATES["g"]),
            _knot(285, 134, "×", GREEN),
            *_gate(240, "input", "i", v["i"]),
            *_gate(330, "candidate", "g", v["g"]),
        ],
        "update": [
            _line((162, 84), (271, 84)),
            _text(216, 73, f"keeps {_signed(v['kept'])}", 14, TEAL),
            _arrow(285, 120, 285, 99, GREEN),
            _text(295, 115, f"writes {_signed(v['written'])}", 14, GREEN, "start"),
            _knot(285, 84, "+", TEAL),
            _arrow(299, 84, 604, 84, TEAL),
            _text(573, 73, f"c = {_signed(v['c'])}", 15, TEAL, weight=700),
        ],
        "output": [
            _line((494, 84), (494, 110)),
            f'<rect x="467" y="110" width="54" height="26" rx="13" fill="{TEAL}" fill-opacity="0.15" stroke="{TEAL}"/>',
            _text(494, 128, "tanh", 13),
            _line((494, 136), (494, 185)),
            _line((468, 199), (480, 199), colour=GATES["o"]),
            _knot(494, 199, "×", GATES["o"]),
            *_gate(428, "output", "o", v["o"]),
            _line((494, 213), (494, 262), colour=BLUE),
            _arrow(494, 262, 604, 262, BLUE),
            _text(573, 284, f"h = {_signed(v['h'])}", 15, BLUE, weight=700),
        ],
    }
    wires = [
        f'<rect x="90" y="36" width="446" height="258" rx="18" fill="{GREY}" fill-opacity="0.07" stroke="{GREY}"/>',
        _line((8, 262), (428, 262), colour=GREY),
        *(_arrow(x, 262, x, 224, GREY) for x in (148, 240, 330, 428)),
        _line((112, 320), (112, 262), colour=GREY),
        _text(46, 284, f"h = {_signed(v['h_before'])}", 15, BLUE),
        _text(122, 317, f"x = {v['read']}", 14, anchor="start"),
        *(_text(46, y, "from t−1", 12, GREY) for y in (103, 251)),
        *(_text(573, y, "to t+1", 12, GREY) for y in (103, 251)),
        _text(313, 26, f"unit {v['unit']} at t = {v['time']}", 13, GREY),
    ]
    groups = [
        f'<g opacity="{1 if name == stage or (stage == "update" and name == "forget") else 0.4}">{"".join(drawn)}</g>'
        for name, drawn in parts.items()
    ]
    told = ", ".join(f"{name} {_signed(v[name])}" for name in ("f", "i", "g", "o", "c", "h"))
    return _svg([*wires, *groups], 612, 326, f"LSTM cell, unit {v['unit']} at time step {v['time']}: {told}.")


def lstm_in_full(step: Run, stage: str) -> str:
    """The equations of one stage in LaTeX with the numbers of this step in them."""
    v, parts = step.facts, step["parts"]

    def gate(name: str, squash: str) -> str:
        read, remembered, bias = (_signed(float(part)) for part in parts.pick(gate=name).values)
        return (
            rf"{name} &= {squash}(\underbrace{{{read}}}_{{W_{{x{name}}}\,x_t}} "
            rf"\underbrace{{{remembered}}}_{{W_{{h{name}}}\,h_{{t-1}}}} \underbrace{{{bias}}}_{{b_{name}}})"
            rf" = {_signed(v[name], 3)}"
        )

    lines = {
        "forget": [
            gate("f", r"\sigma"),
            rf"f\,c_{{t-1}} &= {v['f']:.3f}\cdot{_bracketed(v['c_before'])} = {_signed(v['kept'], 3)}",
        ],
        "write": [
            gate("i", r"\sigma"),
            gate("g", r"\tanh"),
            rf"i\,g &= {v['i']:.3f}\cdot{_bracketed(v['g'])} = {_signed(v['written'], 3)}",
        ],
        "update": [
            r"c_t &= f\,c_{t-1} + i\,g",
            rf"&= {v['f']:.3f}\cdot{_bracketed(v['c_before'])} + {v['i']:.3f}\cdot{_bracketed(v['g'])}",
            rf"&= {_signed(v['kept'], 3)} {_signed(v['written'], 3)} = {_signed(v['c'], 3)}",
        ],
        "output": [
            gate("o", r"\sigma"),
            rf"h_t &= o\,\tanh(c_t) = {v['o']:.3f}\cdot\tanh({_signed(v['c'], 3)}) = {_signed(v['h'], 3)}",
        ],
    }[stage]
    return r"\begin{aligned} " + r" \\ ".join(lines) + r" \end{aligned}"


def _gate(x: float, name: str, letter: str, value: float) -> list[str]:
    """A gate as a vessel, filled up to its value; a candidate fills up or down from the middle."""
    colour, top, height = GATES[letter], 176.0, 46.0
    high, low = (value, 0.0) if letter != "g" else (0.5 + max(value, 0) / 2, 0.5 + min(value, 0) / 2)
    return [
        f'<rect x="{x - 40}" y="{top + height * (1 - high):.1f}" width="80" height="{height * (high - low):.1f}" '
        f'fill="{colour}" fill-opacity="0.35"/>',
        f'<rect x="{x - 40}" y="{top}" width="80" height="{height}" rx="4" fill="none" stroke="{colour}" stroke-width="1.5"/>',
        _text(x, top + 17, name, 12),
        _text(x, top + 37, f"{letter} = {_signed(value) if letter == 'g' else format(value, '.2f')}", 15, weight=600),
    ]


def _knot(x: float, y: float, sign: str, colour: str) -> str:
    """Where two lines meet and are multiplied or added."""
    return (
        f'<circle cx="{x}" cy="{y}" r="14" fill="{colour}" fill-opacity="0.2" stroke="{colour}" stroke-width="1.5"/>'
        + _text(x, y + 6, sign, 18, weight=600)
    )


# --- strokes ---------------------------------------------------------------------------------------------------------


def _svg(parts: Iterable[str], width: float, height: float, label: str) -> str:
    """One line of HTML, since a blank line would end it. label: the drawing in words."""
    return (
        f'<div style="overflow-x:auto"><svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(label)}" '
        f'style="width:100%;min-width:{0.75 * width:.0f}px;max-width:{1.15 * width:.0f}px;display:block;margin:auto">'
        f"{''.join(parts)}</svg></div>"
    )


def _text(
    x: float,
    y: float,
    words: str,
    size: float = 14,
    colour: str = "currentColor",
    anchor: str = "middle",
    weight: int = 400,
) -> str:
    return (
        f'<text x="{x}" y="{y:.1f}" font-size="{size}" fill="{colour}" text-anchor="{anchor}" font-weight="{weight}">'
        f"{escape(words)}</text>"
    )


def _line(*points: tuple[float, float], colour: str = TEAL) -> str:
    places = " ".join(f"{x},{y}" for x, y in points)
    return f'<polyline points="{places}" fill="none" stroke="{colour}" stroke-width="2"/>'


def _arrow(x: float, y: float, to_x: float, to_y: float, colour: str) -> str:
    """A straight arrow, level or upright."""
    along, up = ((to_x > x) - (to_x < x)) * 7, ((to_y > y) - (to_y < y)) * 7
    wings = (
        f"{to_x},{to_y} {to_x - along - up / 2},{to_y - up - along / 2} {to_x - along + up / 2},{to_y - up + along / 2}"
    )
    return (
        _line((x, y), (to_x - along / 2, to_y - up / 2), colour=colour) + f'<polygon points="{wings}" fill="{colour}"/>'
    )


# --- numbers ---------------------------------------------------------------------------------------------------------


def _signed(value: float, digits: int = 2) -> str:
    """+0.50 or −0.50, and +0.00 for what rounds to nothing."""
    return f"{value + 0.0:+.{digits}f}".replace("-", "−") if round(value, digits) else f"+{0:.{digits}f}"


def _bracketed(value: float) -> str:
    return f"({_signed(value)})" if value < 0 else f"{value:.2f}"


def _index(term: str) -> str:
    """x3 -> x_{3}; biases stay."""
    return term if "_" in term else f"{term[0]}_{{{term[1:]}}}"


def _visible(character: str) -> str:
    return "␣" if character == " " else character
