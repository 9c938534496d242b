"""Drawings of one query: arcs as thick as its weights, and keys as points of a plane."""

import itertools
import math
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from seqcore.experiments.attention import Config, by_hand, five_steps, plane
from view import arcs

LONG = "every morning the miller opened the gate and the water came"


def tree(drawing):
    return ElementTree.fromstring(re.search(r"<svg.*</svg>", drawing)[0])


def strokes(drawing):
    """The thickness of every arc, in the order of the words."""
    return [float(each.get("stroke-width")) for each in tree(drawing).iter("path")]


def sizes(drawing):
    return tree(drawing).get("viewBox")


def words(drawing):
    return [each.text for each in tree(drawing).iter("text")]


@pytest.mark.parametrize("text", ["the cat saw the dog", LONG, "one two"])
@pytest.mark.parametrize("query", [0, 1])
def test_an_arc_is_as_thick_as_its_weight_and_every_weight_is_written(text, query):
    picture = five_steps(Config(sentence=text))
    drawing = arcs.over_words(picture, query)
    weights = picture["weights"].values[query]
    assert np.array(strokes(drawing)) / arcs.THICK == pytest.approx(weights, abs=0.001)
    assert all(f"{weight:.2f}" in words(drawing) for weight in weights)
    label = tree(drawing).get("aria-label")
    assert label.startswith(f"The word {text.split()[query]} reads ")
    assert all(f"{weight:.2f} from {word}" in label for weight, word in zip(weights, text.split()))


def test_no_arc_leads_to_a_word_that_the_mask_hides():
    drawing = arcs.over_words(five_steps(Config(sentence="the cat saw the dog", masked=True)), 1)
    assert len(strokes(drawing)) == 2
    assert words(drawing).count("–") == 3


@pytest.mark.parametrize("text", ["the cat saw the dog", LONG, " ".join(["abcdefghi"] * 6), "a b", "<b> & $x$"])
def test_words_stay_inside_the_drawing_and_do_not_touch_and_its_size_is_that_of_the_sentence(text):
    shown = Config(sentence=text)
    places, level = arcs._places(five_steps(shown)["weights"].ticks["key"])
    assert all(0 < place < arcs.WIDE for place in places)
    assert min(b - a for a, b in itertools.pairwise(places)) >= 30, "a weight is about 30 wide"
    drawings = [arcs.over_words(five_steps(shown.but(seed=seed)), query) for seed in (0, 1) for query in (0, 1)]
    assert len({sizes(each) for each in drawings}) == 1
    if level:
        halves = [arcs.LETTER * len(word) / 2 for word in text.split()]
        assert all(b - a >= h + g for a, b, h, g in zip(places, places[1:], halves, halves[1:]))


def test_letters_are_readable_where_a_drawing_shrinks_to_a_phone():
    for drawing in (
        arcs.over_words(five_steps(Config(sentence=LONG)), 0),
        arcs.plane(by_hand(plane(Config()), 1.0, 1.0)),
    ):
        shrunk = 340 / float(sizes(drawing).split()[2])
        assert min(float(each.get("font-size")) for each in tree(drawing).iter("text")) * shrunk >= 11


@pytest.mark.parametrize("q", [(0.5, 1.5), (-2.0, 2.0), (0.0, 0.0), (0.0, -1.0)])
@pytest.mark.parametrize("text", ["the cat saw the dog", LONG])
def test_a_key_stands_where_its_entries_say_and_a_larger_weight_is_a_larger_point(q, text):
    moment = by_hand(plane(Config(sentence=text)), *q)
    drawing = arcs.plane(moment)
    circles = list(tree(drawing).iter("circle"))
    keys, weights = moment["k"].values, moment["weights"].values
    different = list(dict.fromkeys(map(tuple, keys.tolist())))
    assert len(circles) == len(different) < len(keys), "a word that comes twice is one point"
    far = max(2.0, abs(keys).max())
    for circle, key in zip(circles, different):
        x, y, r = (float(circle.get(name)) for name in ("cx", "cy", "r"))
        assert ((x - 131) / (129 - 16) * far, (131 - y) / (129 - 16) * far) == pytest.approx(key, abs=0.01)
        assert 2 < x < 260
        assert 2 < y < 260
        weight = weights[keys.tolist().index(list(key))]
        assert r == pytest.approx(4 + 18 * math.sqrt(weight), abs=0.06)
    assert len(list(tree(drawing).iter("polygon"))) == (q != (0.0, 0.0)), "no query, no arrow"
    assert sizes(drawing) == sizes(arcs.plane(by_hand(plane(Config(sentence=text, seed=5)), 1.0, 0.3)))


def test_the_line_of_score_zero_is_at_right_angles_to_the_query():
    drawing = arcs.plane(by_hand(plane(Config()), 0.6, 1.3))
    path = next(each.get("d") for each in tree(drawing).iter("path") if each.get("stroke-dasharray"))
    a, b, c, d = map(float, re.findall(r"[-\d.]+", path))
    assert (c - a) * 0.6 - (d - b) * 1.3 == pytest.approx(0, abs=0.5)
