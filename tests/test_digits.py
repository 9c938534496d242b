"""Formulas in digits: what stands on the page is what is in the record, and it can be added up by hand."""

import math
import re

import pytest

from seqcore.experiments import positions, scaling
from view import digits

PRODUCT = re.compile(r"\((−?\d+\.\d\d)\)\((−?\d+\.\d\d)\)")
MIDDLE = re.compile(r"\\overset\{\\text\{(\d+) more\}\}\{\((−?\d+\.\d\d)\)\}")


def number(told: str) -> float:
    digits_, _, power = told.replace("−", "-").partition(r" \cdot 10^")
    return float(digits_) * 10 ** int(power.strip("{}") or 0)


@pytest.mark.parametrize(("d_k", "products", "more"), [(1, 1, 0), (2, 2, 0), (4, 4, 0), (8, 3, 5), (1024, 3, 1021)])
def test_a_score_is_the_sum_of_the_products_on_the_page(d_k, products, more):
    score = scaling.one_score(scaling.Config(d_k=d_k), 1, 8)
    told = digits.score_in_full(score)
    factors = [(number(a), number(b)) for a, b in PRODUCT.findall(told)]
    middle = MIDDLE.findall(told)
    assert len(factors) == products
    assert sum(int(count) for count, _ in middle) == more
    assert factors[0] == pytest.approx((score.facts["q"][0], score.facts["k"][0]), abs=0.006)
    assert factors[-1] == pytest.approx((score.facts["q"][-1], score.facts["k"][-1]), abs=0.006)
    total = sum(a * b for a, b in factors) + sum(number(rest) for _, rest in middle)
    assert total == pytest.approx(score.facts["score"], abs=0.02 * products + 0.01)


@pytest.mark.parametrize("config", [scaling.Config(), scaling.Config(d_k=1024, keys=32), scaling.Config(d_k=1, keys=2)])
def test_both_weights_are_the_fractions_on_the_page(config):
    score = scaling.one_score(config, 2, 2)
    told = digits.score_in_full(score)
    shares = re.findall(r"\\sum_j e\^\{s_j\}\} = \\frac\{(.+?)\}\{([^=]+)\} = \\mathbf\{(.+?)\} ", told + " ")
    assert len(shares) == 2
    for (top, bottom, weight), arm in zip(shares, score.facts["weight"]):
        assert number(top) / number(bottom) == pytest.approx(score.facts["weight"][arm], rel=0.12, abs=0.02)
        assert number(weight) == pytest.approx(score.facts["weight"][arm], rel=0.1)


@pytest.mark.parametrize(("place", "entry"), [(0, 0), (5, 6), (47, 15), (47, 0)])
def test_an_entry_of_the_table_can_be_computed_from_the_digits(place, entry):
    followed = positions.one_entry(positions.Config(width=16), place, entry)
    told = digits.place_in_full(followed)
    omega, angle, value = (number(each) for each in re.findall(r"= (?:\\mathbf\{)?(−?[\d.]+)\}? \\(?:\\|end)", told))
    wave = math.cos if entry % 2 else math.sin
    assert place * omega == pytest.approx(angle, abs=1e-4)
    assert wave(angle) == pytest.approx(value, abs=6e-4)
    assert value == pytest.approx(followed.facts["value"], abs=6e-4)
    assert (r"\cos" in told) == bool(entry % 2)
    assert f"PE({place}, {entry})" in told


@pytest.mark.parametrize(("k", "place", "pair"), [(1, 0, 0), (16, 47, 7)])
def test_a_turned_pair_can_be_computed_from_the_digits(k, place, pair):
    told = digits.turn_in_full(positions.one_turn(positions.Config(width=16), k, place, pair))
    after, block, before = (
        [number(each) for each in re.findall(r"−?\d+\.\d{3}", found)]
        for found in re.findall(r"\\begin\{pmatrix\} ([^a-z]*?[\d.]+ *(?:\\\\[^a-z]*)?) \\end\{pmatrix\}", told)
    )
    c, s = (number(each) for each in re.findall(r"k\\,\\omega_\{\d\} (?:&)?= (−?\d\.\d{3}) ", told))
    assert block == [c, s, -s, c]
    assert block[0] * before[0] + block[1] * before[1] == pytest.approx(after[0], abs=2e-3)
    assert block[2] * before[0] + block[3] * before[1] == pytest.approx(after[1], abs=2e-3)
    assert f"PE({place + k})" in told
