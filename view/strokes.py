"""What drawings are made of: boxes, arrows and words, as SVG.

    page.drawing(svg([box(4, 4, 90, 40, "LayerNorm", GREEN), arrow(49, 80, 49, 44, TEAL)], 98, 84, "A layer."), "Caption.")

Text and thin lines take the colour of the page's text, all else is in mid-tones, so a drawing is the same in both themes.
Its size does not depend on the numbers in it. A part may be a link, to a page or to a scene.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from view.theme import TEAL


def svg(parts: Iterable[str], width: float, height: float, label: str, fits: bool = False) -> str:
    """One line of HTML, since a blank line would end it.

    label  the drawing in words
    fits   whether it shrinks to the width of a phone rather than scroll sideways there
    """
    least, most = 0 if fits else 0.75 * width, 1.15 * width
    drawn = "".join(parts)
    # What holds links is a group of them; an image would hide them from a screen reader.
    role = "group" if 'data-go="' in drawn else "img"
    return (
        '<div style="overflow-x:auto;padding-bottom:16px">'
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}" role="{role}" aria-label="{_said(label)}" '
        f'style="width:100%;min-width:{least:.0f}px;max-width:{most:.0f}px;display:block;margin:auto">'
        f"{drawn}</svg></div>"
    )


def _said(words: str) -> str:
    """Words for SVG inside Markdown: escaped, and in one line, since a blank line would end the drawing."""
    return escape(" ".join(words.split()))


def text(
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
        f"{_said(words)}</text>"
    )


def box(x: float, y: float, width: float, height: float, words: str, colour: str, size: float = 14) -> str:
    """A box with words in the middle of it."""
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="6" fill="{colour}" '
        f'fill-opacity="0.15" stroke="{colour}" stroke-width="1.5"/>'
    ) + (text(x + width / 2, y + height / 2 + 0.35 * size, words, size) if words else "")


def bar(x: float, y: float, width: float, height: float, colour: str, opacity: float = 0.35, corner: float = 0) -> str:
    """A filled part of what could be filled: a share, as a bar or in a vessel."""
    place = " ".join(
        f'{name}="{round(value, 1):g}"' for name, value in zip(("x", "y", "width", "height"), (x, y, width, height))
    )
    rounded = f'rx="{corner:g}" ' if corner else ""
    return f'<rect {place} {rounded}fill="{colour}" fill-opacity="{opacity:g}"/>'


def line(*points: tuple[float, float], colour: str = TEAL) -> str:
    places = " ".join(f"{x},{y}" for x, y in points)
    return f'<polyline points="{places}" fill="none" stroke="{colour}" stroke-width="2"/>'


def arrow(x: float, y: float, to_x: float, to_y: float, colour: str) -> str:
    """A straight arrow, level or upright."""
    along, up = ((to_x > x) - (to_x < x)) * 7, ((to_y > y) - (to_y < y)) * 7
    wings = (
        f"{to_x},{to_y} {to_x - along - up / 2},{to_y - up - along / 2} {to_x - along + up / 2},{to_y - up + along / 2}"
    )
    return (
        line((x, y), (to_x - along / 2, to_y - up / 2), colour=colour) + f'<polygon points="{wings}" fill="{colour}"/>'
    )


def knot(x: float, y: float, sign: str, colour: str, radius: float = 14, size: float = 18) -> str:
    """Where two lines meet and are multiplied or added."""
    return (
        f'<circle cx="{x}" cy="{y}" r="{radius}" fill="{colour}" fill-opacity="0.2" stroke="{colour}" stroke-width="1.5"/>'
        + text(x, y + size / 3, sign, size, weight=600)
    )


def link(parts: Iterable[str], page: str, name: str, scene: int = 0) -> str:
    """Parts of a drawing that lead to a page by its address, as it was left or to one of its scenes, by click and by Enter.

    name  what a screen reader says
    """
    to = f"{page}?scene={scene}" if scene else page
    return (
        f'<g class="go" data-go="{escape(to)}" role="link" tabindex="0" aria-label="{_said(name)}">{"".join(parts)}</g>'
    )


def signed(value: float, digits: int = 2) -> str:
    """+0.50 or −0.50, and +0.00 for what rounds to nothing."""
    return f"{value + 0.0:+.{digits}f}".replace("-", "−") if round(value, digits) else f"+{0:.{digits}f}"


def look(parts: Iterable[str], axis: str, tick: str) -> str:
    """Parts of a drawing that stand for a tick of an axis: they are shown when it is looked at in any picture of the page."""
    return f'<g data-look="{escape(axis)}" data-tick="{_said(tick)}">{"".join(parts)}</g>'
