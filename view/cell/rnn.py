"""A recurrent network unrolled over a few steps, and the sum of one of its units in digits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from seqcore.record import Snapshot, Tick
from view.cell.parts import bracketed
from view.charts import distinct
from view.strokes import arrow, bar, look, signed, svg, text
from view.theme import BLUE, GREEN, GREY, ORANGE, PURPLE, TEAL

COLUMNS, UNITS = 5, 10  # steps that fit side by side, and units of a state that are drawn
READ, REMEMBER, ANSWER = GREEN, PURPLE, TEAL  # the arrows of W_x, W_h and W_y
TERMS_A_LINE, TERMS_IN_FULL = 3, 12


def unrolled(moment: Snapshot, time: int) -> str:
    """A few steps of a recurrent network around the step `time`: what it reads, its state, and its guess.

    moment  of `seqcore.experiments.rnn`: signals states (time, unit) and next (time, symbol), fact piece
    """
    states, piece = moment["states"].values, moment.facts["piece"]
    first = max(0, min(time - COLUMNS + 2, len(states) - COLUMNS))
    steps = range(first, min(first + COLUMNS, len(states)))
    ticks = distinct([_visible(character) for character in piece])  # those of the states
    parts = [text(6, y, label, anchor="start", colour=GREY) for y, label in ((40, "guess"), (150, "h"), (290, "x"))]
    parts.append(text(48, 150, "0" if first == 0 else "…", colour=GREY))
    for column, t in enumerate(steps):
        x = 130 + 118 * column
        if t == time:
            parts.append(
                f'<rect x="{x - 54}" y="2" width="108" height="334" rx="10" fill="{BLUE}" fill-opacity="0.10"/>'
            )
        seen = [
            *_state(x, states[t][:UNITS]),
            *_guess(x, moment["next"].values[t], moment["next"].ticks["symbol"], piece[t + 1]),
            f'<rect x="{x - 17}" y="272" width="34" height="32" rx="6" fill="{READ}" fill-opacity="0.18" stroke="{READ}"/>',
            text(x, 294, _visible(piece[t]), 17, weight=600),
            text(x, 326, f"t = {t}", 12, GREY),
        ]
        parts += [
            arrow(x - 118 + 36 if column else 58, 150, x - 36, 150, REMEMBER),
            text(x - 59, 141, "W_h", 12, REMEMBER),
            arrow(x, 268, x, 204, READ),
            text(x + 6, 242, "W_x", 12, READ, "start"),
            arrow(x, 98, x, 76, ANSWER),
            text(x + 6, 92, "W_y", 12, ANSWER, "start"),
            look(seen, "time", ticks[t]),
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
        cell = (
            f'<rect x="{x - 30 + 31 * (k % 2)}" y="{106 + 18.2 * (k // 2):.1f}" width="29" height="16" rx="3" '
            f'fill="{colour}" fill-opacity="{abs(value):.2f}" stroke="{colour}" stroke-opacity="0.3"/>'
        )
        cells.append(
            look([cell, text(x - 15.5 + 31 * (k % 2), 118 + 18.2 * (k // 2), signed(value, 1), 10)], "unit", str(k))
        )
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
            bar(x - 22, y - 13, 44 * chance, 16, GREEN if true else GREY, 0.55, 2),
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
        rf"\overset{{{_index(str(signal.ticks['term'][k]))}}}{{{signed(weights[k])}\cdot{bracketed(values[k])}}}"
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


def _index(term: str) -> str:
    """x3 -> x_{3}; biases stay."""
    return term if "_" in term else f"{term[0]}_{{{term[1:]}}}"


def _visible(character: str) -> str:
    return "␣" if character == " " else character
