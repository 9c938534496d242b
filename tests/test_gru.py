"""The GRU: its equations, its kernel and its torch twin are one function; the paper's variant is another."""

import math
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from parity import assert_agree, gap, gradients, noise

from seqcore.models.gru import GRU

TWINS = ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"]
sizes = st.fixed_dictionaries({k: st.integers(1, 6) for k in ("batch", "time", "inputs", "hidden")})


def model_of(inputs, hidden, update_bias=0.0, convention="torch", dtype=torch.float64):
    return GRU(inputs, hidden, update_bias, convention, torch.Generator().manual_seed(1)).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("convention", ["torch", "paper"])
@given(size=sizes)
def test_kernel_and_equations_agree_in_values_and_every_gradient(size, convention, dtype):
    model = model_of(size["inputs"], size["hidden"], convention=convention, dtype=dtype)
    x = noise(size["batch"], size["time"], size["inputs"], dtype=dtype)
    h = noise(size["batch"], size["hidden"], dtype=dtype, seed=1)
    nudge = torch.zeros(size["batch"], size["time"], size["hidden"], dtype=dtype, requires_grad=True)
    of = [x, h, nudge, *model.parameters()]
    assert_agree(model(x, h, nudge=nudge), model.trace(x, h, nudge=nudge)[0], of)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@given(size=sizes)
def test_kernel_and_torch_agree_in_values_and_every_gradient(size, dtype):
    model = model_of(size["inputs"], size["hidden"], dtype=dtype)
    twin = model.twin()
    x = noise(size["batch"], size["time"], size["inputs"], dtype=dtype)
    twins = [x, *(twin.get_parameter(name) for name in TWINS)]
    assert_agree(model(x), twin(x)[0], [x, *model.parameters()], twins)


def test_kernel_takes_gradients_that_lie_in_memory_as_they_please():
    model = model_of(2, 3)
    x = noise(2, 4, 2)
    for reduce in (torch.sum, lambda y: y[:, -1].sum(), lambda y: (y.transpose(1, 2).contiguous() ** 2).sum()):
        ours = torch.autograd.grad(reduce(model(x)), list(model.parameters()))
        theirs = torch.autograd.grad(reduce(model.trace(x)[0]), list(model.parameters()))
        assert all(gap(mine, other) <= 1e-12 for mine, other in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("convention", ["torch", "paper"])
def test_one_step_with_one_unit_is_the_formula(convention):
    model = GRU(1, 1, convention=convention).double()
    with torch.no_grad():
        model.W_x.copy_(torch.tensor([[0.1], [0.2], [0.3]]))
        model.W_h.copy_(torch.tensor([[-1.0], [1.0], [2.0]]))
        model.b_x.copy_(torch.tensor([0.0, 0.5, 0.25]))
        model.b_h.copy_(torch.tensor([0.0, 0.5, 0.75]))
    x, h = torch.tensor([[[2.0]]]).double(), torch.tensor([[0.5]]).double()

    def σ(a):
        return 1 / (1 + math.exp(-a))

    r, z = σ(0.2 - 0.5), σ(0.4 + 0.5 + 1)
    # one unit cannot tell r * (W h) from W (r * h): the conventions differ by where the bias stands
    recalled = {"torch": r * (2 * 0.5 + 0.75), "paper": 2 * (r * 0.5) + 0.75}[convention]
    n = math.tanh(0.6 + 0.25 + recalled)
    _, (state,) = model.trace(x, h)
    expected = [(1 - z) * n + z * 0.5, r, z, n]
    assert [each.item() for each in state] == pytest.approx(expected, abs=1e-7)
    assert model(x, h).item() == pytest.approx(expected[0], abs=1e-7)


def test_where_the_reset_gate_acts_matters_with_two_units_and_not_where_it_is_open():
    torch_, paper = (model_of(2, 4, convention=convention) for convention in ("torch", "paper"))
    x, h = noise(3, 5, 2), noise(3, 4, seed=1)
    assert gap(torch_(x, h), paper(x, h)) > 0.01
    for model in (torch_, paper):
        with torch.no_grad():
            model.b_x[:4] = 40.0  # r = 1
    assert gap(torch_(x, h), paper(x, h)) <= 1e-12


def test_an_update_gate_of_one_keeps_the_state_and_of_zero_rewrites_it():
    model = model_of(2, 3)
    x, h = noise(2, 4, 2), noise(2, 3, seed=1)
    with torch.no_grad():
        model.b_x[3:6] = 40.0
    assert gap(model(x, h), h.unsqueeze(1).expand(2, 4, 3)) <= 1e-12
    with torch.no_grad():
        model.b_x[3:6] = -40.0
    y, trail = model.trace(x, h)
    assert gap(y, torch.stack([state.n for state in trail], dim=1)) <= 1e-12


def test_update_bias_moves_the_update_gate_and_nothing_else():
    plain, biased = model_of(2, 3), model_of(2, 3, update_bias=2.0)
    moved = {name: (biased.get_parameter(name) - weight).detach() for name, weight in plain.named_parameters()}
    assert moved["b_x"].tolist() == pytest.approx([0.0] * 3 + [2.0] * 3 + [0.0] * 3, abs=1e-6)
    assert not any(moved[name].any() for name in ("W_x", "W_h", "b_h"))


def test_padding_changes_neither_outputs_nor_gradients():
    model = model_of(2, 4)
    x, lengths = noise(3, 6, 2), torch.tensor([6, 2, 4])
    padded = model(x, lengths=lengths)
    assert gap(model.trace(x, lengths=lengths)[0], padded) <= 1e-12
    for row, length in enumerate(lengths):
        assert gap(padded[row : row + 1, :length], model(x[row : row + 1, :length])) <= 1e-12
        assert not padded[row, length:].any()
    spoiled = x.detach().clone()
    spoiled[1, 2:], spoiled[2, 4:] = 100.0, -7.0
    weights = list(model.parameters())
    for clean, other in zip(gradients(padded, weights), gradients(model(spoiled, lengths=lengths), weights)):
        assert gap(clean, other) <= 1e-12
    assert not gradients(model(x, lengths=lengths), [x])[0][1, 2:].any()


def test_threads_that_train_at_once_get_equal_weights():
    def trained(_):
        generator = torch.Generator().manual_seed(3)
        model = GRU(2, 8, 1.0, generator=generator)
        optimiser = torch.optim.SGD(model.parameters(), 0.1)
        for _ in range(10):
            optimiser.zero_grad()
            model(torch.randn(4, 12, 2, generator=generator)).square().mean().backward()
            optimiser.step()
        return torch.cat([weight.detach().flatten() for weight in model.parameters()])

    with ThreadPoolExecutor(4) as threads:
        first, *others = threads.map(trained, range(4))
    assert all(torch.equal(first, other) for other in others)


def test_unknown_convention_is_named_with_the_ones_there_are():
    with pytest.raises(ValueError, match="convention = 'keras' is not one of torch, paper"):
        GRU(2, 3, convention="keras")


def test_twin_of_the_convention_torch_lacks_is_refused():
    with pytest.raises(ValueError, match="no convention 'paper'"):
        GRU(2, 3, convention="paper").twin()
