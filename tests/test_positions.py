"""Positions: sinusoids that turn, products that depend on distance alone, and a table that ends."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from parity import gap, noise

from seqcore.models.positions import POSITIONS, Learned, rotate, scheme, shift, sinusoidal, wavelengths

even = st.integers(1, 16).map(lambda n: 2 * n)


def test_first_positions_of_width_2_are_sine_and_cosine():
    assert sinusoidal(3, 2).flatten().tolist() == pytest.approx(
        [0, 1, math.sin(1), math.cos(1), math.sin(2), math.cos(2)]
    )


def test_pairs_are_the_formula_of_the_paper():
    PE = sinusoidal(50, 8, dtype=torch.float64)
    for p, i in [(0, 0), (7, 1), (49, 3)]:
        assert PE[p, 2 * i].item() == pytest.approx(math.sin(p / 10000 ** (2 * i / 8)))
        assert PE[p, 2 * i + 1].item() == pytest.approx(math.cos(p / 10000 ** (2 * i / 8)))


@given(width=even, start=st.integers(0, 50))
def test_a_table_that_starts_later_is_the_end_of_a_longer_one(width, start):
    assert torch.equal(sinusoidal(4, width, start), sinusoidal(start + 4, width)[start:])


@given(width=even, p=st.integers(0, 80), q=st.integers(0, 80), k=st.integers(0, 19))
def test_product_of_two_positions_depends_on_their_distance_alone(width, p, q, k):
    PE = sinusoidal(100, width, dtype=torch.float64)
    assert (PE[p] @ PE[p + k]).item() == pytest.approx((PE[q] @ PE[q + k]).item(), abs=1e-10)
    assert (PE[p] @ PE[p]).item() == pytest.approx(width / 2)


@given(width=even, k=st.integers(-20, 20))
def test_one_rotation_leads_from_every_position_to_the_one_k_steps_on(width, k):
    PE, R = sinusoidal(60, width, dtype=torch.float64), shift(k, width)
    assert gap(PE[20:40] @ R.T, PE[20 + k : 40 + k]) <= 1e-10
    assert gap(R @ R.T, torch.eye(width, dtype=torch.float64)) <= 1e-12


def test_wavelengths_are_the_steps_after_which_a_pair_is_back():
    assert wavelengths(4).tolist() == pytest.approx([2 * math.pi, 2 * math.pi * 100])
    ω = 2 * math.pi / wavelengths(6)
    assert gap(sinusoidal(2, 6, dtype=torch.float64)[1, 0::2], ω.sin()) <= 1e-12


@given(width=even, p=st.integers(0, 60), s=st.integers(0, 60), by=st.integers(0, 60))
def test_rotary_scores_depend_on_the_offset_alone(width, p, s, by):
    q, k = noise(1, width).detach(), noise(1, width, seed=1).detach()
    here = (rotate(q, p) * rotate(k, s)).sum().item()
    assert here == pytest.approx((rotate(q, p + by) * rotate(k, s + by)).sum().item(), abs=1e-9)


def test_rotary_turns_the_first_pair_by_one_radian_a_step():
    turned = rotate(torch.tensor([[1.0, 0.0], [1.0, 0.0]]))
    assert turned.flatten().tolist() == pytest.approx([1, 0, math.cos(1), math.sin(1)])


@given(width=even)
def test_rotary_keeps_lengths(width):
    q = noise(3, 7, width)
    assert gap(rotate(q, 5).norm(dim=-1), q.norm(dim=-1)) <= 1e-12


@pytest.mark.parametrize("name", POSITIONS)
def test_every_scheme_gives_the_same_steps_wherever_the_sequence_is_cut(name):
    added = scheme(name).added(10, 4, torch.Generator().manual_seed(0)).double()
    x = noise(2, 7, 4)
    assert gap(torch.cat([added(x[:, :3]), added(x[:, 3:], start=3)], 1), added(x)) == 0
    turned = scheme(name).turned
    assert gap(torch.cat([turned(x[:, :3], 0), turned(x[:, 3:], 3)], 1), turned(x, 0)) <= 1e-12


def test_learned_positions_end_at_their_limit():
    learned = Learned(5, 4, torch.Generator().manual_seed(0))
    assert learned(torch.zeros(1, 2, 4), start=3).shape == (1, 2, 4)
    with pytest.raises(ValueError, match="6 time steps are more than the learned positions' limit = 5"):
        learned(torch.zeros(1, 2, 4), start=4)


def test_odd_widths_and_unknown_names_are_refused():
    with pytest.raises(ValueError, match="width = 5 is not an even number"):
        sinusoidal(3, 5)
    with pytest.raises(ValueError, match="positions = 'relative' is not one of none, sinusoidal, learned, rotary"):
        scheme("relative")
