"""One entry of a formula followed in numbers, as LaTeX: what stands in a record, rounded."""

from __future__ import annotations

from collections.abc import Iterable

from seqcore.record import Snapshot
from view.strokes import signed

FIRST, LAST = 2, 1  # products of a sum that are written out
ALL = 4  # or all of them, if there are so few


def score_in_full(score: Snapshot) -> str:
    """A score and its weight, without scaling and with 1/√d_k.

    score  of `seqcore.experiments.scaling.one_score`: facts q, k, key, d_k, score, scaled, and by arm exponential, total, weight
    """
    v = score.facts
    key, d_k = v["key"], v["d_k"]
    plain, root = ((v["exponential"][arm], v["total"][arm], v["weight"][arm]) for arm in v["weight"])
    lines = [
        rf"q \cdot k_{{{key}}} &= {_sum_of_products(v['q'], v['k'])}",
        rf"&= \mathbf{{{_plain(v['score'])}}}",
        rf"\overset{{\text{{no scaling}}}}{{p_{{{key}}}}} &= {_share(v['score'], plain)}",
        rf"\frac{{q \cdot k_{{{key}}}}}{{\sqrt{{d_k}}}} &= \frac{{{_plain(v['score'])}}}{{\sqrt{{{d_k}}}}}"
        rf" = \mathbf{{{_plain(v['scaled'])}}}",
        rf"\overset{{1/\sqrt{{d_k}}}}{{p_{{{key}}}}} &= {_share(v['scaled'], root)}",
    ]
    return aligned(lines, "4pt")


def place_in_full(entry: Snapshot) -> str:
    """One entry of the table of sines and cosines.

    entry  of `seqcore.experiments.positions.one_entry`: facts place, entry, pair, width, omega, angle, value
    """
    v = entry.facts
    p, i, angle = v["place"], v["pair"], f"{v['angle']:.4f}"
    wave = r"\cos" if v["entry"] % 2 else r"\sin"
    lines = [
        rf"\omega_{{{i}}} &= 10000^{{-{2 * i}/{v['width']}}} = {v['omega']:.6g}",
        rf"p\,\omega_{{{i}}} &= {p} \cdot {v['omega']:.6g} = {angle}",
        rf"PE({p}, {v['entry']}) &= {wave}\, {angle} = \mathbf{{{_plain(v['value'], 3)}}}",
    ]
    return aligned(lines, "4pt")


def turn_in_full(turned: Snapshot) -> str:
    """One pair of entries, turned from its place to one further on.

    turned  of `seqcore.experiments.positions.one_turn`: facts place, k, pair, omega, angle, block, before, after
    """
    v = turned.facts
    p, k, i = v["place"], v["k"], v["pair"]
    c, s = v["block"][0]
    block, before, after = (_matrix(v[name]) for name in ("block", "before", "after"))
    lines = [
        rf"k\,\omega_{{{i}}} &= {k} \cdot {v['omega']:.6g} = {v['angle']:.4f}",
        rf"\cos k\,\omega_{{{i}}} &= {_plain(c, 3)} \qquad \sin k\,\omega_{{{i}}} = {_plain(s, 3)}",
        rf"\underbrace{{{after}}}_{{PE({p + k})}} &= {block} \underbrace{{{before}}}_{{PE({p})}}",
    ]
    return aligned(lines, "4pt")


def _sum_of_products(q: list[float], k: list[float]) -> str:
    """The first and the last products, and what those between come to; two a line."""
    products = [a * b for a, b in zip(q, k)]
    shown = range(len(q)) if len(q) <= ALL else (*range(FIRST), *range(len(q) - LAST, len(q)))
    terms = [f"({_plain(q[i])})({_plain(k[i])})" for i in shown]
    if len(q) > ALL:
        between = sum(products[FIRST:-LAST])
        terms.insert(FIRST, rf"\overset{{\text{{{len(q) - FIRST - LAST} more}}}}{{({_plain(between)})}}")
    lines = [" + ".join(terms[i : i + 2]) for i in range(0, len(terms), 2)]
    return r" \\ &\quad + ".join(lines)


def _share(score: float, numbers: tuple[float, float, float]) -> str:
    exponential, total, weight = map(_number, numbers)
    return (
        rf"\frac{{e^{{{_plain(score)}}}}}{{\sum_j e^{{s_j}}}} = \frac{{{exponential}}}{{{total}}} = \mathbf{{{weight}}}"
    )


def _number(value: float) -> str:
    """Two digits after the point, or a power of ten for what is very small or large."""
    if 0.01 <= value < 10_000:
        return f"{value:.2f}"
    digits, _, power = f"{value:.1e}".partition("e")
    return rf"{digits} \cdot 10^{{{int(power)}}}"


def _plain(value: float, digits: int = 2) -> str:
    return signed(value, digits).removeprefix("+")


def _matrix(rows: list[list[float]]) -> str:
    lines = (" & ".join(_plain(value, 3) for value in row) for row in rows)
    return r"\begin{pmatrix} " + r" \\ ".join(lines) + r" \end{pmatrix}"


def aligned(lines: Iterable[str], apart: str = "") -> str:
    """Lines below each other, aligned at their &; apart: a length between two, such as "4pt"."""
    between = rf" \\[{apart}] " if apart else r" \\ "
    return r"\begin{aligned} " + between.join(lines) + r" \end{aligned}"
