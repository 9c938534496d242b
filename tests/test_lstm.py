"""The LSTM: its equations, torch's kernel under its own name and its torch twin are one function."""

import math
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from parity import assert_agree, gap, gradients, noise

from seqcore.models.lstm import LSTM

TWINS = ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"]
sizes = st.fixed_dictionaries({k: st.integers(1, 6) for k in ("batch", "time", "inputs", "hidden")})


def model_of(inputs, hidden, forget_bias=0.0, dtype=torch.float64):
    return LSTM(inputs, hidden, forget_bias, torch.Generator().manual_seed(1)).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@given(size=sizes)
def test_kernel_and_equations_agree_in_values_and_every_gradient(size, dtype):
    model = model_of(size["inputs"], size["hidden"], dtype=dtype)
    x = noise(size["batch"], size["time"], size["inputs"], dtype=dtype)
    h, c = (noise(size["batch"], size["hidden"], dtype=dtype, seed=seed) for seed in (1, 2))
    assert_agree(model(x, h, c), model.trace(x, h, c)[0], [x, h, c, *model.parameters()])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@given(size=sizes)
def test_kernel_and_torch_agree_in_values_and_every_gradient(size, dtype):
    model = model_of(size["inputs"], size["hidden"], dtype=dtype)
    twin = model.twin()
    x = noise(size["batch"], size["time"], size["inputs"], dtype=dtype)
    twins = [x, *(twin.get_parameter(name) for name in TWINS)]
    assert_agree(model(x), twin(x)[0], [x, *model.parameters()], twins)


def test_gradients_are_the_same_when_evaluating():
    model = model_of(2, 3, dtype=torch.float32)
    x = noise(2, 5, 2, dtype=torch.float32)
    assert_agree(model.eval()(x), model.trace(x)[0], [x, *model.parameters()])


@given(size=sizes)
def test_gates_after_the_fast_pass_are_those_of_the_trace(size):
    model = model_of(size["inputs"], size["hidden"])
    x = noise(size["batch"], size["time"], size["inputs"])
    h, c = (noise(size["batch"], size["hidden"], seed=seed) for seed in (1, 2))
    _, trail = model.trace(x, h, c)
    for quick, steps in zip(model.gates(x, h, c), zip(*trail), strict=True):
        assert gap(quick, torch.stack(steps, dim=1).detach()) <= 1e-12


def test_one_step_with_one_unit_is_the_formula():
    model = LSTM(1, 1).double()
    with torch.no_grad():
        model.W_x.copy_(torch.tensor([[0.1], [0.2], [0.3], [0.4]]))
        model.W_h.copy_(torch.tensor([[-1.0], [1.0], [2.0], [0.5]]))
        model.b_x.copy_(torch.tensor([0.0, 0.5, 0.0, 0.0]))
        model.b_h.copy_(torch.tensor([0.0, 0.5, 0.0, 1.0]))
    x, h, c = torch.tensor([[[2.0]]]).double(), torch.tensor([[0.5]]).double(), torch.tensor([[0.25]]).double()

    def σ(a):
        return 1 / (1 + math.exp(-a))

    i, f, g, o = σ(0.2 - 0.5), σ(0.4 + 0.5 + 1), math.tanh(0.6 + 1), σ(0.8 + 0.25 + 1)
    cell = f * 0.25 + i * g
    _, (state,) = model.trace(x, h, c)
    expected = [o * math.tanh(cell), cell, i, f, g, o]
    assert [each.item() for each in state] == pytest.approx(expected, abs=1e-7)
    assert model(x, h, c).item() == pytest.approx(expected[0], abs=1e-7)


def test_forget_bias_moves_the_forget_gate_and_nothing_else():
    plain, biased = model_of(2, 3), model_of(2, 3, forget_bias=2.0)
    moved = {name: (biased.get_parameter(name) - weight).detach() for name, weight in plain.named_parameters()}
    assert moved["b_x"].tolist() == pytest.approx([0.0] * 3 + [2.0] * 3 + [0.0] * 6, abs=1e-6)
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


def test_nudge_receives_the_gradient_of_every_hidden_state():
    model = model_of(2, 3)
    x, nudge = noise(2, 5, 2), torch.zeros(2, 5, 3, dtype=torch.float64, requires_grad=True)
    y, trail = model.trace(x, nudge=nudge)
    (by_nudge,) = torch.autograd.grad(y.square().sum(), nudge, retain_graph=True)
    by_state = torch.autograd.grad(y.square().sum(), [state.h for state in trail])
    assert gap(by_nudge, torch.stack(by_state, dim=1)) <= 1e-12


def test_threads_that_train_at_once_get_equal_weights():
    def trained(_):
        generator = torch.Generator().manual_seed(3)
        model = LSTM(2, 8, 1.0, generator)
        optimiser = torch.optim.SGD(model.parameters(), 0.1)
        for _ in range(10):
            optimiser.zero_grad()
            model(torch.randn(4, 12, 2, generator=generator)).square().mean().backward()
            optimiser.step()
        return torch.cat([weight.detach().flatten() for weight in model.parameters()])

    with ThreadPoolExecutor(4) as threads:
        first, *others = threads.map(trained, range(4))
    assert all(torch.equal(first, other) for other in others)
