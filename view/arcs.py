"""Drawings of one query of attention: its weights as arcs over a sentence, and as points in the plane of its keys.

    page.drawing(arcs.over_words(picture, query=4), "The thicker an arc, the more is read.")
    page.drawing(arcs.plane(moment), "Turn the query.")

Both fit a phone. The size of a drawing depends on the sentence at most, never on a weight.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from seqcore.record import Snapshot
from view.charts import distinct
from view.strokes import bar, look, signed, svg, text
from view.theme import BLUE, GREY, ORANGE

WIDE, SIZE = 460, 15  # of a drawing, and of its letters: 11 px where it shrinks to 340 px
LETTER = 8.6  # width of a letter, about
GROUND = 164  # where the arcs stand
THICK = 24  # of an arc that has all the weight
SIDE, ROW = 258, 24  # of the plane, and of a line beside it


def over_words(picture: Snapshot, query: int) -> str:
    """The weights of one query as arcs from it to every word that it may see, each as thick as its weight.

    picture  with the signal weights (query, key), whose keys are the words; no number stands where a mask hides a word
    """
    signal = picture["weights"]
    words, weights = [str(word) for word in signal.ticks["key"]], signal.values[query]
    places, level = _places(words)
    here = places[query]
    farthest = max(here - places[0], places[-1] - here)
    parts = []
    ticks = distinct(words)
    for x, weight, tick in zip(places, weights, ticks):
        if math.isnan(weight):
            continue
        high = 2 * (30 + 110 * abs(x - here) / farthest)
        bow = (
            f"M {here:.1f} {GROUND} Q {(x + here) / 2:.1f} {GROUND - high:.1f} {x:.1f} {GROUND}"
            if x != here
            else f"M {x - 7:.1f} {GROUND} C {x - 30:.1f} {GROUND - 62} {x + 30:.1f} {GROUND - 62} {x + 7:.1f} {GROUND}"
        )
        arc = f'<path d="{bow}" fill="none" stroke="{BLUE}" stroke-opacity="0.75" stroke-width="{THICK * weight:.2f}"/>'
        parts.append(look([arc], "key", tick))
    for place, (x, word, weight) in enumerate(zip(places, words, weights)):
        own, hidden = place == query, math.isnan(weight)
        colour, bold = ORANGE if own else GREY if hidden else "currentColor", 700 if own else 400
        number = text(x, GROUND + 22, "–" if hidden else f"{weight:.2f}", SIZE, colour)
        if level:
            written = text(x, GROUND + 48, word, SIZE, colour, weight=bold)
        else:
            leaning = text(0, 0, word, SIZE, colour, "end", bold)
            written = f'<g transform="translate({x + 6:.1f} {GROUND + 42}) rotate(-45)">{leaning}</g>'
        ground = f'<rect x="{x - 19:.1f}" y="{GROUND + 6}" width="38" height="46" fill="transparent"/>'
        parts.append(look([ground, number, written], "key", ticks[place]))
    reads = ", ".join(f"{weight:.2f} from {word}" for word, weight in zip(words, weights) if not math.isnan(weight))
    return svg(parts, WIDE, GROUND + (60 if level else 106), f"The word {words[query]} reads {reads}.", fits=True)


def _places(words: Sequence[str]) -> tuple[list[float], bool]:
    """The middle of each word along the sentence, and whether the words stand level; they lean where they are too long."""
    slots = [max(38.0, LETTER * len(word) + 8) for word in words]
    level = sum(slots) <= WIDE
    left = 0.0 if level else 56.0
    if not level:
        slots = [1.0] * len(words)
    stretch = (WIDE - left) / sum(slots)
    places = []
    for slot in slots:
        places.append(left + stretch * slot / 2)
        left += stretch * slot
    return places, level


def plane(moment: Snapshot) -> str:
    """A query of two entries as an arrow, and the keys of a sentence as points, the larger the more weight they have.

    moment  with the signals k (token, entry), scaled and weights (key), and the fact q; words at one point share its numbers
    """
    keys, weights, scaled = (moment[name].values for name in ("k", "weights", "scaled"))
    words, (q_1, q_2) = [str(word) for word in moment["k"].ticks["token"]], moment.facts["q"]
    far = max(2.0, float(abs(keys).max()))
    half = SIDE / 2
    middle = half + 2
    unit = (half - 16) / far

    def at(first: float, second: float) -> tuple[float, float]:
        return middle + unit * first, middle - unit * second

    end = SIDE + 2
    parts = [
        f'<rect x="2" y="2" width="{SIDE}" height="{SIDE}" rx="8" fill="none" stroke="{GREY}" stroke-opacity="0.5"/>',
        f'<path d="M 2 {middle} H {end} M {middle} 2 V {end}" stroke="{GREY}" stroke-opacity="0.5" fill="none"/>',
        text(2, end + 18, "→ entry 1   ↑ entry 2", SIZE, GREY, "start"),
    ]
    length = math.hypot(q_1, q_2)
    if length:
        along, across = (q_1 / length, -q_2 / length), (q_2 / length, q_1 / length)
        x, y = at(q_1, q_2)
        reach = half / max(map(abs, across))
        ends = [middle + sign * reach * each for sign in (-1, 1) for each in across]
        wings = [(x - 12 * along[0] + side * along[1], y - 12 * along[1] - side * along[0]) for side in (-6, 6)]
        head = " ".join(f"{a:.1f},{b:.1f}" for a, b in [(x, y), *wings])
        parts += [
            f'<path d="M {ends[0]:.1f} {ends[1]:.1f} L {ends[2]:.1f} {ends[3]:.1f}" stroke="{ORANGE}" '
            'stroke-dasharray="4 5" stroke-opacity="0.8"/>',
            f'<path d="M {middle} {middle} L {x - 8 * along[0]:.1f} {y - 8 * along[1]:.1f}" stroke="{ORANGE}" '
            'stroke-width="3"/>',
            f'<polygon points="{head}" fill="{ORANGE}"/>',
        ]
    spots: dict[tuple[float, float], list[int]] = {}
    for place, key in enumerate(keys):
        spots.setdefault(at(*key), []).append(place)
    parts += [
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{4 + 18 * math.sqrt(weights[places[0]]):.1f}" fill="{BLUE}" '
        f'fill-opacity="0.35" stroke="{BLUE}"/>'
        for (x, y), places in spots.items()
    ]
    parts += [
        text(round(x, 1), y + 5, " ".join(str(place + 1) for place in places), SIZE, weight=600)
        for (x, y), places in spots.items()
    ]
    left, wide = SIDE + 16, WIDE - SIDE - 16
    for place, (word, weight) in enumerate(zip(words, weights)):
        y = 2 + ROW * place
        parts += [
            bar(left, y, wide * weight, ROW - 4, BLUE, corner=3),
            text(left + 4, y + 15, f"{place + 1} {word}", SIZE, anchor="start"),
            text(WIDE - 4, y + 15, f"{weight:.2f}", SIZE, anchor="end"),
        ]
    told = ", ".join(f"{word} {weight:.2f} (score {signed(s)})" for word, weight, s in zip(words, weights, scaled))
    high = max(end + 24, ROW * len(words) + 2)
    return svg(parts, WIDE, high, f"Query ({signed(q_1)}, {signed(q_2)}). Weights of the keys: {told}.", fits=True)
