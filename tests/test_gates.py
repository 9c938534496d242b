"""What gates do to memory, checked where the answer is known."""

import math

import pytest
import torch
from flow import flow
from parity import gap, noise

from seqcore.models.gru import GRU
from seqcore.models.lstm import LSTM
from seqcore.probes.gates import half_life, highway, linear_slope
from seqcore.probes.gradients import last_state, norm, slope


def sigmoid(b):
    return 1 / (1 + math.exp(-b))


@pytest.mark.parametrize("b", [-1.0, 0.0, 3.0])
def test_without_weights_the_cell_is_the_only_path_and_forgets_by_a_constant_factor(b):
    model = LSTM(2, 5)
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
        model.b_x[5:10] = b
    paths = highway(model, noise(3, 8, 2).detach())
    expected = torch.tensor([[sigmoid(b) ** lag for lag in range(7, -1, -1)]] * 3, dtype=torch.float64)
    assert gap(paths.direct, expected) <= 1e-14
    assert gap(paths.total, expected) <= 1e-14


def test_total_gradient_of_the_last_cell_agrees_with_nudging_an_earlier_one():
    model = LSTM(2, 4, generator=torch.Generator().manual_seed(1)).double()
    x, eps = noise(1, 6, 2).detach(), 1e-6
    _, trail = model.trace(x[:, :3])
    c, o = trail[-1].c.detach(), trail[-1].o.detach()

    def moved(unit, by):
        shifted = c.clone()
        shifted[0, unit] += by
        return model.gates(x[:, 3:], o * torch.tanh(shifted), shifted).c[0, -1].sum() / 4**0.5

    gradient = torch.stack([(moved(unit, eps) - moved(unit, -eps)) / (2 * eps) for unit in range(4)])
    assert gap(highway(model, x).total[0, 2], gradient.norm()) <= 1e-8


def test_direct_path_is_the_product_of_later_forget_gates():
    model = LSTM(2, 3, generator=torch.Generator().manual_seed(1)).double()
    x = noise(2, 5, 2).detach()
    f = model.gates(x).f
    by_hand = [f[:, t + 1 :].prod(1).square().mean(1).sqrt() for t in range(5)]
    assert gap(highway(model, x).direct, torch.stack(by_hand, dim=1)) <= 1e-12


def test_gradient_flow_at_the_last_step_is_the_chain_rule():
    model = LSTM(2, 3, generator=torch.Generator().manual_seed(1)).double()
    x = noise(2, 5, 2).detach()
    parts = flow(model, x, lambda y: y[:, -1].sum())
    gates = model.gates(x)
    by_c = gates.o[:, -1] * (1 - gates.c[:, -1].tanh().square())
    assert gap(parts.h[:, -1], torch.full((2,), 3**0.5).double()) <= 1e-7
    assert gap(parts.c[:, -1], by_c.norm(dim=1)) <= 1e-12
    assert parts.h.shape == parts.c.shape == (2, 5)


def test_half_life_counts_steps_until_half_is_left():
    f = torch.tensor([0.5, 0.5**0.5, 0.5**0.1, 0.25, 1.0, 0.0], dtype=torch.float64)
    assert half_life(f).tolist() == pytest.approx([1, 2, 10, 0.5, math.inf, 0])
    steps = torch.tensor([[0.25, 1.0], [1.0, 1.0]], dtype=torch.float64)
    assert half_life(steps).tolist() == pytest.approx([1, math.inf])
    assert half_life(steps.expand(3, 2, 2)).tolist() == pytest.approx([1, math.inf])


@pytest.mark.parametrize("f", [-0.25, 1.25])
def test_half_life_of_something_that_is_no_gate_is_refused(f):
    with pytest.raises(ValueError, match=f"f = {f} is not from 0 to 1"):
        half_life(torch.tensor([0.5, f]))


# 64 units, 100 steps, default weights, no biases but one, noise of 0.1 straight into every gate
CELLS = {"LSTM": (LSTM, 4), "GRU": (GRU, 3)}


def untrained(name, bias, seed):
    """The cell, and inputs that reach every gate of every unit as they are."""
    cell, stacked = CELLS[name]
    generator = torch.Generator().manual_seed(seed)
    model = cell(stacked * 64, 64, generator=generator).double()
    with torch.no_grad():
        model.W_x.copy_(torch.eye(stacked * 64))
        model.b_x.zero_()
        model.b_h.zero_()
        model.b_x[64:128] = bias
    return model, 0.1 * torch.randn(8, 100, stacked * 64, generator=generator, dtype=torch.float64)


def measured_slope(model, x, seed):
    """Decades a step by which ‖dL/dh_t‖ falls (below 0) on its way back."""
    nudge = torch.zeros(8, 100, 64, dtype=torch.float64, requires_grad=True)
    y = model.trace(x, nudge=nudge)[0]
    (gradient,) = torch.autograd.grad(last_state(torch.Generator().manual_seed(seed))(y), nudge)
    return slope(norm(gradient).flip(1))[0]


@pytest.mark.parametrize(
    ("name", "bias", "low", "high"),
    [("LSTM", 0.0, -0.23, -0.16), ("LSTM", 3.0, -0.01, 0.03), ("GRU", 0.0, -0.23, -0.16), ("GRU", 3.0, -0.021, -0.014)],
)
@pytest.mark.parametrize("seed", [9001, 9002, 9003])
def test_untrained_gates_let_the_gradient_vanish_unless_their_bias_is_high(name, bias, low, high, seed):
    assert low <= measured_slope(*untrained(name, bias, seed), seed) <= high


@pytest.mark.parametrize(
    ("name", "bias", "error"), [("LSTM", 0.0, 0.015), ("LSTM", 1.0, 0.015), ("GRU", 0.0, 0.012), ("GRU", 3.0, 0.012)]
)
def test_linear_theory_tells_the_slope(name, bias, error):
    model, x = untrained(name, bias, 9004)
    assert linear_slope(model) == pytest.approx(measured_slope(model, x, 9004), abs=error)


def test_linear_theory_is_the_formula_in_the_eigenvalues_of_one_matrix():
    for name, bias in [("LSTM", 1.0), ("GRU", 2.0)]:
        model, _ = untrained(name, bias, 9005)
        λ = torch.linalg.eigvals(model.W_h[128:192].detach())
        kept = sigmoid(bias)
        new = 0.5 * 0.5 if name == "LSTM" else (1 - kept) * 0.5
        assert linear_slope(model) == pytest.approx((kept + new * λ).abs().max().log10().item(), abs=1e-9)


def test_linear_theory_does_not_care_where_an_equal_reset_gate_acts():
    torch_, _ = untrained("GRU", 1.0, 9006)
    paper = GRU(192, 64, convention="paper").double()
    paper.load_state_dict(torch_.state_dict())
    assert linear_slope(paper) == pytest.approx(linear_slope(torch_), abs=1e-9)
