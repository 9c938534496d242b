"""The recurrent network: its equations, its kernel and its torch twin are one function."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from parity import assert_agree, gap, gradients, noise

from seqcore.models.rnn import RNN

TWINS = ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"]
sizes = st.fixed_dictionaries({k: st.integers(1, 6) for k in ("batch", "time", "inputs", "hidden")})


def model_of(inputs, hidden, activation="tanh", dtype=torch.float64):
    return RNN(inputs, hidden, activation, generator=torch.Generator().manual_seed(1)).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("activation", ["tanh", "relu", "sigmoid", "identity"])
@given(size=sizes)
def test_kernel_and_equations_agree_in_values_and_every_gradient(size, activation, dtype):
    model = model_of(size["inputs"], size["hidden"], activation, dtype)
    x = noise(size["batch"], size["time"], size["inputs"], dtype=dtype)
    h = noise(size["batch"], size["hidden"], dtype=dtype, seed=1)
    nudge = torch.zeros(size["batch"], size["time"], size["hidden"], dtype=dtype, requires_grad=True)
    of = [x, h, nudge, *model.parameters()]
    assert_agree(model(x, h, nudge=nudge), model.trace(x, h, nudge=nudge)[0], of)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
@given(size=sizes)
def test_kernel_and_torch_agree_in_values_and_every_gradient(size, activation, dtype):
    model = model_of(size["inputs"], size["hidden"], activation, dtype)
    twin = model.twin()
    x = noise(size["batch"], size["time"], size["inputs"], dtype=dtype)
    twins = [x, *(twin.get_parameter(name) for name in TWINS)]
    assert_agree(model(x), twin(x)[0], [x, *model.parameters()], twins)


def test_hand_written_backward_agrees_with_finite_differences():
    model = model_of(2, 3)
    x, h = noise(2, 4, 2), noise(2, 3, seed=1)
    names = [name for name, _ in model.named_parameters()]

    def function(x, h, *weights):
        return torch.func.functional_call(model, dict(zip(names, weights)), (x, h))

    assert torch.autograd.gradcheck(function, (x, h, *model.parameters()))


def test_one_step_with_one_unit_is_the_formula():
    model = model_of(1, 1)
    W_x, W_h, b_x, b_h = (p.item() for p in model.parameters())
    y = model(torch.tensor([[[2.0]]], dtype=torch.float64), h=torch.tensor([[0.5]], dtype=torch.float64))
    assert y.item() == pytest.approx(
        torch.tanh(torch.tensor(W_x * 2 + b_x + W_h * 0.5 + b_h, dtype=torch.float64)).item()
    )


def test_padding_changes_neither_outputs_nor_gradients():
    model = model_of(2, 4)
    x, lengths = noise(3, 6, 2), torch.tensor([6, 2, 4])
    padded = model(x, lengths=lengths)
    for row, length in enumerate(lengths):
        alone = model(x[row : row + 1, :length])
        assert gap(padded[row : row + 1, :length], alone) <= 1e-12
        assert not padded[row, length:].any()
    spoiled = x.detach().clone()
    spoiled[1, 2:], spoiled[2, 4:] = 100.0, -7.0
    for clean, other in zip(
        gradients(padded, list(model.parameters())),
        gradients(model(spoiled, lengths=lengths), list(model.parameters())),
        strict=True,
    ):
        assert gap(clean, other) <= 1e-12


def test_unknown_activation_is_named_with_the_ones_there_are():
    with pytest.raises(ValueError, match="activation = 'swish' is not one of tanh, relu, sigmoid, identity"):
        RNN(2, 3, "swish")


def test_twin_of_an_activation_torch_lacks_is_refused():
    with pytest.raises(ValueError, match="no activation 'sigmoid'"):
        RNN(2, 3, "sigmoid").twin()
